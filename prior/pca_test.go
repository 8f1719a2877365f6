package prior

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

func toyPCA(axes int) PCAConfig {
	return PCAConfig{GridH: 3, GridW: 2, Channels: 4, Axes: axes, Codebook: Codebook{Name: "book", SHA256: strings.Repeat("a", 64), Factor: 4}}
}

// pictures lie around a mean along two orthogonal directions with deviations 3 and 2, and a little everywhere.
func pictures(n, m int) (x []float32, mean []float64, u [2][]float64) {
	mean, u[0], u[1] = make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		mean[i] = math.Sin(float64(i))
		u[i%2][i] = 1 / math.Sqrt(float64(n/2))
	}
	s := rng.New(1, "pictures")
	for range m {
		a, b := 3*s.Normal(), 2*s.Normal()
		for i := range n {
			x = append(x, float32(mean[i]+a*u[0][i]+b*u[1][i]+.05*s.Normal()))
		}
	}
	return x, mean, u
}

func fit(t *testing.T, threads int, c PCAConfig, x []float32) *PCA {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p, err := FitPCA(e, c, x, 7)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPCAFindsTheAxes(t *testing.T) {
	c := toyPCA(2)
	x, mean, u := pictures(c.Size(), 4000)
	p := fit(t, 1, c, x)
	for k, want := range []float64{3, 2} {
		// 4000 pictures tell a deviation to 1/sqrt(8000), some 1 %; three times that.
		if got := float64(p.Deviations[k]); math.Abs(got-want) > .035*want {
			t.Errorf("deviation %d is %g, want %g", k, got, want)
		}
		var along float64
		for i, v := range p.axis(k) {
			along += float64(v) * u[k][i]
		}
		if math.Abs(along) < .999 {
			t.Errorf("axis %d points %g along the direction it should be", k, along)
		}
	}
	for i, v := range p.Mean {
		if math.Abs(float64(v)-mean[i]) > .1 {
			t.Errorf("mean %d is %g, want %g", i, v, mean[i])
		}
	}
	if math.Abs(p.Rest-.05) > .005 || p.Share < .99 || p.Pictures != 4000 {
		t.Errorf("rest %g, share %g, %d pictures; want .05, all but nothing, 4000", p.Rest, p.Share, p.Pictures)
	}
	again := fit(t, 2, c, x)
	if !slices.Equal(p.Directions, again.Directions) || !slices.Equal(p.Deviations, again.Deviations) {
		t.Error("another number of threads gives other axes")
	}
}

func TestPCAOfFewPicturesHasFewAxes(t *testing.T) {
	c := toyPCA(5)
	n := c.Size()
	x := make([]float32, 8*n) // eight pictures along one line
	for i := range x {
		x[i] = float32(i/n) * float32(math.Cos(float64(i%n)))
	}
	p := fit(t, 1, c, x)
	if p.Axes != 1 || len(p.Directions) != n {
		t.Errorf("pictures along a line have %d axes with %d numbers", p.Axes, len(p.Directions))
	}
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for name, x := range map[string][]float32{"equal": make([]float32, 8*n), "ragged": make([]float32, n+1), "few": x[:3*n]} {
		if _, err := FitPCA(e, c, x, 1); err == nil {
			t.Errorf("%s pictures are fitted", name)
		}
	}
}

func TestPCASurprise(t *testing.T) {
	c := toyPCA(3)
	x, _, _ := pictures(c.Size(), 500)
	p := fit(t, 1, c, x)
	n := p.Size()
	var sum float64
	for i := 0; i < len(x); i += n {
		sum += p.Surprise(x[i:i+n], 0, make([]float32, n))
	}
	if sum /= 500; math.Abs(sum-1) > .02 { // by construction, but for rounding and the axis of noise
		t.Errorf("what it was fitted to has a surprise of %g on average, want 1", sum)
	}
	z, grad := p.Draw(3, 2), make([]float32, n)
	for i := range z {
		z[i] += .01 * float32(i%5)
	}
	p.Surprise(z, .5, grad)
	for i := range n {
		const h = 1e-2
		up, down := slices.Clone(z), slices.Clone(z)
		up[i] += h
		down[i] -= h
		want := .5 * (p.Surprise(up, 0, make([]float32, n)) - p.Surprise(down, 0, make([]float32, n))) / (2 * h)
		if math.Abs(float64(grad[i])-want) > 1e-2*(1+math.Abs(want)) { // z has 24 bits, and it is divided by h
			t.Errorf("gradient %d is %g, differences say %g", i, grad[i], want)
		}
	}
}

func TestPCATravelsThroughAFile(t *testing.T) {
	c := toyPCA(3)
	x, _, _ := pictures(c.Size(), 500)
	p := fit(t, 1, c, x)
	var b bytes.Buffer
	if err := p.Save(&b); err != nil {
		t.Fatal(err)
	}
	f, err := weights.OpenBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	q, err := ReadPCA(f)
	if err != nil {
		t.Fatal(err)
	}
	if q.PCAConfig != p.PCAConfig || !IsPCA(f) {
		t.Errorf("read %+v, wrote %+v", q.PCAConfig, p.PCAConfig)
	}
	if a, b := p.Draw(5, .3), q.Draw(5, .3); !near(a, b, 2e-3) { // half precision has 11 bits
		t.Errorf("drew %v, before the file %v", b, a)
	}
	if slices.Equal(q.Draw(5, .3), q.Draw(6, .3)) {
		t.Error("two seeds draw one latent")
	}
	if z := q.Draw(5, 0); !slices.Equal(z, q.Mean) {
		t.Error("no spread is not the mean")
	}
	p.Deviations[1] = 0
	b.Reset()
	if err := p.Save(&b); err != nil {
		t.Fatal(err)
	}
	if f, err = weights.OpenBytes(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPCA(f); err == nil {
		t.Error("an axis without extent is read")
	}
}

func near(a, b []float32, tolerance float64) bool {
	for i := range a {
		if math.Abs(float64(a[i])-float64(b[i])) > tolerance*(1+math.Abs(float64(a[i]))) {
			return false
		}
	}
	return len(a) == len(b)
}
