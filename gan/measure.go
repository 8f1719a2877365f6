package gan

import (
	"math"
	"slices"
)

// The measures below compare sets of features, [n,d] row by row, of real and generated pictures. With features of a
// classifier of our own they are like FID, KID and the Inception score, but not comparable with figures from Inception.

// Moments are the mean [d] and the covariance [d,d] of n vectors.
type Moments struct {
	N         int
	Mean, Cov []float64
}

// MomentsOf computes the moments of x [n,d]; the covariance is divided by n-1.
func MomentsOf(x []float32, d int) Moments {
	n := len(x) / d
	m := Moments{N: n, Mean: make([]float64, d), Cov: make([]float64, d*d)}
	for i, v := range x {
		m.Mean[i%d] += float64(v)
	}
	for k := range m.Mean {
		m.Mean[k] /= float64(max(1, n))
	}
	off := make([]float64, n*d)
	for i, v := range x[:n*d] {
		off[i] = float64(v) - m.Mean[i%d]
	}
	const some = 64 // vectors that stay in the cache while all rows take from them
	for at := 0; at < n; at += some {
		rows(d, func(a int) {
			into := m.Cov[a*d : (a+1)*d]
			for i := at; i < min(at+some, n); i++ {
				f, row := off[i*d+a], off[i*d:(i+1)*d]
				for b := a; b < d; b++ {
					into[b] += f * row[b]
				}
			}
		})
	}
	for a := range d {
		for b := a; b < d; b++ {
			c := m.Cov[a*d+b] / float64(max(1, n-1))
			m.Cov[a*d+b], m.Cov[b*d+a] = c, c
		}
	}
	return m
}

// FrechetDistance is the squared Wasserstein-2 distance of two normal distributions with these moments (Heusel et al.
// 2017, equation 6): |m1-m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).
func FrechetDistance(a, b Moments) float64 {
	d := len(a.Mean)
	sum := 0.
	for k := range d {
		diff := a.Mean[k] - b.Mean[k]
		sum += diff*diff + a.Cov[k*d+k] + b.Cov[k*d+k]
	}
	// With C1 = A A^T the matrices C1 C2 and A^T C2 A have the same eigenvalues, and the second is symmetric.
	f := factor(a.Cov, d)
	for _, v := range eigenvalues(multiply(transpose(f, d), multiply(b.Cov, f, d), d), d) {
		sum -= 2 * math.Sqrt(max(0, v))
	}
	return max(0, sum)
}

// KernelDistance is the unbiased squared maximum mean discrepancy of two sets under the kernel (x.y/d + 1)^3 (Binkowski et
// al. 2018, section 4). It may be slightly negative. Both sets need two vectors.
func KernelDistance(x, y []float32, d int) float64 {
	n, m := len(x)/d, len(y)/d
	kernel := func(a, b []float32) float64 {
		dot := 0.
		for i := range a {
			dot += float64(a[i]) * float64(b[i])
		}
		dot = dot/float64(d) + 1
		return dot * dot * dot
	}
	within := func(x []float32, n int) float64 {
		sum := 0.
		for i := range n {
			for j := range i {
				sum += 2 * kernel(x[i*d:(i+1)*d], x[j*d:(j+1)*d])
			}
		}
		return sum / float64(n) / float64(n-1)
	}
	between := 0.
	for i := range n {
		for j := range m {
			between += kernel(x[i*d:(i+1)*d], y[j*d:(j+1)*d])
		}
	}
	return within(x, n) + within(y, m) - 2*between/float64(n)/float64(m)
}

// PrecisionRecall tells how many generated pictures lie in the real ones' manifold, and how many real ones in the
// generated ones' (Kynkaanniemi et al. 2019, equation 1): within the distance of some vector of the other set to its k-th
// nearest neighbour there.
func PrecisionRecall(real, fake []float32, d, k int) (precision, recall float64) {
	return inside(fake, real, d, k), inside(real, fake, d, k)
}

// inside is the share of x that lies in the manifold of y.
func inside(x, y []float32, d, k int) float64 {
	n, m := len(x)/d, len(y)/d
	radius := make([]float64, m)
	near := make([]float64, 0, m)
	for i := range m {
		near = near[:0]
		for j := range m {
			if i != j {
				near = append(near, squaredDistance(y[i*d:(i+1)*d], y[j*d:(j+1)*d]))
			}
		}
		slices.Sort(near)
		radius[i] = near[min(k, len(near))-1]
	}
	count := 0
	for i := range n {
		for j := range m {
			if squaredDistance(x[i*d:(i+1)*d], y[j*d:(j+1)*d]) <= radius[j] {
				count++
				break
			}
		}
	}
	return float64(count) / float64(n)
}

func squaredDistance(a, b []float32) float64 {
	sum := 0.
	for i := range a {
		v := float64(a[i]) - float64(b[i])
		sum += v * v
	}
	return sum
}

// Modes sums up what classes pictures have, for a classifier's probabilities [n,k].
type Modes struct {
	Share   []float64 // of the pictures that are of a class with the given confidence
	Covered int       // classes whose share is at least the given one
	KL      float64   // divergence of the distribution of the likeliest classes from the uniform one, in nats
	Score   float64   // exp of the mean divergence of a picture's probabilities from their mean (Salimans et al. 2016)
}

// ModesOf counts. A class is covered when at least the given share of all pictures is of it with at least the confidence.
func ModesOf(probs []float32, k int, confidence, share float64) Modes {
	n := len(probs) / k
	m := Modes{Share: make([]float64, k)}
	likeliest, mean := make([]float64, k), make([]float64, k)
	for i := range n {
		row := probs[i*k : (i+1)*k]
		best := 0
		for c, p := range row {
			mean[c] += float64(p) / float64(n)
			if p > row[best] {
				best = c
			}
		}
		likeliest[best] += 1 / float64(n)
		if float64(row[best]) >= confidence {
			m.Share[best] += 1 / float64(n)
		}
	}
	for c := range k {
		if m.Share[c] >= share {
			m.Covered++
		}
		m.KL += xlogx(likeliest[c]) + likeliest[c]*math.Log(float64(k))
	}
	sum := 0.
	for i, p := range probs {
		if p > 0 {
			sum += float64(p) * (math.Log(float64(p)) - math.Log(mean[i%k]))
		}
	}
	m.Score = math.Exp(sum / float64(max(1, n)))
	return m
}

func xlogx(x float64) float64 {
	if x <= 0 {
		return 0
	}
	return x * math.Log(x)
}
