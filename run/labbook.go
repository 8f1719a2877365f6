package run

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
)

// BookSheet asks for a sheet of codes of a codebook: the neighbours of one of them, or a map of many.
type BookSheet struct {
	VQGAN string
	Code  int // whose neighbours to show; negative for a map
	Most  int // codes on the sheet; a map of more takes every n-th
	Out   string
}

// tileCodes is the side of a code's tile, in codes: what it looks like among its like.
const tileCodes = 3

// BookSheet draws the sheet. Similar codes are near each other on a map; neighbours come in the order of their distance.
func (r *Runner) BookSheet(ctx context.Context, req BookSheet, sink event.Sink) error {
	if req.Most < 1 || req.Most > 1<<14 {
		return spec.Refusef(fmt.Sprintf("use 1 to %d", 1<<14), "%d codes are out of range", req.Most)
	}
	if err := checkExtensions([]string{req.Out}, []string{".png"}, "a sheet is a PNG"); err != nil {
		return err
	}
	if err := checkFolders([]string{req.Out}); err != nil {
		return err
	}
	ref := spec.Default().VQGAN
	if req.VQGAN != "" {
		ref = spec.ModelRef{Name: req.VQGAN}
	}
	m, ref, err := r.VQGAN(ref)
	if err != nil {
		return err
	}
	book, err := bookOf(m)
	if err != nil {
		return err
	}
	if req.Code >= book.K {
		return spec.Refusef(fmt.Sprintf("use 0 to %d", book.K-1), "%s has no code %d", ref.Name, req.Code)
	}
	began := r.now()
	codes, sheet := layout(book, req)
	sink.Emit(event.Event{Kind: event.Started, Steps: len(codes), Text: map[string]string{"vqgan": ref.Name}})
	cells := make([]pixel.Cell, len(codes))
	for i, k := range codes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if k >= 0 {
			img, err := tile(m, k)
			if err != nil {
				return err
			}
			cells[i].Picture = img.ToImage()
			if req.Code >= 0 {
				cells[i].Caption = fmt.Sprintf("%d  %.2f", k, book.Distance(int32(req.Code), k))
			}
		}
		sink.Emit(event.Event{Kind: event.Step, Step: i + 1, Steps: len(codes), Text: map[string]string{"unit": "code"}})
	}
	var buf bytes.Buffer
	if err := pixel.EncodePNG(&buf, sheet.Draw(cells)); err != nil {
		return err
	}
	if err := writeFile(req.Out, buf.Bytes()); err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: req.Out})
	sink.Emit(event.Event{Kind: event.Done, Path: req.Out, Seconds: r.now().Sub(began).Seconds()})
	return nil
}

// layout chooses the codes of the sheet and their places; -1 leaves one empty.
func layout(book *latent.Book, req BookSheet) ([]int32, pixel.Sheet) {
	if req.Code >= 0 {
		codes := append([]int32{int32(req.Code)}, book.Neighbours(int32(req.Code), req.Most-1)...)
		return codes, pixel.Sheet{CellSize: 72, Gap: 6}
	}
	n := min(req.Most, book.K)
	codes := make([]int32, n)
	for i := range codes {
		codes[i] = int32(i * book.K / n)
	}
	columns := int(math.Ceil(math.Sqrt(float64(n))))
	return book.Map(codes, columns), pixel.Sheet{Columns: columns, Gap: 1}
}

func tile(m *vqgan.Model, k int32) (pixel.Image, error) {
	c := vqgan.Codes{H: tileCodes, W: tileCodes, Idx: make([]int32, tileCodes*tileCodes)}
	for i := range c.Idx {
		c.Idx[i] = k
	}
	return m.Decode(c)
}
