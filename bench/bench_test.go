package bench

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/smalti/smalti/train"
)

func options() Options {
	return Options{Threads: 2, Now: time.Now, Runs: 1, For: 1, Small: true}
}

func TestEveryCaseRuns(t *testing.T) {
	want, err := Names(options())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = Engine(t.Context(), options(), func(l Line) error {
		got = append(got, l.Name)
		if l.Seconds <= 0 || l.Rate <= 0 || l.Runs < 1 || l.Shape == "" {
			t.Errorf("%+v", l)
		}
		if l.Peak > 0 && math.Abs(l.Percent-100*l.Rate/l.Peak) > 1e-9 {
			t.Errorf("%s: %v %% of %v is not %v", l.Name, l.Percent, l.Peak, l.Rate)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) || len(got) < 30 {
		t.Errorf("measured %d cases of %d", len(got), len(want))
	}
}

func TestOnlySelectsAndReportsStop(t *testing.T) {
	o := options()
	o.Only = "attention"
	n, stop := 0, errors.New("stop")
	if err := Engine(t.Context(), o, func(Line) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("%d cases of attention, error %v", n, err)
	}
	if err := Engine(t.Context(), o, func(Line) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a report's error came back as %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Engine(ctx, o, func(Line) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	o.Class = "nonsense"
	if err := Engine(t.Context(), o, nil); err == nil {
		t.Error("a class that does not exist was taken")
	}
}

func TestPaintDividesAnIteration(t *testing.T) {
	for _, scheme := range []string{"pooled", "updated"} {
		p := Painting{Decoder: "tiny", Encoder: "tiny", Size: 16, Cuts: 5, Chunk: 2, Scheme: scheme, Iters: 3, Precision: "f32"}
		told := 0
		its, err := Paint(t.Context(), options(), p, func(int, float64) { told++ })
		if err != nil {
			t.Fatal(err)
		}
		if len(its) != 3 || told != 3 {
			t.Fatalf("%d iterations, %d told, want 3", len(its), told)
		}
		for i, it := range its {
			if it.Iter != i || it.Total <= 0 || it.Decode <= 0 || it.Decode > it.Total || it.Host < 0 || it.RSS <= 0 {
				t.Errorf("%s: %+v", scheme, it)
			}
			if (it.Compile > 0) != (i == 0) {
				t.Errorf("%s: iteration %d compiled for %v s; only the first has to", scheme, i, it.Compile)
			}
			sum := it.Host + it.Compile
			for _, s := range it.Programs {
				sum += s
			}
			if math.Abs(sum-it.Total) > 1e-9 {
				t.Errorf("%s: host, compilation and programs make %v of %v", scheme, sum, it.Total)
			}
			for _, name := range []string{progDecode, progDecoder, progLoss} {
				if it.Programs[name] <= 0 {
					t.Errorf("%s: no time for %q in %v: package paint names it otherwise", scheme, name, it.Programs)
				}
			}
			// CLIP's part is what the embed program takes beyond the cuts program: on tiny models a busy machine makes it nothing.
			if it.CLIP < 0 || it.Cuts <= 0 || it.Backward <= 0 {
				t.Errorf("%s: parts %+v", scheme, it)
			}
		}
	}
}

func TestPaintRefuses(t *testing.T) {
	good := Painting{Decoder: "vqgan-f16-16384", Encoder: "ViT-B/32", Size: 256, Cuts: 32, Scheme: "pooled", Iters: 1, Precision: "f32"}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Painting){
		"decoder":   func(p *Painting) { p.Decoder = "x" },
		"encoder":   func(p *Painting) { p.Encoder = "" },
		"size":      func(p *Painting) { p.Size = 255 },
		"cuts":      func(p *Painting) { p.Cuts = 0 },
		"iters":     func(p *Painting) { p.Iters = 0 },
		"precision": func(p *Painting) { p.Precision = "f8" },
		"scheme":    func(p *Painting) { p.Scheme = "x" },
	} {
		p := good
		change(&p)
		if p.Check() == nil {
			t.Errorf("a wrong %s was taken", name)
		}
		if _, err := Paint(t.Context(), options(), p, nil); err == nil {
			t.Errorf("a wrong %s was painted with", name)
		}
	}
}

func TestGANStepsAreSeen(t *testing.T) {
	for _, kind := range []string{train.WGANGP, train.BasicGAN} {
		var got []Step
		err := GAN(t.Context(), options(), Game{Kind: kind, Batch: 4, Iters: 2, Small: true}, func(s Step) error {
			got = append(got, s)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 {
			t.Fatalf("%s: %d steps, want 2", kind, len(got))
		}
		for i, s := range got {
			if s.Iter != i || s.Critic <= 0 || s.Generator <= 0 || math.Abs(s.Critic+s.Generator-s.Total) > 1e-9 {
				t.Errorf("%s: %+v", kind, s)
			}
		}
	}
	if err := GAN(t.Context(), options(), Game{Kind: train.WGANGP, Batch: 3, Iters: 1}, nil); err == nil {
		t.Error("three pictures on two threads were taken")
	}
}
