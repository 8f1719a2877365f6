package weights_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/smalti/smalti/weights"
	wt "github.com/smalti/smalti/weights/weightstest"
)

// mustRefuse opens data, which must give an error that wraps ErrFormat.
func mustRefuse(t *testing.T, what string, data []byte) error {
	t.Helper()
	f, err := weights.OpenBytes(data)
	if err == nil {
		t.Errorf("%s: opened with %d tensors", what, len(f.Names()))
	} else if !errors.Is(err, weights.ErrFormat) {
		t.Errorf("%s: %v does not wrap ErrFormat", what, err)
	}
	return err
}

// sample has a tensor of each kind that torch files hold, with what it must read as.
func sample() ([]wt.Tensor, map[string][]float32) {
	ts := []wt.Tensor{
		{Name: "a.weight", DType: weights.F32, Shape: []int{2, 3}, Storage: "a", Fill: wt.Floats(1, 2, 3, 4, 5, 6)},
		{Name: "a.transposed", DType: weights.F32, Shape: []int{3, 2}, Strides: []int{1, 3}, Storage: "a"},
		{Name: "a.column", DType: weights.F32, Shape: []int{2}, Strides: []int{3}, Offset: 1, Storage: "a"},
		{Name: "a.last", DType: weights.F32, Shape: []int{}, Offset: 5, Storage: "a"},
		{Name: "a.one", DType: weights.F32, Shape: []int{1, 2, 1}, Strides: []int{77, 1, 99}, Offset: 2, Storage: "a"},
		{Name: "b.expanded", DType: weights.F32, Shape: []int{2, 2}, Strides: []int{0, 1}, Len: 2, Fill: wt.Floats(7, 8), Parameter: true},
		{Name: "b.every", DType: weights.F32, Shape: []int{2, 2, 2}, Strides: []int{8, 1, 2}, Len: 12, Fill: wt.Floats(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)},
		{Name: "b.half", DType: weights.F16, Shape: []int{2}, Fill: wt.Bytes([]byte{0, 0x3c, 0, 0xc0})},
		{Name: "b.brain", DType: weights.BF16, Shape: []int{1}, Fill: wt.Bytes([]byte{0x80, 0x3f})},
		{Name: "b.double", DType: weights.F64, Shape: []int{1}, Fill: wt.Bytes([]byte{0, 0, 0, 0, 0, 0, 0, 0x40})},
		{Name: "c.0.count", DType: weights.I64, Shape: []int{}, Fill: wt.Int64s(-5)},
		{Name: "c.0.mask", DType: weights.Bool, Shape: []int{3}, Fill: wt.Bytes([]byte{1, 0, 1})},
		{Name: "c.1.none", DType: weights.F32, Shape: []int{0, 4}},
	}
	return ts, map[string][]float32{
		"a.weight": {1, 2, 3, 4, 5, 6}, "a.transposed": {1, 4, 2, 5, 3, 6}, "a.column": {2, 5}, "a.last": {6}, "a.one": {3, 4},
		"b.expanded": {7, 8, 7, 8}, "b.every": {0, 2, 1, 3, 8, 10, 9, 11}, "b.half": {1, -2}, "b.brain": {1}, "b.double": {2},
		"c.0.count": {-5}, "c.0.mask": {1, 0, 1}, "c.1.none": {},
	}
}

// checkSample compares a file with what sample says.
func checkSample(t *testing.T, what string, data []byte, format weights.Format) {
	t.Helper()
	ts, want := sample()
	f, err := weights.OpenBytes(data)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if f.Format() != format || len(f.Names()) != len(want) {
		t.Errorf("%s: %s with %v", what, f.Format(), f.Names())
	}
	for _, x := range ts {
		got, ok := f.Tensor(x.Name)
		if !ok || got.DType != x.DType || !slices.Equal(got.Shape, x.Shape) {
			t.Errorf("%s: %s is %+v", what, x.Name, got)
			continue
		}
		if v := floats(t, got); !slices.Equal(v, want[x.Name]) {
			t.Errorf("%s: %s = %v, want %v", what, x.Name, v, want[x.Name])
		}
	}
}

func TestTorchLayouts(t *testing.T) {
	ts, _ := sample()
	cases := []struct {
		name string
		o    wt.Options
		want weights.Format
	}{
		{"state_dict", wt.Options{}, weights.TorchZip},
		{"lightning", wt.Options{Layout: wt.Lightning}, weights.TorchZip},
		{"torchscript", wt.Options{Layout: wt.TorchScript}, weights.TorchScript},
		{"deflated", wt.Options{Layout: wt.Lightning, Deflate: true}, weights.TorchZip},
	}
	for _, c := range cases {
		var buf bytes.Buffer
		if err := wt.WriteTorchZip(&buf, ts, c.o); err != nil {
			t.Fatal(err)
		}
		checkSample(t, c.name, buf.Bytes(), c.want)
	}
	var buf bytes.Buffer
	if err := wt.WriteLegacy(&buf, ts); err != nil {
		t.Fatal(err)
	}
	checkSample(t, "legacy", buf.Bytes(), weights.TorchLegacy)
}

