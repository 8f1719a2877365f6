package weights_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/weights"
)

const goldenDir = "../testdata/golden"

func openGolden(t *testing.T, name string, want weights.Format) *weights.File {
	t.Helper()
	f, err := weights.Open(filepath.Join(goldenDir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if f.Format() != want {
		t.Errorf("%s is read as %s, want %s", name, f.Format(), want)
	}
	return f
}

// floats returns a tensor's numbers, of integers as well, so that files of different types can be compared.
func floats(t *testing.T, x *weights.Tensor) []float32 {
	t.Helper()
	if x.DType.IsFloat() {
		v, err := x.Float32()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	ints, err := x.Int64()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, len(ints))
	for i, n := range ints {
		out[i] = float32(n)
	}
	return out
}

// same compares two tensors exactly; the fixtures hold numbers that half precision represents.
func same(t *testing.T, a, b *weights.Tensor) {
	t.Helper()
	if !slices.Equal(a.Shape, b.Shape) {
		t.Errorf("%s has shape %v, %s has %v", a.Name, a.Shape, b.Name, b.Shape)
		return
	}
	if !slices.Equal(floats(t, a), floats(t, b)) {
		t.Errorf("%s and %s differ", a.Name, b.Name)
	}
}

// TestGoldenCLIP compares the OpenAI-named tensors in safetensors with those of the TorchScript archive.
func TestGoldenCLIP(t *testing.T) {
	st := openGolden(t, "clip_vit_tiny/model.safetensors", weights.Safetensors)
	jit := openGolden(t, "clip_vit_tiny/model_openai_jit.pt", weights.TorchScript)
	buffers := map[string]int64{"input_resolution": 32, "context_length": 77, "vocab_size": 512}
	for _, name := range jit.Names() {
		x, _ := jit.Tensor(name)
		if want, ok := buffers[name]; ok {
			if n, err := x.Int64(); err != nil || len(n) != 1 || n[0] != want || len(x.Shape) != 0 {
				t.Errorf("%s = %v, %v, want %d", name, n, err, want)
			}
			if y, ok := st.Tensor(name); ok {
				same(t, x, y)
			}
			continue
		}
		y, ok := st.Tensor(name)
		if !ok {
			t.Errorf("safetensors lacks %s", name)
			continue
		}
		same(t, x, y)
	}
	for _, name := range st.Names() {
		if _, ok := jit.Tensor(name); !ok {
			t.Errorf("the TorchScript archive lacks %s", name)
		}
	}
	// Mixed precision is kept as stored: norms and embeddings in float32, the rest in half.
	for name, want := range map[string]weights.DType{"visual.ln_pre.weight": weights.F32, "token_embedding.weight": weights.F32,
		"visual.conv1.weight": weights.F16, "text_projection": weights.F16, "vocab_size": weights.I64} {
		if x, ok := jit.Tensor(name); !ok || x.DType != want {
			t.Errorf("%s: %v, want %v", name, x, want)
		}
	}
}

// TestGoldenCLIPHF compares the Hugging Face names with OpenAI's, whose attention projections are stacked in one tensor.
func TestGoldenCLIPHF(t *testing.T) {
	st := openGolden(t, "clip_vit_tiny/model.safetensors", weights.Safetensors)
	hf := openGolden(t, "clip_vit_tiny/model_hf.safetensors", weights.Safetensors)
	pairs := map[string]string{
		"vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
		"vision_model.embeddings.class_embedding":        "visual.class_embedding",
		"vision_model.post_layernorm.bias":               "visual.ln_post.bias",
		"text_model.embeddings.token_embedding.weight":   "token_embedding.weight",
		"text_model.final_layer_norm.weight":             "ln_final.weight",
		"logit_scale":                                    "logit_scale",
	}
	for tower, blocks := range map[string]string{"vision_model": "visual.transformer", "text_model": "transformer"} {
		pairs[tower+".encoder.layers.0.mlp.fc1.weight"] = blocks + ".resblocks.0.mlp.c_fc.weight"
		pairs[tower+".encoder.layers.0.layer_norm2.bias"] = blocks + ".resblocks.0.ln_2.bias"
		pairs[tower+".encoder.layers.0.self_attn.out_proj.weight"] = blocks + ".resblocks.0.attn.out_proj.weight"
	}
	for a, b := range pairs {
		x, ok1 := hf.Tensor(a)
		y, ok2 := st.Tensor(b)
		if !ok1 || !ok2 {
			t.Errorf("%s or %s is not there", a, b)
			continue
		}
		same(t, x, y)
	}
	var stacked []float32
	for _, p := range []string{"q", "k", "v"} {
		x, ok := hf.Tensor("text_model.encoder.layers.0.self_attn." + p + "_proj.weight")
		if !ok {
			t.Fatalf("no %s projection", p)
		}
		stacked = append(stacked, floats(t, x)...)
	}
	if y, _ := st.Tensor("transformer.resblocks.0.attn.in_proj_weight"); !slices.Equal(stacked, floats(t, y)) {
		t.Error("the stacked attention projections differ")
	}
}

func TestGoldenResNet(t *testing.T) {
	f := openGolden(t, "clip_resnet_tiny/model_state_dict.pt", weights.TorchZip)
	for name, want := range map[string]int64{"input_resolution": 64, "context_length": 77} {
		x, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		if n, err := x.Int64(); err != nil || n[0] != want {
			t.Errorf("%s = %v, %v, want %d", name, n, err, want)
		}
	}
	if x, ok := f.Tensor("visual.attnpool.positional_embedding"); !ok || len(x.Shape) != 2 {
		t.Errorf("attention pool: %v", x)
	}
	readAll(t, f)
}

// readAll reads every tensor, which verifies the checksums of an archive.
func readAll(t *testing.T, f *weights.File) {
	t.Helper()
	for _, name := range f.Names() {
		x, _ := f.Tensor(name)
		if b, err := x.Bytes(); err != nil || len(b) != x.NumBytes() {
			t.Errorf("%s: %d bytes of %d, %v", name, len(b), x.NumBytes(), err)
		}
	}
}

// TestGoldenVQGAN compares the Lightning checkpoint with the diffusers file by the fixture's name map.
func TestGoldenVQGAN(t *testing.T) {
	ckpt := openGolden(t, "vqgan_tiny/model.ckpt", weights.TorchZip)
	diff := openGolden(t, "vqgan_tiny", weights.Safetensors) // the folder, as a Hugging Face model
	raw, err := os.ReadFile(filepath.Join(goldenDir, "vqgan_tiny/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Map map[string]string `json:"diffusers_keymap"`
	}
	if err := json.Unmarshal(raw, &config); err != nil || len(config.Map) == 0 {
		t.Fatalf("name map: %v", err)
	}
	lc, ld := weights.NewLoader(ckpt), weights.NewLoader(diff)
	for _, name := range diff.Names() {
		x, _ := ld.Peek(name)
		y, ok := lc.Peek(config.Map[name])
		if !ok {
			t.Errorf("%s has no counterpart %q", name, config.Map[name])
			continue
		}
		if _, err := ld.TakeTensor(name, x.Shape...); err != nil {
			t.Error(err)
		}
		if _, err := lc.TakeTensor(y.Name, y.Shape...); err != nil {
			t.Error(err)
		}
		// A 1x1 convolution of the one is a linear layer of the other.
		if x.NumElements() != y.NumElements() || !slices.Equal(floats(t, x), floats(t, y)) {
			t.Errorf("%s %v and %s %v differ", name, x.Shape, y.Name, y.Shape)
		}
	}
	if lc.Skip("loss.") == 0 {
		t.Error("the checkpoint has no loss.*, so the test shows nothing")
	}
	if err := lc.Done(); err != nil {
		t.Error(err)
	}
	if err := ld.Done(); err != nil {
		t.Error(err)
	}
	if m := ckpt.Metadata(); m["epoch"] != "12" || m["global_step"] != "12345" || m["pytorch-lightning_version"] != "1.0.8" {
		t.Errorf("metadata %v", m)
	}
	readAll(t, ckpt)
}

// TestGoldenLegacy compares a file of before PyTorch 1.6 with the same weights in safetensors.
func TestGoldenLegacy(t *testing.T) {
	old := openGolden(t, "discriminator/disc_bn_legacy.pth", weights.TorchLegacy)
	st := weights.NewLoader(openGolden(t, "discriminator/model.safetensors", weights.Safetensors)).Sub("bn.")
	if len(old.Names()) == 0 || len(old.Names()) != len(st.Names()) {
		t.Errorf("%d tensors, want %d", len(old.Names()), len(st.Names()))
	}
	for _, name := range old.Names() {
		x, _ := old.Tensor(name)
		y, ok := st.Peek(name)
		if !ok {
			t.Errorf("safetensors lacks %s", name)
			continue
		}
		same(t, x, y)
	}
}

// TestGoldenDamaged cuts and damages real files; all must be refused, none may panic.
func TestGoldenDamaged(t *testing.T) {
	for _, name := range []string{"clip_vit_tiny/model_openai_jit.pt", "vqgan_tiny/model.ckpt", "discriminator/disc_bn_legacy.pth",
		"clip_vit_tiny/model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(goldenDir, name))
		if err != nil {
			t.Fatal(err)
		}
		// Every cut in the first and last kilobytes, and many between.
		step := 1
		if testing.Short() {
			step = 13
		}
		for n := 0; n < len(data); n += step {
			if n >= 2000 && n < 2000+step {
				n = max(n, len(data)-2000)
			}
			mustRefuse(t, name, data[:n])
		}
		for n := 2000; n < len(data); n += len(data)/97 + 1 {
			mustRefuse(t, name, data[:n])
		}
	}
	data, err := os.ReadFile(filepath.Join(goldenDir, "vqgan_tiny/model.ckpt"))
	if err != nil {
		t.Fatal(err)
	}
	f := openGolden(t, "vqgan_tiny/model.ckpt", weights.TorchZip)
	x, _ := f.Tensor("quantize.embedding.weight")
	b, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, b)
	bad := slices.Clone(data)
	bad[at+5] ^= 0x10
	g, err := weights.OpenBytes(bad)
	if err != nil {
		t.Fatal(err)
	}
	y, _ := g.Tensor("quantize.embedding.weight")
	if _, err := y.Float32(); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a flipped bit in a tensor: %v", err)
	}
}
