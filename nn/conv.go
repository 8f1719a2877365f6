package nn

import "github.com/gomlx/gomlx/core/graph"

// conv is the convolution of x [n,h,w,in] with w [kh,kw,in,out], padded by pads {{top,bottom},{left,right}}.
func conv(x, w *graph.Node, stride int, pads [2][2]int) *graph.Node {
	axes := graph.ConvolveAxesConfig{
		InputBatch: 0, InputChannels: 3, InputSpatial: []int{1, 2},
		KernelInputChannels: 2, KernelOutputChannels: 3, KernelSpatial: []int{0, 1},
		OutputBatch: 0, OutputChannels: 3, OutputSpatial: []int{1, 2},
	}
	return graph.ConvGeneral(x, w, axes, []int{stride, stride}, pads[:], nil, nil, 1, 1)
}

// upsampleNearest repeats each pixel f x f times: x [n,h,w,c] -> [n,h*f,w*f,c].
func upsampleNearest(x *graph.Node, f int) *graph.Node {
	n, h, w, c := dims4(x)
	y := graph.Reshape(x, n, h, 1, w, 1, c)
	y = graph.BroadcastToDims(y, n, h, f, w, f, c)
	return graph.Reshape(y, n, h*f, w*f, c)
}
