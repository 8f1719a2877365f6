package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

// source is a file seen through the names of its layout.
type source struct {
	l *weights.Loader
	layout
}

// openSource tells the layout of a file by its names.
func openSource(f *weights.File) (source, error) {
	l := weights.NewLoader(f)
	switch {
	case l.Has("visual.conv1.weight"), l.Has("visual.stem.weight"), l.Has("visual.stages.0.conv1.weight"):
		return source{l, openAIKeys}, nil
	case l.Has("vision_model.embeddings.patch_embedding.weight"):
		return source{l, huggingFaceKeys}, nil
	}
	return source{}, fmt.Errorf("%s: %w: neither OpenAI's keys nor CLIPModel's", f.Path(), ErrNotCLIP)
}

// dims returns the shape in the graph of a matrix or vector, nil when the file has none: infer asks for nothing else, and
// the loader complains about what is missing.
func (s source) dims(name string, own gx.Layout) []int {
	names, in := s.find(name, own)
	if len(names) == 0 {
		return nil
	}
	t, ok := s.l.Peek(names[0])
	if !ok {
		return nil
	}
	d := slices.Clone(t.Shape)
	if in == gx.Linear && len(d) == 2 {
		d[0], d[1] = d[1], d[0]
	}
	return d
}

// count returns the number of blocks that the file has of a format with one number.
func (s source) count(format string) int {
	n := 0
	for s.dims(fmt.Sprintf(format, n), gx.Plain) != nil {
		n++
	}
	return n
}

// side returns the side of the square of places that a table of positions is for, besides the one of the class token.
func side(positions []int) int { return int(math.Round(math.Sqrt(float64(max(0, positions[0]-1))))) }

// infer reads the configuration off names and shapes, as openai/CLIP's build_model does. What shapes do not say is as
// OpenAI's models have it: heads of 64, QuickGELU, mean and std.
func (s source) infer() (Config, error) {
	c := Config{Activation: QuickGELU, Mean: openAIMean, Std: openAIStd}
	positions := s.dims("positional_embedding", gx.Plain)
	table := s.dims("token_embedding.weight", gx.Plain)
	projection := s.dims("text_projection", gx.Plain)
	if len(positions) != 2 || len(table) != 2 || len(projection) != 2 {
		return c, fmt.Errorf("%w: no text tower", ErrNotCLIP)
	}
	c.EmbedDim = projection[1]
	c.Text = Text{ContextLength: positions[0], VocabSize: table[0], Width: table[1], Heads: max(1, table[1]/64),
		Layers: s.count("transformer.resblocks.%d.ln_1.weight")}
	var err error
	switch {
	case s.dims("visual.proj", gx.Plain) != nil && s.dims("visual.class_embedding", gx.Plain) != nil:
		c.Vision, err = s.inferViT()
	case s.dims("visual.layer1.0.conv1.weight", gx.Conv) != nil:
		c.Vision, err = s.inferResNet()
	default:
		err = fmt.Errorf("%w: the image tower is of no known kind, or of smalti's and the file lost its metadata", ErrNotCLIP)
	}
	return c, err
}

func (s source) inferViT() (Vision, error) {
	kernel, positions := s.dims("visual.conv1.weight", gx.Conv), s.dims("visual.positional_embedding", gx.Plain)
	if len(kernel) != 4 || len(positions) != 2 {
		return Vision{}, fmt.Errorf("%w: a vision transformer without patches or positions", ErrNotCLIP)
	}
	width, patch := kernel[0], kernel[3]
	return Vision{Kind: ViT, ImageSize: patch * side(positions), PatchSize: patch, Width: width, Heads: max(1, width/64),
		Layers: s.count("visual.transformer.resblocks.%d.ln_1.weight")}, nil
}

func (s source) inferResNet() (Vision, error) {
	kernel, positions := s.dims("visual.layer1.0.conv1.weight", gx.Conv), s.dims("visual.attnpool.positional_embedding", gx.Plain)
	if len(kernel) != 4 || len(positions) != 2 {
		return Vision{}, fmt.Errorf("%w: a resnet without attention pooling", ErrNotCLIP)
	}
	v := Vision{Kind: ResNet, ImageSize: 32 * side(positions), Width: kernel[0], Heads: max(1, kernel[0]*32/64)}
	for stage := 1; stage <= 4; stage++ {
		v.Blocks = append(v.Blocks, s.count(fmt.Sprintf("visual.layer%d.%%d.conv1.weight", stage)))
	}
	return v, nil
}

// huggingFaceConfig is what of a model folder's config.json shapes do not tell.
type huggingFaceConfig struct {
	Text   *huggingFaceTower `json:"text_config"`
	Vision *huggingFaceTower `json:"vision_config"`
}

type huggingFaceTower struct {
	Heads int    `json:"num_attention_heads"`
	Act   string `json:"hidden_act"`
}

// readFolder completes a configuration with the config.json and preprocessor_config.json beside the file, if they are
// there and are those of such a model.
func (c *Config) readFolder(path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	var h huggingFaceConfig
	if err := readJSON(filepath.Join(path, "config.json"), &h); err != nil {
		return err
	}
	if h.Text != nil && h.Vision != nil {
		if h.Text.Heads > 0 {
			c.Text.Heads = h.Text.Heads
		}
		if h.Vision.Heads > 0 {
			c.Vision.Heads = h.Vision.Heads
		}
		if h.Text.Act != h.Vision.Act {
			return fmt.Errorf("config.json: hidden_act is %q for texts and %q for pictures, which smalti has no model for", h.Text.Act, h.Vision.Act)
		}
		if h.Text.Act != "" {
			c.Activation = h.Text.Act
		}
	}
	var p struct {
		Mean []float64 `json:"image_mean"`
		Std  []float64 `json:"image_std"`
	}
	if err := readJSON(filepath.Join(path, "preprocessor_config.json"), &p); err != nil {
		return err
	}
	if len(p.Mean) == 3 && len(p.Std) == 3 {
		c.Mean, c.Std = [3]float64(p.Mean), [3]float64(p.Std)
	}
	return nil
}

// readJSON reads a small JSON file; one that is not there leaves v alone.
func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}
