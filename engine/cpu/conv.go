package cpu

import (
	"slices"

	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// conv is a two-dimensional convolution (one-dimensional ones have height 1) whose arrays are read with strides:
//
//	y[b,i,j,o] = sum over p,q,c of X[b, i*stride + p*dilate - pad, j*stride + q*dilate - pad, c] * w[p,q,c,o],
//	X[., s*inDilate, t*inDilate, .] = x[., s, t, .], zero elsewhere.
//
// The forward convolution, the gradient of its input and that of its kernel, and theirs in turn, differ in the strides
// only (facts: GoMLX swaps the roles of axes, it never transposes).
type conv struct {
	b, h, w, c int // of x; c of one group
	kh, kw, o  int // o of one group
	oh, ow     int
	groups     int
	rows       int // ir.Conv.Rows

	stride, pad, inDilate, dilate [2]int

	x, k, y strides
}

// strides of batch, rows, columns and channels; for the kernel of in-channels, rows, columns and out-channels.
type strides struct{ b, h, w, c, start int }

// newConv reads a convolution off its attributes.
func newConv(x, w, y []int, a ir.Conv) *conv {
	ax := a.Axes
	xs, ws, ys := contiguous(x), contiguous(w), contiguous(y)
	v := &conv{b: x[ax.InputBatch], c: x[ax.InputChannels] / a.Groups, o: w[ax.KernelOutputChannels] / a.Groups, groups: a.Groups, rows: a.Rows,
		h: 1, w: 1, kh: 1, kw: 1, oh: 1, ow: 1,
		stride: [2]int{1, 1}, inDilate: [2]int{1, 1}, dilate: [2]int{1, 1},
		x: strides{b: xs[ax.InputBatch], c: xs[ax.InputChannels]},
		k: strides{b: ws[ax.KernelInputChannels], c: ws[ax.KernelOutputChannels]},
		y: strides{b: ys[ax.OutputBatch], c: ys[ax.OutputChannels]}}
	n := len(ax.InputSpatial)
	for i := range n {
		at := i + 2 - n // one-dimensional: the columns
		xd, kd, yd := x[ax.InputSpatial[i]], w[ax.KernelSpatial[i]], y[ax.OutputSpatial[i]]
		sx, sk, sy := xs[ax.InputSpatial[i]], ws[ax.KernelSpatial[i]], ys[ax.OutputSpatial[i]]
		v.stride[at], v.pad[at], v.inDilate[at], v.dilate[at] = a.Strides[i], a.Pads[i][0], a.InDilate[i], a.Dilate[i]
		if a.Reversed {
			v.k.start += (kd - 1) * sk
			sk = -sk
		}
		if at == 0 {
			v.h, v.kh, v.oh, v.x.h, v.k.h, v.y.h = xd, kd, yd, sx, sk, sy
		} else {
			v.w, v.kw, v.ow, v.x.w, v.k.w, v.y.w = xd, kd, yd, sx, sk, sy
		}
	}
	if n == 1 {
		v.x.h, v.k.h, v.y.h = v.w*v.x.w, 0, v.ow*v.y.w
	}
	return v
}

// flops counts a multiply-add as two.
func (v *conv) flops() float64 {
	return 2 * float64(v.b*v.oh*v.ow) * float64(v.kh*v.kw) * float64(v.c*v.o*v.groups)
}

// makeConv chooses the algorithm, by shape only.
func makeConv(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	if a := n.Attr.(ir.Conv); len(a.Strides) > 2 || a.BGroups > 1 {
		return makeConvAny(c, n)
	}
	v := newConv(n.In[0].Shape.Dimensions, n.In[1].Shape.Dimensions, n.Shape.Dimensions, n.Attr.(ir.Conv))
	dst, x, w := c.slot(n), c.slot(n.In[0]), c.slot(n.In[1])
	if n.Shape.DType != dtypes.Float32 {
		make := byType[func(v *conv, dst, x, w int) func(f *frame)]{nil, convLoops[float64], convLoops[int8], convLoops[int16],
			convLoops[int32], convLoops[int64], convLoops[uint8], convLoops[uint16], convLoops[uint32], convLoops[uint64]}
		return make.get(n.Shape.DType)(v, dst, x, w), v.flops(), nil
	}
	if n.In[0].Size() == 0 || n.In[1].Size() == 0 {
		return withBias(func(f *frame) { clear(f.slots[dst]) }, dst, c.bias(n)), 0, nil
	}
	if v.groups == 1 && v.x.b == 1 && v.x.c != 1 {
		return withBias(newKernelGradient(c.b.set, v).thunk(dst, x, w), dst, c.bias(n)), v.flops(), nil
	}
	if p := newPoly(c.b.set, v); p != nil {
		return p.thunk(dst, x, w, c.bias(n)), v.flops(), nil
	}
	if p := newPlain(c.b.set, v); p != nil && !v.onePixel() {
		return p.thunk(dst, x, w, c.bias(n)), v.flops(), nil
	}
	return withBias(newForward(c.b.set, v).thunk(dst, x, w), dst, c.bias(n)), v.flops(), nil
}

// bias is the slot of the row that is added to every pixel or row of a result, or -1 (pass.Biases).
func (c *compiler) bias(n *ir.Node) int {
	if len(n.In) < 3 {
		return -1
	}
	return c.slot(n.In[2])
}

// withBias adds the bias after run.
func withBias(run func(f *frame), dst, bias int) func(f *frame) {
	if bias < 0 {
		return run
	}
	return func(f *frame) {
		run(f)
		y, row := view[float32](f.slots[dst]), view[float32](f.slots[bias])
		n := len(row)
		f.b.pool.Run(len(y)/n, rowGrain(n), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				f.b.set.AddInto(y[i*n:(i+1)*n], row)
			}
		})
	}
}

