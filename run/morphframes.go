package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// morpher makes the frames of one morph.
type morpher struct {
	*Runner
	req     *Morph
	sink    event.Sink
	model   *vqgan.Model
	ref     spec.ModelRef
	w, h    int // pixels
	ends    []*end
	book    *latent.Book
	grids   []latent.Grid // of the ends
	fades   map[[2]int]*latent.Crossfade
	painted map[string]*image.NRGBA // by codes, within keep bytes
	keep    int
}

// keepPainted bounds the frames that are remembered between measuring and writing.
const keepPainted = 256 << 20

func (r *Runner) newMorpher(req *Morph, sink event.Sink) (*morpher, error) {
	m := &morpher{Runner: r, req: req, sink: sink, fades: map[[2]int]*latent.Crossfade{}, painted: map[string]*image.NRGBA{}, keep: keepPainted}
	for _, path := range req.Pictures {
		e, err := openEnd(path)
		if err != nil {
			return nil, err
		}
		m.ends = append(m.ends, e)
	}
	var err error
	if m.model, m.ref, err = r.chooseModel(req.VQGAN, m.ends); err != nil {
		return nil, err
	}
	if m.w, m.h, err = req.canvas(m.ends, m.ref, m.model.Factor()); err != nil {
		return nil, err
	}
	if m.w > pixel.MaxSide || m.h > pixel.MaxSide || m.w*m.h > pixel.MaxPixels {
		return nil, spec.Refusef("choose a smaller one with --size", "frames of %dx%d are too large", m.w, m.h)
	}
	if err := req.checkMemory(m.w, m.h); err != nil {
		return nil, err
	}
	table, err := m.model.Book()
	if err != nil {
		return nil, err
	}
	if m.book, err = latent.NewBook(table, m.model.Channels()); err != nil {
		return nil, err
	}
	for _, e := range m.ends {
		if err := e.settle(m.model, m.ref, m.w, m.h, sink); err != nil {
			return nil, err
		}
		g, err := m.book.Lookup(latent.Codes{H: e.codes.H, W: e.codes.W, Index: e.codes.Idx})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.path, err)
		}
		m.grids = append(m.grids, g)
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
func (m *morpher) paint(p place) (*image.NRGBA, []int32, error) {
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
	mix := latent.Lerp
	if m.req.Mode == "slerp" {
		mix = latent.Slerp
	}
	var z latent.Grid
	if m.req.grid() {
		z = latent.Corners(m.grids[0], m.grids[1], m.grids[2], m.grids[3], p.U, p.V, mix)
	} else {
		z = mix(m.grids[p.A], m.grids[p.B], p.T)
	}
	lo, hi := m.model.CodebookRange()
	z = latent.Range{Lo: lo, Hi: hi}.Clamp(z)
	if m.req.Soft {
		return m.remember(fmt.Sprint(p), nil, func() (pixel.Image, error) { return m.model.DecodeLatent(z.Data, z.H, z.W) })
	}
	codes, err := m.model.NearestCodes(z.Data, z.H, z.W)
	if err != nil {
		return nil, nil, err
	}
	return m.decode(codes)
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
	grid := func(i int) latent.Codes {
		c := m.ends[i].codes
		return latent.Codes{H: c.H, W: c.W, Index: c.Idx}
	}
	f, err := latent.NewCrossfade(grid(a), grid(b), m.book, m.req.Seed)
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
	if m.req.UniformT {
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
		a, _, err := m.paint(place{Frame: latent.Frame{A: p.A, B: p.B, T: t}})
		if err != nil {
			return 0, err
		}
		b, _, err := m.paint(place{Frame: latent.Frame{A: p.A, B: p.B, T: u}})
		if err != nil {
			return 0, err
		}
		look()
		return apart(a, b), nil
	})
}

func (m *morpher) framePath(i int) string {
	return filepath.Join(m.req.Dir, framesDir, fmt.Sprintf("%06d.png", i))
}

