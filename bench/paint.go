package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/vqgan"
)

// Painting is a painting to measure.
type Painting struct {
	Decoder   string // a name of Decoders
	Encoder   string // a name of Encoders
	Size      int    // side of the picture in pixels
	Cuts      int
	Chunk     int    // cuts that are looked at together; 0 means the loop's default
	Scheme    string // of cuts
	Iters     int
	Precision string // engine.F32 or engine.Mixed
	LowMemory bool   // see engine.Options
	Bands     int    // see engine.Options
}

// Iteration is what one iteration took, in seconds. Total is measured around the whole step and Decode around its
// program. Cuts and CLIP are forward passes that the step makes together with their gradients, in one program: they are
// taken from programs that do the same forward passes alone, run after the painting, so that they disturb nothing.
// Backward is the rest of that program, with the gradients of pooling and decoder; with little memory the decoder's gradient
// repeats its forward pass. Cuts includes what the host does: drawing, folding planes, moving z.
type Iteration struct {
	Iter     int     `json:"iter"`
	Total    float64 `json:"total"`
	Decode   float64 `json:"decode"`
	Cuts     float64 `json:"cuts"`
	CLIP     float64 `json:"clip"`
	Backward float64 `json:"backward"`
	RSS      int     `json:"rss_mb"` // most so far

	Compile  float64            `json:"compile"`  // part of Total in which graphs were compiled
	Host     float64            `json:"host"`     // part of Total outside of all programs
	Programs map[string]float64 `json:"programs"` // runs of each program
	Allocs   uint64             `json:"allocs"`   // Go heap objects made
	AllocMB  float64            `json:"alloc_mb"` // and their size
}

// Decoders and Encoders are the architectures by name.
var (
	Decoders = map[string]vqgan.Config{
		"vqgan-f16-16384": vqgan.ImageNetF16(16384),
		"vqgan-f16-1024":  vqgan.ImageNetF16(1024),
		"builtin-v0":      vqgan.BuiltinV0(),
		"tiny":            {Ch: 8, ChMult: []int{1, 1}, NumResBlocks: 1, Groups: 4, ZChannels: 8, EmbedDim: 8, NEmbed: 16, Quantiser: vqgan.Nearest},
	}
	Encoders = map[string]clip.Config{
		"ViT-B/32": clip.ViTB32(),
		"RN50":     clip.RN50(),
		"tiny": {Vision: clip.Vision{Kind: clip.ViT, ImageSize: 16, PatchSize: 8, Width: 16, Layers: 1, Heads: 2}, EmbedDim: 8,
			Activation: clip.QuickGELU, Std: [3]float64{1, 1, 1}},
	}
)

// Check says what is wrong with a painting before any work.
func (p Painting) Check() error {
	d, ok := Decoders[p.Decoder]
	if !ok {
		return fmt.Errorf("unknown decoder %q (have %s)", p.Decoder, names(Decoders))
	}
	if _, ok := Encoders[p.Encoder]; !ok {
		return fmt.Errorf("unknown encoder %q (have %s)", p.Encoder, names(Encoders))
	}
	if f := d.Factor(); p.Size < f || p.Size%f != 0 || p.Size > 4096 {
		return fmt.Errorf("a size of %d, want a multiple of %d up to 4096", p.Size, f)
	}
	if p.Cuts < 1 || p.Cuts > 4096 || p.Iters < 1 || p.Chunk < 0 {
		return fmt.Errorf("%d cuts in chunks of %d, %d iterations", p.Cuts, p.Chunk, p.Iters)
	}
	if p.Precision != engine.F32 && p.Precision != engine.Mixed {
		return fmt.Errorf("unknown precision %q (have %s, %s)", p.Precision, engine.F32, engine.Mixed)
	}
	_, err := paint.SchemeByName(p.Scheme)
	return err
}

func names[V any](m map[string]V) string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// Paint paints with random weights and returns what each iteration took; progress is told of each at once, when only
// Total is known. The first iterations compile and pack.
func Paint(ctx context.Context, o Options, p Painting, progress func(iter int, seconds float64)) ([]Iteration, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	e, err := engine.New(engine.Options{Threads: o.Threads, Class: o.Class, Precision: p.Precision, LowMemory: p.LowMemory, Bands: p.Bands})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	painter, err := newPainter(e, p)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	r := engine.Record(engine.RecordOptions{Now: o.Now})
	defer r.Stop()
	var out []Iteration
	var chunks []int // of each iteration
	var before, after runtime.MemStats
	for i := range p.Iters {
		runtime.ReadMemStats(&before)
		r.Take()
		start := o.Now()
		if _, err := painter.Advance(ctx); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		total := o.Now().Sub(start)
		runtime.ReadMemStats(&after)
		it, n := iteration(i, total, r.Take())
		it.RSS, it.Allocs, it.AllocMB = PeakRSS(), after.Mallocs-before.Mallocs, float64(after.TotalAlloc-before.TotalAlloc)/(1<<20)
		out, chunks = append(out, it), append(chunks, n)
		if progress != nil {
			progress(i, it.Total)
		}
	}
	if err := apart(ctx, r, painter, p.Cuts, out, chunks); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return out, nil
}

// Names of programs that package paint runs with one encoder.
const (
	progDecode  = "paint: decode"
	progDecoder = "paint: decoder gradient"
	progView    = "paint: encoder 0: view"
	progBack    = "paint: encoder 0: view gradient"
	progLoss    = "paint: encoder 0: loss"
	progCuts    = "paint: encoder 0: cuts"
	progEmbed   = "paint: encoder 0: embed"
)

// iteration sums up the spans of a step; n is the number of its chunks.
func iteration(i int, total time.Duration, spans []engine.Span) (it Iteration, n int) {
	it = Iteration{Iter: i, Total: total.Seconds(), Programs: map[string]float64{}}
	it.Host = it.Total
	for _, s := range spans {
		d := s.Time.Seconds()
		it.Host -= d
		if s.Compile {
			it.Compile += d
			continue
		}
		it.Programs[s.Program] += d
		if s.Program == progLoss {
			n++
		}
	}
	it.Decode = it.Programs[progDecode]
	return it, n
}

// apart measures the forward passes of cuts and encoder alone and divides the iterations' programs by them.
func apart(ctx context.Context, r *engine.Recorder, painter *paint.Painter, cuts int, its []Iteration, chunks []int) error {
	pic, err := painter.Picture(paint.Now)
	if err != nil {
		return err
	}
	best := map[string]float64{}
	for range 4 { // the first compile and pack
		r.Take()
		if _, err := painter.Cuts(ctx, 0); err != nil {
			return err
		}
		if _, err := painter.EmbedPicture(ctx, 0, pic.Pix, cuts); err != nil {
			return err
		}
		for _, s := range r.Take() {
			d := s.Time.Seconds()
			if old, ok := best[s.Program]; !s.Compile && (!ok || d < old) {
				best[s.Program] = d
			}
		}
	}
	for i := range its {
		it, n := &its[i], float64(chunks[i])
		augment := n * best[progCuts]
		it.CLIP = max(0, n*best[progEmbed]-augment)
		it.Backward = max(0, it.Programs[progLoss]-augment-it.CLIP) + it.Programs[progBack] + it.Programs[progDecoder]
		it.Cuts = augment + it.Programs[progView] + it.Host
	}
	return nil
}
