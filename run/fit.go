package run

import (
	"context"
	"fmt"
	"math"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/spec"
)

// Room says what a machine has for a picture.
type Room struct {
	Free  int64        // bytes that the picture may take, with what the process has already
	InUse func() int64 // bytes that the process has now
}

// Forecast is what a painting will need, found out before it begins.
type Forecast struct {
	Chunk   int     // cuts to look at together
	Bytes   int64   // most memory of the process
	Seconds float64 // of all steps on this machine as it was when asked
	Fits    bool    // whether Bytes are there

	fixed float64 // part of Bytes that does not grow with the picture
}

// probeSides bounds the larger of the two squares that are painted to see how fast the machine is: a quarter of the picture's pixels, for
// caches make large maps slower than small ones, but no more than is soon done.
var probeSides = [2]int{128, 384}

// garbage is what waits for the collector, in bytes: a chunk's planes and the step's pictures once more, up to what the program
// lets lie around. Measured (tools/fit), as is the rest, which does not grow.
func garbage(p paint.Plan) int { return 16<<20 + min(256<<20, p.Planes+p.Picture) }

// Forecast predicts what a painting needs. Memory comes from the plans of the graphs, which are compiled for the picture's size but not
// run, and from what the process holds after painting small squares with the job's models and cuts; so does the time, which
// grows evenly with the pixels but for the decoder's attention. Of the given sizes of chunks it takes the first with which the picture fits, else the last.
func (r *Runner) Forecast(ctx context.Context, req Painting, room Room, chunks ...int) (Forecast, error) {
	req.Job.Canonicalise()
	if err := r.Check(&req.Job); err != nil {
		return Forecast{}, err
	}
	p, err := r.probe(ctx, req, room)
	if err != nil {
		return Forecast{}, fmt.Errorf("run: forecast: %w", err)
	}
	seconds, err := p.seconds(&req.Job)
	if err != nil {
		return Forecast{}, fmt.Errorf("run: forecast: %w", err)
	}
	var f Forecast
	for _, chunk := range chunks {
		plan, err := r.plan(ctx, req, req.Job.Width, req.Job.Height, chunk)
		if err != nil {
			return Forecast{}, fmt.Errorf("run: forecast: %w", err)
		}
		f = Forecast{Chunk: chunk, Bytes: int64(p.fixed) + int64(plan.Total()+garbage(plan)), Seconds: seconds, fixed: p.fixed}
		if f.Fits = f.Bytes <= room.Free; f.Fits {
			break
		}
	}
	return f, nil
}

// Nearest returns the largest size of the same shape, in whole pieces of the VQGAN, that fits with the chunk of a forecast; 0x0 if none
// does. The job's ladder is left out of account.
func (r *Runner) Nearest(ctx context.Context, req Painting, f Forecast, room Room) (width, height int, err error) {
	at, err := r.at(req.Job.Precision)
	if err != nil {
		return 0, 0, err
	}
	m, _, err := at.VQGAN(req.Job.VQGAN)
	if err != nil {
		return 0, 0, err
	}
	piece := m.Factor()
	grow, space := float64(f.Bytes)-f.fixed, float64(room.Free)-f.fixed
	if space <= 0 {
		return 0, 0, nil
	}
	share := math.Sqrt(min(1, space/grow))
	for ; share > 0; share -= 0.03 { // plans grow a little unevenly
		width, height = int(share*float64(req.Job.Width))/piece*piece, int(share*float64(req.Job.Height))/piece*piece
		if width == 0 || height == 0 {
			break
		}
		plan, err := r.plan(ctx, req, width, height, f.Chunk)
		if err != nil {
			return 0, 0, err
		}
		if float64(plan.Total()+garbage(plan)) <= space {
			return width, height, nil
		}
	}
	return 0, 0, nil
}

// plan compiles a painting of another size.
func (r *Runner) plan(ctx context.Context, req Painting, width, height, chunk int) (paint.Plan, error) {
	s, err := r.small(ctx, req, width, height)
	if err != nil {
		return paint.Plan{}, err
	}
	if err := s.steer(0); err != nil {
		return paint.Plan{}, err
	}
	return s.painter.Plan(chunk)
}

// small prepares a painting of the job at another size, without what speaks of places.
func (r *Runner) small(ctx context.Context, req Painting, width, height int) (*session, error) {
	j := req.Job
	j.Width, j.Height, j.Ladder, j.Filters = width, height, nil, nil
	if width != req.Job.Width || height != req.Job.Height {
		j.Mask, j.Losses.Prior, j.Losses.PCA, j.Prompts = nil, nil, nil, append([]spec.Prompt(nil), j.Prompts...)
		for i := range j.Prompts {
			j.Prompts[i].Region = nil
		}
	}
	req.Job = j
	return r.prepare(ctx, &req, 0, event.Discard)
}

// speed is what small paintings tell.
type speed struct {
	fixed  float64    // bytes that do not grow with the picture
	pixels [2]float64 // of the two sizes
	step   [2]float64 // seconds of a step at each, without attention
	piece  int        // pixels on a side of a code
	watch  *stopwatch
}

// probe paints two squares and measures them.
func (r *Runner) probe(ctx context.Context, req Painting, room Room) (speed, error) {
	var p speed
	at, err := r.at(req.Job.Precision)
	if err != nil {
		return p, err
	}
	m, _, err := at.VQGAN(req.Job.VQGAN)
	if err != nil {
		return p, err
	}
	p.piece, p.watch = m.Factor(), at.stopwatch(m)
	large := min(max(int(math.Sqrt(float64(req.Job.Width*req.Job.Height)))/2, probeSides[0]), probeSides[1])
	for i, side := range []int{large / 2, large} {
		side = max(p.piece, side/p.piece*p.piece)
		s, err := r.small(ctx, req, side, side)
		if err != nil {
			return p, err
		}
		if err := s.painter.Begin(paint.Start{Kind: paint.StartCodes}); err != nil {
			return p, err
		}
		if p.pixels[i], p.step[i], err = float64(side*side), 0, s.steer(0); err != nil {
			return p, err
		}
		for n := range 4 { // the first compiles, and packs may come with the second
			began := r.now()
			if _, err := s.painter.Advance(ctx); err != nil {
				return p, err
			}
			if t := r.now().Sub(began).Seconds(); n == 1 || n > 1 && t < p.step[i] {
				p.step[i] = t
			}
		}
		plan, err := s.painter.Plan(req.Chunk)
		if err != nil {
			return p, err
		}
		p.fixed = float64(max(0, room.InUse()-int64(plan.Total())))
	}
	for i := range p.step { // not before memory is measured
		side := int(math.Sqrt(p.pixels[i])) / p.piece
		attention, err := p.watch.attention(side, side)
		if err != nil {
			return p, err
		}
		p.step[i] = max(0, p.step[i]-attention)
	}
	return p, nil
}

// seconds is the time of all steps of a job.
func (p speed) seconds(j *spec.Job) (float64, error) {
	slope := max(0, (p.step[1]-p.step[0])/(p.pixels[1]-p.pixels[0]))
	sum := 0.
	for step := range j.Steps {
		w, h := j.SizeOf(step)
		attention, err := p.watch.attention(h/p.piece, w/p.piece)
		if err != nil {
			return 0, err
		}
		sum += max(p.step[0]/2, p.step[1]+slope*(float64(w*h)-p.pixels[1])) + attention
	}
	return sum, nil
}
