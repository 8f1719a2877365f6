package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"math"
	"path/filepath"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
)

// end is a picture of a table.
type end struct {
	path  string
	words string // what a picture that is still to be painted shows; else empty
	sum   string // sha256 of the file
	img   image.Image
	by    spec.ModelRef // the model of the codes it carries
	own   *vqgan.Codes  // those codes; nil for a picture that smalti did not make
	codes vqgan.Codes   // of the table's model and size
}

// openEnd reads a picture, or that of a run folder.
func openEnd(path string) (*end, error) {
	file := path
	if isRun(path) {
		file = filepath.Join(path, outFile)
	} else if isDir(path) {
		return nil, spec.Refusef("name a picture, or a run folder such as apple.run", "%s is no run folder", path)
	}
	data, err := readCapped(file, maxInput)
	if errors.Is(err, fs.ErrNotExist) && file != path {
		return nil, spec.Refusef("smalti continue "+path+" writes it", "the run %s has no picture yet", path)
	}
	if err != nil {
		return nil, err
	}
	return endOf(path, data)
}

// endOf is the picture that a file holds.
func endOf(path string, data []byte) (e *end, err error) {
	sum := sha256.Sum256(data)
	e = &end{path: path, sum: hex.EncodeToString(sum[:])}
	if e.img, err = pixel.Decode(bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	e.readRecipe(data)
	return e, nil
}

// readRecipe looks for the recipe, of whatever kind, and the codes. Without both the picture is like any other.
func (e *end) readRecipe(data []byte) {
	chunks, err := pixel.ReadChunks(bytes.NewReader(data))
	if err != nil {
		return // no PNG
	}
	text, err := pixel.FindText(chunks, pixel.RecipeKey)
	if err != nil {
		return
	}
	head, err := spec.ReadHead([]byte(text))
	if err != nil {
		return
	}
	codes, err := pixel.DecodeCodes(chunks)
	if err != nil {
		return
	}
	e.by, e.own = head.VQGAN, &vqgan.Codes{H: codes.Rows, W: codes.Cols, Idx: make([]int32, len(codes.Index))}
	for i, k := range codes.Index {
		e.own.Idx[i] = int32(k)
	}
}

// chooseModel returns the model that was asked for, or that of the first picture made by smalti, or the default one.
func (r *Runner) chooseModel(name string, ends []*end) (*vqgan.Model, spec.ModelRef, error) {
	ref := spec.Default().VQGAN
	if name != "" {
		ref = spec.ModelRef{Name: name}
	} else {
		for _, e := range ends {
			if e.own != nil {
				ref = e.by
				break
			}
		}
	}
	return r.VQGAN(ref)
}

// exact reports whether the picture's own codes are of this model.
func (e *end) exact(ref spec.ModelRef) bool { return e.own != nil && e.by.SHA256 == ref.SHA256 }

// settle gives the picture its codes and says when they are not its own.
func (e *end) settle(m *vqgan.Model, ref spec.ModelRef, w, h int, sink event.Sink) error {
	f := m.Factor()
	if e.exact(ref) && e.own.W*f == w && e.own.H*f == h {
		e.codes = *e.own
		return e.compare(m, sink)
	}
	why := "was not made by smalti"
	switch {
	case e.own != nil && !e.exact(ref):
		why = fmt.Sprintf("was made with another model (%s)", e.by.Name)
	case e.own != nil:
		why = fmt.Sprintf("is %dx%d", e.own.W*f, e.own.H*f)
	}
	whole := cover(e.img, w, h)
	var err error
	if e.codes, err = m.EncodePixels(whole); err != nil {
		return fmt.Errorf("%s: %w", e.path, err)
	}
	back, err := m.Decode(e.codes)
	if err != nil {
		return fmt.Errorf("%s: %w", e.path, err)
	}
	d, err := pixel.Compare(whole.ToImage(), back.ToImage())
	if err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Notice, Values: map[string]float64{"psnr": d.PSNR},
		Message: fmt.Sprintf("%s %s: it is shown as its reconstruction at %dx%d (PSNR %.1f dB)", e.path, why, w, h, d.PSNR)})
	return nil
}

// compare says when a picture's pixels are not those of its codes: then the codes count.
func (e *end) compare(m *vqgan.Model, sink event.Sink) error {
	img, err := m.Decode(e.codes)
	if err != nil {
		return fmt.Errorf("%s: %w", e.path, err)
	}
	if d, err := pixel.Compare(e.img, img.ToImage()); err != nil || !d.Equal() {
		sink.Emit(event.Event{Kind: event.Warning,
			Message: e.path + " has other pixels than its codes stand for (edited, or painted by another version or CPU class): the codes are shown"})
	}
	return nil
}

// cover resamples a picture to w x h: scaled to cover them, the rest cropped at the sides.
func cover(img image.Image, w, h int) pixel.Image {
	b := img.Bounds()
	scale := math.Max(float64(w)/float64(b.Dx()), float64(h)/float64(b.Dy()))
	sw, sh := max(w, int(math.Round(float64(b.Dx())*scale))), max(h, int(math.Round(float64(b.Dy())*scale)))
	big := pixel.FromImage(pixel.Resize8(img, sw, sh, pixel.Lanczos))
	return big.Crop((sw-w)/2, (sh-h)/2, w, h)
}
