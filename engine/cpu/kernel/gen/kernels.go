package main

import "math"

// kernels describes every elementwise loop and fold of package kernel.
func kernels() []*kernel {
	ks := unaryKernels()
	ks = append(ks, binaryKernels()...)
	ks = append(ks, compareKernels()...)
	ks = append(ks, fusedKernels()...)
	ks = append(ks, foldKernels()...)
	return append(ks, convertKernels()...)
}

var dst = ops(f32, "dst")

func unaryKernels() (ks []*kernel) {
	add := func(name, doc string, f func(b *builder, x value) value) {
		ks = append(ks, &kernel{name: name, doc: "dst[i] = " + doc, slot: "unary[" + name + "]", outs: dst, ins: ops(f32, "x"),
			body: func(b *builder, in, _ []value) []value { return []value{f(b, in[0])} }})
	}
	add("Neg", "-x[i]", (*builder).neg)
	add("Abs", "|x[i]|", (*builder).abs)
	add("Sqrt", "the square root of x[i]", (*builder).sqrt)
	add("Rsqrt", "1 / sqrt(x[i])", func(b *builder, x value) value { return b.div(b.c(1), b.sqrt(x)) })
	add("Exp", "e^x[i]", (*builder).exp)
	add("Expm1", "e^x[i] - 1", (*builder).expm1)
	add("Log", "log(x[i])", (*builder).log)
	add("Log1p", "log(1 + x[i])", (*builder).log1p)
	add("Tanh", "tanh(x[i])", (*builder).tanh)
	add("Logistic", "1 / (1 + e^-x[i])", func(b *builder, x value) value { return b.logistic(x, 1) })
	add("Erf", "erf(x[i])", (*builder).erf)
	add("Floor", "floor(x[i])", (*builder).floor)
	add("Ceil", "ceil(x[i])", (*builder).ceil)
	add("Round", "x[i] to the nearest integer, ties to even", (*builder).rint)
	add("Sign", "the sign of x[i]", (*builder).sign)
	add("Recip", "1 / x[i]", func(b *builder, x value) value { return b.div(b.c(1), x) })
	add("Square", "x[i]^2", func(b *builder, x value) value { return b.mul(x, x) })
	add("Swish", "x[i] * logistic(x[i])", func(b *builder, x value) value { return b.swish(x, 1) })
	add("QuickGELU", "x[i] * logistic(1.702*x[i])", func(b *builder, x value) value { return b.swish(x, 1.702) })
	add("GELU", "x[i] * Phi(x[i])", (*builder).gelu)
	add("Relu", "max(x[i], 0)", func(b *builder, x value) value { return b.max(b.c(0), x) })
	return
}

// binaryKernels writes each operation for two slices (V), a slice and a scalar (S), a scalar and a slice (R).
func binaryKernels() (ks []*kernel) {
	add := func(name, doc string, f func(b *builder, x, y value) value) {
		idx := "[" + name + "-numUnary]"
		ks = append(ks,
			&kernel{name: name + "V", doc: doc, slot: "binary" + idx, outs: dst, ins: ops(f32, "x", "y"),
				body: func(b *builder, in, _ []value) []value { return []value{f(b, in[0], in[1])} }},
			&kernel{name: name + "S", doc: doc + ", y the same for all", slot: "scalarR" + idx, outs: dst, ins: ops(f32, "x"), scalars: []string{"y"},
				body: func(b *builder, in, sc []value) []value { return []value{f(b, in[0], sc[0])} }},
			&kernel{name: name + "R", doc: doc + ", with x and y exchanged", slot: "scalarL" + idx, outs: dst, ins: ops(f32, "x"), scalars: []string{"y"},
				body: func(b *builder, in, sc []value) []value { return []value{f(b, sc[0], in[0])} }})
	}
	add("Add", "dst = x + y", (*builder).add)
	add("Sub", "dst = x - y", (*builder).sub)
	add("Mul", "dst = x * y", (*builder).mul)
	add("Div", "dst = x / y", (*builder).div)
	add("Max", "dst = max(x, y)", (*builder).maxNaN)
	add("Min", "dst = min(x, y)", (*builder).minNaN)
	add("LogisticGrad", "dst = x * y*(1-y)", func(b *builder, dy, y value) value { return b.mul(b.mul(dy, y), b.sub(b.c(1), y)) })
	add("TanhGrad", "dst = x * (1-y*y)", func(b *builder, dy, y value) value { return b.mul(dy, b.fnma(y, y, b.c(1))) })
	add("SwishGrad", "dst = x * swish'(y)", func(b *builder, dy, x value) value { return b.mul(dy, b.swishSlope(x, 1)) })
	add("QuickGELUGrad", "dst = x * quickgelu'(y)", func(b *builder, dy, x value) value { return b.mul(dy, b.swishSlope(x, 1.702)) })
	add("GELUGrad", "dst = x * gelu'(y)", func(b *builder, dy, x value) value { return b.mul(dy, b.geluSlope(x)) })
	return
}

