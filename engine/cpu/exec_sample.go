package cpu

import (
	"github.com/smalti/smalti/engine/cpu/ir"
)

// Bilinear warps and the like: ir.OpSample and its gradient for the table, ir.OpSpread (pass.Samples finds them).

// sampleSlots are the operands of both: a table or rows, then places and weights in turns.
type sampleSlots struct {
	first   int
	places  []int
	weights []int
}

func (c *compiler) sampleSlots(n *ir.Node) sampleSlots {
	s := sampleSlots{first: c.slot(n.In[0])}
	for i := 1; i < len(n.In); i += 2 {
		s.places, s.weights = append(s.places, c.slot(n.In[i])), append(s.weights, c.slot(n.In[i+1]))
	}
	return s
}

// sampled are the arrays of one run.
type sampled struct {
	places  [][]int32
	weights [][]float32
	width   int
}

func (s sampleSlots) of(f *frame, width int) sampled {
	x := sampled{width: width}
	for i := range s.places {
		x.places = append(x.places, view[int32](f.slots[s.places[i]]))
		x.weights = append(x.weights, view[float32](f.slots[s.weights[i]]))
	}
	return x
}

func makeSample(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	slots, dst := c.sampleSlots(n), c.slot(n)
	width, last := n.In[0].Shape.Dimensions[1], n.In[0].Shape.Dimensions[0]-1
	count := n.Size() / width
	return func(f *frame) {
		s, d, table := slots.of(f, width), view[float32](f.slots[dst]), view[float32](f.slots[slots.first])
		f.b.pool.Run(count, rowGrain(width*len(s.places)), func(lo, hi int) {
			if width == 3 && len(s.places) == 4 {
				s.warp(d, table, last, lo, hi)
				return
			}
			s.gather(d, table, last, lo, hi)
		})
	}, 2 * float64(n.Size()*len(slots.places)), nil
}

// gather computes rows lo <= i < hi: products are rounded and added in the order of the terms.
func (s sampled) gather(d, table []float32, last, lo, hi int) {
	for i := lo; i < hi; i++ {
		to := d[i*s.width:][:s.width]
		for k, places := range s.places {
			row, w := table[min(max(int(places[i]), 0), last)*s.width:][:s.width], s.weights[k][i]
			if k == 0 {
				for j, v := range row {
					to[j] = v * w
				}
				continue
			}
			for j, v := range row {
				to[j] += float32(v * w)
			}
		}
	}
}

// warp is gather for pixels of three channels and four neighbours.
func (s sampled) warp(d, table []float32, last, lo, hi int) {
	n := hi - lo
	a, b, c, e := s.places[0][lo:][:n], s.places[1][lo:][:n], s.places[2][lo:][:n], s.places[3][lo:][:n]
	wa, wb, wc, we := s.weights[0][lo:][:n], s.weights[1][lo:][:n], s.weights[2][lo:][:n], s.weights[3][lo:][:n]
	d = d[3*lo:][:3*n]
	for i := range n {
		to := (*[3]float32)(d[3*i:])
		pa, pb, pc, pe := pixel(table, a[i], last), pixel(table, b[i], last), pixel(table, c[i], last), pixel(table, e[i], last)
		va, vb, vc, ve := wa[i], wb[i], wc[i], we[i]
		to[0] = float32(float32(float32(pa[0]*va)+float32(pb[0]*vb))+float32(pc[0]*vc)) + float32(pe[0]*ve)
		to[1] = float32(float32(float32(pa[1]*va)+float32(pb[1]*vb))+float32(pc[1]*vc)) + float32(pe[1]*ve)
		to[2] = float32(float32(float32(pa[2]*va)+float32(pb[2]*vb))+float32(pc[2]*vc)) + float32(pe[2]*ve)
	}
}

// pixel is a row of three of a table; places outside move to its ends.
func pixel(table []float32, place int32, last int) *[3]float32 {
	return (*[3]float32)(table[3*min(max(int(place), 0), last):])
}

// spreadBlock is how many rows, at most, know the smallest and the largest of their places. Blocks end where an element of
// the first axis does, so that sums do not depend on where in a batch a picture is.
const spreadBlock = 256

// makeSpread adds blocks of rows in their order, of each block term after term, and of each term row after row. Workers share
// the table, not the rows, so that a sum never depends on their number; a block is skipped where none of its places is.
func makeSpread(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	slots, dst := c.sampleSlots(n), c.slot(n)
	rows, width := n.Shape.Dimensions[0], n.Shape.Dimensions[1]
	each := n.In[0].Size() / width / n.In[0].Shape.Dimensions[0] // rows of an element of the first axis
	per := (each + spreadBlock - 1) / spreadBlock
	blocks := per * n.In[0].Shape.Dimensions[0]
	block := func(i int) (lo, hi int) {
		lo = i/per*each + i%per*spreadBlock
		return lo, min(lo+spreadBlock, (i/per+1)*each)
	}
	return func(f *frame) {
		s, d, src := slots.of(f, width), view[float32](f.slots[dst]), view[float32](f.slots[slots.first])
		mem := f.b.memory.get(8 * blocks)
		ranges := view[[2]int32](mem)
		f.b.pool.Run(blocks, 8, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				ranges[i] = s.placesOf(block(i))
			}
		})
		bands := min(4*f.b.Threads(), max(1, rows*width>>12))
		f.b.pool.Run(bands, 1, func(lo, hi int) {
			from, to := lo*rows/bands, hi*rows/bands
			clear(d[from*width : to*width])
			for i, r := range ranges {
				if int(r[1]) < from || int(r[0]) >= to {
					continue
				}
				lo, hi := block(i)
				s.scatter(d, src, from, to, lo, hi)
			}
		})
		f.b.memory.put(mem)
	}, 2 * float64(n.In[0].Size()*len(slots.places)), nil
}

// placesOf is the smallest and the largest place of rows lo <= i < hi.
func (s sampled) placesOf(lo, hi int) [2]int32 {
	r := [2]int32{s.places[0][lo], s.places[0][lo]}
	for _, places := range s.places {
		for _, p := range places[lo:hi] {
			r[0], r[1] = min(r[0], p), max(r[1], p)
		}
	}
	return r
}

// scatter adds rows lo <= i < hi to the table's rows from <= r < to.
func (s sampled) scatter(d, src []float32, from, to, lo, hi int) {
	for k := range s.places {
		places, weights := s.places[k][lo:hi], s.weights[k][lo:hi]
		if s.width == 3 {
			spreadPixels(d[3*from:3*to], src[3*lo:3*hi], places, weights, from)
			continue
		}
		for i, p := range places {
			if int(p) < from || int(p) >= to {
				continue
			}
			row, at, w := src[(lo+i)*s.width:][:s.width], d[int(p)*s.width:][:s.width], weights[i]
			for j, v := range row {
				at[j] += float32(v * w)
			}
		}
	}
}

// spreadPixels is scatter for rows of three; band begins at the table's row from.
func spreadPixels(band, src []float32, places []int32, weights []float32, from int) {
	weights = weights[:len(places)]
	n := uint(len(band) / 3)
	for i, p := range places {
		r := uint(int(p) - from)
		if r >= n {
			continue
		}
		row, at, w := (*[3]float32)(src[3*i:]), (*[3]float32)(band[3*r:]), weights[i]
		at[0] += float32(row[0] * w)
		at[1] += float32(row[1] * w)
		at[2] += float32(row[2] * w)
	}
}
