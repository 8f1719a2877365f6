package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
)

// morpher makes the frames of one morph.
type morpher struct {
	*Runner
	*table
	reel    *reel
	req     *Morph
	sink    event.Sink
	clip    spec.ModelRef // that looks on; without a name where nothing is painted
	chaser  *chaser       // of mode clip, once it is needed
	gan     *ganTable     // nil between pictures of a VQGAN
	fades   map[[2]int]*latent.Crossfade
	painted map[string]*image.NRGBA // by codes, within keep bytes
	keep    int
}

// keepPainted bounds the frames that are remembered between measuring and writing.
const keepPainted = 256 << 20

func (r *Runner) newMorpher(req *Morph, sink event.Sink) (*morpher, error) {
	m := &morpher{Runner: r, req: req, sink: sink, fades: map[[2]int]*latent.Crossfade{}, painted: map[string]*image.NRGBA{}, keep: keepPainted}
	var err error
	if req.ofGAN() {
		return m, m.layNoise()
	}
	if m.table, err = r.lay(req.Pictures, wanted{req.VQGAN, req.Width, req.Height, true, req.checkMemory}, sink); err != nil {
		return nil, err
	}
	if req.Mode == "clip" || slices.ContainsFunc(m.ends, func(e *end) bool { return e.words != "" }) {
		m.clip = spec.Default().CLIP[0]
		if req.CLIP != "" {
			m.clip = spec.ModelRef{Name: req.CLIP}
		}
		if _, m.clip, err = r.CLIP(m.clip); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// place is where a frame lies: on the way of an animation, or in a grid.
type place struct {
	latent.Frame
	U, V float64 // in a grid
}

// end returns the picture that is shown exactly at a place, or -1.
func (m *morpher) end(p place) int {
	if !m.req.grid() {
		return p.Key()
	}
	if (p.U == 0 || p.U == 1) && (p.V == 0 || p.V == 1) {
		return int(p.U) + 2*int(p.V)
	}
	return -1
}

// paint returns the frame of a place and its codes, nil for mixtures that have none. Ends are decoded from their own
// codes, as painting did.
func (m *morpher) paint(ctx context.Context, p place) (*image.NRGBA, []int32, error) {
	if m.gan != nil {
		return m.generate(ctx, p)
	}
	if k := m.end(p); k >= 0 {
		return m.decode(m.ends[k].codes)
	}
	if m.req.Mode == "tokens" {
		c, err := m.tokens(p)
		if err != nil {
			return nil, nil, err
		}
		return m.decode(vqgan.Codes{H: c.H, W: c.W, Idx: c.Index})
	}
	z := m.bounds().Clamp(m.mixed(p))
	if m.req.Soft {
		return m.remember(fmt.Sprint(p), nil, func() (pixel.Image, error) { return m.model.DecodeLatent(z.Data, z.H, z.W) })
	}
	codes, err := m.model.NearestCodes(z.Data, z.H, z.W)
	if err != nil {
		return nil, nil, err
	}
	return m.decode(codes)
}

// mixed is the latent of a place.
func (m *morpher) mixed(p place) latent.Grid {
	mix := latent.Lerp
	if m.req.Mode == "slerp" {
		mix = latent.Slerp
	}
	if m.req.grid() {
		return latent.Corners(m.grids[0], m.grids[1], m.grids[2], m.grids[3], p.U, p.V, mix)
	}
	return mix(m.grids[p.A], m.grids[p.B], p.T)
}

func (m *morpher) decode(c vqgan.Codes) (*image.NRGBA, []int32, error) {
	return m.remember(fmt.Sprint(c.Idx), c.Idx, func() (pixel.Image, error) { return m.model.Decode(c) })
}

func (m *morpher) remember(key string, codes []int32, paint func() (pixel.Image, error)) (*image.NRGBA, []int32, error) {
	if img, ok := m.painted[key]; ok {
		return img, codes, nil
	}
	p, err := paint()
	if err != nil {
		return nil, nil, err
	}
	img := p.ToImage()
	if size := len(img.Pix) + len(key); size <= m.keep {
		m.keep -= size
		m.painted[key] = img
	}
	return img, codes, nil
}

// tokens returns the codes of a place by exchanges. In a grid the upper and the lower edge are crossfades, and so is the
// column between them.
func (m *morpher) tokens(p place) (latent.Codes, error) {
	if !m.req.grid() {
		f, err := m.fade(p.A, p.B)
		if err != nil {
			return latent.Codes{}, err
		}
		return f.At(p.T), nil
	}
	top, err := m.fade(0, 1)
	if err != nil {
		return latent.Codes{}, err
	}
	bottom, err := m.fade(2, 3)
	if err != nil {
		return latent.Codes{}, err
	}
	column, err := latent.NewCrossfade(top.At(p.U), bottom.At(p.U), m.book, m.req.Seed)
	if err != nil {
		return latent.Codes{}, err
	}
	return column.At(p.V), nil
}

func (m *morpher) fade(a, b int) (*latent.Crossfade, error) {
	key := [2]int{a, b}
	if f, ok := m.fades[key]; ok {
		return f, nil
	}
	f, err := latent.NewCrossfade(m.ends[a].grid(), m.ends[b].grid(), m.book, m.req.Seed)
	m.fades[key] = f
	return f, err
}

// plan returns the places of all frames: those of an earlier sitting, or new ones, which are written down.
func (m *morpher) plan(ctx context.Context) ([]place, error) {
	if m.req.grid() {
		var out []place
		for y := range m.req.Rows {
			for x := range m.req.Columns {
				out = append(out, place{U: float64(x) / float64(m.req.Columns-1), V: float64(y) / float64(m.req.Rows-1)})
			}
		}
		return out, nil
	}
	path := filepath.Join(m.req.Dir, planFile)
	var frames []latent.Frame
	data, err := readCapped(path, 64<<20)
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &frames); err != nil {
			return nil, fmt.Errorf("read the plan of the morph: %w", err)
		}
	case errors.Is(err, fs.ErrNotExist):
		if frames, err = m.measure(ctx); err != nil {
			return nil, err
		}
		if data, err = json.Marshal(frames); err != nil {
			return nil, err
		}
		if err := writeFile(path, data); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("read the plan of the morph: %w", err)
	}
	out := make([]place, len(frames))
	for i, f := range frames {
		if f.A < 0 || f.B < 0 || f.A >= len(m.ends) || f.B >= len(m.ends) {
			return nil, fmt.Errorf("the plan of the morph names picture %d of %d", max(f.A, f.B), len(m.ends))
		}
		out[i] = place{Frame: f}
	}
	return out, nil
}

