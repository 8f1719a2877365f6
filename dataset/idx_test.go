package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/event"
)

// idxBytes is an IDX file of bytes.
func idxBytes(dims []int, data []byte) []byte {
	out := []byte{0, 0, 8, byte(len(dims))}
	for _, d := range dims {
		out = binary.BigEndian.AppendUint32(out, uint32(d))
	}
	return append(out, data...)
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func writeIDX(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := writeAtomic(path, b); err != nil {
		t.Fatal(err)
	}
}

// toyPixels are n pictures of 2x2 pixels whose values count up.
func toyPixels(n int) []byte {
	out := make([]byte, 4*n)
	for i := range out {
		out[i] = byte(i)
	}
	return out
}

func TestOpenIDX(t *testing.T) {
	dir := t.TempDir()
	writeIDX(t, filepath.Join(dir, "train-images-idx3-ubyte.gz"), gzipped(t, idxBytes([]int{3, 2, 2}, toyPixels(3))))
	writeIDX(t, filepath.Join(dir, "train-labels.idx1-ubyte"), idxBytes([]int{3}, []byte{2, 0, 1}))
	x, err := OpenIDX(dir, TrainPart)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]uint8, 4)
	if err := x.Read(1, got); err != nil || !slices.Equal(got, []uint8{4, 5, 6, 7}) {
		t.Errorf("second picture %v, %v", got, err)
	}
	if x.Len() != 3 || x.Size() != 2 || x.Channels() != 1 || x.Class(0) != 2 || !slices.Equal(x.Classes(), []string{"0", "1", "2"}) {
		t.Errorf("set %+v", x)
	}
	if err := x.Read(3, got); err == nil {
		t.Error("picture 3 of 3 was read")
	}
	if parts := IDXParts(dir); !slices.Equal(parts, []string{TrainPart}) {
		t.Errorf("parts %v", parts)
	}
	if _, err := OpenIDX(dir, TestPart); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing part: %v", err)
	}
	writeIDX(t, filepath.Join(dir, classesFile), []byte("cat\ndog\n"))
	if _, err := OpenIDX(dir, TrainPart); err == nil || !strings.Contains(err.Error(), "label 2") {
		t.Errorf("too few class names: %v", err)
	}
}

