package run

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"strings"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/recall"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// memory is an index of training pictures with the models that it was made with.
type memory struct {
	index  *recall.Index
	ref    spec.ModelRef
	vqgan  *vqgan.Model
	eye    *clip.Model
	eyeRef spec.ModelRef
}

// Index returns the index of a reference, loaded. A build without the built-in one says how to get one.
func (r *Runner) Index(ref spec.ModelRef) (*recall.Index, spec.ModelRef, error) {
	x, pinned, err := load(r, r.indices, ref, store.KindIndex, func(f *weights.File, _ json.RawMessage) (*recall.Index, error) { return recall.Read(f) })
	if spec.IsRefusal(err) && r.lacks(ref.Name, spec.DefaultMemory().Index.Name) {
		return nil, ref, spec.Refuse("this build has no built-in index of pictures",
			"make one, a minute's work: smalti data index --out index.safetensors; then smalti models import index.safetensors --name my/index, and --index my/index")
	}
	return x, pinned, err
}

// memory opens an index, and finds its two models by their weights, whatever their names are here.
func (r *Runner) memory(ref spec.ModelRef) (*memory, error) {
	x, pinned, err := r.Index(ref)
	if err != nil {
		return nil, err
	}
	m := &memory{index: x, ref: pinned}
	book, err := r.bookOf(prior.Codebook{Name: x.VQGAN.Name, SHA256: x.VQGAN.SHA256}, "index", pinned.Name)
	if err != nil {
		return nil, err
	}
	if m.vqgan, _, err = r.VQGAN(book); err != nil {
		return nil, err
	}
	if x.Factor != m.vqgan.Factor() || x.Codes != m.vqgan.NumCodes() {
		return nil, fmt.Errorf("run: the index %s has pieces of %d pixels out of %d codes, its VQGAN %d out of %d", pinned.Name, x.Factor, x.Codes, m.vqgan.Factor(), m.vqgan.NumCodes())
	}
	m.eyeRef, err = r.withSum(store.KindCLIP, x.CLIP.SHA256)
	switch {
	case err != nil:
		return nil, err
	case m.eyeRef.Name == "":
		return nil, spec.Refusef("import it: smalti models import FILE --name NAME; or make another index: smalti data index --clip NAME --out FILE",
			"the index %s was made with the CLIP %s with sha256:%s, which is not here", pinned.Name, x.CLIP.Name, short(x.CLIP.SHA256))
	}
	if m.eye, m.eyeRef, err = r.guide(m.eyeRef); err != nil {
		return nil, err
	}
	if m.eye.EmbedDim() != x.Width {
		return nil, fmt.Errorf("run: the index %s has embeddings of %d numbers, its CLIP of %d", pinned.Name, x.Width, m.eye.EmbedDim())
	}
	return m, nil
}

// checkMemory refuses a start that cannot be found, and pins the index.
func (r *Runner) checkMemory(d *spec.Memory) error {
	m, err := r.memory(d.Index)
	if err != nil {
		return err
	}
	d.Index = m.ref
	if d.Prompt == "" {
		return spec.Refuse("there are no words to look for a picture by", "give a prompt in words that pulls from the first step on")
	}
	for _, k := range d.Found {
		if k.Number < 0 || k.Number >= m.index.Pictures {
			return spec.Refusef("leave out start.memory.found", "the index %s has %d pictures, not number %d", m.ref.Name, m.index.Pictures, k.Number)
		}
	}
	return nil
}

// beginMemory starts from pictures of an index that fit the words. The first time they are looked for, and the job remembers which
// they are; a job that knows them takes those.
func (s *session) beginMemory(ctx context.Context) error {
	d := *s.job.Start.Memory // the caller's job keeps its own
	s.job.Start.Memory = &d
	m, err := s.memory(d.Index)
	if err != nil {
		return err
	}
	d.Index = m.ref
	if len(d.Found) == 0 {
		if err := m.search(ctx, &d, s.job.Seed, s.sink); err != nil {
			return fmt.Errorf("run: look for a start: %w", err)
		}
	}
	if m.untouched(&d) {
		return s.beginCodes(m.vqgan, m.index.VQGAN.SHA256, m.codes(d.Found[0].Number))
	}
	pix, err := m.lay(&d, s.width, s.height)
	if err != nil {
		return err
	}
	return s.painter.Begin(paint.Start{Kind: paint.StartPicture, Picture: pix})
}

