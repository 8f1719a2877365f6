package train

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// Games.
const (
	BasicGAN = "gan"     // binary cross-entropy with logits (Goodfellow et al. 2014)
	WGANGP   = "wgan-gp" // Wasserstein distance with gradient penalty (Gulrajani et al. 2017)
)

// Players.
const (
	generatorName     = "generator"
	discriminatorName = "discriminator"
)

// GANConfig is a whole training of a GAN.
type GANConfig struct {
	Train Config     `json:"train"` // its optimiser's settings are the generator's
	Data  string     `json:"data"`  // folder of an IDX set, of CelebA, of a face pack or of pictures
	Model gan.Config `json:"model"`
	Game  string     `json:"game"` // BasicGAN or WGANGP

	JudgeLR   float64  `json:"judge_lr"`   // largest learning rate of the discriminator; 0 is the generator's
	Turns     int      `json:"turns"`      // discriminator's updates for one of the generator's (n_critic)
	Goal      gan.Goal `json:"goal"`       // the generator's loss in a basic GAN
	RealLabel float64  `json:"real_label"` // target of real pictures in a basic GAN, (0,1]
	Penalty   float64  `json:"penalty"`    // weight of the gradient penalty (lambda)

	Judge       string `json:"judge"`        // model file of a classifier to measure by (RunClassifier); empty measures less
	SheetEvery  int    `json:"sheet_every"`  // steps between sheets of always the same noise
	Sheet       int    `json:"sheet"`        // pictures on a sheet
	EvalSamples int    `json:"eval_samples"` // pictures generated in an evaluation
	HeldOut     int    `json:"held_out"`     // pictures kept from training to measure by, where the data have no test part
	KeepLast    int    `json:"keep_last"`    // older checkpoints that are kept
}

// DefaultGAN is the convolutional GAN on MNIST with BCE losses. Real pictures count as real to nine tenths (Salimans et
// al. 2016, section 3.4), and pictures are made of weights averaged over about a thousand steps, which do not follow the
// game's swings from class to class (Yazici et al. 2019, arXiv:1806.04498).
func DefaultGAN() GANConfig {
	c := GANConfig{Train: DefaultConfig(), Model: gan.MNISTConv(), Game: BasicGAN, Turns: 1, Goal: gan.NonSaturating, RealLabel: .9, Penalty: 10,
		SheetEvery: 100, Sheet: 64, EvalSamples: 1000, HeldOut: 500}
	t := &c.Train
	t.Steps, t.MicroBatches, t.BatchSize = 5000, 2, 32
	t.LR, t.Schedule, t.Warmup, t.Beta1, t.Beta2, t.WeightDecay, t.ClipNorm, t.EMA = 2e-4, Constant, 0, .5, .999, 0, 0, .999
	t.ScalarsEvery, t.EvalEvery, t.SaveEvery = 10, 500, 250
	return c
}

// DefaultWGANGP is WGAN-GP on faces of 64 x 64 pixels.
func DefaultWGANGP() GANConfig {
	c := DefaultGAN()
	c.Model, c.Game, c.Turns = gan.Faces64(), WGANGP, 5
	t := &c.Train
	t.Steps, t.Beta1, t.Beta2, t.LR, t.EMA = 3000, 0, .9, 2e-4, .998
	return c
}

// Settings are those of the training loop.
func (c *GANConfig) Settings() *Config { return &c.Train }

// Validate reports the first setting that is out of its range.
func (c GANConfig) Validate() error {
	if err := c.Train.Validate(); err != nil {
		return err
	}
	if err := c.Model.Validate(); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	switch {
	case c.Game != BasicGAN && c.Game != WGANGP:
		return fmt.Errorf("train: unknown game %q (there are %q and %q)", c.Game, BasicGAN, WGANGP)
	case c.Game == WGANGP && c.Model.Discriminator.Norm == gan.Batch:
		return fmt.Errorf("train: a critic under a gradient penalty cannot have batch norms, which mix pictures; take %q, %q or %q", gan.Instance, gan.Layer, gan.NoNorm)
	case c.Game == BasicGAN && c.Goal != gan.NonSaturating && c.Goal != gan.Minimax:
		return fmt.Errorf("train: unknown goal %q (there are %q and %q)", c.Goal, gan.NonSaturating, gan.Minimax)
	case c.Turns < 1 || c.Turns > 100:
		return fmt.Errorf("train: turns is out of range: %d of 1..100", c.Turns)
	case !(c.RealLabel > 0 && c.RealLabel <= 1):
		return fmt.Errorf("train: real_label is out of range: %g", c.RealLabel)
	case !(c.Penalty >= 0 && c.Penalty <= 1e6):
		return fmt.Errorf("train: penalty is out of range: %g", c.Penalty)
	case !(c.JudgeLR >= 0 && c.JudgeLR <= 100):
		return fmt.Errorf("train: judge_lr is out of range: %g", c.JudgeLR)
	case c.SheetEvery < 0 || c.Sheet < 1 || c.Sheet > 1024:
		return fmt.Errorf("train: sheets of %d pictures every %d steps are out of range", c.Sheet, c.SheetEvery)
	case c.EvalSamples < 1 || c.EvalSamples > 100_000 || c.HeldOut < 1:
		return fmt.Errorf("train: an evaluation of %d pictures against %d held out is out of range", c.EvalSamples, c.HeldOut)
	case c.KeepLast < 0:
		return fmt.Errorf("train: keep_last is out of range: %d", c.KeepLast)
	}
	return nil
}

