package vqgan_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

const fixture = "../testdata/golden/vqgan_tiny/"

// newer is how diffusers since 0.15 calls the layers of attention.
var newer = strings.NewReplacer(".query.", ".to_q.", ".key.", ".to_k.", ".value.", ".to_v.", ".proj_attn.", ".to_out.0.")

// TestDiffusersKeymap holds our table against the pairs that diffusers' own conversion made.
func TestDiffusersKeymap(t *testing.T) {
	text, err := os.ReadFile(fixture + "config.json")
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Map    map[string]string `json:"diffusers_keymap"`
		Config struct {
			Up []string `json:"up_block_types"`
		} `json:"diffusers_config"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Map) < 100 || len(c.Config.Up) != 3 {
		t.Fatalf("the fixture has %d names and %d levels", len(c.Map), len(c.Config.Up))
	}
	for theirs, ours := range c.Map {
		for _, name := range []string{theirs, newer.Replace(theirs)} {
			if got := vqgan.FromDiffusers(name, 3); got != ours {
				t.Errorf("%s became %q, want %q", name, got, ours)
			}
		}
	}
	for _, name := range []string{"encoder.down_blocks.0.resnets.0.norm3.weight", "decoder.up_blocks.x.upsamplers.0.conv.bias", "encoder.conv_in.scale", "xencoder.conv_in.bias", "unet.conv_in.weight"} {
		if got := vqgan.FromDiffusers(name, 3); got != "" {
			t.Errorf("%s became %q, want nothing", name, got)
		}
	}
}

// TestDiffusersNewNames loads the fixture's diffusers file under the newer names and expects the same weights as from
// taming's checkpoint.
func TestDiffusersNewNames(t *testing.T) {
	data, err := os.ReadFile(fixture + "diffusion_pytorch_model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	renamed := 0
	f := rewrite(t, data, func(outs map[string]*weights.Out) {
		for name, o := range outs {
			if n := newer.Replace(name); n != name {
				o.Name = n
				renamed++
			}
		}
	})
	if renamed == 0 {
		t.Fatal("no tensor has a name of its time")
	}
	m, err := vqgan.Open(newEngine(t), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	ckpt, err := weights.Open(fixture + "model.ckpt")
	if err != nil {
		t.Fatal(err)
	}
	defer ckpt.Close()
	want, err := vqgan.Open(newEngine(t), ckpt, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range want.Weights() {
		if y := m.Weights()[name]; y == nil || !slices.Equal(engine.Floats(x), engine.Floats(y)) {
			t.Errorf("variable %q differs between the layouts", name)
		}
	}
}
