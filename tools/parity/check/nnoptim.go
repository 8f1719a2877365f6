package check

import (
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/paint"
)

// nnOptimisers compares five steps of each optimiser of the painting loop with PyTorch's, given PyTorch's gradients. The
// tolerance is the fixture's: the same float32 operations, but not always in the same order.
func nnOptimisers(f *golden.Fixture, r *golden.Report) error {
	for _, c := range []struct {
		name string
		lr   float64
		cfg  paint.OptimiserConfig
	}{
		{"adam_lr0.1", 0.1, paint.OptimiserConfig{Kind: "adam"}},
		{"adam_b0.5_0.9_lr1e-3", 1e-3, paint.OptimiserConfig{Kind: "adam", Beta1: 0.5, Beta2: 0.9}},
		{"adam_wd0.01_lr0.1", 0.1, paint.OptimiserConfig{Kind: "adam", Decay: 0.01}},
		{"adamw_lr0.1", 0.1, paint.OptimiserConfig{Kind: "adamw"}},
		{"adamax_lr0.1", 0.1, paint.OptimiserConfig{Kind: "adamax"}},
		{"adagrad_lr0.1", 0.1, paint.OptimiserConfig{Kind: "adagrad"}},
		{"radam_lr0.1", 0.1, paint.OptimiserConfig{Kind: "radam"}},
		{"rmsprop_lr0.1", 0.1, paint.OptimiserConfig{Kind: "rmsprop"}},
		{"sgd_mom0.9_lr0.1", 0.1, paint.OptimiserConfig{Kind: "sgd", Momentum: 0.9}},
	} {
		p := append([]float32(nil), f.Floats("optim.p0")...)
		grads, n := f.Floats("optim.grads"), len(p)
		o, err := paint.NewOptimiser(c.cfg, n)
		if err != nil {
			return err
		}
		var got []float32
		for i := 0; i < len(grads); i += n {
			o.Step(p, grads[i:i+n], c.lr)
			got = append(got, p...)
		}
		r.Compare("optim."+c.name, got, f.Floats("optim."+c.name), golden.Tolerance{Abs: 1e-5, Rel: 1e-5})
	}
	return nil
}
