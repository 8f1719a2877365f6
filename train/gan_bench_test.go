package train

import (
	"fmt"
	"testing"

	"github.com/smalti/smalti/rng"
)

// BenchmarkWGANStep measures the two kinds of turns at the size of the PyTorch figures: 64 x 64 pixels, 64 pictures, 64
// channels at the finest level, 100 numbers of noise. Micro-batches are as a training of two workers has them.
func BenchmarkWGANStep(b *testing.B) {
	c := DefaultWGANGP()
	c.Model.Latent, c.Model.Generator.Width, c.Model.Discriminator.Width = 100, 64, 64
	for _, micros := range []int{1, 2} {
		c.Train.MicroBatches, c.Train.BatchSize = micros, 64/micros
		g, err := GANGame(c, func(at Turn) ([]Array, error) {
			n := c.Train.BatchSize
			s := rng.New(1, "bench", uint64(at.Phase), uint64(at.Micro))
			z, x, eps := make([]float32, n*100), make([]float32, n*64*64*3), make([]float32, n)
			s.FillNormal(z)
			if at.Phase == 1 {
				return []Array{Floats(z, n, 100), Ints(make([]int32, n), n)}, nil
			}
			s.FillUniform(x, -1, 1)
			s.FillUniform(eps, 0, 1)
			return []Array{Floats(x, n, 64, 64, 3), Ints(make([]int32, n), n), Floats(z, n, 100), Floats(eps, n)}, nil
		})
		if err != nil {
			b.Fatal(err)
		}
		benchPhases(b, c, g, fmt.Sprintf("micros=%d", micros))
	}
}

func BenchmarkGANStepMNIST(b *testing.B) {
	c := DefaultGAN()
	g, err := GANGame(c, func(at Turn) ([]Array, error) {
		n, k := c.Train.BatchSize, c.Model.Latent
		z, x := make([]float32, n*k), make([]float32, n*28*28)
		rng.New(1, "bench").FillNormal(z)
		rng.New(2, "bench").FillNormal(x)
		if at.Phase == 1 {
			return []Array{Floats(z, n, k), Ints(make([]int32, n), n)}, nil
		}
		return []Array{Floats(x, n, 28, 28, 1), Ints(make([]int32, n), n), Floats(z, n, k)}, nil
	})
	if err != nil {
		b.Fatal(err)
	}
	benchPhases(b, c, g, "conv")
}

// benchPhases times the turns of each phase, update included.
func benchPhases(b *testing.B, c GANConfig, g Game, name string) {
	l := GameLoop{Config: c.Train, Game: g, Dir: b.TempDir()}
	r := &gameRun{GameLoop: l}
	if err := r.prepare(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		for _, w := range r.workers {
			w.engine.Close()
		}
	}()
	if err := r.begin(); err != nil {
		b.Fatal(err)
	}
	r.window.restart(r.now())
	for i, p := range r.board.phases {
		var micros [][]Array
		for m := range c.Train.MicroBatches {
			in, err := g.Batch(Turn{Phase: i, Micro: m})
			if err != nil {
				b.Fatal(err)
			}
			micros = append(micros, in)
		}
		b.Run(name+"/"+p.Name, func(b *testing.B) {
			if err := r.turn(i, 0, micros); err != nil { // compiles
				b.Fatal(err)
			}
			for n := 1; b.Loop(); n++ {
				if err := r.turn(i, n, micros); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(c.Train.MicroBatches*c.Train.BatchSize)*float64(b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