func compareKernels() (ks []*kernel) {
	bools := ops(boolean, "dst")
	for _, c := range []struct {
		name string
		pred int
	}{{"Eq", cmpEq}, {"Ne", cmpNe}, {"Lt", cmpLt}, {"Le", cmpLe}, {"Gt", cmpGt}, {"Ge", cmpGe}} {
		ks = append(ks,
			&kernel{name: c.name + "V", doc: "dst[i] = x[i] " + goCmp[uint32(c.pred)] + " y[i]", slot: "compare[" + c.name + "-numOps]", outs: bools, ins: ops(f32, "x", "y"),
				body: func(b *builder, in, _ []value) []value { return []value{b.cmp(c.pred, in[0], in[1])} }},
			&kernel{name: c.name + "S", doc: "dst[i] = x[i] " + goCmp[uint32(c.pred)] + " y", slot: "compareScalar[" + c.name + "-numOps]", outs: bools, ins: ops(f32, "x"), scalars: []string{"y"},
				body: func(b *builder, in, sc []value) []value { return []value{b.cmp(c.pred, in[0], sc[0])} }})
	}
	return
}

// fusedKernels are the loops with several operands.
func fusedKernels() []*kernel {
	abc := ops(f32, "a", "b", "c")
	return []*kernel{
		{name: "Select", doc: "dst[i] = x[i] where cond[i], else y[i]", slot: "sel", outs: dst, ins: append(ops(boolean, "cond"), ops(f32, "x", "y")...),
			body: func(b *builder, in, _ []value) []value { return []value{b.sel(in[0], in[1], in[2])} }},
		{name: "FMA", doc: "dst[i] = a[i]*b[i] + c[i]", slot: "fma", outs: dst, ins: abc,
			body: func(b *builder, in, _ []value) []value { return []value{b.fma(in[0], in[1], in[2])} }},
		{name: "FMAScalar", doc: "dst[i] = a[i]*b + c[i]", slot: "fmaScalar", outs: dst, ins: ops(f32, "a", "c"), scalars: []string{"b"},
			body: func(b *builder, in, sc []value) []value { return []value{b.fma(in[0], sc[0], in[1])} }},
		{name: "Affine", doc: "dst[i] = x[i]*a + b", slot: "affine", outs: dst, ins: ops(f32, "x"), scalars: []string{"a", "b"},
			body: func(b *builder, in, sc []value) []value { return []value{b.fma(in[0], sc[0], sc[1])} }},
		{name: "ScaleShift", doc: "dst[i] = x[i]*s*a[i] + b[i], three roundings", slot: "scaleShift", outs: dst, ins: ops(f32, "x", "a", "b"), scalars: []string{"s"},
			body: func(b *builder, in, sc []value) []value {
				return []value{b.add(b.mul(b.mul(in[0], sc[0]), in[1]), in[2])}
			}},
		{name: "Normalise", doc: "dst[i] = (x[i]-m)*s*a[i] + b[i], four roundings", slot: "normalise", outs: dst, ins: ops(f32, "x", "a", "b"), scalars: []string{"m", "s"},
			body: func(b *builder, in, sc []value) []value {
				return []value{b.add(b.mul(b.mul(b.sub(in[0], sc[0]), sc[1]), in[1]), in[2])}
			}},
	}
}

