package prior

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// Subspace iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4): the span of the wanted axes and some more, multiplied
// by the covariance a few times. The axes wanted differ from those beyond by a factor of the deviations' squares each time.
const (
	spareAxes = 32
	rounds    = 6
)

// FitPCA fits the mean and the strongest axes of latents x [m, h*w*C]. c says the grid, how many axes, and whose latents
// they are. The seed decides where the search for the axes begins. The same numbers come out for any number of threads.
func FitPCA(e *engine.Engine, c PCAConfig, x []float32, seed uint64) (*PCA, error) {
	n := c.Size()
	if n < 1 || len(x)%n != 0 || len(x)/n < 2 {
		return nil, fmt.Errorf("pca: %d numbers are no pictures of %d", len(x), n)
	}
	m := len(x) / n
	c.Pictures, c.Rest = m, 1 // until it is known
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Axes > m-1 {
		return nil, fmt.Errorf("pca: %d pictures have no %d axes", m, c.Axes)
	}
	p := &PCA{PCAConfig: c, Mean: make([]float32, n)}
	centred, total := p.centre(x)
	if !(total > 0) {
		return nil, errors.New("pca: all pictures are the same")
	}
	s := &sample{m: m, n: n, data: engine.FromFloats(centred, m, n)}
	s.programs(e)
	basis := make([]float64, min(n, m, c.Axes+spareAxes)*n)
	first := rng.New(seed, "pca/fit")
	for i := range basis {
		basis[i] = first.Normal()
	}
	orthonormal(basis, n)
	for range rounds {
		y, err := s.covariance(basis)
		if err != nil {
			return nil, err
		}
		basis = y
		orthonormal(basis, n)
	}
	return p, p.settle(s, basis, total)
}

// centre sets the mean and returns x without it, and the sum of the variances of all numbers.
func (p *PCA) centre(x []float32) (out []float32, total float64) {
	n := p.Size()
	m := len(x) / n
	mean := make([]float64, n)
	for i, v := range x {
		mean[i%n] += float64(v) / float64(m)
	}
	for i, v := range mean {
		p.Mean[i] = float32(v)
	}
	out = make([]float32, len(x))
	for i, v := range x {
		d := float64(v) - mean[i%n]
		out[i] = float32(d)
		total += d * d / float64(m)
	}
	return out, total
}

// settle finds the axes in the span of a basis [b,n] (Rayleigh and Ritz), and how far pictures lie along each.
func (p *PCA) settle(s *sample, basis []float64, total float64) error {
	n := s.n
	b := len(basis) / n
	y, err := s.covariance(basis)
	if err != nil {
		return err
	}
	small := make([]float64, b*b)
	for i := range b {
		for j := range b {
			small[i*b+j] = (dot(basis[i*n:(i+1)*n], y[j*n:(j+1)*n]) + dot(basis[j*n:(j+1)*n], y[i*n:(i+1)*n])) / 2
		}
	}
	values, vectors := eigen(small, b)
	p.Directions, p.Deviations = make([]float32, 0, p.Axes*n), make([]float32, 0, p.Axes)
	told := 0.
	for k := range p.Axes {
		if !(values[k] > 1e-9*total) {
			p.PCAConfig.Axes = k // the pictures differ in fewer directions
			break
		}
		told += values[k]
		p.Deviations = append(p.Deviations, float32(math.Sqrt(values[k])))
		p.Directions = append(p.Directions, combine(vectors[k*b:(k+1)*b], basis, n)...)
	}
	p.Share = min(1, told/total)
	left := max(total-told, 1e-6*total)
	p.Rest = math.Sqrt(left / float64(max(1, n-p.Axes)))
	return p.Validate()
}

// combine is the sum of rows of a basis [b,n], each times its weight; its largest component is positive.
func combine(weights, basis []float64, n int) []float32 {
	sum := make([]float64, n)
	for j, w := range weights {
		for i, v := range basis[j*n : (j+1)*n] {
			sum[i] += w * v
		}
	}
	top := 0
	for i, v := range sum {
		if math.Abs(v) > math.Abs(sum[top]) {
			top = i
		}
	}
	out := make([]float32, n)
	for i, v := range sum {
		out[i] = float32(math.Copysign(1, sum[top]) * v)
	}
	return out
}

