package cpu

import (
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Convolutions along any number of axes and with groups of batches, with plain loops: no model here has one, but the
// interface does.

// convAny is a convolution whose spatial axes are loop axes like others. Group g of bGroups reads the g-th part of the batch
// and gives the g-th part of the output channels.
type convAny struct {
	a                ir.Conv
	in, out, kernel  []int // spatial dimensions
	xs, ys, ws       []int // and strides
	xb, xc, yb, yc   int   // strides of batch and channels
	wi, wo           int
	batch, channels  int // of the output
	inputs, perGroup int // channels that one output channel sees; output channels of a group
	bPerGroup        int // output channels of a group of batches
}

func newConvAny(n *ir.Node) *convAny {
	a := n.Attr.(ir.Conv)
	x, w, y := n.In[0].Shape.Dimensions, n.In[1].Shape.Dimensions, n.Shape.Dimensions
	xs, ws, ys := contiguous(x), contiguous(w), contiguous(y)
	ax := a.Axes
	v := &convAny{a: a, xb: xs[ax.InputBatch], xc: xs[ax.InputChannels], yb: ys[ax.OutputBatch], yc: ys[ax.OutputChannels],
		wi: ws[ax.KernelInputChannels], wo: ws[ax.KernelOutputChannels], batch: y[ax.OutputBatch], channels: y[ax.OutputChannels],
		inputs: w[ax.KernelInputChannels]}
	v.perGroup, v.bPerGroup = v.channels/a.Groups, v.channels/a.BGroups
	for i := range ax.InputSpatial {
		v.in, v.xs = append(v.in, x[ax.InputSpatial[i]]), append(v.xs, xs[ax.InputSpatial[i]])
		v.out, v.ys = append(v.out, y[ax.OutputSpatial[i]]), append(v.ys, ys[ax.OutputSpatial[i]])
		v.kernel, v.ws = append(v.kernel, w[ax.KernelSpatial[i]]), append(v.ws, ws[ax.KernelSpatial[i]])
	}
	return v
}

// tap is where a window reads the input and the kernel.
type tap struct{ x, w int }

// taps appends what output position o (in the order of the spatial axes) sees, and returns its offset in the output.
func (v *convAny) taps(o int, buf []tap) (taps []tap, at int) {
	buf = append(buf, tap{})
	for i := len(v.out) - 1; i >= 0; i-- {
		c := o % v.out[i]
		o /= v.out[i]
		at += c * v.ys[i]
		n := len(buf)
		for k := range v.kernel[i] {
			u := c*v.a.Strides[i] + k*v.a.Dilate[i] - v.a.Pads[i][0]
			if u < 0 || u%v.a.InDilate[i] != 0 || u/v.a.InDilate[i] >= v.in[i] {
				continue
			}
			if v.a.Reversed {
				k = v.kernel[i] - 1 - k
			}
			for _, b := range buf[:n] {
				buf = append(buf, tap{b.x + u/v.a.InDilate[i]*v.xs[i], b.w + k*v.ws[i]})
			}
		}
		buf = buf[n:]
	}
	return buf, at
}

func makeConvAny(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	v := newConvAny(n)
	make := byType[func(c *compiler, n *ir.Node, v *convAny) func(f *frame)]{convAnyLoops[float32], convAnyLoops[float64], convAnyLoops[int8],
		convAnyLoops[int16], convAnyLoops[int32], convAnyLoops[int64], convAnyLoops[uint8], convAnyLoops[uint16], convAnyLoops[uint32], convAnyLoops[uint64]}
	run := make.get(n.Shape.DType)(c, n, v)
	if n.Shape.DType == dtypes.Float32 {
		run = withBias(run, c.slot(n), c.bias(n))
	}
	return run, 2 * float64(n.Size()*product(v.kernel)*v.inputs), nil
}

func convAnyLoops[T number](c *compiler, n *ir.Node, v *convAny) func(f *frame) {
	dst, src, kernel := c.slot(n), c.slot(n.In[0]), c.slot(n.In[1])
	positions := product(v.out)
	return func(f *frame) {
		x, w, y := view[T](f.slots[src]), view[T](f.slots[kernel]), view[T](f.slots[dst])
		f.b.pool.Run(positions, 1, func(lo, hi int) {
			var buf []tap
			for p := lo; p < hi; p++ {
				taps, at := v.taps(p, buf[:0])
				buf = taps
				for b := range v.batch {
					for o := range v.channels {
						from := (o/v.bPerGroup*v.batch+b)*v.xb + o/v.perGroup*v.inputs*v.xc
						var sum T
						for _, t := range taps {
							for i := range v.inputs {
								sum += x[from+t.x+i*v.xc] * w[t.w+i*v.wi+o*v.wo]
							}
						}
						y[at+b*v.yb+o*v.yc] = sum
					}
				}
			}
		})
	}
}
