package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"os"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// Judge opens the weight file of a judge. A CLIP that is none is refused: it may have guided what it would measure.
func (r *Runner) Judge(path string) (*clip.Model, spec.ModelRef, error) {
	f, ref, err := openFile(path)
	if err != nil {
		return nil, ref, err
	}
	defer f.Close()
	m, err := clip.Open(r.engine, f, nil)
	if err != nil {
		return nil, ref, fmt.Errorf("run: load the judge %s: %w", path, err)
	}
	if m.Config().Role != clip.Judge {
		return nil, ref, spec.Refusef("train one: smalti train clip --role judge", "%s is no judge: a CLIP that may guide finds everything good that was painted to please it", path)
	}
	return m, ref, nil
}

// openFile opens a weight file and says which it is.
func openFile(path string) (*weights.File, spec.ModelRef, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, spec.ModelRef{}, err
	}
	sum := sha256.Sum256(data)
	f, err := weights.OpenBytes(data)
	if err != nil {
		return nil, spec.ModelRef{}, fmt.Errorf("run: open %s: %w", path, err)
	}
	return f, spec.ModelRef{Name: path, SHA256: hex.EncodeToString(sum[:])}, nil
}

// DrawerFile is Drawer for the weight file of a prior.
func (r *Runner) DrawerFile(path string) (*Drawer, error) {
	f, ref, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := prior.Open(r.engine, f, nil)
	if err != nil {
		return nil, fmt.Errorf("run: load the prior %s: %w", path, err)
	}
	return r.drawer(m, ref, spec.ModelRef{})
}

// TookPart reports whether a prior draws the start of a job's picture or is one of its losses.
func (r *Runner) TookPart(sha256 string, j *spec.Job) (bool, error) {
	var refs []spec.ModelRef
	if j.Start.Draw != nil {
		refs = append(refs, j.Start.Draw.Prior)
	}
	if j.Losses.Prior != nil {
		refs = append(refs, j.Losses.Prior.Prior)
	}
	for _, ref := range refs {
		_, pinned, err := r.Prior(ref)
		if err != nil || pinned.SHA256 == sha256 {
			return err == nil, err
		}
	}
	return false, nil
}

// Likelihood is the mean of -log p of a picture's codes given its caption, in nats a code, for each picture. Pictures are
// brought to the size that the prior knows.
func (d *Drawer) Likelihood(ctx context.Context, captions []string, pictures []image.Image) ([]float64, error) {
	gh, gw := d.Prior.Grid()
	f := d.VQGAN.Factor()
	in, codes := make([]prior.Input, len(pictures)), make([]prior.Codes, len(pictures))
	for i, p := range pictures {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if in[i], _, err = d.input(captions[i], nil); err != nil {
			return nil, err
		}
		var c vqgan.Codes
		if c, err = d.VQGAN.Encode(pixel.Resize8(p, gw*f, gh*f, pixel.Lanczos)); err != nil {
			return nil, err
		}
		codes[i] = prior.Codes{H: c.H, W: c.W, Idx: c.Idx}
	}
	return d.Prior.Likelihood(ctx, in, codes)
}
