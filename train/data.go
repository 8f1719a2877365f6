package train

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/event"
)

// ShapesData is the name of the data that need no files: procedural shapes.
const ShapesData = dataset.ShapesName

// scenes are captioned pictures to train on, and others to judge by that training never sees.
type scenes struct {
	train source

	sprites      []*dataset.Sprite // of a pack: what scenes are composed of
	heldConcepts []*dataset.Sprite // things never seen
	heldStyle    []*dataset.Sprite // drawings never seen of things that were
	heldOthers   []*dataset.Sprite // of a mixture, things of its later packs that are never seen

	own, held *dataset.Album // of somebody's own pictures, nil else
	notice    string         // what should be known of them
}

// source gives captioned pictures: a dataset.Composer or a dataset.Album. A sample is a function of (seed, step, index).
type source interface {
	Sample(seed, step, index uint64, size int) dataset.Sample
	Batch(seed, step uint64, n, size int) dataset.Batch
	Concepts() []string // what Sample.Concepts counts, or none
}

// openScenes opens a data pack's folder, a mixture of packs as dataset.ParseMix reads it, procedural shapes when data is
// ShapesData, or an album, whose pictures are brought to the given side.
func openScenes(data string, side int) (*scenes, error) {
	if data == ShapesData {
		all := dataset.ShapeSprites()
		return &scenes{train: dataset.Shapes(), heldConcepts: all, heldStyle: all}, nil
	}
	if data == "" {
		return nil, fmt.Errorf("train: no data given")
	}
	if _, err := os.Stat(filepath.Join(data, "pack.json")); err != nil {
		if _, err := os.Stat(data); err != nil && strings.Contains(data, ",") {
			return openMix(data)
		}
		return openOwn(data, side)
	}
	pack, err := dataset.OpenPack(data)
	if err != nil {
		return nil, fmt.Errorf("train: data: %w", err)
	}
	parts := pack.Split()
	c, err := dataset.NewComposer(parts.Train, dataset.ComposeOptions{})
	if err != nil {
		return nil, fmt.Errorf("train: data: %w", err)
	}
	return &scenes{train: c, sprites: c.Sprites(), heldConcepts: parts.HeldConcepts, heldStyle: parts.HeldStyle}, nil
}

// openMix opens a mixture. Of its first pack the held-out things and drawings are the ones of that pack alone, and are judged
// by themselves; those of the others are one more set.
func openMix(data string) (*scenes, error) {
	parts, err := dataset.ParseMix(data)
	if err != nil {
		return nil, fmt.Errorf("train: data: %w", err)
	}
	m, err := dataset.OpenMix(parts)
	if err != nil {
		return nil, fmt.Errorf("train: data: %w", err)
	}
	c, err := m.Composer()
	if err != nil {
		return nil, fmt.Errorf("train: data: %w", err)
	}
	s := &scenes{train: c, sprites: c.Sprites(), heldConcepts: m.Packs[0].HeldConcepts, heldStyle: m.Packs[0].HeldStyle}
	for _, p := range m.Packs[1:] {
		s.heldOthers = append(append(s.heldOthers, p.HeldConcepts...), p.HeldStyle...)
	}
	return s, nil
}

func openOwn(data string, side int) (*scenes, error) {
	a, err := dataset.OpenAlbum(data, side)
	if err != nil {
		return nil, fmt.Errorf("train: data: %w", err)
	}
	s := &scenes{}
	s.own, s.held = a.Split()
	s.train = s.own
	if a.Skipped > 0 {
		s.notice = fmt.Sprintf("%d of %d pictures cannot be read and are left out; the first: %v", a.Skipped, a.Skipped+len(a.Pictures), a.First)
	}
	return s, nil
}

// only leaves the drawings of some styles to train on; none given leaves all. Those of a mixture count alike then.
func (s *scenes) only(styles []string) error {
	if len(styles) == 0 {
		return nil
	}
	var kept []*dataset.Sprite
	for _, x := range s.sprites {
		if slices.Contains(styles, x.Style) {
			kept = append(kept, x)
		}
	}
	if len(kept) == 0 {
		return fmt.Errorf("train: styles is out of range: the data have no drawings in %s", strings.Join(styles, ", "))
	}
	c, err := dataset.NewComposer(kept, dataset.ComposeOptions{})
	if err != nil {
		return fmt.Errorf("train: data: %w", err)
	}
	s.train, s.sprites = c, kept
	return nil
}

// calm makes composed scenes calm (dataset.Composer.Calm).
func (s *scenes) calm() {
	if c, ok := s.train.(*dataset.Composer); ok {
		s.train = c.Calm()
	}
}

// tell says what should be known of the data.
func (s *scenes) tell(sink event.Sink) {
	if s.notice != "" {
		event.Or(sink).Emit(event.Event{Kind: event.Warning, Message: s.notice})
	}
}

// plainPictures are pictures to judge by, [n,S,S,3] in [0,1], with a caption each.
type plainPictures struct {
	name     string
	pix      []float32
	captions []string
}

// sets are the pictures that training never sees, at most n of a kind: of a pack sprites plain on white. once takes each caption
// once, which retrieval needs.
func (s *scenes) sets(n, size int, once bool) []plainPictures {
	var out []plainPictures
	add := func(name string, pix []float32, captions []string) {
		if len(captions) > 0 {
			out = append(out, plainPictures{name, pix, captions})
		}
	}
	if s.held != nil {
		pix, captions := plainAlbum(s.held, n, size, once)
		add("held", pix, captions)
		return out
	}
	pix, captions := plainSet(s.heldConcepts, n, size, once)
	add("concepts", pix, captions)
	pix, captions = plainSet(s.heldStyle, n, size, once)
	add("style", pix, captions)
	pix, captions = plainSet(s.heldOthers, n, size, once)
	add("others", pix, captions)
	return out
}

// plainAlbum takes at most n pictures of an album, spread evenly over it; once for each caption if asked.
func plainAlbum(a *dataset.Album, n, size int, once bool) (pix []float32, captions []string) {
	seen := map[string]bool{}
	var kept []int
	for i, p := range a.Pictures {
		if !once || !seen[p.Captions[0]] {
			seen[p.Captions[0]] = true
			kept = append(kept, i)
		}
	}
	n = min(n, len(kept))
	for i := range n {
		p, caption := a.Plain(kept[i*len(kept)/n], size)
		pix, captions = append(pix, p...), append(captions, caption)
	}
	return pix, captions
}

// plainSet draws at most n sprites plain on white, spread evenly over the list; once for each caption if asked.
func plainSet(sprites []*dataset.Sprite, n, size int, once bool) (pix []float32, captions []string) {
	seen := map[string]bool{}
	var kept []*dataset.Sprite
	for _, s := range sprites {
		if _, caption := dataset.Plain(s, 4); !once || !seen[caption] {
			seen[caption] = true
			kept = append(kept, s)
		}
	}
	n = min(n, len(kept))
	for i := range n {
		p, caption := dataset.Plain(kept[i*len(kept)/n], size)
		pix, captions = append(pix, p...), append(captions, caption)
	}
	return pix, captions
}

// batchKey numbers the micro-batches of a run: it keys their random streams.
func (c Config) batchKey(step, micro int) uint64 { return uint64(step*c.MicroBatches + micro) }
