package check

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/vqgan"
)

func init() { checkers["vqgan_clip_step"] = loop }

// Tolerances of the loop, the fixture's. Losses of torch's float32 and float64 runs agree to 3e-7; z moves by sign-like
// steps of the learning rate where the gradient is tiny, so its largest difference says little and its mean a lot.
var (
	loopLosses  = golden.Tolerance{Abs: 1e-4}
	loopGrads   = golden.Tolerance{OfMax: 2e-4}
	loopPicture = golden.Tolerance{Abs: 5e-5, Rel: 2e-4} // as VQGAN's decoder
	loopMeanZ   = golden.Tolerance{Abs: 1e-3}
)

// loopConfig is what config.json says of the run.
type loopConfig struct {
	Models []string `json:"models"`
	Loop   struct {
		Size       [2]int  `json:"size"`
		Cuts       int     `json:"cutn"`
		Method     string  `json:"cut_method"`
		LR         float64 `json:"lr"`
		InitWeight float64 `json:"init_weight"`
	} `json:"loop"`
	Steps     int `json:"steps"`
	Tolerance struct {
		FirstZ float64 `json:"z_abs_steps_1_3"`
	} `json:"tolerance"`
}

// loop runs VQGAN-CLIP's loop with its cuts and noise, and compares every step.
func loop(f *golden.Fixture, r *golden.Report) error {
	var c loopConfig
	if err := f.Config(&c); err != nil {
		return err
	}
	p, err := loopPainter(f, r, c)
	if err != nil {
		return err
	}
	codes := make([]int32, 0, len(f.Ints("init_tokens")))
	for _, t := range f.Ints("init_tokens") {
		codes = append(codes, int32(t))
	}
	if err := p.Begin(paint.Start{Kind: paint.StartGrid, Codes: codes}); err != nil {
		return err
	}
	if err := firstStep(f, r, p); err != nil {
		return err
	}
	if err := steps(f, r, p, c); err != nil {
		return err
	}
	last, err := p.Picture(paint.Now)
	if err != nil {
		return err
	}
	// z has moved for some steps by then, within the tolerance of z; the picture is compared by its mean.
	mean, _ := spread(channelPlanes(last.Pix, last.W*last.H, 3), f.Floats("image_final"))
	r.Compare("image_final.mean_difference", []float32{mean}, []float32{0}, loopMeanZ)
	return nil
}

// loopPainter sets the run up with the models that the fixture names.
func loopPainter(f *golden.Fixture, r *golden.Report, c loopConfig) (*paint.Painter, error) {
	e, err := startEngine()
	if err != nil {
		return nil, err
	}
	decoder, encoder, err := loopModels(e, f, c.Models)
	if err != nil {
		return nil, err
	}
	cfg := paint.Config{Width: c.Loop.Size[0], Height: c.Loop.Size[1], Cuts: paint.Const(float64(c.Loop.Cuts)),
		Chunk: 4, LR: paint.Const(c.Loop.LR)}
	if cfg.Scheme, err = paint.SchemeByName(c.Loop.Method); err != nil {
		return nil, err
	}
	cfg.Scheme.Augments = nil // none in the fixtures
	cfg.Source = recorded{f: f, cuts: c.Loop.Cuts}
	if c.Loop.InitWeight > 0 {
		cfg.Latent = []paint.LatentLoss{paint.Shrink{Weight: paint.Const(c.Loop.InitWeight), Hyperbolic: true}}
	}
	if err := loopText(f, r, e, encoder); err != nil {
		return nil, err
	}
	cfg.Targets = loopTargets(f)
	return paint.New(e, decoder, []paint.ImageEncoder{encoder}, cfg)
}

// loopModels opens the two models, whatever the names of their files.
func loopModels(e *engine.Engine, f *golden.Fixture, names []string) (*vqgan.Model, *clip.Model, error) {
	var decoder *vqgan.Model
	var encoder *clip.Model
	for _, name := range names {
		m, err := golden.Open(f.Sibling(name))
		if err != nil {
			return nil, nil, err
		}
		defer m.Close()
		switch m.Kind {
		case "vqgan":
			w, err := m.Weights("model.ckpt")
			if err != nil {
				return nil, nil, err
			}
			defer w.Close()
			if decoder, err = vqgan.Open(e, w, nil); err != nil {
				return nil, nil, err
			}
		case "clip":
			w, err := m.Weights("model.safetensors")
			if err != nil {
				return nil, nil, err
			}
			defer w.Close()
			if encoder, err = clip.Open(e, w, nil); err != nil {
				return nil, nil, err
			}
		}
	}
	if decoder == nil || encoder == nil {
		return nil, nil, fmt.Errorf("%v are not a decoder and an encoder", names)
	}
	return decoder, encoder, nil
}

// loopText compares the embeddings of the prompts; the loop itself uses the fixture's.
func loopText(f *golden.Fixture, r *golden.Report, e *engine.Engine, encoder *clip.Model) error {
	d := f.Shape("prompt_tokens")
	p := e.Program("prompts", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{encoder.TextGraph(v, in[0])}
	})
	out, err := p.Run(encoder.Weights(), tensors.FromFlatDataAndDimensions(narrow(f.Ints("prompt_tokens")), d...))
	if err != nil {
		return err
	}
	r.Compare("prompt_embeds", engine.Floats(out[0]), f.Floats("prompt_embeds"), clipFeatures)
	return nil
}

