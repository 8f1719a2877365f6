package clip

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

const goldenDir = "../testdata/golden/"

// tinyModel is a model of random weights with a vocabulary of its own.
func tinyModel(t *testing.T, e *engine.Engine) *Model {
	t.Helper()
	c := tinyTowers[Conv]
	vocab := TrimVocab([]string{"a red apple on a table"}, byteTokens+2+4)
	c.Vocab, c.Text.VocabSize, c.Text.ContextLength = vocab.Pack(), vocab.Size(), 24
	decls, err := c.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	values, err := engine.Upload(decls, gx.Materialise(decls, 3))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(e, c, values)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// saved returns the file that SaveAs writes, read again.
func saved(t *testing.T, m *Model, dtype weights.DType) *weights.File {
	t.Helper()
	var buf bytes.Buffer
	if err := SaveAs(&buf, m.Config(), m.Weights(), dtype); err != nil {
		t.Fatal(err)
	}
	f, err := weights.OpenBytes(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSaveAndOpen(t *testing.T) {
	e := testEngine(t)
	m := tinyModel(t, e)
	for _, dtype := range []weights.DType{weights.F32, weights.F16} {
		got, err := Open(e, saved(t, m, dtype), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Config().Vocab != m.Config().Vocab || got.Config().Text != m.Config().Text {
			t.Errorf("config %+v, want %+v", got.Config(), m.Config())
		}
		for name, want := range m.Weights() {
			for i, x := range engine.Floats(got.Weights()[name]) {
				w := engine.Floats(want)[i]
				if dtype == weights.F16 {
					w = weights.FromFloat16(weights.Float16Bits(w))
				}
				if x != w {
					t.Fatalf("%v: %s[%d] is %g, want %g", dtype, name, i, x, w)
				}
			}
		}
	}
}

// TestOpenAIFile holds the list of what OpenAI's files hold against one that the reference wrote.
func TestOpenAIFile(t *testing.T) {
	e := testEngine(t)
	for _, path := range []string{"clip_vit_tiny/model_openai_jit.pt", "clip_resnet_tiny/model_state_dict.pt"} {
		f, err := weights.Open(goldenDir + path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c, err := Check(e, f, nil)
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.FileTensors(e)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, want := range list {
			names = append(names, want.Name)
			if got, ok := f.Tensor(want.Name); ok && (got.DType != want.DType || !slices.Equal(got.Shape, want.Shape)) {
				t.Errorf("%s: %s is %v %v in the file, we say %v %v", path, want.Name, got.DType, got.Shape, want.DType, want.Shape)
			}
		}
		if slices.Sort(names); !slices.Equal(names, f.Names()) {
			t.Errorf("%s: names differ:\n%v\n%v", path, names, f.Names())
		}
	}
}

// TestHuggingFaceFolder reads a CLIPModel with a config.json that says what shapes do not.
func TestHuggingFaceFolder(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile(goldenDir + "clip_vit_tiny/model_hf.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"model.safetensors":        string(data),
		"config.json":              `{"text_config":{"num_attention_heads":4,"hidden_act":"gelu"},"vision_config":{"num_attention_heads":2,"hidden_act":"gelu"}}`,
		"preprocessor_config.json": `{"image_mean":[0.5,0.4,0.3],"image_std":[0.25,0.25,0.2]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "model.safetensors")} {
		f, err := weights.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c, err := Check(testEngine(t), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.Activation != GELU || c.Text.Heads != 4 || c.Vision.Heads != 2 || c.Mean[1] != 0.4 || c.Std[2] != 0.2 {
			t.Errorf("%s: %+v", path, c)
		}
	}
}

func TestRefusals(t *testing.T) {
	e := testEngine(t)
	good := saved(t, tinyModel(t, e), weights.F32)
	rewrite := func(change func(meta map[string]string, ts []weights.Out) []weights.Out) *weights.File {
		var ts []weights.Out
		for _, name := range good.Names() {
			x, _ := good.Tensor(name)
			floats, err := x.Float32()
			if err != nil {
				t.Fatal(err)
			}
			ts = append(ts, weights.Out{Name: name, DType: weights.F32, Shape: x.Shape, Floats: floats})
		}
		meta := good.Metadata()
		var buf bytes.Buffer
		if err := weights.WriteSafetensors(&buf, meta, change(meta, ts)); err != nil {
			t.Fatal(err)
		}
		f, err := weights.OpenBytes(buf.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	find := func(ts []weights.Out, name string) int {
		return slices.IndexFunc(ts, func(o weights.Out) bool { return o.Name == name })
	}
	tests := map[string]struct {
		change func(meta map[string]string, ts []weights.Out) []weights.Out
		say    string
		is     error
	}{
		"missing": {func(_ map[string]string, ts []weights.Out) []weights.Out {
			i := find(ts, "ln_final.bias")
			return slices.Delete(ts, i, i+1)
		}, "ln_final.bias", weights.ErrMissing},
		"left over": {func(_ map[string]string, ts []weights.Out) []weights.Out {
			return append(ts, weights.Out{Name: "extra.weight", DType: weights.F32, Shape: []int{1}, Floats: []float32{1}})
		}, "extra.weight", nil},
		"shape": {func(_ map[string]string, ts []weights.Out) []weights.Out {
			i := find(ts, "visual.proj")
			ts[i].Shape = []int{ts[i].Shape[1], ts[i].Shape[0] / 2, 2}
			return ts
		}, "visual.proj", weights.ErrShape},
		"no metadata": {func(meta map[string]string, ts []weights.Out) []weights.Out {
			delete(meta, configKey)
			return ts
		}, "metadata", ErrNotCLIP},
		"bad metadata": {func(meta map[string]string, ts []weights.Out) []weights.Out {
			meta[configKey] = strings.Replace(meta[configKey], `"vocab_size":`, `"vocab_size":1`, 1)
			return ts
		}, "vocab_size", nil},
		"another model": {func(_ map[string]string, _ []weights.Out) []weights.Out {
			return []weights.Out{{Name: "decoder.conv_in.weight", DType: weights.F32, Shape: []int{1}, Floats: []float32{1}}}
		}, "OpenAI", ErrNotCLIP},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Open(e, rewrite(tc.change), nil)
			if err == nil || !strings.Contains(err.Error(), tc.say) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error %v, want one that mentions %q and is %v", err, tc.say, tc.is)
			}
		})
	}
}