// untouched reports whether a start is one picture as the index has it.
func (m *memory) untouched(d *spec.Memory) bool {
	return len(d.Found) == 1 && (d.Ground == "" || d.Ground == white) && d.Found[0].Colour == "" && d.Found[0].Place == spec.WholePlace
}

const white = "white"

func (m *memory) codes(number int) vqgan.Codes {
	return vqgan.Codes{H: m.index.GridH, W: m.index.GridW, Idx: m.index.Grid(number)}
}

// lay draws the pictures that were found, [h,w,3].
func (m *memory) lay(d *spec.Memory, w, h int) ([]float32, error) {
	var things []dataset.Laid
	for _, k := range d.Found {
		s, err := m.sprite(k.Number)
		if err != nil {
			return nil, err
		}
		things = append(things, dataset.Laid{Sprite: s, X: k.Place.X, Y: k.Place.Y, Side: k.Place.Side, Colour: k.Colour})
	}
	return dataset.Lay(w, h, d.Ground, things...), nil
}

// sprite is a picture cut out along its outline, as the VQGAN paints it.
func (m *memory) sprite(number int) (*dataset.Sprite, error) {
	pic, err := m.vqgan.Decode(m.codes(number))
	if err != nil {
		return nil, err
	}
	e := m.index.Entries[number]
	return dataset.NewSprite(dataset.Pair{Label: e.Label, Style: e.Style, Group: e.Group}, cutOut(pic, m.index.Mask(number))), nil
}

// cutOut makes a picture on white transparent outside of its mask. The outline is softened by a pixel, and the white that shines
// through there is taken away.
func cutOut(pic pixel.Image, mask []bool) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, pic.W, pic.H))
	for y := range pic.H {
		for x := range pic.W {
			a := softened(mask, pic.W, pic.H, x, y)
			at := y*pic.W + x
			if a == 0 {
				continue
			}
			px := out.Pix[4*at : 4*at+4]
			for c := range 3 {
				px[c] = pixel.To8((pic.Pix[3*at+c] - (1 - a)) / a)
			}
			px[3] = pixel.To8(a)
		}
	}
	return out
}

// softened is the share of a mask around a pixel, which itself counts four times, its sides twice and its corners once.
func softened(mask []bool, w, h, x, y int) float32 {
	var sum, all float32
	for dy := -1; dy <= 1; dy++ {
		for dx := -1; dx <= 1; dx++ {
			if x+dx < 0 || x+dx >= w || y+dy < 0 || y+dy >= h {
				continue
			}
			weight := float32((2 - dx*dx) * (2 - dy*dy))
			all += weight
			if mask[(y+dy)*w+x+dx] {
				sum += weight
			}
		}
	}
	return sum / all
}

func sameThing(a, b spec.Kept) bool { return a.Number == b.Number && a.Colour == b.Colour }

// told says in words what a start was made of.
func told(m *memory, d *spec.Memory) event.Event {
	text := map[string]string{"index": m.ref.Name}
	var parts []string
	for i, k := range d.Found {
		if i > 0 && sameThing(k, d.Found[i-1]) {
			continue // counted with the first
		}
		n := 1
		for n < len(d.Found)-i && sameThing(k, d.Found[i+n]) {
			n++
		}
		part := fmt.Sprintf("%q (style %s)", k.Label, k.Style)
		if k.Colour != "" {
			part += ", made " + k.Colour
		}
		if n > 1 {
			part += fmt.Sprintf(", %d times", n)
		}
		suffix := ""
		if len(parts) > 0 {
			suffix = fmt.Sprintf("_%d", len(parts)+1)
		}
		parts = append(parts, part)
		text["label"+suffix], text["style"+suffix] = k.Label, k.Style
	}
	ground := d.Ground
	if ground == "" {
		ground = white
	}
	what := "the training picture "
	if len(parts) > 1 {
		what = "the training pictures "
	}
	return event.Event{Kind: event.Notice, Text: text, Message: "the start is no invention: " + what + strings.Join(parts, " and ") + ", on " + ground}
}
