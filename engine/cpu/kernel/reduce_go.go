package kernel

import "math"

// lanes is the number of partial results of a reduction: four vectors of 16.
const lanes = 64

// foldLanes folds partial results in the fixed tree of [Set.Sum].
func foldLanes(p *[lanes]float32, f func(x, y float32) float32) float32 {
	var v [16]float32
	for l := range v {
		v[l] = f(f(p[l], p[l+16]), f(p[l+32], p[l+48]))
	}
	for h := 8; h > 0; h /= 2 {
		for l := range h {
			v[l] = f(v[l], v[l+h])
		}
	}
	return v[0]
}

func add(x, y float32) float32 { return x + y }

func sumGo(x []float32) float32 {
	var p [lanes]float32
	for i, v := range x {
		p[i%lanes] += v
	}
	return foldLanes(&p, add)
}

func sumSqGo(x []float32) float32 {
	var p [lanes]float32
	for i, v := range x {
		p[i%lanes] = fma32(v, v, p[i%lanes])
	}
	return foldLanes(&p, add)
}

func sumSqDiffGo(x []float32, c float32) float32 {
	var p [lanes]float32
	for i, v := range x {
		d := v - c
		p[i%lanes] = fma32(d, d, p[i%lanes])
	}
	return foldLanes(&p, add)
}

func dotGo(x, y []float32) float32 {
	var p [lanes]float32
	for i, v := range x {
		p[i%lanes] = fma32(v, y[i], p[i%lanes])
	}
	return foldLanes(&p, add)
}

func expSumGo(dst, x []float32, shift float32) float32 {
	var p [lanes]float32
	exp := unaryGo[Exp]
	for i, v := range x {
		e := exp(v - shift)
		dst[i] = e
		p[i%lanes] += e
	}
	return foldLanes(&p, add)
}

func maxGo(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

func minGo(x []float32) float32 {
	m := float32(math.Inf(1))
	for _, v := range x {
		m = min(m, v)
	}
	return m
}
