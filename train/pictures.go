package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/gan"
)

// PictureData are pictures to train on and others to measure by.
type PictureData struct {
	Train, Held dataset.Pictures
}

// OpenPictures opens a source, whatever it holds: an IDX set, CelebA, a pack of pictures, or picture files, also in an archive. size is
// the side that pictures are brought to where the source has none of its own; held pictures are kept apart where the
// source has no test part.
func OpenPictures(dir string, size, held int) (*PictureData, error) {
	if dir == "" {
		return nil, fmt.Errorf("train: no data given")
	}
	if parts := dataset.IDXParts(dir); len(parts) > 0 {
		return openIDX(dir, parts, held)
	}
	p, err := openSet(dir, size)
	if err != nil {
		return nil, fmt.Errorf("train: data: %w", err)
	}
	train, test := dataset.Hold(p, held)
	if train.Len() == 0 || test.Len() == 0 {
		return nil, fmt.Errorf("train: data: %d pictures in %s are too few", p.Len(), dir)
	}
	return &PictureData{train, test}, nil
}

func openIDX(dir string, parts []string, held int) (*PictureData, error) {
	all := make([]dataset.Pictures, len(parts))
	for i, part := range parts {
		x, err := dataset.OpenIDX(dir, part)
		if err != nil {
			return nil, fmt.Errorf("train: data: %w", err)
		}
		all[i] = x
	}
	if len(all) == 2 {
		return &PictureData{all[0], all[1]}, nil
	}
	train, test := dataset.Hold(all[0], held)
	return &PictureData{train, test}, nil
}

func openSet(dir string, size int) (dataset.Pictures, error) {
	if _, err := os.Stat(filepath.Join(dir, "pack.json")); err == nil {
		return dataset.OpenPackPictures(dir, size)
	}
	if dataset.IsCelebA(dir) {
		return dataset.OpenCelebA(dir, size)
	}
	a, err := dataset.OpenAlbum(dir, size)
	if err != nil {
		return nil, err
	}
	return dataset.AlbumPictures{Album: a}, nil
}

// ErrMisfit says that networks cannot be trained on the given pictures.
var ErrMisfit = errors.New("the networks do not fit the data")

// fits tells whether networks can be trained on the data.
func (d *PictureData) fits(c gan.Config) error {
	if d.Train.Size() != c.Size || d.Train.Channels() != c.Channels {
		return fmt.Errorf("train: %w: they make pictures of %d pixels in %d channels, the data have %d in %d", ErrMisfit, c.Size, c.Channels, d.Train.Size(), d.Train.Channels())
	}
	if n := len(d.Train.Classes()); c.Labels > 0 && n != c.Labels {
		return fmt.Errorf("train: %w: they are conditioned on %d classes, the data have %d", ErrMisfit, c.Labels, n)
	}
	return nil
}
