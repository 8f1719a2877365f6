package latent

import (
	"cmp"
	"math"
	"slices"
)

// Axes returns the directions along which the codes of the book differ most, n unit vectors of C numbers, strongest
// first: the principal axes of its covariance, by power iteration with deflation. Their signs are such that the largest
// component is positive.
func (b *Book) Axes(n int) [][]float64 {
	mean := make([]float64, b.C)
	for i, v := range b.Table {
		mean[i%b.C] += float64(v) / float64(b.K)
	}
	cov := make([]float64, b.C*b.C)
	for k := range int32(b.K) {
		code := b.Code(k)
		for i := range b.C {
			for j := range b.C {
				cov[i*b.C+j] += (float64(code[i]) - mean[i]) * (float64(code[j]) - mean[j]) / float64(b.K)
			}
		}
	}
	var axes [][]float64
	for range min(n, b.C) {
		v, strength := strongest(cov, b.C)
		axes = append(axes, v)
		for i := range b.C {
			for j := range b.C {
				cov[i*b.C+j] -= strength * v[i] * v[j]
			}
		}
	}
	return axes
}

// strongest is the eigenvector of a symmetric matrix with the largest eigenvalue, and that value.
func strongest(m []float64, n int) (v []float64, value float64) {
	const rounds = 500 // axes of nearly equal strength may come out mixed, which a map does not mind
	v = make([]float64, n)
	for i := range v {
		v[i] = 1 / float64(i+1) // no eigenvector by chance
	}
	next := make([]float64, n)
	for range rounds {
		for i := range n {
			next[i] = 0
			for j := range n {
				next[i] += m[i*n+j] * v[j]
			}
		}
		value = 0
		for _, x := range next {
			value += x * x
		}
		if value = math.Sqrt(value); value < 1e-30 {
			break
		}
		for i := range v {
			v[i] = next[i] / value
		}
	}
	size, top := 0.0, 0
	for i, x := range v {
		size += x * x
		if math.Abs(x) > math.Abs(v[top]) {
			top = i
		}
	}
	scale := 1 / math.Sqrt(size)
	if v[top] < 0 {
		scale = -scale
	}
	for i := range v {
		v[i] *= scale
	}
	return v, value
}

// Map lays codes out on a sheet of columns, row by row, so that similar ones are near each other: columns hold equal
// shares in the order of the first principal axis, and in each of them codes are in the order of the second. Codes are
// those listed; places beyond the last code of a column are -1.
func (b *Book) Map(codes []int32, columns int) []int32 {
	if columns < 1 || len(codes) == 0 {
		return nil
	}
	axes := b.Axes(2)
	for len(axes) < 2 {
		axes = append(axes, make([]float64, b.C))
	}
	along := func(k int32, axis []float64) float64 {
		sum := 0.0
		for i, v := range b.Code(k) {
			sum += float64(v) * axis[i]
		}
		return sum
	}
	order := func(list []int32, axis []float64) {
		slices.SortStableFunc(list, func(x, y int32) int { return cmp.Compare(along(x, axis), along(y, axis)) })
	}
	all := slices.Clone(codes)
	order(all, axes[0])
	rows := (len(all) + columns - 1) / columns
	out := slices.Repeat([]int32{-1}, rows*columns)
	for x := range columns {
		column := all[min(x*rows, len(all)):min((x+1)*rows, len(all))]
		order(column, axes[1])
		for y, k := range column {
			out[y*columns+x] = k
		}
	}
	return out
}
