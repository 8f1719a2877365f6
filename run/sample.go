package run

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/spec"
)

// Sampling asks for pictures drawn from a prior.
type Sampling struct {
	Sample spec.Sample // of the first picture: those after it have the numbers after it
	Outs   []string    // PNG files, one a picture
	BestOf int         // pictures drawn for each one kept, which CLIP likes best; 0 or 1 keeps what is drawn
	CLIP   spec.ModelRef
	Share  float64 // of the height that is kept of the picture to complete, where Sample.Keep does not say
	Batch  int     // pictures drawn at once; 0 means 16. It changes no picture
	Inputs Inputs
	near   string // folder in which the picture to complete is looked for
}

// Drawn is a picture of a Sampling.
type Drawn struct {
	Number int
	Score  float64 // cosine with the prompt, if there was a choice
	Out    string
}

// maxCandidates bounds what one call draws.
const maxCandidates = 4096

// Sample draws pictures. The same number of the same sample is the same file, whatever is drawn beside it.
func (r *Runner) Sample(ctx context.Context, req Sampling, sink event.Sink) ([]Drawn, error) {
	began := r.now()
	req.BestOf = max(1, req.BestOf)
	if err := req.check(); err != nil {
		return nil, err
	}
	b := &drawing{Runner: r, req: &req, s: &req.Sample, sink: sink}
	if err := b.prepare(); err != nil {
		return nil, err
	}
	sink.Emit(event.Event{Kind: event.Started, Text: b.settings(), Path: req.Outs[0]})
	codes, err := b.draw(ctx)
	if err != nil {
		return nil, err
	}
	out, err := b.keep(ctx, codes)
	if err != nil {
		return nil, err
	}
	done := event.Event{Kind: event.Done, Path: req.Outs[0], Seconds: r.now().Sub(began).Seconds()}
	if len(out) > 1 {
		done.Message = fmt.Sprintf("%d pictures", len(out))
	}
	if req.BestOf > 1 {
		done.Scores = map[string]float64{"clip": out[0].Score}
	}
	sink.Emit(done)
	return out, nil
}

func (q *Sampling) check() error {
	s := &q.Sample
	if err := s.Validate(); err != nil {
		return err
	}
	n := len(q.Outs)
	switch {
	case n < 1 || q.BestOf < 0 || n*max(1, q.BestOf) > maxCandidates:
		return spec.Refusef(fmt.Sprintf("draw %d or fewer", maxCandidates), "%d pictures with --best-of %d are out of range", n, q.BestOf)
	case q.BestOf > 1 && s.Prompt == "":
		return spec.Refuse("CLIP cannot choose without words", "give a prompt, or leave out --best-of")
	case !(q.Share >= 0 && q.Share < 1):
		return spec.Refusef("use a share of the height below 1", "--keep is %g", q.Share)
	}
	if err := checkExtensions(q.Outs, []string{".png"}, "the recipe travels inside a PNG"); err != nil {
		return err
	}
	return checkFolders(q.Outs)
}

// drawing is a Sampling at work.
type drawing struct {
	*Runner
	from  *Drawer
	req   *Sampling
	s     *spec.Sample
	sink  event.Sink
	in    prior.Input
	h, w  int // of the grid
	judge *eye
}

// prepare finds the models and refuses what they cannot do.
func (b *drawing) prepare() (err error) {
	if b.from, err = b.Drawer(b.s.Prior, b.s.VQGAN); err != nil {
		return err
	}
	b.s.Prior, b.s.VQGAN, b.s.Build = b.from.Ref, b.from.VQGANRef, b.Build()
	cfg := b.from.Prior.Config()
	if cfg.Condition != prior.Text || b.s.Prompt == "" {
		b.s.Guidance = 1 // there is nothing to exaggerate
	}
	var cut bool
	if b.in, cut, err = b.from.input(b.s.Prompt, b.s.Class); err != nil {
		return err
	}
	if cut {
		b.sink.Emit(event.Event{Kind: event.Notice, Message: fmt.Sprintf("the prompt is longer than %d tokens: %s reads its beginning only", cfg.Text.Length, b.from.Ref.Name)})
	}
	if err := b.canvas(); err != nil {
		return err
	}
	if b.s.Complete != "" {
		if err := b.complete(); err != nil {
			return err
		}
	}
	if b.req.BestOf > 1 {
		m, ref, err := b.guide(b.req.CLIP)
		if err != nil {
			return err
		}
		b.judge = &eye{name: ref.Name, model: m, weight: 1}
	}
	return nil
}