// measure places the frames: by time, or so that neighbours are equally far apart, for which every way is walked once.
func (m *morpher) measure(ctx context.Context) ([]latent.Frame, error) {
	tl, err := m.req.timeline()
	if err != nil {
		return nil, err
	}
	if m.req.UniformT || m.req.Mode == "clip" { // how far such frames move is known once they are painted
		return tl.Plan(nil)
	}
	pieces, err := tl.Pieces()
	if err != nil {
		return nil, err
	}
	m.sink.Emit(event.Event{Kind: event.Notice, Message: "measuring how far the pictures move, to spread the frames evenly (--uniform-t skips this)"})
	samples := max(8, m.req.Frames/len(pieces))
	looked := 0
	look := func() { // a curve takes a look for each of its samples and two for each step that it halves
		looked++
		m.sink.Emit(event.Event{Kind: event.Step, Step: looked, Steps: 3 * samples * len(pieces), Message: "measuring", Text: map[string]string{"unit": "step"}})
	}
	known := map[latent.Piece]latent.Curve{}
	var curves []latent.Curve
	for _, p := range pieces {
		back := latent.Piece{A: p.A, B: p.B, T0: p.T1, T1: p.T0}
		c, ok := known[back]
		if ok {
			c = c.Reversed()
		} else if c, err = m.curve(ctx, p, samples, look); err != nil {
			return nil, err
		}
		known[p] = c
		curves = append(curves, c)
	}
	return tl.Plan(curves)
}

func (m *morpher) curve(ctx context.Context, p latent.Piece, samples int, look func()) (latent.Curve, error) {
	return latent.Measure(p.T0, p.T1, samples, samples, func(t, u float64) (float64, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		a, _, err := m.paint(ctx, place{Frame: latent.Frame{A: p.A, B: p.B, T: t}})
		if err != nil {
			return 0, err
		}
		b, _, err := m.paint(ctx, place{Frame: latent.Frame{A: p.A, B: p.B, T: u}})
		if err != nil {
			return 0, err
		}
		look()
		return apart(a, b), nil
	})
}

// frame is paint with the codes in the picture, so that `vqgan decode` takes it.
func (m *morpher) frame(ctx context.Context, plan []place, i int) (image.Image, []pixel.Chunk, error) {
	var img *image.NRGBA
	var codes []int32
	var err error
	if m.req.Mode == "clip" && m.end(plan[i]) < 0 {
		img, codes, err = m.chase(ctx, plan, i)
	} else {
		img, codes, err = m.paint(ctx, plan[i])
	}
	if err != nil {
		return nil, nil, err
	}
	chunks, err := m.frameChunks(codes)
	return img, chunks, err
}

// distances measures all neighbours: along the animation, past its end if it loops, or in the rows and columns of a grid.
func (m *morpher) distances(plan []place) (MorphResult, error) {
	res := MorphResult{Frames: len(plan), Dir: m.req.Dir}
	sum, n := 0.0, 0
	note := func(a, b *image.NRGBA) {
		d := apart(a, b)
		sum, n, res.Max = sum+d, n+1, max(res.Max, d)
	}
	var first, last *image.NRGBA
	row := make([]*image.NRGBA, max(m.req.Columns, 1))
	for i, p := range plan {
		img, err := m.reel.read(i)
		if err != nil {
			return res, err
		}
		switch {
		case m.req.grid():
			x := i % m.req.Columns
			if x > 0 {
				note(last, img)
			}
			if row[x] != nil {
				note(row[x], img)
			}
			row[x] = img
		case i > 0 && p != plan[i-1]:
			note(last, img)
		case i == 0:
			first = img
		}
		last = img
	}
	if !m.req.grid() && m.req.Loop != latent.Once {
		note(last, first)
	}
	if n > 0 {
		res.Mean = sum / float64(n)
	}
	return res, nil
}

// write makes an output file: an animation, or a sheet.
func (m *morpher) write(ctx context.Context, out string, film pixel.Film) error {
	if !m.req.grid() {
		return m.reel.film(ctx, out, film)
	}
	var buf bytes.Buffer
	if err := m.sheet(&buf, film); err != nil {
		return err
	}
	return writeFile(out, buf.Bytes())
}

func (m *morpher) sheet(w io.Writer, film pixel.Film) error {
	frames, err := all(film)
	if err != nil {
		return err
	}
	cells := make([]pixel.Cell, len(frames))
	for i, f := range frames {
		cells[i].Picture = f
	}
	return pixel.EncodePNG(w, pixel.Sheet{Columns: m.req.Columns}.Draw(cells))
}