func TestParseIDXRefuses(t *testing.T) {
	whole := idxBytes([]int{2, 2, 2}, toyPixels(2))
	huge := idxBytes([]int{1 << 23, 1 << 10, 1 << 10}, toyPixels(2))
	for name, b := range map[string][]byte{"short": whole[:len(whole)-1], "long": append(slices.Clone(whole), 0), "head": whole[:7],
		"floats": append([]byte{0, 0, 13}, whole[3:]...), "rank": idxBytes([]int{8}, toyPixels(2)), "huge": huge} {
		if _, _, err := parseIDX(bytes.NewReader(b), false, 3); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if dims, data, err := parseIDX(bytes.NewReader(whole), false, 3); err != nil || len(data) != 8 || dims[0] != 2 {
		t.Errorf("whole file: %v %v %v", dims, data, err)
	}
	dir := t.TempDir()
	writeIDX(t, filepath.Join(dir, "train-images-idx3-ubyte"), idxBytes([]int{2, 2, 1}, []byte{1, 2, 3, 4}))
	writeIDX(t, filepath.Join(dir, "train-labels-idx1-ubyte"), idxBytes([]int{2}, []byte{0, 1}))
	if _, err := OpenIDX(dir, TrainPart); err == nil || !strings.Contains(err.Error(), "1x2") {
		t.Errorf("oblong pictures: %v", err)
	}
}

func FuzzIDX(f *testing.F) {
	f.Add(idxBytes([]int{2, 2, 2}, toyPixels(2)), false)
	f.Add([]byte{0x1f, 0x8b, 8}, true)
	f.Fuzz(func(t *testing.T, b []byte, zipped bool) {
		dims, data, err := parseIDX(bytes.NewReader(b), zipped, 3)
		if err == nil && len(data) != dims[0]*dims[1]*dims[2] {
			t.Errorf("%d bytes for %v", len(data), dims)
		}
	})
}

// toySource is a set of two tiny parts, as go mod download would bring it.
func toySource(t *testing.T) (idxSource, string) {
	t.Helper()
	dir := t.TempDir()
	src := mnistDigits
	src.sha256 = map[string]string{}
	for name, b := range map[string][]byte{
		"train-images-idx3-ubyte": idxBytes([]int{2, 2, 2}, toyPixels(2)), "train-labels-idx1-ubyte": idxBytes([]int{2}, []byte{3, 9}),
		"t10k-images-idx3-ubyte": idxBytes([]int{1, 2, 2}, toyPixels(1)), "t10k-labels-idx1-ubyte": idxBytes([]int{1}, []byte{7}),
	} {
		z := gzipped(t, b)
		writeIDX(t, filepath.Join(dir, "data", name+".gz"), z)
		sum, err := contentDigest(bytes.NewReader(z))
		if err != nil {
			t.Fatal(err)
		}
		src.sha256[name] = sum
	}
	return src, dir
}

func TestBuildMNIST(t *testing.T) {
	src, from := toySource(t)
	calls := 0
	opts := MNISTOptions{Dir: t.TempDir(), run: func(_ context.Context, c command) ([]byte, error) {
		calls++
		if c.name != "go" || c.args[3] != goMNISTModule+"@"+goMNISTVersion {
			t.Errorf("called %v", c)
		}
		return json.Marshal(map[string]string{"Dir": from})
	}}
	var rec event.Recorder
	for range 2 {
		if err := src.build(context.Background(), opts, &rec); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 1 {
		t.Errorf("fetched %d times, want once", calls)
	}
	x, err := OpenIDX(opts.Dir, TrainPart)
	if err != nil || x.Len() != 2 || x.Class(1) != 9 || len(x.Classes()) != 10 {
		t.Errorf("set %+v, %v", x, err)
	}
	// Another content than the known one is refused and nothing is left behind.
	writeIDX(t, filepath.Join(from, "data", "t10k-labels-idx1-ubyte.gz"), gzipped(t, idxBytes([]int{1}, []byte{8})))
	opts.Dir = filepath.Join(t.TempDir(), "set")
	if err := src.build(context.Background(), opts, &rec); err == nil || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("changed content: %v", err)
	}
	if _, err := os.Stat(opts.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

func TestOrderIsAPermutationOfEachEpoch(t *testing.T) {
	const n = 50
	a, b := NewOrder(3, n), NewOrder(3, n)
	var first, second []int
	for k := range n {
		first = append(first, a.At(uint64(k)))
		second = append(second, a.At(uint64(n+k)))
	}
	for k := n - 1; k >= 0; k-- { // any sequence of questions
		if got := b.At(uint64(k)); got != first[k] {
			t.Fatalf("draw %d is %d and %d", k, first[k], got)
		}
	}
	if slices.Equal(first, second) {
		t.Error("two epochs have the same order")
	}
	for _, e := range [][]int{first, second} {
		slices.Sort(e)
		for i, v := range e {
			if i != v {
				t.Fatalf("an epoch of %d draws misses %d", n, i)
			}
		}
	}
}

func TestHoldDivides(t *testing.T) {
	dir := t.TempDir()
	writeIDX(t, filepath.Join(dir, "train-images-idx3-ubyte"), idxBytes([]int{10, 2, 2}, toyPixels(10)))
	writeIDX(t, filepath.Join(dir, "train-labels-idx1-ubyte"), idxBytes([]int{10}, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}))
	x, err := OpenIDX(dir, TrainPart)
	if err != nil {
		t.Fatal(err)
	}
	train, held := Hold(x, 3)
	seen := map[int]bool{}
	for _, s := range []Subset{train, held} {
		for i := range s.Len() {
			seen[s.Class(i)] = true
		}
	}
	if train.Len() != 7 || held.Len() != 3 || len(seen) != 10 {
		t.Errorf("%d and %d pictures, %d different", train.Len(), held.Len(), len(seen))
	}
	pix, classes, err := Planes(held, []int{2, 0})
	if err != nil || len(pix) != 8 || int(classes[0]) != held.Class(2) {
		t.Fatalf("planes %v %v %v", pix, classes, err)
	}
	if want := float32(4*held.Class(0))/127.5 - 1; pix[4] != want {
		t.Errorf("first pixel of the second picture %g, want %g", pix[4], want)
	}
}