// convLoops computes any type with plain loops.
func convLoops[T number](v *conv, dst, x, w int) func(f *frame) {
	return func(f *frame) {
		xs, ws, ys := view[T](f.slots[x]), view[T](f.slots[w]), view[T](f.slots[dst])
		f.b.pool.Run(v.b*v.oh, 1, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				for j := range v.ow {
					for o := range v.o * v.groups {
						ys[r/v.oh*v.y.b+r%v.oh*v.y.h+j*v.y.w+o*v.y.c] = convOne(v, xs, ws, r/v.oh, r%v.oh, j, o)
					}
				}
			}
		})
	}
}

func convOne[T number](v *conv, xs, ws []T, b, i, j, o int) T {
	var sum T
	group := o / v.o
	for p := range v.kh {
		s, ok := v.source(0, i, p, v.h)
		if !ok {
			continue
		}
		for q := range v.kw {
			t, ok := v.source(1, j, q, v.w)
			if !ok {
				continue
			}
			for c := range v.c {
				sum += xs[b*v.x.b+s*v.x.h+t*v.x.w+(group*v.c+c)*v.x.c] * ws[v.k.start+p*v.k.h+q*v.k.w+c*v.k.b+o*v.k.c]
			}
		}
	}
	return sum
}

// source is the row or column of x that output i sees through tap p, if there is one.
func (v *conv) source(axis, i, p, size int) (int, bool) {
	at := i*v.stride[axis] + p*v.dilate[axis] - v.pad[axis]
	if at < 0 || at%v.inDilate[axis] != 0 || at/v.inDilate[axis] >= size {
		return 0, false
	}
	return at / v.inDilate[axis], true
}

// phases splits a convolution with input dilation (a transposed one) into ordinary ones, one for each remainder of the
// output's coordinates: each sees only those taps that meet elements of x, so no zeros are multiplied. Pictures of one pixel are
// split into single outputs.
func (v *conv) phases() []*conv {
	if v.onePixel() {
		return v.outputs()
	}
	if v.inDilate == [2]int{1, 1} || v.stride != [2]int{1, 1} || v.dilate != [2]int{1, 1} {
		return []*conv{v}
	}
	var out []*conv
	for pi := range v.inDilate[0] {
		for pj := range v.inDilate[1] {
			s := *v
			s.inDilate = [2]int{1, 1}
			i0 := s.phase(0, pi, v.inDilate[0], &s.kh, &s.oh, &s.k.h, &s.y.h)
			j0 := s.phase(1, pj, v.inDilate[1], &s.kw, &s.ow, &s.k.w, &s.y.w)
			s.k.start += i0*v.k.h + j0*v.k.w
			s.y.start += pi*v.y.h + pj*v.y.w
			if s.oh > 0 && s.ow > 0 {
				out = append(out, &s)
			}
		}
	}
	return out
}

// onePixel reports whether each output sees at most one of several taps because pictures have one pixel.
func (v *conv) onePixel() bool { return v.h*v.w == 1 && v.kh*v.kw > 1 }

