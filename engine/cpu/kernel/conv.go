package kernel

// ConvShape describes a 2-D convolution (cross-correlation, as in all of machine learning) over N pictures in NHWC with
// weights [KH][KW][Cin][Cout]: output (y,x) reads input (y*StrideH+ky*DilH-PadTop, x*StrideW+kx*DilW-PadLeft), zero
// outside. OutH and OutW are given, so any padding at the far side is allowed; pads may be negative.
type ConvShape struct {
	N, H, W, Cin     int
	OutH, OutW, Cout int
	KH, KW           int
	StrideH, StrideW int
	DilH, DilW       int
	PadTop, PadLeft  int
}

// Conv is a planned convolution. All methods are safe for concurrent use; jobs are independent, write disjoint parts of
// the output and may run in any order. Which jobs there are depends on the shape only, and no bit of the result on it.
type Conv interface {
	WeightSize() int                                       // floats of the packed weights
	PackWeights(dst, w []float32)                          // from [KH][KW][Cin][Cout]
	PackWeightsRange(dst, w []float32, panel0, panel1 int) // in parallel, over Panels(Cout)
	Scratch() int                                          // floats of scratch of one Run
	Jobs() int                                             // number of jobs
	Run(job int, out, in, packed, bias, scratch []float32) // bias [Cout] or nil
}

// FlipTranspose turns weights [KH][KW][Cin][Cout] into those of the input gradient, dst [KH][KW][Cout][Cin] with both
// spatial axes reversed: the gradient of a stride-1 convolution is the convolution of the output's gradient with them,
// padded by (KH-1)*DilH-PadTop and (KW-1)*DilW-PadLeft.
func (s *Set) FlipTranspose(dst, w []float32, taps, cin, cout int) {
	for t := range taps {
		s.Transpose(dst[(taps-1-t)*cin*cout:], cin, w[t*cin*cout:], cout, cin, cout)
	}
}

// InputGrad is the shape of the convolution that computes the gradient with respect to the input of a stride-1
// convolution, from the output's gradient and FlipTranspose of the weights.
func (c ConvShape) InputGrad() ConvShape {
	g := c
	g.H, g.W, g.Cin, g.OutH, g.OutW, g.Cout = c.OutH, c.OutW, c.Cout, c.H, c.W, c.Cin
	g.PadTop, g.PadLeft = (c.KH-1)*c.DilH-c.PadTop, (c.KW-1)*c.DilW-c.PadLeft
	return g
}

// NewConv plans a convolution by the algorithm that suits its shape: Winograd where it applies, where the tiles are full
// enough and there are channels enough to pay for the transforms, else direct. The batch size plays no part.
func (s *Set) NewConv(c ConvShape) Conv {
	if c.WinogradPays() {
		return s.NewWinograd(c)
	}
	return s.NewDirect(c)
}

// WinogradPays is the rule of NewConv.
func (c ConvShape) WinogradPays() bool {
	tiles := ((c.OutH + 3) / 4) * ((c.OutW + 3) / 4)
	return c.FitsWinograd() && c.Cin >= 12 && c.Cout >= 3 && 9*c.OutH*c.OutW >= 60*tiles
}
