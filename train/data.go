package train

import (
	"fmt"

	"github.com/smalti/smalti/dataset"
)

// ShapesData is the name of the data that need no files: procedural shapes.
const ShapesData = "shapes"

// scenes are captioned pictures to train on, and sprites to judge by that training never sees.
type scenes struct {
	train        *dataset.Composer
	heldConcepts []*dataset.Sprite // things never seen
	heldStyle    []*dataset.Sprite // drawings never seen of things that were
}

// openScenes opens a data pack's folder, or procedural shapes when data is ShapesData.
func openScenes(data string) (*scenes, error) {
	if data == ShapesData {
		all := dataset.ShapeSprites()
		return &scenes{train: dataset.Shapes(), heldConcepts: all, heldStyle: all}, nil
	}
	if data == "" {
		return nil, fmt.Errorf("train: no data given")
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
	return &scenes{train: c, heldConcepts: parts.HeldConcepts, heldStyle: parts.HeldStyle}, nil
}

// plainSet draws at most n sprites plain on white, spread evenly over the list, each caption once.
func plainSet(sprites []*dataset.Sprite, n, size int) (pix []float32, captions []string) {
	seen := map[string]bool{}
	var kept []*dataset.Sprite
	for _, s := range sprites {
		if _, caption := dataset.Plain(s, 4); !seen[caption] {
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