// TestTorchTruncated cuts small files of each kind at every byte.
func TestTorchTruncated(t *testing.T) {
	ts, _ := sample()
	for _, o := range []wt.Options{{}, {Layout: wt.Lightning}, {Layout: wt.TorchScript}, {Deflate: true}} {
		var buf bytes.Buffer
		if err := wt.WriteTorchZip(&buf, ts, o); err != nil {
			t.Fatal(err)
		}
		for n := range buf.Len() {
			mustRefuse(t, "cut archive", buf.Bytes()[:n])
		}
	}
	var buf bytes.Buffer
	if err := wt.WriteLegacy(&buf, ts); err != nil {
		t.Fatal(err)
	}
	for n := range buf.Len() {
		mustRefuse(t, "cut legacy file", buf.Bytes()[:n])
	}
}

// TestBitFlips flips every bit of small files, which may give errors or other numbers, but no panic.
func TestBitFlips(t *testing.T) {
	ts, _ := sample()
	var zip, legacy bytes.Buffer
	if err := errors.Join(wt.WriteTorchZip(&zip, ts[:6], wt.Options{Layout: wt.Lightning}), wt.WriteLegacy(&legacy, ts[:6])); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, data := range [][]byte{zip.Bytes(), legacy.Bytes()} {
		for i := range data {
			for bit := range 8 {
				data[i] ^= 1 << bit
				if f, err := weights.OpenBytes(data); err != nil {
					refused++
				} else {
					for _, name := range f.Names() {
						x, _ := f.Tensor(name)
						x.Bytes()
					}
				}
				data[i] ^= 1 << bit
			}
		}
	}
	if refused < 1000 {
		t.Errorf("only %d damaged files were refused", refused)
	}
}

