package cpu

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Operations that are recorded as a few others.

// recorder records operations in a row; after the first error it does nothing.
type recorder struct {
	f   *Function
	err error
}

func (r *recorder) binary(op compute.OpType, x, y compute.Value) compute.Value {
	if r.err != nil {
		return nil
	}
	v, err := r.f.binary(op, x, y)
	r.err = err
	return v
}

func (r *recorder) add(x, y compute.Value) compute.Value { return r.binary(compute.OpTypeAdd, x, y) }
func (r *recorder) sub(x, y compute.Value) compute.Value { return r.binary(compute.OpTypeSub, x, y) }
func (r *recorder) mul(x, y compute.Value) compute.Value { return r.binary(compute.OpTypeMul, x, y) }

func (r *recorder) rsqrt(x compute.Value) compute.Value {
	if r.err != nil {
		return nil
	}
	v, err := r.f.unary(compute.OpTypeRsqrt, x)
	r.err = err
	return v
}

func (r *recorder) sum(x compute.Value, axes []int) compute.Value {
	if r.err != nil || len(axes) == 0 {
		return x
	}
	v, err := r.f.reduce(compute.OpTypeReduceSum, x, axes)
	r.err = err
	return v
}

// norm is a batch normalisation of x [..., channels, ...]: statistics are those of each channel over all else.
type norm struct {
	recorder
	x       *ir.Node // not in half precision
	half    dtypes.DType
	axis    int
	others  []int // axes
	count   float64
	epsilon float64
}

// norm checks the operands; rows are vectors of one element a channel.
func (f *Function) norm(operand compute.Value, axis int, epsilon float32, rows ...compute.Value) (*norm, []compute.Value, error) {
	x, err := f.node(operand)
	if err != nil {
		return nil, nil, err
	}
	s := x.Shape
	if axis < 0 || axis >= s.Rank() || !s.DType.IsFloat() {
		return nil, nil, errors.Errorf("cpu: batch normalisation of %s, channels in axis %d", s, axis)
	}
	n := &norm{recorder: recorder{f: f}, x: f.wide(x), half: s.DType, axis: axis, others: rest(s.Rank(), []int{axis}), epsilon: float64(epsilon)}
	n.count = float64(s.Size()) / float64(max(1, s.Dimensions[axis]))
	values := make([]compute.Value, len(rows))
	for i, v := range rows {
		row, err := f.node(v)
		if err != nil {
			return nil, nil, err
		}
		if row.Shape.Rank() != 1 || row.Shape.Dimensions[0] != s.Dimensions[axis] {
			return nil, nil, errors.Errorf("cpu: batch normalisation of %s with %s", s, row.Shape)
		}
		values[i] = n.along(f.convert(row, n.x.Shape.DType))
	}
	return n, values, nil
}

// along gives a row of channels the axes of x.
func (n *norm) along(row compute.Value) compute.Value {
	if n.err != nil {
		return nil
	}
	dims := ones(n.x.Shape.Rank())
	dims[n.axis] = n.x.Shape.Dimensions[n.axis]
	return n.f.reshape(row.(*ir.Node), dims...)
}

// number is a constant of x's type.
func (n *norm) number(v float64) compute.Value {
	mem := allocate(8)
	if n.x.Shape.DType == dtypes.Float32 {
		mem = mem[:4]
		view[float32](mem)[0] = float32(v)
	} else {
		view[float64](mem)[0] = v
	}
	return n.f.reshape(n.f.constant(shapes.Make(n.x.Shape.DType), mem), ones(n.x.Shape.Rank())...)
}

// mean is that of each channel, as a row.
func (n *norm) mean(x compute.Value) compute.Value {
	s := n.sum(x, n.others)
	return n.result(n.mul(n.along(s), n.number(1/n.count)))
}

// result drops the other axes again.
func (n *norm) result(x compute.Value) compute.Value {
	if n.err != nil {
		return nil
	}
	return n.f.reshape(x.(*ir.Node), n.x.Shape.Dimensions[n.axis])
}