// RunGAN trains a GAN, or goes on training it, and leaves model.safetensors (the generator, from the moving average), sheets
// in frames/ and checkpoints in the run's folder. See Loop.Run for how a run ends.
func RunGAN(ctx context.Context, cfg GANConfig, sink event.Sink, o Options) (Result, error) {
	if err := cfg.Validate(); err != nil {
		return Result{}, err
	}
	data, err := OpenPictures(cfg.Data, cfg.Model.Size, cfg.HeldOut)
	if err != nil {
		return Result{}, err
	}
	if err := data.fits(cfg.Model); err != nil {
		return Result{}, err
	}
	if err := openRun(o, cfg); err != nil {
		return Result{}, err
	}
	g := newGANGame(cfg, data)
	l := GameLoop{Config: cfg.Train, Game: g, Sink: sink, Dir: o.Dir, Resume: o.Resume, SheetEvery: cfg.SheetEvery,
		Keep: Keep{Last: cfg.KeepLast, Best: bestScore}, Export: g.export}
	if o.InitFrom != "" && !o.Resume {
		l.Warm = warmGAN(o.InitFrom)
	}
	return l.Run(ctx)
}

// ganGame is the Game of both kinds.
type ganGame struct {
	cfg     GANConfig
	data    *PictureData
	order   *dataset.Order
	batches func(Turn) ([]Array, error) // nil means from data
	judge   *ganJudge                   // nil does not judge
	probe   ganProbe
	settle  ganSettle
}

func newGANGame(cfg GANConfig, data *PictureData) *ganGame {
	g := &ganGame{cfg: cfg, data: data, order: dataset.NewOrder(cfg.Train.Seed, data.Train.Len())}
	if cfg.Judge != "" {
		g.judge = &ganJudge{path: cfg.Judge, data: data}
	}
	return g
}

// GANGame is the game of a configuration with batches of the caller's, which has no evaluation and keeps the running
// statistics of the training: to hold the steps of a training against those of a reference. The discriminator's batch is pictures [n,S,S,C] in [-1,1], classes int32 [n], noise
// [n,k] and, under a gradient penalty, epsilon [n]; the generator's is noise and classes.
func GANGame(cfg GANConfig, batches func(Turn) ([]Array, error)) (Game, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &ganGame{cfg: cfg, batches: batches}, nil
}

func (g *ganGame) Name() string { return g.cfg.Game }

// Phases are the discriminator's or critic's, then the generator's.
func (g *ganGame) Phases() []Phase {
	judge, maker := g.basicJudge(), g.basicMaker()
	if g.cfg.Game == WGANGP {
		judge, maker = g.criticPhase(), g.makerPhase()
	}
	judge.Player, judge.Turns = discriminatorName, g.cfg.Turns
	maker.Player, maker.Turns = generatorName, 1
	judge.Optimiser, maker.Optimiser = g.cfg.Train, g.cfg.Train
	if g.cfg.JudgeLR > 0 {
		judge.Optimiser.LR = g.cfg.JudgeLR
	}
	judge.Optimiser.EMA = 0 // only pictures are made of averages; probes see the judge as it is
	judge.Optimiser.Steps *= g.cfg.Turns
	judge.Optimiser.Warmup *= g.cfg.Turns
	return []Phase{judge, maker}
}

// generate runs the generator in training mode.
func (g *ganGame) generate(v *gx.Vars, z, labels *graph.Node) (*graph.Node, *gan.Stats) {
	s := &gan.Stats{}
	return g.cfg.Model.GenerateGraph(v.In(generatorName), z, labels, s), s
}

// moves are the running statistics of forward passes, in order.
func moves(all ...*gan.Stats) []Move {
	var out []Move
	for _, s := range all {
		for _, m := range s.Moves {
			out = append(out, Move{Name: m.Name, Batch: graph.StopGradient(m.Batch), Start: m.Start, Momentum: gan.Momentum})
		}
	}
	return out
}

