package train

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// VQGANConfig is a whole training of a VQGAN, without a discriminator so far.
type VQGANConfig struct {
	Train Config       `json:"train"`
	Data  string       `json:"data"` // folder of a data pack, or ShapesData
	Model vqgan.Config `json:"model"`

	Crop     int   `json:"crop"`     // side of the pictures trained on, a multiple of f
	Canvases []int `json:"canvases"` // sides at which scenes are composed before they are cropped, >= Crop

	L1      float64 `json:"l1"`      // weight of the mean absolute difference, pictures in [-1,1]
	MSE     float64 `json:"mse"`     // weight of the mean square difference
	Pyramid float64 `json:"pyramid"` // weight of the Laplacian pyramid's absolute differences
	Levels  int     `json:"levels"`  // of that pyramid
	Codes   float64 `json:"codes"`   // weight of the codebook's loss
	Commit  float64 `json:"commit"`  // weight of commitment inside the codebook's loss

	ReviveEvery int     `json:"revive_every"` // steps between revivals of dead codes; 0 never
	ReviveUntil int     `json:"revive_until"` // last step of revival
	ReviveBelow float64 `json:"revive_below"` // a code used less than this share of the mean is dead

	EvalPictures int `json:"eval_pictures"` // most pictures of an evaluation
}

// DefaultVQGAN is the training of the built-in model.
func DefaultVQGAN() VQGANConfig {
	c := VQGANConfig{Train: DefaultConfig(), Model: vqgan.BuiltinV0(), Crop: 32, Canvases: []int{32, 48, 64},
		L1: 1, MSE: .3, Pyramid: .5, Levels: 3, Codes: .25, Commit: .25, ReviveEvery: 50, ReviveBelow: .003, EvalPictures: 200}
	t := &c.Train
	t.Steps, t.MicroBatches, t.BatchSize = 2600, 2, 32
	t.LR, t.Schedule, t.Warmup, t.Beta2, t.FinalLR = 1.5e-3, Cosine, 100, .95, .02
	c.ReviveUntil = 1800
	return c
}

// Settings are those of the loop, for a caller that sets its clock, budget and workers.
func (c *VQGANConfig) Settings() *Config { return &c.Train }

// Validate reports the first setting that is out of its range.
func (c VQGANConfig) Validate() error {
	if err := c.Train.Validate(); err != nil {
		return err
	}
	if err := c.Model.Validate(); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if c.Model.Quantiser != vqgan.Nearest {
		return fmt.Errorf("train: the quantiser %q is not trained here, only %q", c.Model.Quantiser, vqgan.Nearest)
	}
	if c.Crop < 1 || c.Crop > 1024 || c.Crop%c.Model.Factor() != 0 {
		return fmt.Errorf("train: crop is out of range: %d is not a multiple of %d up to 1024", c.Crop, c.Model.Factor())
	}
	if len(c.Canvases) == 0 {
		return fmt.Errorf("train: canvases is out of range: none given")
	}
	for _, s := range c.Canvases {
		if s < c.Crop || s > 4096 {
			return fmt.Errorf("train: canvases is out of range: %d of %d..4096", s, c.Crop)
		}
	}
	if c.Levels < 0 || c.Levels > 10 || c.Crop%(1<<c.Levels) != 0 {
		return fmt.Errorf("train: levels is out of range: a crop of %d does not halve %d times", c.Crop, c.Levels)
	}
	for _, w := range []struct {
		name string
		v    float64
	}{{"l1", c.L1}, {"mse", c.MSE}, {"pyramid", c.Pyramid}, {"codes", c.Codes}, {"commit", c.Commit}, {"revive_below", c.ReviveBelow}} {
		if !(w.v >= 0) {
			return fmt.Errorf("train: %s is out of range: %g", w.name, w.v)
		}
	}
	return nil
}

// RunVQGAN trains a VQGAN, or goes on training it, and leaves model.safetensors in the run's folder: at each checkpoint
// the moving average so far, in the end the finished model. See Loop.Run for how a run ends.
func RunVQGAN(ctx context.Context, cfg VQGANConfig, sink event.Sink, o Options) (Result, error) {
	warm, err := cfg.start(o)
	if err != nil {
		return Result{}, err
	}
	if err := cfg.Validate(); err != nil {
		return Result{}, err
	}
	data, err := openScenes(cfg.Data)
	if err != nil {
		return Result{}, err
	}
	if err := openRun(o, cfg); err != nil {
		return Result{}, err
	}
	r := newVQGANRecipe(cfg, data)
	l := Loop{Config: cfg.Train, Recipe: r, Sink: sink, Dir: o.Dir, Resume: o.Resume, Warm: warm, Export: r.export(o.Dir)}
	return l.Run(ctx)
}

// start reads the model to start from, if one is given.
func (c *VQGANConfig) start(o Options) (Values, error) {
	if o.InitFrom == "" || o.Resume {
		return nil, nil
	}
	f, err := weights.Open(o.InitFrom)
	if err != nil {
		return nil, fmt.Errorf("train: start from: %w", err)
	}
	defer f.Close()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	model, ts, err := vqgan.Read(e, f, nil)
	if err != nil {
		return nil, fmt.Errorf("train: start from: %w", err)
	}
	c.Model = model
	return floatsOf(ts), nil
}

