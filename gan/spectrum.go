package gan

import (
	"math"
	"runtime"
	"slices"
	"sync"
)

// factor returns A [d,d], row by row, with A A^T = a for a symmetric matrix without negative eigenvalues: a Cholesky
// factorisation that takes the largest pivot left each time (Higham 2002, section 10.3), so that covariances of fewer
// pictures than features work as well. What is below 1e-14 of the largest pivot counts as zero.
func factor(a []float64, d int) []float64 {
	rest, out := slices.Clone(a), make([]float64, d*d)
	done := make([]bool, d)
	largest := 0.
	for k := range d {
		p, best := -1, 0.
		for i := range d {
			if v := rest[i*d+i]; !done[i] && v > best {
				p, best = i, v
			}
		}
		if largest = max(largest, best); p < 0 || best <= 1e-14*largest {
			break
		}
		done[p] = true
		root := math.Sqrt(best)
		column := make([]float64, d)
		for i := range d {
			if !done[i] || i == p {
				column[i] = rest[i*d+p] / root
				out[i*d+k] = column[i]
			}
		}
		rows(d, func(i int) {
			if f := column[i]; f != 0 {
				row := rest[i*d : (i+1)*d]
				for j, v := range column {
					row[j] -= f * v
				}
			}
		})
	}
	return out
}

// multiply is a times b, [d,d] each; each row is summed in its order.
func multiply(a, b []float64, d int) []float64 {
	out := make([]float64, d*d)
	rows(d, func(i int) {
		into := out[i*d : (i+1)*d]
		for k, f := range a[i*d : (i+1)*d] {
			if f == 0 {
				continue
			}
			for j, v := range b[k*d : (k+1)*d] {
				into[j] += f * v
			}
		}
	})
	return out
}

func transpose(a []float64, d int) []float64 {
	out := make([]float64, d*d)
	for i := range d {
		for j := range d {
			out[j*d+i] = a[i*d+j]
		}
	}
	return out
}

// rows calls do for 0..d-1 from several goroutines, in stretches.
func rows(d int, do func(i int)) {
	const few = 64 // below this many rows goroutines cost more than they bring
	workers := min(runtime.GOMAXPROCS(0), d/few)
	if workers < 2 {
		for i := range d {
			do(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w * d / workers; i < (w+1)*d/workers; i++ {
				do(i)
			}
		})
	}
	wg.Wait()
}

// eigenvalues are those of a symmetric matrix, in no order: Householder reflections to a tridiagonal matrix, then QL
// steps with implicit shifts (Golub and Van Loan 2013, sections 8.3.1 and 8.3.3).
func eigenvalues(symmetric []float64, d int) []float64 {
	diagonal, beside := tridiagonal(slices.Clone(symmetric), d)
	for l := range d {
		for range 100 { // two or three steps find a value
			m := l
			for ; m < d-1; m++ {
				if size := math.Abs(diagonal[m]) + math.Abs(diagonal[m+1]); math.Abs(beside[m]) <= 1e-16*size {
					break
				}
			}
			if m == l {
				break
			}
			chase(diagonal, beside, l, m)
		}
	}
	return diagonal
}

// tridiagonal reduces a, which it overwrites: the diagonal, and the numbers beside it (the last is zero).
func tridiagonal(a []float64, d int) (diagonal, beside []float64) {
	diagonal, beside = make([]float64, d), make([]float64, d)
	v, p := make([]float64, d), make([]float64, d)
	for k := range d - 1 {
		norm := 0.
		for i := k + 1; i < d; i++ {
			v[i] = a[i*d+k]
			norm = math.Hypot(norm, v[i])
		}
		diagonal[k] = a[k*d+k]
		if norm == 0 {
			continue
		}
		if v[k+1] > 0 {
			norm = -norm
		}
		beside[k] = norm
		v[k+1] -= norm
		scale := -1 / (norm * v[k+1]) // 2 over the squared length of v
		rows(d-k-1, func(i int) {
			i += k + 1
			sum := 0.
			for j := k + 1; j < d; j++ {
				sum += a[i*d+j] * v[j]
			}
			p[i] = scale * sum
		})
		half := 0.
		for i := k + 1; i < d; i++ {
			half += scale / 2 * p[i] * v[i]
		}
		for i := k + 1; i < d; i++ {
			p[i] -= half * v[i]
		}
		rows(d-k-1, func(i int) {
			i += k + 1
			row := a[i*d : (i+1)*d]
			for j := k + 1; j < d; j++ {
				row[j] -= v[i]*p[j] + p[i]*v[j]
			}
		})
	}
	diagonal[d-1] = a[d*d-1]
	return diagonal, beside
}

// chase is one QL step with Wilkinson's shift on the block l..m.
func chase(diagonal, beside []float64, l, m int) {
	g := (diagonal[l+1] - diagonal[l]) / (2 * beside[l])
	g = diagonal[m] - diagonal[l] + beside[l]/(g+math.Copysign(math.Hypot(g, 1), g))
	sin, cos, shift := 1., 1., 0.
	for i := m - 1; i >= l; i-- {
		f, b := sin*beside[i], cos*beside[i]
		r := math.Hypot(f, g)
		if beside[i+1] = r; r == 0 {
			diagonal[i+1] -= shift
			beside[m] = 0
			return
		}
		sin, cos = f/r, g/r
		g = diagonal[i+1] - shift
		r = (diagonal[i]-g)*sin + 2*cos*b
		shift = sin * r
		diagonal[i+1] = g + shift
		g = cos*r - b
	}
	diagonal[l] -= shift
	beside[l], beside[m] = g, 0
}
