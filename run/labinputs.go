package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/spec"
)

// lay puts every operand on the table: pictures as their codes, words as what is painted of them.
func (b *labBench) lay(ctx context.Context) error {
	l := &b.work.Lab
	sides := [][]spec.Operand{l.Pictures, l.With, l.Without}
	grids := []*[]latent.Grid{&b.pictures, &b.with, &b.without}
	b.table = &table{}
	for _, o := range allOf(sides) {
		if o.Picture == "" {
			continue
		}
		e, err := b.openOperand(o.Picture)
		if err != nil {
			return err
		}
		b.ends = append(b.ends, e)
	}
	if len(b.ends) == 0 {
		return spec.Refuse("nothing but words", "smalti paint makes pictures of words; the lab needs one to begin with")
	}
	if err := b.set(b.Runner, wanted{vqgan: l.VQGAN.Name, w: l.Width, h: l.Height}, b.sink); err != nil {
		return err
	}
	if l.VQGAN.SHA256 != "" && l.VQGAN.SHA256 != b.ref.SHA256 {
		return spec.Refusef("use the smalti version that the recipe names", "the recipe needs model %s with weights sha256:%s", l.VQGAN.Name, short(l.VQGAN.SHA256))
	}
	l.VQGAN, l.Width, l.Height, l.Build = b.ref, b.w, b.h, b.Build()
	next := 0
	for i, side := range sides {
		for _, o := range side {
			g, c := latent.Grid{}, latent.Codes{}
			if o.Picture != "" {
				g, c = b.grids[next], b.ends[next].grid()
				next++
			} else {
				codes, judge, err := b.sketch(ctx, b.table, sketch{o, l.CLIP}, b.sink)
				if err != nil {
					return err
				}
				l.CLIP = judge
				c = latent.Codes{H: codes.H, W: codes.W, Index: codes.Idx}
				if g, err = b.book.Lookup(c); err != nil {
					return err
				}
			}
			*grids[i] = append(*grids[i], g)
			if i == 0 {
				b.codes = append(b.codes, c)
			}
		}
	}
	return nil
}

func allOf(sides [][]spec.Operand) (out []spec.Operand) {
	for _, s := range sides {
		out = append(out, s...)
	}
	return out
}

// openOperand reads the picture of a sha256, looking beside the picture that is made again when nobody said where it is.
func (b *labBench) openOperand(sum string) (*end, error) {
	in := &b.work.Inputs
	if _, ok := in.Paths[sum]; !ok && b.work.near != "" {
		if path := lookBeside(b.work.near, sum); path != "" {
			if _, err := in.AddInput(path); err != nil {
				return nil, err
			}
		}
	}
	data, err := in.read(sum)
	if err != nil {
		return nil, err
	}
	path := in.Paths[sum]
	if path == "" {
		path = "the picture " + short(sum)
	}
	return endOf(path, data)
}

// lookBeside looks for a picture with a sha256 in a folder.
func lookBeside(dir, sum string) string {
	paths, err := PicturesIn(dir, maxOperands)
	if err != nil {
		return ""
	}
	for _, p := range paths {
		data, err := readCapped(p, maxInput)
		if got := sha256.Sum256(data); err == nil && hex.EncodeToString(got[:]) == sum {
			return p
		}
	}
	return ""
}