// sample multiplies by the covariance of the pictures without forming it.
type sample struct {
	m, n   int
	data   *tensors.Tensor // [m,n], centred
	onto   *engine.Program // [b,n] -> [b,m], how far pictures lie along rows
	across *engine.Program // [b,m] -> [b,n]
}

func (s *sample) programs(e *engine.Engine) {
	s.onto = e.Program("pca onto", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{graph.DotGeneral(in[1], []int{1}, nil, in[0], []int{1}, nil)}
	})
	s.across = e.Program("pca across", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{graph.DotGeneral(in[1], []int{1}, nil, in[0], []int{0}, nil)}
	})
}

// covariance is the covariance of the pictures times each row of a basis [b,n].
func (s *sample) covariance(basis []float64) ([]float64, error) {
	b := len(basis) / s.n
	in := make([]float32, len(basis))
	for i, v := range basis {
		in[i] = float32(v)
	}
	along, err := s.onto.Run(nil, s.data, engine.FromFloats(in, b, s.n))
	if err != nil {
		return nil, fmt.Errorf("pca: %w", err)
	}
	outs, err := s.across.Run(nil, s.data, along[0])
	if err != nil {
		return nil, fmt.Errorf("pca: %w", err)
	}
	out := make([]float64, len(basis))
	for i, v := range engine.Floats(outs[0]) {
		out[i] = float64(v) / float64(s.m)
	}
	return out, nil
}

// orthonormal makes the rows of length n of a basis orthonormal, in order (Gram and Schmidt, twice for the sake of rounding).
func orthonormal(basis []float64, n int) {
	for k := 0; k < len(basis); k += n {
		row := basis[k : k+n]
		for range 2 {
			for j := 0; j < k; j += n {
				other := basis[j : j+n]
				d := dot(row, other)
				for i := range row {
					row[i] -= d * other[i]
				}
			}
			size := math.Sqrt(dot(row, row))
			for i := range row {
				row[i] /= max(size, 1e-300)
			}
		}
	}
}

func dot(a, b []float64) float64 {
	var sum float64
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// eigen returns the eigenvalues of a symmetric matrix [n,n], the largest first, and its eigenvectors as rows, by Jacobi's
// rotations (Golub and Van Loan, section 8.5). The matrix is overwritten.
func eigen(a []float64, n int) (values, vectors []float64) {
	v := make([]float64, n*n)
	for i := range n {
		v[i*n+i] = 1
	}
	for range 30 { // some ten are needed
		off, all := 0., 0.
		for i := range n {
			for j := range n {
				all += a[i*n+j] * a[i*n+j]
				if i != j {
					off += a[i*n+j] * a[i*n+j]
				}
			}
		}
		if off <= 1e-20*all {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				if x := a[p*n+q]; x*x > 1e-24*all/float64(n*n) {
					rotate(a, v, n, p, q)
				}
			}
		}
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch x, y := a[i*n+i], a[j*n+j]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	for _, i := range order {
		values = append(values, a[i*n+i])
		vectors = append(vectors, v[i*n:(i+1)*n]...)
	}
	return values, vectors
}

// rotate makes a[p,q] zero. Rows of v turn with the matrix.
func rotate(a, v []float64, n, p, q int) {
	theta := (a[q*n+q] - a[p*n+p]) / (2 * a[p*n+q])
	t := 1 / (math.Abs(theta) + math.Sqrt(theta*theta+1))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(t*t+1)
	s := t * c
	for i := range n { // columns
		x, y := a[i*n+p], a[i*n+q]
		a[i*n+p], a[i*n+q] = c*x-s*y, s*x+c*y
	}
	for _, m := range [][]float64{a, v} { // rows
		rp, rq := m[p*n:(p+1)*n], m[q*n:(q+1)*n]
		for i, x := range rp {
			y := rq[i]
			rp[i], rq[i] = c*x-s*y, s*x+c*y
		}
	}
}