// canvas settles the grid.
func (b *drawing) canvas() error {
	f := b.from.VQGAN.Factor()
	gh, gw := b.from.Prior.Grid()
	if b.s.Width == 0 {
		b.s.Width, b.s.Height = gw*f, gh*f
	}
	if b.s.Width%f != 0 || b.s.Height%f != 0 {
		return spec.Refusef(fmt.Sprintf("the nearest size is %dx%d", nearest(b.s.Width, f), nearest(b.s.Height, f)),
			"--size %dx%d is not a multiple of %d, the size of a piece of %s", b.s.Width, b.s.Height, f, b.from.VQGANRef.Name)
	}
	if b.h, b.w = b.s.Height/f, b.s.Width/f; b.w < gw {
		return spec.Refusef(fmt.Sprintf("use a width of %d or more", gw*f), "--size %dx%d is narrower than the pictures of %s", b.s.Width, b.s.Height, b.from.Ref.Name)
	}
	return nil
}

// complete keeps the upper rows of a picture's codes.
func (b *drawing) complete() error {
	in := &b.req.Inputs
	if _, ok := in.Paths[b.s.Complete]; !ok && b.req.near != "" {
		if path := lookBeside(b.req.near, b.s.Complete); path != "" {
			if _, err := in.AddInput(path); err != nil {
				return err
			}
		}
	}
	data, err := in.read(b.s.Complete)
	if err != nil {
		return err
	}
	img, err := pixel.Decode(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("run: read the picture to complete: %w", err)
	}
	codes, err := b.from.VQGAN.EncodePixels(cover(img, b.s.Width, b.s.Height))
	if err != nil {
		return fmt.Errorf("run: the picture to complete: %w", err)
	}
	if b.s.Keep == 0 {
		b.s.Keep = int(b.req.Share*float64(b.h) + 0.5)
	}
	if b.s.Keep < 1 || b.s.Keep >= b.h {
		return spec.Refusef(fmt.Sprintf("a code is %d pixels high", b.from.VQGAN.Factor()), "%d of %d rows of codes are kept: that leaves nothing to do", b.s.Keep, b.h)
	}
	b.in.Given = codes.Idx
	for i := b.s.Keep * b.w; i < len(codes.Idx); i++ {
		b.in.Given[i] = prior.Unknown
	}
	return nil
}

// draw draws every candidate.
func (b *drawing) draw(ctx context.Context) ([]prior.Codes, error) {
	total := len(b.req.Outs) * b.req.BestOf
	batch := b.req.Batch
	if batch < 1 {
		batch = 16
	}
	o := prior.Options{Choice: prior.Choice{Temperature: b.s.Temperature, TopK: b.s.TopK, TopP: b.s.TopP}, Seed: b.s.Seed,
		Guidance: b.s.Guidance, H: b.h, W: b.w, Batch: 2 * batch}
	var out []prior.Codes
	for len(out) < total {
		n := min(batch, total-len(out))
		in := make([]prior.Input, n)
		for i := range in {
			in[i] = b.in
		}
		o.First = b.s.Number + len(out)
		o.Progress = func(done, codes int) {
			b.sink.Emit(event.Event{Kind: event.Step, Step: len(out)*codes + n*done, Steps: total * codes, Message: "drawing"})
		}
		some, err := b.from.Prior.Sample(ctx, in, o)
		if err != nil {
			return nil, fmt.Errorf("run: draw: %w", err)
		}
		out = append(out, some...)
	}
	return out, nil
}

