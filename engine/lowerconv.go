package engine

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
)

// ConvGeneral is lowered to matrix products, because the Go backend's own convolution is some thirty times slower than
// its matrix product. Everything is brought to pictures [batch, height, width, channels] and kernels [height, width, in,
// out]; three forms are told apart by shape alone, so the arithmetic does not depend on threads or timing:
//
//   - patches (patches): the kernel's taps, gathered side by side, times the kernel as one matrix;
//   - input dilation without stride (phases), which is a strided convolution's input gradient: outputs of one phase
//     (position modulo dilation) are a small convolution of their own, so that no zeros are multiplied;
//   - a kernel larger than the output (correlate), which is a kernel gradient: one product over batch and positions.
func (f *loweredFunction) ConvGeneral(input, kernel compute.Value, ax compute.ConvolveAxesConfig, strides []int, pads [][2]int,
	inputDilations, kernelDilations []int, channelGroups, batchGroups int) (compute.Value, error) {
	if len(ax.InputSpatial) != 2 || batchGroups > 1 {
		return f.Function.ConvGeneral(input, kernel, ax, strides, pads, inputDilations, kernelDilations, channelGroups, batchGroups)
	}
	l := &lowering{f: f.Function}
	x := l.transpose(input, ax.InputBatch, ax.InputSpatial[0], ax.InputSpatial[1], ax.InputChannels)
	w := l.transpose(kernel, ax.KernelSpatial[0], ax.KernelSpatial[1], ax.KernelInputChannels, ax.KernelOutputChannels)
	if l.err != nil {
		return nil, l.err
	}
	var c conv2d
	for i := range c {
		c[i] = conv1d{stride: at(strides, i), xDilate: at(inputDilations, i), wDilate: at(kernelDilations, i)}
		if i < len(pads) {
			c[i].before, c[i].after = pads[i][0], pads[i][1]
		}
	}
	var y compute.Value
	if channelGroups > 1 {
		y = l.groups(x, w, c, channelGroups)
	} else {
		y = l.conv(x, w, c)
	}
	back := make([]int, 4)
	back[ax.OutputBatch], back[ax.OutputSpatial[0]], back[ax.OutputSpatial[1]], back[ax.OutputChannels] = 0, 1, 2, 3
	y = l.transpose(y, back...)
	return y, l.err
}

// at is an element of a list that may be missing, which means ones.
func at(v []int, i int) int {
	if i < len(v) && v[i] > 0 {
		return v[i]
	}
	return 1
}

// conv1d holds the numbers of a convolution along one axis; pads may be negative.
type conv1d struct{ stride, before, after, xDilate, wDilate int }

// out is the length of the output for an input of n and a kernel of k.
func (c conv1d) out(n, k int) int {
	return max(0, ((n-1)*c.xDilate+1+c.before+c.after-((k-1)*c.wDilate+1))/c.stride+1)
}

type conv2d [2]conv1d

// conv convolves x [b,h,w,c] with w [kh,kw,c,o].
func (l *lowering) conv(x, w compute.Value, c conv2d) compute.Value {
	xd, wd := l.dims(x), l.dims(w)
	if l.err != nil {
		return nil
	}
	oh, ow := c[0].out(xd[1], wd[0]), c[1].out(xd[2], wd[1])
	switch {
	case c[0].xDilate*c[1].xDilate > 1 && c[0].stride*c[1].stride*c[0].wDilate*c[1].wDilate == 1:
		return l.phases(x, w, c)
	case wd[0]*wd[1] > 2*oh*ow:
		return l.correlate(x, w, c, oh, ow)
	}
	return l.patches(l.spread(x, c), w, c, oh, ow)
}

// spread applies pads and input dilation.
func (l *lowering) spread(x compute.Value, c conv2d) compute.Value {
	return l.pad(x, compute.PadAxis{},
		compute.PadAxis{Start: c[0].before, End: c[0].after, Interior: c[0].xDilate - 1},
		compute.PadAxis{Start: c[1].before, End: c[1].after, Interior: c[1].xDilate - 1}, compute.PadAxis{})
}

// window takes n elements along each axis of x [b,h,w,c], step apart, from start on.
func (l *lowering) window(x compute.Value, start, n, step [2]int) compute.Value {
	d := l.dims(x)
	if l.err != nil {
		return nil
	}
	return l.slice(x, []int{0, start[0], start[1], 0},
		[]int{d[0], start[0] + (n[0]-1)*step[0] + 1, start[1] + (n[1]-1)*step[1] + 1, d[3]}, []int{1, step[0], step[1], 1})
}

// patches multiplies the matrix of patches [b*oh*ow, kh*kw*c] with the kernel.
func (l *lowering) patches(x, w compute.Value, c conv2d, oh, ow int) compute.Value {
	b, wd := l.dims(x)[0], l.dims(w)
	var taps []compute.Value
	for i := range wd[0] {
		for j := range wd[1] {
			taps = append(taps, l.window(x, [2]int{i * c[0].wDilate, j * c[1].wDilate}, [2]int{oh, ow}, [2]int{c[0].stride, c[1].stride}))
		}
	}
	k := wd[0] * wd[1] * wd[2]
	m := l.reshape(l.concatenate(3, taps...), b*oh*ow, k)
	return l.reshape(l.product(m, l.reshape(w, k, wd[3])), b, oh, ow, wd[3])
}

