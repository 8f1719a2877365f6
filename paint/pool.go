package paint

import (
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// PoolGraph shrinks (or stretches) a picture x [1,h,w,c] to [1,oh,ow,c] by the mean of adaptive average pooling and
// adaptive maximum pooling, as the "latest" cuts of VQGAN-CLIP do. Both are exact, with PyTorch's gradients.
func PoolGraph(x *graph.Node, oh, ow int) *graph.Node {
	d := x.Shape().Dimensions
	average := gx.Resample(x, gx.AreaMatrix(d[1], oh), gx.AreaMatrix(d[2], ow))
	return graph.MulScalar(graph.Add(average, maxPoolGraph(x, oh, ow)), 0.5)
}

// fitGraph pools a picture x [1,h,w,3] so that its longer side is size, and repeats its edges to fill the square.
func fitGraph(x *graph.Node, size int) *graph.Node {
	d := x.Shape().Dimensions
	longest := max(d[1], d[2])
	fit := func(n int) int { return max(1, (n*size+longest/2)/longest) }
	y := PoolGraph(x, fit(d[1]), fit(d[2]))
	return repeatEdges(repeatEdges(y, 1, size), 2, size)
}

// repeatEdges centres x on an axis of the given size and fills both ends with its first and last line.
func repeatEdges(x *graph.Node, axis, size int) *graph.Node {
	n := x.Shape().Dimensions[axis]
	if n == size {
		return x
	}
	line := func(at, count int) *graph.Node {
		spec := []graph.SliceAxisSpec{graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisRange()}
		spec[axis] = graph.AxisRange(at, at+1)
		l := graph.Slice(x, spec...)
		dims := append([]int(nil), l.Shape().Dimensions...)
		dims[axis] = count
		return graph.BroadcastToDims(l, dims...)
	}
	before := (size - n) / 2
	parts := []*graph.Node{x, line(n-1, size-n-before)}
	if before > 0 {
		parts = append([]*graph.Node{line(0, before)}, parts...)
	}
	return graph.Concatenate(parts, axis)
}

// maxPoolGraph is adaptive maximum pooling of x [1,h,w,c] to [1,oh,ow,c]. The maximum over a window is that of
// its rows' maxima. Of equal values the first in reading order receives the gradient, as in PyTorch: the columns are
// reduced first, and Max gives ties to its left operand.
func maxPoolGraph(x *graph.Node, oh, ow int) *graph.Node {
	d := x.Shape().Dimensions
	h, w, c := d[1], d[2], d[3]
	columns := graph.Reshape(graph.TransposeAllAxes(x, 0, 2, 1, 3), w, h*c)
	columns = maxRows(columns, ow) // [ow, h*c]
	rows := graph.Reshape(graph.TransposeAllAxes(graph.Reshape(columns, ow, h, c), 1, 0, 2), h, ow*c)
	return graph.Reshape(maxRows(rows, oh), 1, oh, ow, c)
}

// maxRows reduces x [n,k] to [size,k]: output row o is the maximum of the rows of pooling window o.
func maxRows(x *graph.Node, size int) *graph.Node {
	n := x.Shape().Dimensions[0]
	longest := 0
	for o := range size {
		from, to := poolWindow(o, size, n)
		longest = max(longest, to-from)
	}
	var best *graph.Node
	for j := range longest {
		at := make([][]int32, size) // short windows repeat their last row, which then wins no tie
		for o := range size {
			from, to := poolWindow(o, size, n)
			at[o] = []int32{int32(min(from+j, to-1))}
		}
		rows := graph.Gather(x, graph.Const(x.Graph(), at))
		if best == nil {
			best = rows
		} else {
			best = graph.Max(best, rows)
		}
	}
	return best
}

// poolWindow returns the samples [from,to) that adaptive pooling of in samples to out samples reads for output o.
func poolWindow(o, out, in int) (from, to int) {
	return o * in / out, ((o+1)*in + out - 1) / out
}