// torchFile is an archive of one pickle and one storage of 16 bytes.
func torchFile(t *testing.T, pickle []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	err := wt.WriteArchive(&buf, []wt.Entry{{Name: "x/data.pkl", Fill: wt.Bytes(pickle)},
		{Name: "x/data/0", Fill: wt.Floats(1, 2, 3, 4)}, {Name: "x/version", Fill: wt.Bytes([]byte("3\n"))}}, false)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestHostilePickles(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, h := range wt.HostilePickles() {
		var legacy bytes.Buffer
		if err := wt.WriteLegacyPickle(&legacy, h.Pickle); err != nil {
			t.Fatal(err)
		}
		for kind, data := range map[string][]byte{"zip": torchFile(t, h.Pickle), "legacy": legacy.Bytes(), "plain": h.Pickle} {
			err := mustRefuse(t, h.Name, data)
			var unsafe *weights.UnsafePickleError
			if !errors.As(err, &unsafe) || unsafe.Global != h.Global || !strings.Contains(err.Error(), h.Global) {
				t.Errorf("%s, %s: %v, want one that names %s", h.Name, kind, err, h.Global)
			}
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		t.Errorf("something was executed: %v, %v", entries, err)
	}
}

// TestOpaqueValues keeps files readable in which unknown classes stand beside the tensors.
func TestOpaqueValues(t *testing.T) {
	tensor := func(p *wt.Pickle) *wt.Pickle {
		p.Global("torch._utils", "_rebuild_tensor_v2").Op("((").Str("storage").Global("torch", "FloatStorage").Str("0").Str("cpu").Int(4)
		return p.Op("tQ").Int(0).Ints([]int{4}).Ints([]int{1}).Op("\x89").OrderedDict().Op("tR")
	}
	unknown := func(p *wt.Pickle) *wt.Pickle { return p.Global("some.module", "Thing").Op("(").Int(3).Op("tR") }
	cases := map[string]*wt.Pickle{
		"value":     tensor(unknown(wt.NewPickle().Op("}(").Str("x")).Str("w")).Op("u"),
		"key":       tensor(unknown(wt.NewPickle().Op("}(")).Int(1).Str("w")).Op("u"),
		"class key": tensor(wt.NewPickle().Op("}(").Global("a", "B").Op("N").Str("w")).Op("u"),
		"numpy scalar": tensor(wt.NewPickle().Op("}(").Str("x").Global("numpy.core.multiarray", "scalar").Op("(").
			Global("numpy", "dtype").Op("(").Str("f8").Op("\x89\x88tRC\x08\x00\x00\x00\x00\x00\x00\x00\x00tR").Str("w")).Op("u"),
		"enum":       tensor(wt.NewPickle().Op("}(").Str("x").Global("builtins", "getattr").Op("(").Global("a", "B").Str("c").Op("tR").Str("w")).Op("u"),
		"own dict":   tensor(wt.NewPickle().Global("my", "Dict").Op(")\x81(").Str("w")).Op("u"),
		"set":        tensor(wt.NewPickle().Op("}(").Str("x").Op("\x8f(").Int(1).Op("\x90").Str("w")).Op("u"),
		"protocol 4": tensor(wt.NewPickle().Op("\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01w")).Op("u"),
		"nested":     tensor(wt.NewPickle().Op("}(").Str("state_dict").Op("}").Str("w")).Op("su"),
		"pickled module": tensor(wt.NewPickle().Global("my", "Net").Op(")\x81}(").Str("_modules").OrderedDict().Str("_buffers").OrderedDict().
			Str("_parameters").OrderedDict().Str("w")).Op("sub"),
		"subclass": wt.NewPickle().Op("}").Str("w").Global("torch._tensor", "_rebuild_from_type_v2").Op("(").
			Global("torch._utils", "_rebuild_tensor_v2").Global("my", "Tensor").Op("((").Str("storage").Global("torch", "FloatStorage").
			Str("0").Str("cuda:0").Int(4).Op("tQ").Int(0).Ints([]int{4}).Ints([]int{1}).Op("\x89").OrderedDict().Op("tNtRs"),
		"version 3": wt.NewPickle().Op("}").Str("w").Global("torch._utils", "_rebuild_tensor_v3").Op("((").Str("storage").
			Global("torch.storage", "UntypedStorage").Str("0").Str("cpu").Int(16).Op("tQ").Int(0).Ints([]int{4}).Ints([]int{1}).Op("\x89").
			OrderedDict().Global("torch", "float32").Op("tRs"),
	}
	for name, p := range cases {
		f, err := weights.OpenBytes(torchFile(t, p.Bytes()))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w, ok := f.Tensor("w")
		if !ok || len(f.Names()) != 1 {
			t.Errorf("%s: tensors %v", name, f.Names())
			continue
		}
		if x := floats(t, w); !slices.Equal(x, []float32{1, 2, 3, 4}) {
			t.Errorf("%s: w = %v", name, x)
		}
	}
}

// TestPickleRefused gives a message to each thing that cannot be read.
func TestPickleRefused(t *testing.T) {
	tensor := func(class string, n, offset int, shape, strides []int) []byte {
		p := wt.NewPickle().Op("}").Str("w").Global("torch._utils", "_rebuild_tensor_v2").Op("((").Str("storage")
		p.Global("torch", class).Str("0").Str("cpu").Int(n).Op("tQ").Int(offset).Ints(shape).Ints(strides)
		return p.Op("\x89").OrderedDict().Op("tRs").Bytes()
	}
	big := 1 << 40
	cases := []struct {
		want   string
		pickle []byte
	}{
		{"reaches outside", tensor("FloatStorage", 4, 1, []int{4}, []int{1})},
		{"reaches outside", tensor("FloatStorage", 4, 0, []int{2, 2}, []int{3, 1})},
		{"reaches outside", tensor("FloatStorage", 2, 0, []int{4}, []int{1})},
		{"reaches outside", tensor("FloatStorage", 4, big, []int{0}, []int{1})},
		{"reaches outside", tensor("FloatStorage", 4, 0, []int{4}, []int{big})},
		{"too few", tensor("FloatStorage", 5, 0, []int{4}, []int{1})},
		{"too few", tensor("DoubleStorage", 4, 0, []int{4}, []int{1})},
		{"broken storage reference", tensor("FloatStorage", -1, 0, []int{4}, []int{1})},
		{"broken storage reference", tensor("FloatStorage", 1<<62, 0, []int{4}, []int{1})},
		{"repeats", tensor("FloatStorage", 4, 0, []int{big, 4}, []int{0, 1})},
		{"bad shape", tensor("FloatStorage", 4, 0, []int{big, big, big}, []int{0, 0, 0})},
		{"description is broken", tensor("FloatStorage", 4, -1, []int{4}, []int{1})},
		{"description is broken", tensor("FloatStorage", 4, 0, []int{-4}, []int{1})},
		{"description is broken", tensor("FloatStorage", 4, 0, []int{4}, []int{-1})},
		{"description is broken", tensor("FloatStorage", 4, 0, []int{4}, []int{1, 1})},
		{"ComplexFloatStorage", tensor("ComplexFloatStorage", 2, 0, []int{2}, []int{1})},
		{"_rebuild_sparse_tensor", wt.NewPickle().Op("}").Str("w").Global("torch._utils", "_rebuild_sparse_tensor").Op(")Rs").Bytes()},
		{"what some.module would make", wt.NewPickle().Global("some", "module").Op(")R").Bytes()},
		{"no tensors", wt.NewPickle().Op("}").Bytes()},
		{"twice", wt.NewPickle().Op("}(").Str("w").Op("N").Str("w").Op("Nu").Bytes()},
		{"empty stack", []byte("0.")},
		{"empty stack", []byte(".")},
		{"mark", []byte("t.")},
		{"memo place 7 is empty", []byte("h\x07.")},
		{"unknown operation", []byte("\xff.")},
		{"protocol 9", []byte("\x80\x09.")},
		{"cut short", []byte("X\xff\xff\xff\xffabc")},
		{"cut short", []byte("\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc")},
		{"cut short", []byte("cos")},
		{"without a value", []byte("}(Nu.")},
		{"in place of a tuple", []byte("ca\nb\nNR.")},
		{"operations", bytes.Repeat([]byte("N0"), 1<<21+1)},
		{"stack", bytes.Repeat([]byte("N"), 1<<20+1)},
		{"memo", bytes.Repeat([]byte("N\x940"), 1<<20+1)},
		{"extension", []byte("\x82\x01.")},
	}
	for i, c := range cases {
		err := mustRefuse(t, c.want, torchFile(t, c.pickle))
		if err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("case %d: error %q, want one that contains %q", i, err, c.want)
		}
	}
}

// TestPickleBombs gives small pickles whose values are huge when they are walked, or contain themselves.
func TestPickleBombs(t *testing.T) {
	doubling := []byte("}q\x00")
	for i := range byte(60) {
		doubling = append(doubling, "}(U\x01ah"...)
		doubling = append(doubling, i, 'U', 1, 'b', 'h', i, 'u', 'q', i+1)
	}
	doubling = append(doubling, '.')
	cases := []struct {
		want   string
		pickle []byte
	}{
		{"values", doubling},
		{"nested", []byte("}q\x00(U\x01ah\x00u.")},
		{"nested", append(bytes.Repeat([]byte("}U\x01a"), 200), append(append([]byte("N"), bytes.Repeat([]byte("s"), 200)...), '.')...)},
		{"a tuple", append(append([]byte(")"), bytes.Repeat([]byte("\x85"), 1<<21)...), '.')},
		{"operations", append(append([]byte("ccollections\nOrderedDict\nq\x00]("), bytes.Repeat([]byte("NN\x86"), 1<<18)...),
			append([]byte("eq\x010"), bytes.Repeat([]byte("h\x00h\x01\x85R0"), 1<<18)...)...)},
		{"name of more than", append(append([]byte("}X\x00\x00\x10\x00"), bytes.Repeat([]byte("x"), 1<<20)...), "}s."...)},
	}
	for i, c := range cases {
		if err := mustRefuse(t, c.want, torchFile(t, c.pickle)); err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("case %d: error %q, want one that contains %q", i, err, c.want)
		}
	}
}