// keep decodes the candidates and writes the best of each picture's.
func (b *drawing) keep(ctx context.Context, codes []prior.Codes) ([]Drawn, error) {
	var words []float32
	if b.judge != nil {
		rows, err := b.judge.model.EncodeText(ctx, b.s.Prompt)
		if err != nil {
			return nil, err
		}
		words = rows[0]
	}
	var out []Drawn
	for i, path := range b.req.Outs {
		best := Drawn{Score: -2, Out: path}
		var img pixel.Image
		var kept prior.Codes
		for k := range b.req.BestOf {
			at := i*b.req.BestOf + k
			pic, score, err := b.judged(ctx, codes[at], words)
			if err != nil {
				return nil, err
			}
			if score > best.Score {
				best.Number, best.Score, img, kept = b.s.Number+at, score, pic, codes[at]
			}
		}
		if err := b.write(best, img, kept); err != nil {
			return nil, err
		}
		out = append(out, best)
	}
	return out, nil
}

// judged decodes a candidate and scores it.
func (b *drawing) judged(ctx context.Context, c prior.Codes, words []float32) (pixel.Image, float64, error) {
	if err := ctx.Err(); err != nil {
		return pixel.Image{}, 0, err
	}
	img, err := b.from.picture(c)
	if err != nil || words == nil {
		return img, 0, err
	}
	seen, err := b.judge.model.EncodeImage(ctx, img.ToImage())
	if err != nil {
		return img, 0, err
	}
	return img, cosine(seen[0], words), nil
}

// write writes a picture with its recipe and its codes.
func (b *drawing) write(d Drawn, img pixel.Image, codes prior.Codes) error {
	s := *b.s
	s.Number = d.Number
	recipe, err := s.Encode()
	if err != nil {
		return err
	}
	chunks := make([]pixel.Chunk, 2)
	if chunks[0], err = pixel.ITXtChunk(pixel.RecipeKey, string(recipe)); err != nil {
		return fmt.Errorf("run: write the recipe: %w", err)
	}
	if chunks[1], err = pixel.ITXtChunk(pixel.ParametersKey, sampleParameters(&s)); err != nil {
		return fmt.Errorf("run: write the recipe: %w", err)
	}
	if chunk, ok, err := codesChunk(codes.Idx, codes.H); err != nil {
		return err
	} else if ok {
		chunks = append(chunks, chunk)
	}
	var buf bytes.Buffer
	if err := pixel.EncodePNG(&buf, img.ToImage(), chunks...); err != nil {
		return fmt.Errorf("run: encode the picture: %w", err)
	}
	if err := writeFile(d.Out, buf.Bytes()); err != nil {
		return fmt.Errorf("run: write the picture: %w", err)
	}
	saved := event.Event{Kind: event.Saved, Path: d.Out, Values: map[string]float64{"number": float64(d.Number)}}
	if b.judge != nil {
		saved.Scores = map[string]float64{"clip": d.Score}
	}
	b.sink.Emit(saved)
	b.sink.Emit(event.Event{Kind: event.Preview, Picture: img.ToImage()})
	return nil
}

// sampleParameters is the form that viewers of other programs' pictures understand.
func sampleParameters(s *spec.Sample) string {
	return fmt.Sprintf("%s\nSampler: prior, Temperature: %g, Top k: %d, CFG scale: %g, Seed: %d, Size: %dx%d, Model: %s, Version: smalti %s",
		s.Prompt, s.Temperature, s.TopK, s.Guidance, s.Seed, s.Width, s.Height, s.Prior.Name, s.Build.Smalti)
}

func (b *drawing) settings() map[string]string {
	t := map[string]string{"prior": b.from.Ref.Name, "vqgan": b.from.VQGANRef.Name, "size": fmt.Sprintf("%dx%d", b.s.Width, b.s.Height), "seed": fmt.Sprint(b.s.Seed)}
	if b.s.Prompt != "" {
		t["prompt"] = b.s.Prompt
	}
	return t
}

// NumberedOuts names n files after one: apple.png, or apple-1.png, apple-2.png ...
func NumberedOuts(out string, n int) []string {
	if n == 1 {
		return []string{out}
	}
	base, ext := strings.TrimSuffix(out, filepath.Ext(out)), filepath.Ext(out)
	outs := make([]string, n)
	for i := range outs {
		outs[i] = fmt.Sprintf("%s-%d%s", base, i+1, ext)
	}
	return outs
}