// narrow converts results to the operand's type.
func (n *norm) narrow(vs ...compute.Value) ([]compute.Value, error) {
	if n.err != nil {
		return nil, n.err
	}
	for i, v := range vs {
		vs[i] = n.f.convert(v.(*ir.Node), n.half)
	}
	return vs, nil
}

// BatchNormForInference records (x-mean)/sqrt(variance+epsilon)*scale+offset.
func (f *Function) BatchNormForInference(operand, scale, offset, mean, variance compute.Value, epsilon float32, axis int) (compute.Value, error) {
	n, rows, err := f.norm(operand, axis, epsilon, scale, offset, mean, variance)
	if err != nil {
		return nil, err
	}
	y := n.mul(n.sub(n.x, rows[2]), n.rsqrt(n.add(rows[3], n.number(n.epsilon))))
	out, err := n.narrow(n.add(n.mul(y, rows[0]), rows[1]))
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// BatchNormForTraining records the normalisation by the mean and the variance (divided by the count) of the batch itself.
func (f *Function) BatchNormForTraining(operand, scale, offset compute.Value, epsilon float32, axis int) (normalized, mean, variance compute.Value, err error) {
	n, rows, err := f.norm(operand, axis, epsilon, scale, offset)
	if err != nil {
		return nil, nil, nil, err
	}
	m := n.mean(n.x)
	centred := n.sub(n.x, n.along(m))
	v := n.mean(n.mul(centred, centred))
	y := n.mul(centred, n.rsqrt(n.add(n.along(v), n.number(n.epsilon))))
	out, err := n.narrow(n.add(n.mul(y, rows[0]), rows[1]), m, v)
	if err != nil {
		return nil, nil, nil, err
	}
	return out[0], out[1], out[2], nil
}

// BatchNormGradient records the gradients of BatchNormForTraining for its operand, scale and offset, given those of the result.
// With h = (x-mean)/sqrt(variance+epsilon), g the gradient and N the count: d offset = sum g, d scale = sum g*h, and
// d x = scale/sqrt(variance+epsilon) * (g - sum(g)/N - h*sum(g*h)/N).
func (f *Function) BatchNormGradient(operand, scale, mean, variance, gradient compute.Value, epsilon float32, axis int) (dx, dScale, dOffset compute.Value, err error) {
	n, rows, err := f.norm(operand, axis, epsilon, scale, mean, variance)
	if err != nil {
		return nil, nil, nil, err
	}
	gn, err := f.node(gradient)
	if err != nil {
		return nil, nil, nil, err
	}
	if !gn.Shape.EqualDimensions(n.x.Shape) {
		return nil, nil, nil, errors.Errorf("cpu: gradient %s of a batch normalisation of %s", gn.Shape, n.x.Shape)
	}
	g := f.convert(gn, n.x.Shape.DType)
	inverse := n.rsqrt(n.add(rows[2], n.number(n.epsilon)))
	h := n.mul(n.sub(n.x, rows[1]), inverse)
	sg, sgh := n.sum(g, n.others), n.sum(n.mul(g, h), n.others)
	share := n.number(1 / n.count)
	inner := n.sub(n.sub(g, n.mul(n.along(sg), share)), n.mul(h, n.mul(n.along(sgh), share)))
	out, err := n.narrow(n.mul(n.mul(rows[0], inverse), inner), n.result(n.along(sgh)), n.result(n.along(sg)))
	if err != nil {
		return nil, nil, nil, err
	}
	return out[0], out[1], out[2], nil
}

// Real of a real number is the number.
func (f *Function) Real(v compute.Value) (compute.Value, error) {
	x, err := f.node(v)
	if err == nil && !x.Shape.DType.IsFloat() {
		err = errors.Errorf("cpu: the real part of %s", x.Shape)
	}
	return x, err
}

// Imag of a real number is zero.
func (f *Function) Imag(v compute.Value) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	if !x.Shape.DType.IsFloat() {
		return nil, errors.Errorf("cpu: the imaginary part of %s", x.Shape)
	}
	zero := f.constant(shapes.Make(x.Shape.DType), allocate(x.Shape.DType.Size()))
	return f.broadcast(zero, x.Shape, nil), nil
}