// vqganRecipe is the Recipe of VQGAN.
type vqganRecipe struct {
	cfg   VQGANConfig
	data  *scenes
	usage []float32 // moving average of how often a code is used in a step
	judge vqganJudge
}

func newVQGANRecipe(cfg VQGANConfig, data *scenes) *vqganRecipe {
	r := &vqganRecipe{cfg: cfg, data: data, usage: make([]float32, cfg.Model.NEmbed)}
	for i := range r.usage {
		r.usage[i] = float32(r.vectors()) / float32(len(r.usage)) // nobody is dead at first
	}
	r.judge = newVQGANJudge(r)
	return r
}

func (r *vqganRecipe) Name() string { return "vqgan" }

func (r *vqganRecipe) Metrics() []string { return []string{"l1", "mse", "pyramid", "codes"} }

// vectors is the number of codes that a step chooses.
func (r *vqganRecipe) vectors() int {
	side := r.cfg.Crop / r.cfg.Model.Factor()
	return r.cfg.Train.MicroBatches * r.cfg.Train.BatchSize * side * side
}

// Loss has one input: pictures [n,S,S,3] in [0,1]. Its extra outputs are the encoder's vectors and their codes.
func (r *vqganRecipe) Loss(v *gx.Vars, in []*graph.Node) Output {
	c, m := r.cfg, r.cfg.Model
	x := graph.AddScalar(graph.MulScalar(in[0], 2), -1)
	z := m.EncodeGraph(v, x)
	zq, codes := m.QuantiseGraph(v, z)
	quant := m.VQLoss(v, z, codes, vqgan.LossOptions{Beta: c.Commit})
	d := graph.Sub(m.DecodeGraph(v, zq), x)
	l1, mse := graph.ReduceAllMean(graph.Abs(d)), graph.ReduceAllMean(graph.Square(d))
	pyramid := laplacian(d, c.Levels)
	loss := graph.MulScalar(l1, c.L1)
	loss = graph.Add(loss, graph.MulScalar(mse, c.MSE))
	loss = graph.Add(loss, graph.MulScalar(pyramid, c.Pyramid))
	loss = graph.Add(loss, graph.MulScalar(quant, c.Codes))
	return Output{Loss: loss, Metrics: []*graph.Node{l1, mse, pyramid, quant}, Extra: []*graph.Node{z, codes}}
}

// laplacian is the sum over the levels of a Laplacian pyramid (Burt and Adelson 1983, with 2x2 means and nearest
// neighbours for its filters) of the mean absolute value, for a difference d [n,h,w,c] of two pictures: the pyramid is
// linear, so that of the difference is the difference of the pyramids. With the last level comes what is left.
func laplacian(d *graph.Node, levels int) *graph.Node {
	var sum *graph.Node
	add := func(x *graph.Node) {
		x = graph.ReduceAllMean(graph.Abs(x))
		if sum == nil {
			sum = x
		} else {
			sum = graph.Add(sum, x)
		}
	}
	for range levels {
		s := d.Shape().Dimensions
		n, h, w, c := s[0], s[1]/2, s[2]/2, s[3]
		cells := graph.Reshape(d, n, h, 2, w, 2, c)
		small := graph.ReduceAndKeep(cells, graph.ReduceMean, 2, 4)
		add(graph.Sub(cells, small))
		d = graph.Reshape(small, n, h, w, c)
	}
	add(d)
	return sum
}

// Batch composes scenes at one of the canvas sizes each and cuts a square out: things appear at several scales.
func (r *vqganRecipe) Batch(step, micro int) ([]Array, error) {
	c := r.cfg
	n, key := c.Train.BatchSize, c.Train.batchKey(step, micro)
	pix := make([]float32, n*c.Crop*c.Crop*3)
	plane := c.Crop * c.Crop * 3
	inParallel(n, c.Train.workers(), func(i int) {
		s := rng.New(c.Train.Seed, "vqgan/crop", key, uint64(i))
		size := c.Canvases[s.IntN(len(c.Canvases))]
		scene := r.data.train.Sample(c.Train.Seed, key, uint64(i), size)
		x, y := s.IntN(size-c.Crop+1), s.IntN(size-c.Crop+1)
		for row := range c.Crop {
			from := ((y+row)*size + x) * 3
			copy(pix[i*plane+row*c.Crop*3:], scene.Pix[from:from+c.Crop*3])
		}
	})
	return []Array{Floats(pix, n, c.Crop, c.Crop, 3)}, nil
}

// export returns the function that writes the model file.
func (r *vqganRecipe) export(dir string) func(decls []gx.Decl, ema Values) error {
	return func(decls []gx.Decl, ema Values) error {
		up, err := engine.Upload(decls, ema)
		if err != nil {
			return err
		}
		model := r.cfg.Model
		model.Resolution = r.cfg.Crop
		return weights.SaveFile(filepath.Join(dir, ModelFile), func(w io.Writer) error {
			return vqgan.SaveAs(w, model, up, weights.F16)
		})
	}
}
