package gan

import (
	"math"
	"slices"
)

// The Jacobi method, slower and simpler than what the measures use, and the square root of a matrix by it.

// squareRoot of a symmetric matrix without negative eigenvalues (rounding below zero counts as zero).
func squareRoot(a []float64, d int) []float64 {
	values, vectors := eigen(a, d)
	out := make([]float64, d*d)
	for k, v := range values {
		r := math.Sqrt(max(0, v))
		for i := range d {
			f := r * vectors[i*d+k]
			for j := range d {
				out[i*d+j] += f * vectors[j*d+k]
			}
		}
	}
	return out
}

// eigen finds the eigenvalues of a symmetric matrix and its eigenvectors, the columns, by cyclic Jacobi rotations.
func eigen(symmetric []float64, d int) (values, vectors []float64) {
	a := slices.Clone(symmetric)
	vectors = make([]float64, d*d)
	size := 0.
	for i := range d {
		vectors[i*d+i] = 1
	}
	for _, v := range a {
		size += v * v
	}
	for range 60 { // it converges quadratically; a dozen sweeps are plenty
		off := 0.
		for p := range d {
			for q := p + 1; q < d; q++ {
				off += a[p*d+q] * a[p*d+q]
			}
		}
		if off <= 1e-24*size {
			break
		}
		for p := range d {
			for q := p + 1; q < d; q++ {
				rotate(a, vectors, d, p, q)
			}
		}
	}
	values = make([]float64, d)
	for i := range d {
		values[i] = a[i*d+i]
	}
	return values, vectors
}

// rotate makes a[p,q] zero.
func rotate(a, vectors []float64, d, p, q int) {
	if a[p*d+q] == 0 {
		return
	}
	theta := (a[q*d+q] - a[p*d+p]) / (2 * a[p*d+q])
	t := 1 / (math.Abs(theta) + math.Sqrt(theta*theta+1))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(t*t+1)
	s := t * c
	for i := range d {
		x, y := a[i*d+p], a[i*d+q]
		a[i*d+p], a[i*d+q] = c*x-s*y, s*x+c*y
	}
	for i := range d {
		x, y := a[p*d+i], a[q*d+i]
		a[p*d+i], a[q*d+i] = c*x-s*y, s*x+c*y
		x, y = vectors[i*d+p], vectors[i*d+q]
		vectors[i*d+p], vectors[i*d+q] = c*x-s*y, s*x+c*y
	}
}
