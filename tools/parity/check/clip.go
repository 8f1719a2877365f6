package check

import (
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
)

// Tolerances of the CLIP fixtures: torch's own float32 lies about 1e-6 from float64 on features of 3 (fp64_check), and
// logits add the scale of the cosines.
var (
	clipFeatures = golden.Tolerance{Abs: 2e-5, Rel: 1e-4}
	clipLogits   = golden.Tolerance{Abs: 1e-3}
	clipGrads    = golden.Tolerance{OfMax: 1e-4}
)

// clipModel compares both towers for every weight file of the fixture, each of which must give the same configuration.
func clipModel(f *golden.Fixture, r *golden.Report) error {
	var cfg struct {
		Files map[string]any `json:"files"`
	}
	if err := f.Config(&cfg); err != nil {
		return err
	}
	files := 0
	for _, file := range []string{"model.safetensors", "model_openai_jit.pt", "model_hf.safetensors", "model_state_dict.pt"} {
		if _, ok := cfg.Files[file]; !ok {
			continue
		}
		files++
		if err := clipFile(f, r, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if files == 0 {
		return fmt.Errorf("no weight files in config.json")
	}
	return nil
}

func clipFile(f *golden.Fixture, r *golden.Report, file string) error {
	e, err := startEngine()
	if err != nil {
		return err
	}
	w, err := f.Weights(file)
	if err != nil {
		return err
	}
	defer w.Close()
	c, vars, err := clip.Read(e, w, nil)
	if err != nil {
		return err
	}
	if err := sameClipConfig(f, c); err != nil {
		return err
	}
	p := e.Program("clip fixture", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		image, text, fixed := in[0], in[1], in[2]
		features := c.VisionGraph(v, graph.TransposeAllAxes(image, 0, 2, 3, 1))
		texts := c.TextGraph(v, text)
		logits := c.LogitsGraph(v, features, texts)
		grad := graph.Gradient(graph.ReduceAllSum(graph.Mul(features, fixed)), image)[0]
		return []*graph.Node{features, texts, logits, graph.Transpose(logits, 0, 1), c.TextHidden(v, text), grad}
	})
	outs, err := p.Run(vars, fixtureFloats(f, "image"), fixtureTokens(f, "text"), fixtureFloats(f, "fixed"))
	if err != nil {
		return err
	}
	names := []string{"image_features", "text_features", "logits_per_image", "logits_per_text", "text_last_hidden", "grad_image"}
	tols := []golden.Tolerance{clipFeatures, clipFeatures, clipLogits, clipLogits, clipFeatures, clipGrads}
	for i, name := range names {
		r.Compare(file+":"+name, engine.Floats(outs[i]), f.Floats(name), tols[i])
	}
	return nil
}

func fixtureFloats(f *golden.Fixture, name string) *tensors.Tensor {
	return engine.FromFloats(f.Floats(name), f.Shape(name)...)
}

func fixtureTokens(f *golden.Fixture, name string) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(narrow(f.Ints(name)), f.Shape(name)...)
}

// sameClipConfig holds what was read off a file against config.json.
func sameClipConfig(f *golden.Fixture, c clip.Config) error {
	var want struct {
		Model struct {
			EmbedDim   int  `json:"embed_dim"`
			Resolution int  `json:"image_resolution"`
			Layers     any  `json:"vision_layers"`
			Width      int  `json:"vision_width"`
			Patch      *int `json:"vision_patch_size"`
			Context    int  `json:"context_length"`
			Vocab      int  `json:"vocab_size"`
			TextWidth  int  `json:"transformer_width"`
			TextHeads  int  `json:"transformer_heads"`
			TextLayers int  `json:"transformer_layers"`
		} `json:"model"`
		Heads      int    `json:"vision_heads"`
		Activation string `json:"activation"`
	}
	if err := f.Config(&want); err != nil {
		return err
	}
	m := want.Model
	text := clip.Text{ContextLength: m.Context, VocabSize: m.Vocab, Width: m.TextWidth, Heads: m.TextHeads, Layers: m.TextLayers}
	v := clip.Vision{Kind: clip.ResNet, ImageSize: m.Resolution, Width: m.Width, Heads: want.Heads}
	if m.Patch != nil {
		v.Kind, v.PatchSize = clip.ViT, *m.Patch
	}
	switch l := m.Layers.(type) {
	case float64:
		v.Layers = int(l)
	case []any:
		for _, n := range l {
			v.Blocks = append(v.Blocks, int(math.Round(n.(float64))))
		}
	}
	got := c.Vision
	same := slices.Equal(got.Blocks, v.Blocks)
	got.Blocks, v.Blocks = nil, nil
	if c.Text != text || !same || fmt.Sprint(got) != fmt.Sprint(v) || c.EmbedDim != m.EmbedDim || c.Activation != want.Activation {
		return fmt.Errorf("inferred %+v, config.json has %+v", c, want)
	}
	return nil
}
