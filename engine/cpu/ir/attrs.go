package ir

import (
	"fmt"
	"hash/fnv"

	"github.com/gomlx/compute"
)

// Constant is the value of a constant: the bytes of its elements in memory order.
type Constant struct{ Bytes []byte }

// String keeps keys of constants short: equal strings mean equal bytes with all practical certainty.
func (c *Constant) String() string {
	if len(c.Bytes) <= 64 {
		return fmt.Sprintf("%x", c.Bytes)
	}
	h := fnv.New128a()
	h.Write(c.Bytes)
	return fmt.Sprintf("%d:%x", len(c.Bytes), h.Sum(nil))
}

// Parameter is the position of an input.
type Parameter struct {
	Index int
	Name  string
}

// Axes are those of a reduction, transposition (the permutation), reversal, broadcast (the target axes of the operand's),
// or the one axis of a concatenation or iota.
type Axes struct{ Axes []int }

// Slice takes elements start, start+stride, ... below limit of each axis.
type Slice struct{ Starts, Limits, Strides []int }

// Pad surrounds and spreads; negative edges crop.
type Pad struct{ Axes []compute.PadAxis }

// Dot are the axes of a DotGeneral.
type Dot struct{ LContract, LBatch, RContract, RBatch []int }

// Conv is a convolution with all defaults filled in. Reversed says that the kernel's spatial axes run backwards.
type Conv struct {
	Axes             compute.ConvolveAxesConfig
	Strides          []int
	Pads             [][2]int
	InDilate, Dilate []int
	Groups, BGroups  int
	Reversed         bool
	Rows             int // of the result that this is a band of, by which the algorithm is chosen; 0 if it is whole
}

// Gather are the arguments of a Gather.
type Gather struct {
	IndexAxis                               int
	Offset, Collapsed, StartMap, SliceSizes []int
}

// Scatter are the arguments of a scatter.
type Scatter struct {
	IndexAxis                int
	Window, Inserted, ToAxes []int
}

// Arg is the axis of an ArgMin or ArgMax.
type Arg struct {
	Axis int
	Min  bool
}

// Window is a window that moves over an array, with all defaults filled in. Reduce is the reduction (OpTypeReduceSum, ...) of
// a ReduceWindow.
type Window struct {
	Size, Strides, InDilate, Dilate []int
	Pads                            [][2]int
	Reduce                          compute.OpType
}

// Blocks is how many blocks of random words a generator's state moves on by.
type Blocks struct{ Count int }

// Part is one result of an operation that has several: where its bytes begin in the operation's value.
type Part struct{ Offset int }

// Attention says what attends to what, and where the operands' rows are. Mask are the strides of the mask along batch,
// heads, queries and keys.
type Attention struct {
	Batch, Queries, Keys, Heads, Width int
	Q, K, V, Adjoint                   HeadRows
	Mask                               [4]int
	Scale                              float32
	Causal                             bool // position i sees 0..i only
}

// HeadRows says where the rows [width] of the tokens of the heads of a batch begin, in elements.
type HeadRows struct{ Offset, Batch, Token, Head int }

// Bands computes a value band by band: each band is a graph of its own over parts of the operands, and writes the part of the
// value that lies at Lo to Hi (elements).
type Bands struct {
	Bands   []Band
	InPlace []int // operands of which each band reads nothing but its own part: the value may take their place
}

// Band is one of Bands. Bands of equal work share a graph, whose parameters are In in order.
type Band struct {
	Graph  *Graph
	In     []BandIn
	Lo, Hi int
}

// BandIn is what a parameter of a band's graph sees: the elements Lo to Hi of an operand, or all of it if Hi is 0.
type BandIn struct{ Operand, Lo, Hi int }

// String names the work of the first bands.
func (b *Bands) String() string {
	s := fmt.Sprintf("%d of", len(b.Bands))
	for _, n := range b.Bands[0].Graph.Nodes {
		if n.Op != compute.OpTypeParameter && n.Op != compute.OpTypeConstant && n.Op != compute.OpTypeReshape {
			s += " " + n.Name()
		}
	}
	return s
}