func foldKernels() []*kernel {
	x := ops(f32, "x")
	sum := (*builder).add
	return []*kernel{
		{name: "Sum", doc: "the sum of x", slot: "sum", ins: x, combine: sum,
			step: func(b *builder, acc value, in, _ []value) []value { return []value{b.add(acc, in[0])} }},
		{name: "SumSq", doc: "the sum of x^2", slot: "sumSq", ins: x, combine: sum,
			step: func(b *builder, acc value, in, _ []value) []value { return []value{b.fma(in[0], in[0], acc)} }},
		{name: "SumProduct", doc: "the sum of x*y, each product rounded", slot: "sumProduct", ins: ops(f32, "x", "y"), combine: sum,
			step: func(b *builder, acc value, in, _ []value) []value { return []value{b.add(acc, b.mul(in[0], in[1]))} }},
		{name: "Dot", doc: "the sum of x*y", slot: "dot", ins: ops(f32, "x", "y"), combine: sum,
			step: func(b *builder, acc value, in, _ []value) []value { return []value{b.fma(in[0], in[1], acc)} }},
		{name: "MaxAll", doc: "the largest of x", slot: "max", ins: x, ident: float32(math.Inf(-1)), combine: (*builder).maxNaN,
			step: func(b *builder, acc value, in, _ []value) []value { return []value{b.maxNaN(acc, in[0])} }},
		{name: "MinAll", doc: "the smallest of x", slot: "min", ins: x, ident: float32(math.Inf(1)), combine: (*builder).minNaN,
			step: func(b *builder, acc value, in, _ []value) []value { return []value{b.minNaN(acc, in[0])} }},
		{name: "ExpSum", doc: "dst[i] = e^(x[i]-shift) and their sum", slot: "expSum", outs: dst, ins: x, scalars: []string{"shift"}, combine: sum, ahead: true,
			step: func(b *builder, acc value, in, sc []value) []value {
				e := b.expWithin(b.max(b.c(-104), b.sub(in[0], sc[0])))
				return []value{b.add(acc, e), e}
			}},
		{name: "SquaresAbout", doc: "the sum of (x-m)^2, each square rounded", slot: "squaresAbout", ins: x, scalars: []string{"m"}, combine: sum, ahead: true,
			step: func(b *builder, acc value, in, sc []value) []value {
				d := b.sub(in[0], sc[0])
				return []value{b.add(acc, b.mul(d, d))}
			}},
	}
}

func convertKernels() []*kernel {
	one := func(f func(b *builder, x value) value) func(b *builder, in, sc []value) []value {
		return func(b *builder, in, _ []value) []value { return []value{f(b, in[0])} }
	}
	same := one(func(_ *builder, x value) value { return x })
	return []*kernel{
		{name: "F16ToF32", doc: "dst[i] = x[i] widened", slot: "f16ToF32", outs: dst, ins: ops(f16, "x"), body: same},
		{name: "F32ToF16", doc: "dst[i] = x[i] rounded", slot: "f32ToF16", outs: ops(f16, "dst"), ins: ops(f32, "x"), body: same},
		{name: "BF16ToF32", doc: "dst[i] = x[i] widened", slot: "bf16ToF32", outs: dst, ins: ops(u16, "x"),
			body: one(func(b *builder, x value) value { return b.float(b.shl(x, 16)) })},
		{name: "PairBF16", doc: "dst[i] = x[i] and y[i] rounded to bfloat16, in the low and high half of the bits", slot: "pairBF16", outs: dst, ins: ops(f32, "x", "y"),
			body: func(b *builder, in, _ []value) []value {
				return []value{b.float(b.ior(b.toBF16(in[0]), b.shl(b.toBF16(in[1]), 16)))}
			}},
		{name: "F32ToBF16", doc: "dst[i] = x[i] rounded", slot: "f32ToBF16", outs: ops(u16, "dst"), ins: ops(f32, "x"), body: one((*builder).toBF16)},
	}
}
