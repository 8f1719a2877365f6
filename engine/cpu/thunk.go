package cpu

import (
	"fmt"
	"unsafe"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/pass"
)

// maker compiles one operation.
type maker func(c *compiler, n *ir.Node) (func(f *frame), float64, error)

// makers says which function compiles an operation that is not part of a cluster.
var makers map[compute.OpType]maker

func init() {
	makers = map[compute.OpType]maker{
		ir.OpAttention:                    makeAttention,
		ir.OpAttentionGrad:                makeAttentionGrad,
		compute.OpTypeTranspose:           makeTranspose,
		compute.OpTypeBroadcastInDim:      makeBroadcast,
		compute.OpTypeSlice:               makeSlice,
		compute.OpTypeReverse:             makeReverse,
		compute.OpTypePad:                 makePad,
		compute.OpTypeConcatenate:         makeConcatenate,
		compute.OpTypeIota:                makeIota,
		compute.OpTypeConvertDType:        makeConvert,
		compute.OpTypeWhere:               makeWhere,
		compute.OpTypeIsFinite:            makeIsSpecial,
		compute.OpTypeIsNaN:               makeIsSpecial,
		compute.OpTypeArgMinMax:           makeArgMinMax,
		compute.OpTypeGather:              makeGather,
		compute.OpTypeScatterSum:          makeScatter,
		compute.OpTypeScatterMax:          makeScatter,
		compute.OpTypeScatterMin:          makeScatter,
		compute.OpTypeDotGeneral:          makeDot,
		compute.OpTypeConvGeneral:         makeConv,
		compute.OpTypeReduceWindow:        makeReduceWindow,
		compute.OpTypeDynamicSlice:        makeDynamicSlice,
		compute.OpTypeDynamicUpdateSlice:  makeDynamicUpdateSlice,
		compute.OpTypeSelectAndScatterMax: makeSelectAndScatter,
		compute.OpTypeSelectAndScatterMin: makeSelectAndScatter,
		ir.OpRNGState:                     makeRNGState,
		ir.OpRNGBits:                      makeRNGBits,
		compute.OpTypeWhile:               makeWhile,
		compute.OpTypeIf:                  makeIf,
		compute.OpTypeSort:                makeSort,
		ir.OpPart:                         makePart,
		ir.OpFallback:                     makeFallback,
		ir.OpSample:                       makeSample,
		ir.OpSpread:                       makeSpread,
		ir.OpBands:                        makeBands,
	}
	for op := range reductions {
		makers[op] = makeReduce
	}
	for op := range unaryTypes {
		makers[op] = makeUnary
	}
	for op := range binaryTypes {
		makers[op] = makeBinary
	}
	for op := range totalOrders {
		makers[op] = makeTotalOrder
	}
	for op := range compareOps {
		makers[op] = makeCompare
	}
}

// thunk compiles a unit.
func (c *compiler) thunk(u *pass.Unit, p *program) (thunk, error) {
	if p != nil {
		return p.thunk(c), nil
	}
	n := u.Nodes[0]
	make, ok := makers[n.Op]
	if !ok {
		return thunk{}, errors.Wrapf(compute.ErrNotImplemented, "operation %s", n.Name())
	}
	run, work, err := make(c, n)
	if err != nil {
		return thunk{}, errors.WithMessagef(err, "operation %s", n.Name())
	}
	if n.Size() == 0 {
		run = func(*frame) {}
	}
	unit := describe(n)
	if c.mixed(n) {
		unit += " in bfloat16"
	}
	return thunk{name: n.Name(), unit: unit, run: run, work: work}, nil
}

// describe is a line about an operation for profiles.
func describe(n *ir.Node) string {
	s := n.Name()
	for _, in := range n.In {
		s += fmt.Sprintf(" %v", in.Shape)
	}
	s += fmt.Sprintf(" -> %v", n.Shape)
	if n.Attr != nil && n.Op != ir.OpFallback {
		s += fmt.Sprintf(" %v", n.Attr)
	}
	return s
}

func pointer(mem []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(mem)) }

func makeFallback(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	fb := n.Attr.(*fallback)
	c.b.countFallback(fb.name)
	dst := c.slot(n)
	src := make([]int, len(n.In))
	for i, in := range n.In {
		src[i] = c.slot(in)
	}
	return func(f *frame) {
		in := make([][]byte, len(src))
		for i, s := range src {
			in[i] = f.slots[s]
		}
		if err := fb.run(f.slots[dst], in); err != nil {
			panic(err)
		}
	}, 0, nil
}

// isNumber reports whether generic loops exist for a type.
func isNumber(d dtypes.DType) bool {
	switch d {
	case dtypes.Float32, dtypes.Float64, dtypes.Int8, dtypes.Int16, dtypes.Int32, dtypes.Int64, dtypes.Uint8, dtypes.Uint16, dtypes.Uint32, dtypes.Uint64:
		return true
	}
	return false
}
