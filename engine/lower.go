package engine

import (
	"reflect"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
)

// newLowered starts GoMLX's Go backend with operations one after the other (in parallel it can deadlock:
// operations hold the pool's workers while they wait for more) behind a wrapper that lowers convolutions to matrix
// products, which is some thirty times faster than its own convolution.
func newLowered(threads int) (compute.Backend, error) {
	b, err := gobackend.New("ops_sequential")
	if err != nil {
		return nil, err
	}
	// The backend's own option for this prints to standard output, where only results belong.
	workers := reflect.ValueOf(b).Elem().FieldByName("Workers")
	workers.MethodByName("SetMaxParallelism").Call([]reflect.Value{reflect.ValueOf(threads)})
	return &lowered{b}, nil
}

type lowered struct {
	compute.Backend
}

func (b *lowered) Name() string   { return "go" }
func (b *lowered) String() string { return "go" }
func (b *lowered) Builder(name string) compute.Builder {
	return &loweredBuilder{Builder: b.Backend.Builder(name), be: b}
}

type loweredBuffer struct {
	compute.Buffer
	b *lowered
}

func (b *loweredBuffer) Backend() compute.Backend { return b.b }
func (b *loweredBuffer) CopyToDevice(d compute.DeviceNum) (compute.Buffer, error) {
	i, err := b.Buffer.CopyToDevice(d)
	if err != nil {
		return nil, err
	}
	return &loweredBuffer{i, b.b}, nil
}
func (b *lowered) BufferFromFlatData(d compute.DeviceNum, flat any, s shapes.Shape) (compute.Buffer, error) {
	i, err := b.Backend.BufferFromFlatData(d, flat, s)
	if err != nil {
		return nil, err
	}
	return &loweredBuffer{i, b}, nil
}
func (b *lowered) NewSharedBuffer(d compute.DeviceNum, s shapes.Shape) (compute.Buffer, any, error) {
	i, f, err := b.Backend.NewSharedBuffer(d, s)
	if err != nil {
		return nil, nil, err
	}
	return &loweredBuffer{i, b}, f, nil
}

type loweredExecutable struct {
	compute.Executable
	b *lowered
}

func (e *loweredExecutable) Execute(in []compute.Buffer, don []bool, d compute.DeviceNum) ([]compute.Buffer, error) {
	un := make([]compute.Buffer, len(in))
	for i, b := range in {
		un[i] = b.(*loweredBuffer).Buffer
	}
	out, err := e.Executable.Execute(un, don, d)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i] = &loweredBuffer{out[i], e.b}
	}
	return out, nil
}

type loweredBuilder struct {
	compute.Builder
	be   *lowered
	main *loweredFunction
}

func (b *loweredBuilder) Main() compute.Function {
	if b.main == nil {
		b.main = &loweredFunction{Function: b.Builder.Main(), b: b}
	}
	return b.main
}
func (b *loweredBuilder) NewFunction(name string) (compute.Function, error) {
	f, err := b.Builder.NewFunction(name)
	if err != nil {
		return nil, err
	}
	return &loweredFunction{Function: f, b: b}, nil
}
func (b *loweredBuilder) Compile() (compute.Executable, error) {
	e, err := b.Builder.Compile()
	if err != nil {
		return nil, err
	}
	return &loweredExecutable{e, b.be}, nil
}

type loweredFunction struct {
	compute.Function
	b      *loweredBuilder
	parent *loweredFunction
}

func (f *loweredFunction) Builder() compute.Builder { return f.b }
func (f *loweredFunction) Parent() compute.Function {
	if f.parent == nil {
		return nil
	}
	return f.parent
}
func (f *loweredFunction) Closure() (compute.Function, error) {
	c, err := f.Function.Closure()
	if err != nil {
		return nil, err
	}
	return &loweredFunction{Function: c, b: f.b, parent: f}, nil
}
func un(f compute.Function) compute.Function {
	if w, ok := f.(*loweredFunction); ok {
		return w.Function
	}
	return f
}
func (f *loweredFunction) Call(g compute.Function, in ...compute.Value) ([]compute.Value, error) {
	return f.Function.Call(un(g), in...)
}
func (f *loweredFunction) Sort(c compute.Function, axis int, st bool, in ...compute.Value) ([]compute.Value, error) {
	return f.Function.Sort(un(c), axis, st, in...)
}
func (f *loweredFunction) While(c, b compute.Function, in ...compute.Value) ([]compute.Value, error) {
	return f.Function.While(un(c), un(b), in...)
}
func (f *loweredFunction) If(p compute.Value, t, e compute.Function) ([]compute.Value, error) {
	return f.Function.If(p, un(t), un(e))
}

func ident(p []int) bool {
	for i, v := range p {
		if i != v {
			return false
		}
	}
	return true
}

