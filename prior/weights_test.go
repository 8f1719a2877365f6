package prior

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/weights"
)

func TestSaveAndOpen(t *testing.T) {
	for name, k := range kinds(t) {
		var b bytes.Buffer
		if err := Save(&b, k.m.Config(), k.m.Weights()); err != nil {
			t.Fatal(err)
		}
		f, err := weights.OpenBytes(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(testEngine(), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(m.Config(), k.m.Config()) {
			t.Errorf("%s: configuration %+v, want %+v", name, m.Config(), k.m.Config())
		}
		if !equal(mustSample(t, m, k.in[:1], k.o), mustSample(t, k.m, k.in[:1], k.o)) {
			t.Errorf("%s: draws something else after a file", name)
		}
		if _, ok := f.Tensor("transformer.blocks.1.attn.query.weight"); !ok {
			t.Errorf("%s: the names are not taming's", name)
		}
	}
}

// TestRefuseFiles reads files that are no model, or not the one that is asked for.
func TestRefuseFiles(t *testing.T) {
	m := toy(t, plain())
	c := m.Config()
	write := func(change func(o *[]weights.Out)) *weights.File {
		decls, err := c.Decls(testEngine())
		if err != nil {
			t.Fatal(err)
		}
		var outs []weights.Out
		for _, d := range decls {
			outs = append(outs, weights.Out{Name: d.Name, DType: weights.F32, Shape: d.Layout.FileDims(d.Dims), Floats: d.Layout.ToFile(engine.Floats(m.Weights()[d.Name]), d.Dims)})
		}
		change(&outs)
		var b bytes.Buffer
		if err := weights.WriteSafetensors(&b, nil, outs); err != nil {
			t.Fatal(err)
		}
		f, err := weights.OpenBytes(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	same := write(func(*[]weights.Out) {})
	if _, _, err := Read(testEngine(), same, nil); !errors.Is(err, ErrHeads) {
		t.Errorf("a width that nobody published: %v", err)
	}
	got, err := Infer(same, c.Heads)
	if err != nil {
		t.Fatal(err)
	}
	got.SOS, got.GridH, got.GridW = c.SOS, c.GridH, c.GridW
	if got != c {
		t.Errorf("inferred %+v, want %+v", got, c)
	}
	if h, w := (Config{BlockSize: 256, Condition: Class}).Grid(); h != 16 || w != 16 {
		t.Errorf("256 codes are taken for %dx%d", w, h)
	}
	if err := ImageNet().Validate(); err != nil {
		t.Error(err)
	}
	mask := make([]float32, 16*16)
	for i := range mask {
		if i/16 >= i%16 || i/16 < 6 && i%16 < 6 {
			mask[i] = 1
		}
	}
	withMask := write(func(o *[]weights.Out) {
		*o = append(*o, weights.Out{Name: maskName, DType: weights.F32, Shape: []int{1, 1, 16, 16}, Floats: mask})
	})
	if got, err := Infer(withMask, c.Heads); err != nil || got.Unmasked != 6 {
		t.Errorf("inferred %+v, %v", got, err)
	}
	for name, f := range map[string]*weights.File{
		"another mask": withMask,
		"left over": write(func(o *[]weights.Out) {
			*o = append(*o, weights.Out{Name: "transformer.extra", DType: weights.F32, Shape: []int{1}, Floats: []float32{1}})
		}),
		"missing": write(func(o *[]weights.Out) { *o = (*o)[1:] }),
	} {
		if _, _, err := Read(testEngine(), f, &c); err == nil {
			t.Errorf("%s: was read", name)
		} else if !strings.Contains(err.Error(), "transformer.") && !strings.Contains(err.Error(), "n_unmasked") {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger := write(func(o *[]weights.Out) { (*o)[0].Name = "conv.weight"; *o = (*o)[:1] })
	if _, err := Infer(stranger, 2); !errors.Is(err, ErrNotPrior) {
		t.Errorf("a stranger: %v", err)
	}
}