// outputs splits a convolution over pictures of one pixel into one for each output, which has the one tap that meets the
// pixel, or none, and the pictures as its columns.
func (v *conv) outputs() (out []*conv) {
	tap := func(axis, i, taps int) (int, bool) {
		at := v.pad[axis] - i*v.stride[axis]
		return at / v.dilate[axis], at >= 0 && at%v.dilate[axis] == 0 && at/v.dilate[axis] < taps
	}
	one := [2]int{1, 1}
	for i := range v.oh {
		for j := range v.ow {
			s := *v
			s.b, s.w, s.oh, s.ow = 1, v.b, 1, v.b
			s.stride, s.dilate, s.inDilate, s.pad = one, one, one, [2]int{}
			s.x.w, s.y.w = v.x.b, v.y.b
			s.y.start += i*v.y.h + j*v.y.w
			p, meetsP := tap(0, i, v.kh)
			q, meetsQ := tap(1, j, v.kw)
			if s.kh, s.kw = 1, 1; !meetsP || !meetsQ {
				s.kh = 0
			}
			s.k.start += p*v.k.h + q*v.k.w
			out = append(out, &s)
		}
	}
	return out
}

// phase restricts one axis to the outputs r, r+d, ... and the taps that these see. It returns the first tap.
func (v *conv) phase(axis, r, d int, taps, out, kStride, yStride *int) (first int) {
	first = ((v.pad[axis]-r)%d + d) % d
	v.pad[axis] = -floorDiv(r+first-v.pad[axis], d)
	*taps = max(0, (*taps-first+d-1)/d)
	*out = max(0, (*out-r+d-1)/d)
	*kStride *= d
	*yStride *= d
	return first
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// patch copies rows u0.. and columns v0.. of X (dilated and padded: coordinates outside are zero) of c channels from
// offset from of one picture to dst [rows][cols][c].
func (v *conv) patch(dst, x []float32, u0, rows, v0, cols, c int) {
	for r := range rows {
		d := dst[r*cols*c:][:cols*c]
		u := u0 + r
		if u < 0 || u%v.inDilate[0] != 0 || u/v.inDilate[0] >= v.h {
			clear(d)
			continue
		}
		row := x[u/v.inDilate[0]*v.x.h:]
		if v.inDilate[1] == 1 {
			left := min(max(0, -v0), cols)
			right := min(max(left, v.w-v0), cols)
			clear(d[:left*c])
			if v.x.w == c {
				copy(d[left*c:right*c], row[min((v0+left)*c, len(row)):])
			} else {
				for t := left; t < right; t++ {
					copy(d[t*c:(t+1)*c], row[(v0+t)*v.x.w:][:c])
				}
			}
			clear(d[right*c:])
			continue
		}
		for t := range cols {
			at := v0 + t
			if at < 0 || at%v.inDilate[1] != 0 || at/v.inDilate[1] >= v.w {
				clear(d[t*c : (t+1)*c])
				continue
			}
			copy(d[t*c:(t+1)*c], row[at/v.inDilate[1]*v.x.w:][:c])
		}
	}
}

// channelsLast describes a copy of x to [b][h][w][c] when its channels do not lie next to each other; nil if they do.
// It changes v to read the copy.
func (v *conv) channelsLast() *move {
	all := v.c * v.groups
	if v.x.c == 1 || all == 1 {
		return nil
	}
	dims := []int{v.b, v.h, v.w, all}
	m := newMove(dims, contiguous(dims), []int{v.x.b, v.x.h, v.x.w, v.x.c}, 0, 0)
	v.x = strides{b: v.h * v.w * all, h: v.w * all, w: all, c: 1}
	return m
}

// kernelMove describes the copy of the taps and in-channels of one group's kernel to a matrix [kh*kw*c][o]; group g
// starts g*o*v.k.c elements later. nil if the matrix lies in memory with the returned row stride.
func (v *conv) kernelMove() (m *move, rowStride int) {
	dims := []int{v.kh, v.kw, v.c}
	rows := newNest(dims, []int{v.k.h, v.k.w, v.k.b})
	if len(rows.dims) == 1 && rows.stride(0) >= 0 {
		return nil, rows.stride(0)
	}
	dims = append(slices.Clone(dims), v.o)
	return newMove(dims, contiguous(dims), []int{v.k.h, v.k.w, v.k.b, v.k.c}, 0, v.k.start), v.o
}