type chain struct {
	f   compute.Function
	err error
}

func (c *chain) do(v compute.Value, err error) compute.Value {
	if c.err == nil {
		c.err = err
	}
	return v
}
func (c *chain) tr(v compute.Value, p []int) compute.Value {
	if c.err != nil || ident(p) {
		return v
	}
	return c.do(c.f.Transpose(v, p...))
}

func at(v []int, i int) int {
	if i < len(v) && v[i] > 0 {
		return v[i]
	}
	return 1
}

func (f *loweredFunction) ConvGeneral(input, kernel compute.Value, ax compute.ConvolveAxesConfig, strides []int, pads [][2]int,
	inDil, kDil []int, cg, bg int) (compute.Value, error) {
	n := len(ax.InputSpatial)
	if cg > 1 || bg > 1 || n != 2 {
		return f.Function.ConvGeneral(input, kernel, ax, strides, pads, inDil, kDil, cg, bg)
	}
	c := &chain{f: f.Function}
	x := c.tr(input, []int{ax.InputBatch, ax.InputSpatial[0], ax.InputSpatial[1], ax.InputChannels})
	w := c.tr(kernel, []int{ax.KernelSpatial[0], ax.KernelSpatial[1], ax.KernelInputChannels, ax.KernelOutputChannels})
	if c.err != nil {
		return nil, c.err
	}
	xs, _ := f.Function.Shape(x)
	ws, _ := f.Function.Shape(w)
	B, C, KH, KW, O := xs.Dimensions[0], xs.Dimensions[3], ws.Dimensions[0], ws.Dimensions[1], ws.Dimensions[3]
	ks := []int{KH, KW}
	var padcfg [4]compute.PadAxis
	need := false
	dims := []int{xs.Dimensions[1], xs.Dimensions[2]}
	var out, negLo, negHi [2]int
	for i := 0; i < 2; i++ {
		lo, hi := 0, 0
		if i < len(pads) {
			lo, hi = pads[i][0], pads[i][1]
		}
		if lo < 0 {
			negLo[i], lo = -lo, 0
		}
		if hi < 0 {
			negHi[i], hi = -hi, 0
		}
		padcfg[i+1] = compute.PadAxis{Start: lo, End: hi, Interior: at(inDil, i) - 1}
		need = need || padcfg[i+1] != compute.PadAxis{}
		dims[i] = 1 + (dims[i]-1)*at(inDil, i) + lo + hi
		out[i] = (dims[i]-negLo[i]-negHi[i]-((ks[i]-1)*at(kDil, i)+1))/at(strides, i) + 1
	}
	if need {
		var z compute.Value
		if z = c.do(f.Function.Constant(zeroOf(xs.DType))); c.err != nil {
			return nil, c.err
		}
		x = c.do(f.Function.Pad(x, z, padcfg[:]...))
		if c.err != nil {
			return nil, c.err
		}
	}
	M := B * out[0] * out[1]
	var cols []compute.Value
	for kh := 0; kh < KH; kh++ {
		for kw := 0; kw < KW; kw++ {
			s0, s1 := kh*at(kDil, 0)+negLo[0], kw*at(kDil, 1)+negLo[1]
			v := x
			if !(KH == 1 && KW == 1 && out[0] == dims[0] && out[1] == dims[1]) {
				v = c.do(f.Function.Slice(x, []int{0, s0, s1, 0},
					[]int{B, s0 + (out[0]-1)*at(strides, 0) + 1, s1 + (out[1]-1)*at(strides, 1) + 1, C}, []int{1, at(strides, 0), at(strides, 1), 1}))
			}
			if c.err != nil {
				return nil, c.err
			}
			cols = append(cols, v)
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	col := cols[0]
	if len(cols) > 1 {
		col = c.do(f.Function.Concatenate(3, cols...))
	}
	col = c.do(f.Function.Reshape(col, M, KH*KW*C))
	wm := c.do(f.Function.Reshape(w, KH*KW*C, O))
	if c.err != nil {
		return nil, c.err
	}
	acc := c.do(f.Function.DotGeneral(col, []int{1}, nil, wm, []int{0}, nil, compute.DotGeneralConfig{}))
	y := c.do(f.Function.Reshape(acc, B, out[0], out[1], O)) // [B, OH, OW, O]
	perm := make([]int, 4)
	perm[ax.OutputBatch], perm[ax.OutputSpatial[0]], perm[ax.OutputSpatial[1]], perm[ax.OutputChannels] = 0, 1, 2, 3
	y = c.tr(y, perm)
	return y, c.err
}

func zeroOf(d dtypes.DType) any {
	switch d {
	case dtypes.Float64:
		return []float64{0}
	case dtypes.BFloat16:
		return []bfloat16.BFloat16{0}
	default:
		return []float32{0}
	}
}
