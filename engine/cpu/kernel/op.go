package kernel

import "fmt"

// Op names an elementwise operation.
type Op uint8

// Unary operations ([Set.Unary]).
const (
	Neg Op = iota
	Abs
	Sqrt
	Rsqrt // 1/sqrt(x), by a division: exact to 1 ulp
	Exp
	Expm1
	Log
	Log1p
	Tanh
	Logistic // 1/(1+exp(-x))
	Erf
	Sin
	Cos
	Floor
	Ceil
	Round // to nearest, ties to even
	Sign  // -1, 0, 1; keeps the sign of zero; NaN stays NaN
	Recip
	Square
	Swish     // x*Logistic(x)
	QuickGELU // x*Logistic(1.702*x)
	GELU      // x*0.5*(1+Erf(x/sqrt(2)))
	Relu      // Max(x, 0); NaN stays NaN

	numUnary
)

// Binary operations ([Set.Binary], [Set.BinaryScalar]).
const (
	Add Op = numUnary + iota
	Sub
	Mul
	Div
	Max // NaN if either operand is NaN
	Min // NaN if either operand is NaN
	Pow
	LogisticGrad  // x = dy, y = Logistic(v): dy*y*(1-y)
	TanhGrad      // x = dy, y = Tanh(v): dy*(1-y*y)
	SwishGrad     // x = dy, y = v: dy * d swish(v)/dv
	QuickGELUGrad // x = dy, y = v
	GELUGrad      // x = dy, y = v

	numOps
)

// Comparisons ([Set.Compare]); a comparison with NaN is false, except Ne.
const (
	Eq Op = numOps + iota
	Ne
	Lt
	Le
	Gt
	Ge

	endOps
)

const (
	numBinary  = numOps - numUnary
	numCompare = endOps - numOps
)

var opNames = [...]string{"Neg", "Abs", "Sqrt", "Rsqrt", "Exp", "Expm1", "Log", "Log1p", "Tanh", "Logistic", "Erf", "Sin", "Cos", "Floor",
	"Ceil", "Round", "Sign", "Recip", "Square", "Swish", "QuickGELU", "GELU", "Relu", "Add", "Sub", "Mul", "Div", "Max", "Min", "Pow",
	"LogisticGrad", "TanhGrad", "SwishGrad", "QuickGELUGrad", "GELUGrad", "Eq", "Ne", "Lt", "Le", "Gt", "Ge"}

func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// IsUnary reports whether o is for [Set.Unary].
func (o Op) IsUnary() bool { return o < numUnary }

// IsBinary reports whether o is for [Set.Binary].
func (o Op) IsBinary() bool { return o >= numUnary && o < numOps }

// IsCompare reports whether o is for [Set.Compare].
func (o Op) IsCompare() bool { return o >= numOps && o < endOps }
