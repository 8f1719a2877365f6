package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/bench"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/train"
	"github.com/smalti/smalti/ui"
)

func (a *app) newBench() *cobra.Command {
	return group("bench", "Measure how fast this machine is, and how good pictures are", a.newBenchEngine(), a.newBenchPaint(), a.newBenchGAN(), a.newBenchQuality())
}

// benchOptions are common to the verbs of bench.
func (a *app) benchOptions() bench.Options {
	threads := a.threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return bench.Options{Threads: threads, Class: a.env("SMALTI_CPU"), Now: a.now}
}

// row writes one result as a JSON object of its own.
func (a *app) row(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s\n", line)
	return err
}

type benchEngineOptions struct {
	only  string
	runs  int
	small bool
}

func (a *app) newBenchEngine() *cobra.Command {
	var o benchEngineOptions
	cmd := &cobra.Command{
		Use: "engine", Short: "Measure kernels and single operations", Args: exactly(0),
		Example: `  smalti bench engine
  smalti bench engine --only "conv3x3 forward" --json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runBenchEngine(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.only, "only", "", "measure the cases whose names contain `NAME`")
	f.IntVar(&o.runs, "runs", 20, "runs of each case, of which the best counts")
	f.BoolVar(&o.small, "small", false, "shrink every shape: to see that it runs, not how fast")
	return cmd
}

func (a *app) runBenchEngine(ctx context.Context, o benchEngineOptions) error {
	if o.runs < 1 {
		return spec.Refusef("1 is the least", "--runs is %d", o.runs)
	}
	b := a.benchOptions()
	b.Only, b.Runs, b.Small = o.only, o.runs, o.small
	names, err := bench.Names(b)
	if err != nil {
		return spec.Refusef("SMALTI_CPU may be avx512bf16, avx512, avx2 or generic, up to what this machine has", "%v", err)
	}
	if !strings.Contains(strings.Join(names, "\n"), o.only) {
		return spec.Refusef("there are: "+strings.Join(distinct(names), ", "), "no case is named %q", o.only)
	}
	if !a.json {
		fmt.Fprintf(a.out, "%-26s %-22s %10s %10s %-8s %s\n", "case", "shape", "ms", "rate", "", "of the loop beside it")
	}
	return bench.Engine(ctx, b, func(l bench.Line) error {
		if a.json {
			return a.row(l)
		}
		share := "-"
		if l.Peak > 0 {
			share = fmt.Sprintf("%.1f %% of %.1f (%s)", l.Percent, l.Peak, l.Of)
		}
		_, err := fmt.Fprintf(a.out, "%-26s %-22s %10.3f %10.1f %-8s %s\n", l.Name, l.Shape, 1e3*l.Seconds, l.Rate, l.Unit, share)
		return err
	})
}

// distinct drops repetitions and keeps the order.
func distinct(names []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, n := range names {
		if !seen[n] {
			out = append(out, n)
		}
		seen[n] = true
	}
	return out
}

func (a *app) newBenchPaint() *cobra.Command {
	p := bench.Painting{}
	var arch string
	cmd := &cobra.Command{
		Use: "paint", Short: "Measure iterations of a painting with random weights of published models", Args: exactly(0),
		Long: `Measure iterations of a painting with random weights of published models; nothing is read from disk.

The first iterations compile the graphs and pack the weights; what counts is the best of the others. decode is the
decoder forward; cuts and clip are forward passes, measured alone after the painting; backward is the rest of what
looks at the cuts, and the gradients of pooling and decoder.`,
		Example: `  smalti bench paint --arch vqgan-f16-16384,ViT-B/32 --size 256 --cuts 32 --iters 6
  smalti bench paint --iters 6 --json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runBenchPaint(cmd.Context(), p, arch) },
	}
	f := cmd.Flags()
	f.StringVar(&arch, "arch", "vqgan-f16-16384,ViT-B/32", "architectures of decoder and image encoder, `A,B`")
	f.IntVar(&p.Size, "size", 256, "side of the picture in pixels")
	f.IntVar(&p.Cuts, "cuts", 32, "cuts of an iteration")
	f.IntVar(&p.Chunk, "chunk", 0, "cuts that are looked at together; 0 is what paint does")
	f.StringVar(&p.Scheme, "scheme", "pooled", "how cuts are made: pooled, updated, original, overview")
	f.IntVar(&p.Iters, "iters", 4, "iterations")
	f.StringVar(&p.Precision, "precision", spec.Precisions[0], "of products: "+strings.Join(spec.Precisions, " or "))
	return cmd
}