// writeFrames writes the frames that are not there yet and returns how many there are.
func (m *morpher) writeFrames(ctx context.Context, plan []place) (int, error) {
	for i, p := range plan {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		path := m.framePath(i)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			img, codes, err := m.paint(p)
			if err != nil {
				return i, fmt.Errorf("run: frame %d: %w", i, err)
			}
			if err := m.writeFrame(path, img, codes); err != nil {
				return i, err
			}
		}
		m.sink.Emit(event.Event{Kind: event.Step, Step: i + 1, Steps: len(plan), Text: map[string]string{"unit": "frame"}, Values: map[string]float64{"t": float64(p.A) + p.T*float64(p.B-p.A)}})
	}
	return len(plan), nil
}

// writeFrame writes a frame with its codes, so that `vqgan decode` takes it.
func (m *morpher) writeFrame(path string, img image.Image, codes []int32) error {
	var chunks []pixel.Chunk
	if codes != nil && m.book.K <= 1<<16 {
		c := pixel.Codes{Rows: m.h / m.model.Factor(), Cols: m.w / m.model.Factor(), Index: make([]uint16, len(codes))}
		for i, k := range codes {
			c.Index[i] = uint16(k)
		}
		chunk, err := pixel.EncodeCodes(c)
		if err != nil {
			return err
		}
		chunks = append(chunks, chunk)
	}
	return weights.SaveFile(path, func(w io.Writer) error { return pixel.EncodePNG(w, img, chunks...) })
}

// readFrame reads a frame back, so that files are made of the same pixels in whichever sitting they were painted.
func (m *morpher) readFrame(i int) (*image.NRGBA, error) {
	img, err := pixel.DecodeFile(m.framePath(i))
	if err != nil {
		return nil, err
	}
	if img.Bounds() != image.Rect(0, 0, m.w, m.h) {
		return nil, fmt.Errorf("frame %d is %v, not %dx%d", i, img.Bounds(), m.w, m.h)
	}
	if n, ok := img.(*image.NRGBA); ok {
		return n, nil
	}
	out := image.NewNRGBA(img.Bounds())
	draw.Draw(out, out.Rect, img, image.Point{}, draw.Src)
	return out, nil
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
		img, err := m.readFrame(i)
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

// assemble makes the output files of the frames.
func (m *morpher) assemble(ctx context.Context, frames int) error {
	film := pixel.Film{Frames: frames, Delay: m.req.Delay,
		Frame: func(i int) (image.Image, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return m.readFrame(i)
		}}
	for _, out := range m.req.Out {
		if err := m.write(ctx, out, film); err != nil {
			return fmt.Errorf("run: %s: %w", out, err)
		}
		m.sink.Emit(event.Event{Kind: event.Saved, Path: out})
	}
	return nil
}

func (m *morpher) write(ctx context.Context, out string, film pixel.Film) error {
	encode := func(w io.Writer) error { return pixel.EncodeAPNG(w, film) }
	switch strings.ToLower(filepath.Ext(out)) {
	case ".mp4":
		return pixel.WriteMP4(ctx, out, film)
	case ".webm":
		encode = func(w io.Writer) error { return pixel.EncodeWebM(w, film, m.req.Quality) }
	case ".gif":
		encode = func(w io.Writer) error { return m.gif(w, film) }
	case ".png":
		encode = func(w io.Writer) error { return m.sheet(w, film) }
	}
	var buf bytes.Buffer
	if err := encode(&buf); err != nil {
		return err
	}
	return writeFile(out, buf.Bytes())
}

func (m *morpher) gif(w io.Writer, film pixel.Film) error {
	frames, err := all(film)
	if err != nil {
		return err
	}
	return pixel.EncodeGIF(w, frames, film.Delay)
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

// all loads a film into memory; checkMemory bounds it.
func all(film pixel.Film) ([]image.Image, error) {
	var frames []image.Image
	for i := range film.Frames {
		f, err := film.Frame(i)
		if err != nil {
			return nil, err
		}
		frames = append(frames, f)
	}
	return frames, nil
}
