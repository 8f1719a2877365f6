package train

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/recall"
	"github.com/smalti/smalti/weights"
)

// IndexConfig says what an index of training pictures is made of.
type IndexConfig struct {
	Data        string   // folder of a data pack or of own pictures, or ShapesData
	VQGAN, CLIP ModelPin // whose codes and embeddings are kept
	Size        int      // side of the pictures in pixels, a multiple of f; 0 takes the VQGAN's
	Threads     int      // 0 means one for each processor
}

// DefaultIndex is that of the built-in index.
func DefaultIndex() IndexConfig {
	return IndexConfig{VQGAN: ModelPin{Name: "builtin/vqgan"}, CLIP: ModelPin{Name: BuiltinClip}}
}

// portrait is a picture for an index.
type portrait struct {
	entry   recall.Entry
	pix     []float32 // [size,size,3] on white
	covered []bool    // [size,size]
}

// RunIndex makes an index of the pictures that training sees, held-out ones are not among them, and writes it to a file.
// Events count pictures.
func RunIndex(ctx context.Context, c IndexConfig, path string, sink event.Sink, o Options) (*recall.Index, error) {
	sink = event.Or(sink)
	coder, err := openCoder(&c.VQGAN, o, c.Threads)
	if err != nil {
		return nil, err
	}
	defer coder.close()
	f := coder.model.Factor()
	if c.Size == 0 {
		c.Size = trainedSize(coder.model)
	}
	if c.Size < f || c.Size > 1024 || c.Size%f != 0 {
		return nil, fmt.Errorf("train: size is out of range: %d is not a multiple of %d, the side of a code of %s", c.Size, f, c.VQGAN.Name)
	}
	eye, err := coder.openEye(&c.CLIP, o)
	if err != nil {
		return nil, err
	}
	data, err := openScenes(c.Data, c.Size)
	if err != nil {
		return nil, err
	}
	data.tell(sink)
	x := recall.New(recall.Config{GridH: c.Size / f, GridW: c.Size / f, Factor: f, Codes: coder.model.NumCodes(), Width: eye.EmbedDim(),
		VQGAN: modelOf(c.VQGAN), CLIP: modelOf(c.CLIP)})
	next, n := data.portraits(c.Size)
	for done := 0; done < n; {
		batch := make([]portrait, min(pcaBatch, n-done))
		for i := range batch {
			batch[i] = next(done + i)
		}
		if err := remember(ctx, x, coder, eye, batch, c.Size); err != nil {
			return nil, err
		}
		done += len(batch)
		sink.Emit(event.Event{Kind: event.Step, Step: done, Steps: n, Message: "looking at pictures", Text: map[string]string{"unit": "picture"}})
	}
	if err := weights.SaveFile(path, func(w io.Writer) error { return x.Save(w) }); err != nil {
		return nil, err
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: path})
	return x, nil
}

// modelOf names a model in an index; a file's folder is nobody else's business.
func modelOf(p ModelPin) recall.Model {
	if filepath.IsAbs(p.Name) {
		return recall.Model{Name: filepath.Base(p.Name), SHA256: p.SHA256}
	}
	return recall.Model{Name: p.Name, SHA256: p.SHA256}
}

// openEye opens a CLIP on the coder's engine and pins it.
func (c *coder) openEye(pin *ModelPin, o Options) (*clip.Model, error) {
	f, sum, err := o.Lend("clip", pin.Name)
	if err != nil {
		return nil, fmt.Errorf("train: clip: %w", err)
	}
	defer f.Close()
	pin.SHA256 = sum
	m, err := clip.Open(c.engine, f, nil)
	if err != nil {
		return nil, fmt.Errorf("train: clip %s: %w", pin.Name, err)
	}
	if m.Config().Role == clip.Judge {
		return nil, fmt.Errorf("train: clip %s is a judge, which must have no part in painting", pin.Name)
	}
	return m, nil
}

// remember encodes pictures and adds them.
func remember(ctx context.Context, x *recall.Index, coder *coder, eye *clip.Model, batch []portrait, size int) error {
	var pix []float32
	var pictures []image.Image
	for _, p := range batch {
		pix = append(pix, p.pix...)
		pictures = append(pictures, pixel.Image{W: size, H: size, Pix: p.pix}.ToImage())
	}
	codes, err := coder.encode(pix, len(batch), size)
	if err != nil {
		return err
	}
	seen, err := eye.EncodeImage(ctx, pictures...)
	if err != nil {
		return fmt.Errorf("train: look at pictures: %w", err)
	}
	per := len(codes) / len(batch)
	for i, p := range batch {
		if err := x.Add(p.entry, codes[i*per:(i+1)*per], p.covered, seen[i]); err != nil {
			return err
		}
	}
	return nil
}

// portraits are the things that training sees, one to a picture: of a pack its training sprites, in the order of their names, then
// the shapes; of own pictures each as it is.
func (s *scenes) portraits(size int) (next func(i int) portrait, n int) {
	if s.own != nil {
		return func(i int) portrait {
			pix, caption := s.own.Plain(i, size)
			return portrait{recall.Entry{Label: strings.ToLower(caption), Style: "own"}, pix, slices.Repeat([]bool{true}, size*size)}
		}, len(s.own.Pictures)
	}
	sprites := slices.Clone(s.sprites)
	slices.SortStableFunc(sprites, func(a, b *dataset.Sprite) int { // like things together: the file is smaller
		return cmp.Or(cmp.Compare(a.Concept, b.Concept), cmp.Compare(a.Style, b.Style))
	})
	sprites = append(sprites, dataset.ShapeSprites()...)
	return func(i int) portrait {
		p := sprites[i]
		pix, covered := dataset.Portrait(p, size)
		e := recall.Entry{Label: p.Label, Style: p.Style, Group: p.Group, Tags: p.Tags}
		return portrait{e, pix, covered}
	}, len(sprites)
}