// correlate is for kernels that are pictures: x [c,h,w,b] and the kernel [kh,kw,b,o] are multiplied over kh, kw and b,
// for each of the few outputs. In a kernel gradient x is a transposed picture, so the patches, put together with the
// original order of axes, are those of the forward convolution: the backend computes them once for both.
func (l *lowering) correlate(x, w compute.Value, c conv2d, oh, ow int) compute.Value {
	xd, wd := l.dims(x), l.dims(w)
	if l.err != nil {
		return nil
	}
	picture := l.spread(l.transpose(x, 3, 1, 2, 0), c) // [b,h,w,c]
	var taps []compute.Value
	for i := range oh {
		for j := range ow {
			taps = append(taps, l.window(picture, [2]int{i * c[0].stride, j * c[1].stride}, [2]int{wd[0], wd[1]}, [2]int{c[0].wDilate, c[1].wDilate}))
		}
	}
	k := wd[2] * wd[0] * wd[1]
	m := l.reshape(l.concatenate(3, taps...), k, oh*ow*xd[0])
	y := l.product(l.reshape(l.transpose(w, 3, 2, 0, 1), wd[3], k), m) // [o, oh*ow*c]
	return l.transpose(l.reshape(y, wd[3], oh, ow, xd[0]), 3, 1, 2, 0)
}

// phases is a convolution without stride of an input dilated by a. Along one axis, y[i] = sum over q of X[i+q-p] w[q]
// with X[a*j] = x[j] and zero elsewhere: only q with i+q-p = a*j count. For i = a*t + r these are q = q0 + a*u with
// q0 = (p-r) mod a, which is a convolution of x without dilation: y[a*t+r] = sum over u of x[t+u+(r+q0-p)/a] w[q0+a*u].
func (l *lowering) phases(x, w compute.Value, c conv2d) compute.Value {
	xd, wd := l.dims(x), l.dims(w)
	if l.err != nil {
		return nil
	}
	oh, ow := c[0].out(xd[1], wd[0]), c[1].out(xd[2], wd[1])
	rows := make([]compute.Value, c[0].xDilate)
	for r := range rows {
		columns := make([]compute.Value, c[1].xDilate)
		for s := range columns {
			columns[s] = l.phase(x, w, [2]phase{c[0].phase(r, xd[1], wd[0]), c[1].phase(s, xd[2], wd[1])})
		}
		rows[r] = l.concatenate(4, columns...) // [b,th,1,tw,a,o]
	}
	y := l.concatenate(2, rows...)
	d := l.dims(y)
	if l.err != nil {
		return nil
	}
	y = l.reshape(y, d[0], d[1]*d[2], d[3]*d[4], d[5])
	return l.slice(y, []int{0, 0, 0, 0}, []int{d[0], oh, ow, d[5]}, nil)
}

// phase is one phase along one axis: taps of the kernel from first on, every step-th, and the pads that give length outputs.
type phase struct{ first, step, taps, before, after, length int }

func (c conv1d) phase(r, n, k int) phase {
	a, p := c.xDilate, c.before
	f := phase{first: ((p-r)%a + a) % a, step: a, length: (c.out(n, k) + a - 1) / a}
	f.taps = max(0, (k-f.first+a-1)/a)
	f.before = -(r + f.first - p) / a // exact
	f.after = f.length + f.taps - 1 - n - f.before
	return f
}

// phase computes the outputs of one phase of both axes, [b,th,1,tw,1,o].
func (l *lowering) phase(x, w compute.Value, f [2]phase) compute.Value {
	xd, wd := l.dims(x), l.dims(w)
	if l.err != nil {
		return nil
	}
	shape := []int{xd[0], f[0].length, 1, f[1].length, 1, wd[3]}
	if f[0].taps == 0 || f[1].taps == 0 {
		s, err := l.f.Shape(x)
		zero := l.value(l.f.Constant(zeroOf(s.DType)))
		if l.err != nil || err != nil {
			return l.value(nil, err)
		}
		return l.value(l.f.BroadcastInDim(l.reshape(zero), shapes.Make(s.DType, shape...), nil))
	}
	part := l.slice(w, []int{f[0].first, f[1].first, 0, 0}, wd, []int{f[0].step, f[1].step, 1, 1})
	var c conv2d
	for i := range c {
		c[i] = conv1d{stride: 1, before: f[i].before, after: f[i].after, xDilate: 1, wDilate: 1}
	}
	return l.reshape(l.conv(x, part, c), shape...)
}

// groups convolves channel groups one by one.
func (l *lowering) groups(x, w compute.Value, c conv2d, n int) compute.Value {
	xd, wd := l.dims(x), l.dims(w)
	if l.err != nil {
		return nil
	}
	in, out := xd[3]/n, wd[3]/n
	parts := make([]compute.Value, n)
	for i := range parts {
		xi := l.slice(x, []int{0, 0, 0, i * in}, []int{xd[0], xd[1], xd[2], (i + 1) * in}, nil)
		wi := l.slice(w, []int{0, 0, 0, i * out}, []int{wd[0], wd[1], wd[2], (i + 1) * out}, nil)
		parts[i] = l.conv(xi, wi, c)
	}
	return l.concatenate(3, parts...)
}
