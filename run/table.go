package run

import (
	"fmt"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
)

// table is where pictures lie side by side as latents of one model and one size.
type table struct {
	model *vqgan.Model
	ref   spec.ModelRef
	w, h  int // pixels
	ends  []*end
	book  *latent.Book
	grids []latent.Grid // of the ends
}

// wanted is what the user asked of a table; empty and 0 leave the choice to the pictures.
type wanted struct {
	vqgan string
	w, h  int
	words bool                 // prompt:WORDS are pictures that the caller paints later
	fits  func(w, h int) error // refuses a size before any picture is encoded at it; nil takes all
}

// lay reads pictures and puts them on a table. Those that do not lie there exactly as they are are named in notices.
func (r *Runner) lay(paths []string, want wanted, sink event.Sink) (*table, error) {
	t := &table{}
	for _, path := range paths {
		words, ok, err := "", false, error(nil)
		if want.words {
			words, ok, err = promptWords(path)
		}
		e := &end{path: path, words: words}
		if !ok && err == nil {
			e, err = openEnd(path)
		}
		if err != nil {
			return nil, err
		}
		t.ends = append(t.ends, e)
	}
	return t, t.set(r, want, sink)
}

// set chooses model and size for the pictures of the table and gives them their codes.
func (t *table) set(r *Runner, want wanted, sink event.Sink) (err error) {
	if t.model, t.ref, err = r.chooseModel(want.vqgan, t.ends); err != nil {
		return err
	}
	if t.w, t.h, err = want.canvas(t.ends, t.ref, t.model.Factor()); err != nil {
		return err
	}
	if t.w > pixel.MaxSide || t.h > pixel.MaxSide || t.w*t.h > pixel.MaxPixels {
		return spec.Refusef("choose a smaller one with --size", "pictures of %dx%d are too large", t.w, t.h)
	}
	if want.fits != nil {
		if err := want.fits(t.w, t.h); err != nil {
			return err
		}
	}
	if t.book, err = bookOf(t.model); err != nil {
		return err
	}
	t.grids = make([]latent.Grid, len(t.ends))
	for i, e := range t.ends {
		if e.words != "" {
			continue // not painted yet
		}
		if err := e.settle(t.model, t.ref, t.w, t.h, sink); err != nil {
			return err
		}
		if t.grids[i], err = t.book.Lookup(e.grid()); err != nil {
			return fmt.Errorf("%s: %w", e.path, err)
		}
	}
	return nil
}

func bookOf(m *vqgan.Model) (*latent.Book, error) {
	table, err := m.Book()
	if err != nil {
		return nil, err
	}
	return latent.NewBook(table, m.Channels())
}

// bounds is what the codes of the model reach, channel by channel.
func (t *table) bounds() latent.Range {
	lo, hi := t.model.CodebookRange()
	return latent.Range{Lo: lo, Hi: hi}
}

// canvas is the size of the pictures on the table.
func (q wanted) canvas(ends []*end, ref spec.ModelRef, factor int) (w, h int, err error) {
	if q.w > 0 {
		if q.w%factor != 0 || q.h%factor != 0 {
			return 0, 0, spec.Refusef(fmt.Sprintf("the nearest size is %dx%d", nearest(q.w, factor), nearest(q.h, factor)),
				"--size %dx%d is not a multiple of %d, the size of a piece of %s", q.w, q.h, factor, ref.Name)
		}
		return q.w, q.h, nil
	}
	for _, e := range ends {
		if e.exact(ref) {
			return e.own.W * factor, e.own.H * factor, nil
		}
	}
	for _, e := range ends {
		if e.img != nil {
			b := e.img.Bounds()
			return nearest(b.Dx(), factor), nearest(b.Dy(), factor), nil
		}
	}
	d := spec.Default()
	return nearest(d.Width, factor), nearest(d.Height, factor), nil
}

// grid is the picture's codes in package latent's terms.
func (e *end) grid() latent.Codes {
	return latent.Codes{H: e.codes.H, W: e.codes.W, Index: e.codes.Idx}
}

// codesChunk carries codes of the table's size inside a picture; nil codes, and codes of a codebook too large for the
// chunk, go without.
func (t *table) codesChunk(codes []int32) ([]pixel.Chunk, error) {
	if codes == nil || t.book.K > 1<<16 {
		return nil, nil
	}
	c := pixel.Codes{Rows: t.h / t.model.Factor(), Cols: t.w / t.model.Factor(), Index: make([]uint16, len(codes))}
	for i, k := range codes {
		c.Index[i] = uint16(k)
	}
	chunk, err := pixel.EncodeCodes(c)
	if err != nil {
		return nil, err
	}
	return []pixel.Chunk{chunk}, nil
}

// frameChunks is codesChunk with the head of a recipe that says whose codes they are, so that a frame may be the picture
// that other work begins with.
func (t *table) frameChunks(codes []int32) ([]pixel.Chunk, error) {
	chunks, err := t.codesChunk(codes)
	if err != nil || chunks == nil {
		return nil, err
	}
	head, err := spec.Canonical(spec.Head{Kind: spec.KindFrame, Schema: spec.Schema, VQGAN: t.ref})
	if err != nil {
		return nil, err
	}
	text, err := pixel.ITXtChunk(pixel.RecipeKey, string(head))
	return append([]pixel.Chunk{text}, chunks...), err
}