// basicJudge is the discriminator's phase of a basic GAN: pictures [n,S,S,C] in [-1,1], classes [n], noise [n,k].
func (g *ganGame) basicJudge() Phase {
	c := g.cfg
	return Phase{Name: discriminatorName, Metrics: []string{"loss_real", "loss_fake", "on_real", "on_fake", "right", "saturated"},
		Loss: func(v *gx.Vars, in []*graph.Node) Played {
			real, labels, z := in[0], in[1], in[2]
			fake, _ := g.generate(v, z, labels) // its statistics move in its own phase
			s := &gan.Stats{}
			d := v.In(discriminatorName)
			onReal := c.Model.JudgeGraph(d, real, labels, s)
			onFake := c.Model.JudgeGraph(d, graph.StopGradient(fake), labels, s)
			lossReal, lossFake := gan.DiscriminatorLoss(onReal, onFake, c.RealLabel)
			right := graph.MulScalar(graph.Add(share(graph.GreaterThan(onReal, graph.ZerosLike(onReal))), share(graph.LessThan(onFake, graph.ZerosLike(onFake)))), .5)
			return Played{Loss: graph.Add(lossReal, lossFake), Moves: moves(s),
				Metrics: []*graph.Node{lossReal, lossFake, graph.ReduceAllMean(onReal), graph.ReduceAllMean(onFake), right, saturated(onFake)}}
		}}
}

// basicMaker is the generator's phase of a basic GAN: noise [n,k], the discriminator's own, and classes [n].
func (g *ganGame) basicMaker() Phase {
	c := g.cfg
	return Phase{Name: generatorName, Metrics: []string{"saturated"}, Loss: func(v *gx.Vars, in []*graph.Node) Played {
		fake, own := g.generate(v, in[0], in[1])
		s := &gan.Stats{}
		logits := c.Model.JudgeGraph(v.In(discriminatorName), fake, in[1], s)
		return Played{Loss: gan.GeneratorLoss(logits, c.Goal), Metrics: []*graph.Node{saturated(logits)}, Moves: moves(own, s)}
	}}
}

// saturated is the share of generated pictures that the discriminator is sure of: a probability of being real below 1 in
// 100, where the minimax loss has lost 99 % of its slope.
func saturated(logits *graph.Node) *graph.Node {
	const limit = -4.59511985 // log(0.01/0.99)
	return share(graph.LessThan(logits, graph.MulScalar(graph.OnesLike(logits), limit)))
}

// share is the part of the elements of a condition that hold.
func share(cond *graph.Node) *graph.Node {
	return graph.ReduceAllMean(graph.ConvertDType(cond, engine.Float32().DType))
}

// Batch draws real pictures, classes, noise and the places of mixed pictures.
func (g *ganGame) Batch(at Turn) ([]Array, error) {
	if g.batches != nil {
		return g.batches(at)
	}
	c, n := g.cfg, g.cfg.Train.BatchSize
	turn, stream := at.Turn, "gan/z"
	if at.Phase == 1 {
		turn = c.Turns - 1
		if c.Game == WGANGP { // noise of its own; in a basic GAN the judge's of its last turn, as in PyTorch's example
			stream = "gan/z/maker"
		}
	}
	key := uint64((at.Step*c.Turns+turn)*c.Train.MicroBatches + at.Micro) // numbers the judge's micro-batches of the run
	index := make([]int, n)
	for i := range index {
		index[i] = g.order.At(key*uint64(n) + uint64(i))
	}
	z := make([]float32, n*c.Model.Latent)
	rng.New(c.Train.Seed, stream, key).FillNormal(z)
	noise := Floats(z, n, c.Model.Latent)
	if at.Phase == 1 {
		labels := make([]int32, n)
		for i, k := range index {
			labels[i] = int32(g.data.Train.Class(k))
		}
		return []Array{noise, Ints(labels, n)}, nil
	}
	pix, labels, err := dataset.Planes(g.data.Train, index)
	if err != nil {
		return nil, err
	}
	out := []Array{Floats(pix, n, c.Model.Size, c.Model.Size, c.Model.Channels), Ints(labels, n), noise}
	if c.Game == WGANGP {
		epsilon := make([]float32, n)
		rng.New(c.Train.Seed, "gan/mix", key).FillUniform(epsilon, 0, 1)
		out = append(out, Floats(epsilon, n))
	}
	return out, nil
}

// export writes the generator as a model file.
func (g *ganGame) export(path string, decls []gx.Decl, values Values) error {
	own, err := g.generatorTensors(values)
	if err != nil {
		return err
	}
	return weights.SaveFile(path, func(w io.Writer) error { return gan.Save(w, g.cfg.Model, own) })
}

// generatorTensors are the generator's values under the names of its own file.
func (g *ganGame) generatorTensors(values Values) (engine.Tensors, error) {
	e, err := engine.New(engine.Options{Threads: 1}) // traces only
	if err != nil {
		return nil, err
	}
	defer e.Close()
	decls, err := g.cfg.Model.GeneratorDecls(e)
	if err != nil {
		return nil, err
	}
	own := Values{}
	for name, v := range values {
		if rest, ok := strings.CutPrefix(name, generatorName+"."); ok {
			own[rest] = slices.Clone(v)
		}
	}
	return engine.Upload(decls, own)
}