// TestConcurrentReads reads the same tensors from several goroutines, which the race detector watches.
func TestConcurrentReads(t *testing.T) {
	ts, want := sample()
	var buf bytes.Buffer
	if err := wt.WriteTorchZip(&buf, ts, wt.Options{Deflate: true}); err != nil {
		t.Fatal(err)
	}
	f, err := weights.OpenBytes(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, name := range f.Names() {
				x, _ := f.Tensor(name)
				if !x.DType.IsFloat() {
					continue
				}
				if v, err := x.Float32(); err != nil || !slices.Equal(v, want[name]) {
					t.Errorf("%s = %v, %v", name, v, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestLargeFilesStayOnDisk checks that opening a file and accounting for its tensors costs no memory to speak of.
func TestLargeFilesStayOnDisk(t *testing.T) {
	dir := t.TempDir()
	var ts []wt.Tensor
	for _, name := range []string{"a", "b", "c", "d"} {
		ts = append(ts, wt.Tensor{Name: name + ".weight", DType: weights.F16, Shape: []int{1 << 11, 1 << 11}}) // 8 MiB each
	}
	for name, o := range map[string]wt.Options{"script": {Layout: wt.TorchScript}, "lightning": {Layout: wt.Lightning}} {
		path := filepath.Join(dir, name)
		err := weights.SaveFile(path, func(w io.Writer) error { return wt.WriteTorchZip(w, ts, o) })
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := weights.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		l := weights.NewLoader(f)
		for _, x := range ts {
			y, err := l.TakeTensor(x.Name, x.Shape...)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := y.Bytes(); err != nil || len(b) != 8<<20 {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%s: %d bytes allocated for a file of 32 MiB, want less than 1 MiB", name, got)
		}
		if err := errors.Join(l.Done(), f.Close()); err != nil {
			t.Error(err)
		}
	}
}
