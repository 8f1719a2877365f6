package latent

import (
	"cmp"
	"errors"
	"slices"
	"sort"

	"github.com/smalti/smalti/rng"
)

// Crossfade leads from one grid of codes to another by exchanging codes one at a time. The exchanges that change least
// come first, as the codebook measures it, and time goes by with the distance covered: a large exchange takes as long
// as several small ones. Every grid on the way consists of codes of its two ends only.
type Crossfade struct {
	from, to Codes
	order    []int     // positions that differ, in order of exchange
	share    []float64 // of the whole distance, covered when the i-th exchange is done
}

// NewCrossfade plans the way from one grid to the other. The seed decides the order among equal distances, so that
// areas of one colour dissolve instead of being wiped row by row. It fails if sizes differ or codes lie outside the book.
func NewCrossfade(from, to Codes, b *Book, seed uint64) (*Crossfade, error) {
	if err := errors.Join(b.Check(from), b.Check(to)); err != nil {
		return nil, err
	}
	if !from.sameSize(to) {
		return nil, errors.New("latent: crossfade between grids of different sizes")
	}
	c := &Crossfade{from: from.Clone(), to: to.Clone()}
	far := make([]float64, len(from.Index))
	for i, k := range from.Index {
		if k != to.Index[i] {
			far[i] = b.Distance(k, to.Index[i])
			c.order = append(c.order, i)
		}
	}
	lot := rng.New(seed, "latent/crossfade").Perm(len(from.Index))
	slices.SortFunc(c.order, func(i, j int) int {
		if d := cmp.Compare(far[i], far[j]); d != 0 {
			return d
		}
		return cmp.Compare(lot[i], lot[j])
	})
	total := 0.0
	for _, i := range c.order {
		total += far[i]
		c.share = append(c.share, total)
	}
	for i := range c.share {
		if total > 0 {
			c.share[i] /= total
		} else { // different names of equal codes
			c.share[i] = float64(i+1) / float64(len(c.share))
		}
	}
	return c, nil
}

// Exchanges is the number of codes that differ.
func (c *Crossfade) Exchanges() int { return len(c.order) }

// At returns the codes at t: the first grid up to 0, the second from 1 on.
func (c *Crossfade) At(t float64) Codes {
	switch {
	case t >= 1:
		return c.to.Clone()
	case !(t > 0):
		return c.from.Clone()
	}
	out := c.from.Clone()
	done := sort.Search(len(c.share), func(i int) bool { return c.share[i] > t })
	for _, i := range c.order[:done] {
		out.Index[i] = c.to.Index[i]
	}
	return out
}