func (a *app) runBenchPaint(ctx context.Context, p bench.Painting, arch string) error {
	var ok bool
	if p.Decoder, p.Encoder, ok = strings.Cut(arch, ","); !ok {
		return spec.Refusef("--arch vqgan-f16-16384,ViT-B/32", "--arch %q does not name a decoder and an encoder", arch)
	}
	if err := p.Check(); err != nil {
		return spec.Refusef("run: smalti bench paint --help", "%v", err)
	}
	p.LowMemory, p.Bands = a.lowMemory, int(a.bands)
	progress := func(iter int, seconds float64) {
		if !a.quiet {
			fmt.Fprintf(a.err, "iteration %d: %.3f s\n", iter, seconds)
		}
	}
	its, err := bench.Paint(ctx, a.benchOptions(), p, progress)
	if errors.Is(err, engine.ErrPrecision) {
		return spec.Refusef("use --precision f32", "%v", err)
	}
	if err != nil {
		return err
	}
	t := ui.NewTable(">iter", ">total s", ">decode", ">cuts", ">clip", ">backward", ">compile", ">peak RSS MB", ">allocations", ">MB")
	for _, it := range its {
		if a.json {
			if err := a.row(it); err != nil {
				return err
			}
			continue
		}
		t.Row(strconv.Itoa(it.Iter), seconds(it.Total), seconds(it.Decode), seconds(it.Cuts), seconds(it.CLIP), seconds(it.Backward), seconds(it.Compile),
			strconv.Itoa(it.RSS), strconv.FormatUint(it.Allocs, 10), strconv.FormatFloat(it.AllocMB, 'f', 1, 64))
	}
	if a.json {
		return nil
	}
	return t.Write(a.out)
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

func (a *app) newBenchGAN() *cobra.Command {
	g := bench.Game{Kind: train.WGANGP}
	cmd := &cobra.Command{
		Use: "gan", Short: "Measure steps of a GAN's training at 64 x 64 pixels", Args: exactly(0),
		Example: `  smalti bench gan --batch 64 --iters 4
  smalti bench gan --game gan --json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runBenchGAN(cmd.Context(), g) },
	}
	f := cmd.Flags()
	f.StringVar(&g.Kind, "game", g.Kind, "wgan-gp or gan")
	f.IntVar(&g.Batch, "batch", 64, "pictures of a step, a multiple of the threads")
	f.IntVar(&g.Iters, "iters", 4, "steps")
	f.BoolVar(&g.Small, "small", false, "narrow networks: to see that it runs, not how fast")
	return cmd
}

func (a *app) runBenchGAN(ctx context.Context, g bench.Game) error {
	o := a.benchOptions()
	switch {
	case g.Kind != train.WGANGP && g.Kind != train.BasicGAN:
		return spec.Refusef("use one of: "+train.WGANGP+", "+train.BasicGAN, "--game %q is unknown", g.Kind)
	case g.Iters < 1:
		return spec.Refusef("1 is the least", "--iters is %d", g.Iters)
	case g.Batch < 1 || g.Batch%o.Threads != 0:
		return spec.Refusef("each thread takes an equal part of the batch", "--batch %d is not a multiple of %d threads", g.Batch, o.Threads)
	}
	if !a.json {
		fmt.Fprintf(a.out, "%4s %10s %10s %10s %12s\n", "iter", "total s", "critic", "generator", "peak RSS MB")
	}
	return bench.GAN(ctx, o, g, func(s bench.Step) error {
		if a.json {
			return a.row(s)
		}
		_, err := fmt.Fprintf(a.out, "%4d %10.3f %10.3f %10.3f %12d\n", s.Iter, s.Total, s.Critic, s.Generator, s.RSS)
		return err
	})
}