func loopTargets(f *golden.Fixture) []paint.Target {
	embeds, d := f.Floats("prompt_embeds"), f.Shape("prompt_embeds")
	weights, stops := f.Floats("prompt_weight"), f.Floats("prompt_stop")
	var targets []paint.Target
	for i := range d[0] {
		stop := float64(stops[i])
		targets = append(targets, paint.Target{Name: fmt.Sprintf("prompt %d", i), Embedding: embeds[i*d[1] : (i+1)*d[1]],
			Weight: float64(weights[i]), Stop: &stop})
	}
	return targets
}

// recorded gives the cuts of the fixture: boxes, or noise.
type recorded struct {
	f    *golden.Fixture
	cuts int
}

// Cut returns a recorded cut.
func (s recorded) Cut(k paint.CutKey) (paint.Cut, error) {
	at := k.Step*s.cuts + k.Index
	if s.f.Has("boxes") {
		b := s.f.Ints("boxes")[3*at:]
		return paint.Cut{Box: paint.Box{Size: int(b[0]), X: int(b[1]), Y: int(b[2])}}, nil
	}
	plane := k.Size * k.Size
	noise := s.f.Floats("noise")[at*3*plane : (at+1)*3*plane]
	strength := s.f.Floats("noise_facs")[at]
	c := paint.Cut{Noise: make([]float32, 3*plane)}
	for i, v := range noise {
		c.Noise[i%plane*3+i/plane] = strength * v
	}
	return c, nil
}

// firstStep compares what is known of step 0: picture, cuts and gradient.
func firstStep(f *golden.Fixture, r *golden.Report, p *paint.Painter) error {
	ctx := context.Background()
	z, err := p.Latent(paint.Now)
	if err != nil {
		return err
	}
	h, w, c := p.Latents()
	r.Compare("z0", channelPlanes(z, h*w, c), f.Floats("z0"), golden.Tolerance{Abs: 5e-7})
	pic, err := p.Picture(paint.Now)
	if err != nil {
		return err
	}
	r.Compare("image_step0", channelPlanes(pic.Pix, pic.W*pic.H, 3), f.Floats("image_step0"), loopPicture)
	cuts, err := p.Cuts(ctx, 0)
	if err != nil {
		return err
	}
	d := f.Shape("cutouts_step0")
	var got []float32
	for i, n := 0, len(cuts)/d[0]; i < len(cuts); i += n {
		got = append(got, channelPlanes(cuts[i:i+n], n/3, 3)...)
	}
	r.Compare("cutouts_step0", got, f.Floats("cutouts_step0"), loopPicture)
	grad, err := p.LatentGradient(ctx)
	if err != nil {
		return err
	}
	r.Compare("grad_z_step0", channelPlanes(grad, h*w, c), f.Floats("grad_z_step0"), loopGrads)
	return nil
}

// steps takes and compares the steps.
func steps(f *golden.Fixture, r *golden.Report, p *paint.Painter, cfg loopConfig) error {
	h, w, c := p.Latents()
	want, n := f.Floats("z"), h*w*c
	var losses, mean, tail []float32
	var codes []int64
	sure := true // codes are compared while the runner-up is far enough away
	for i := range cfg.Steps {
		rep, err := p.Advance(context.Background())
		if err != nil {
			return err
		}
		for _, t := range rep.Terms {
			losses = append(losses, float32(t.Value))
		}
		if sure = sure && f.Floats("quant_margin")[i] > 1e-4; sure {
			for _, k := range rep.Codes {
				codes = append(codes, int64(k))
			}
		}
		z, err := p.Latent(paint.Now)
		if err != nil {
			return err
		}
		got, ref := channelPlanes(z, h*w, c), want[i*n:(i+1)*n]
		if i == 0 {
			firstZ(f, r, got, ref, cfg.Tolerance.FirstZ)
		}
		m, t := spread(got, ref)
		mean, tail = append(mean, m), append(tail, t)
	}
	zero := make([]float32, cfg.Steps)
	r.Compare("losses", losses, f.Floats("losses"), loopLosses)
	r.Exact("indices", codes, f.Ints("indices")[:len(codes)])
	r.Compare("z.mean_difference", mean, zero, loopMeanZ)
	r.Compare("z.percentile_99.9", tail, zero, golden.Tolerance{Abs: cfg.Tolerance.FirstZ})
	return nil
}

// firstZ compares z after the first step, without the entries whose gradient is too small to have a direction.
func firstZ(f *golden.Fixture, r *golden.Report, got, want []float32, abs float64) {
	var g, w []float32
	for i, grad := range f.Floats("grad_z_step0") {
		if math.Abs(float64(grad)) >= 1e-7 {
			g, w = append(g, got[i]), append(w, want[i])
		}
	}
	r.Compare("z.step1", g, w, golden.Tolerance{Abs: abs})
}

// spread returns the mean absolute difference and its 99.9th percentile.
func spread(got, want []float32) (mean, tail float32) {
	diffs := make([]float64, len(got))
	var sum float64
	for i := range got {
		diffs[i] = math.Abs(float64(got[i]) - float64(want[i]))
		sum += diffs[i]
	}
	slices.Sort(diffs)
	return float32(sum / float64(len(diffs))), float32(diffs[int(0.999*float64(len(diffs)-1))])
}

// channelPlanes turns [n,c] into [c,n].
func channelPlanes(v []float32, n, c int) []float32 {
	out := make([]float32, len(v))
	for i := range n {
		for k := range c {
			out[k*n+i] = v[i*c+k]
		}
	}
	return out
}
