package gan

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

func engineInts(x []int32) *tensors.Tensor { return tensors.FromFlatDataAndDimensions(x, len(x)) }

// normals are n vectors of d numbers around a mean.
func normals(name string, n, d int, mean, scale float64) []float32 {
	s := rng.New(4, name)
	out := make([]float32, n*d)
	for i := range out {
		out[i] = float32(mean + scale*s.Normal())
	}
	return out
}

func TestEigen(t *testing.T) {
	const d = 12
	x := normals("eigen", 40, d, 0, 1)
	m := MomentsOf(x, d)
	values, vectors := eigen(m.Cov, d)
	for k, v := range values {
		for i := range d {
			got := 0.
			for j := range d {
				got += m.Cov[i*d+j] * vectors[j*d+k]
			}
			if math.Abs(got-v*vectors[i*d+k]) > 1e-10 {
				t.Fatalf("eigenvector %d: row %d is off by %g", k, i, got-v*vectors[i*d+k])
			}
		}
	}
	r := squareRoot(m.Cov, d)
	for i, v := range multiply(r, r, d) {
		if math.Abs(v-m.Cov[i]) > 1e-10 {
			t.Fatalf("element %d of the square of the square root is off by %g", i, v-m.Cov[i])
		}
	}
}

// TestFrechetDistanceByRoots holds the distance against its formula with square roots of matrices, with more pictures than
// features and with fewer.
func TestFrechetDistanceByRoots(t *testing.T) {
	const d = 70 // more than a stretch of rows, so that they are shared out
	for _, n := range []int{500, 40} {
		a, b := MomentsOf(normals("a", n, d, 0, 1), d), MomentsOf(normals("b", n+7, d, .3, 1.5), d)
		s := squareRoot(a.Cov, d)
		values, _ := eigen(multiply(multiply(s, b.Cov, d), s, d), d)
		want := 0.
		for k := range d {
			want += (a.Mean[k]-b.Mean[k])*(a.Mean[k]-b.Mean[k]) + a.Cov[k*d+k] + b.Cov[k*d+k]
		}
		for _, v := range values {
			want -= 2 * math.Sqrt(max(0, v))
		}
		// A zero eigenvalue comes out as some 1e-16 of the largest on both ways; there are d of them and roots are taken.
		if got := FrechetDistance(a, b); math.Abs(got-want) > d*1e-6 {
			t.Errorf("%d pictures: %.9f, by roots %.9f", n, got, want)
		}
		f := factor(a.Cov, d)
		for i, v := range multiply(f, transpose(f, d), d) {
			if math.Abs(v-a.Cov[i]) > 1e-10 {
				t.Fatalf("%d pictures: element %d of A A^T is off by %g", n, i, v-a.Cov[i])
			}
		}
		got := eigenvalues(b.Cov, d)
		want2, _ := eigen(b.Cov, d)
		slices.Sort(got)
		slices.Sort(want2)
		for i := range got {
			if math.Abs(got[i]-want2[i]) > 1e-10 {
				t.Fatalf("%d pictures: eigenvalue %d is %g, by Jacobi %g", n, i, got[i], want2[i])
			}
		}
	}
	if got := eigenvalues([]float64{3}, 1); got[0] != 3 {
		t.Errorf("the eigenvalue of 3 is %v", got)
	}
	if got := slices.Sorted(slices.Values(eigenvalues(make([]float64, 9), 3))); got[0] != 0 || got[2] != 0 {
		t.Errorf("eigenvalues of zero: %v", got)
	}
}

func TestFrechetDistance(t *testing.T) {
	// Diagonal covariances commute: the sum of (m1-m2)^2 + (s1-s2)^2.
	a := Moments{Mean: []float64{1, 0}, Cov: []float64{4, 0, 0, 9}}
	b := Moments{Mean: []float64{0, 2}, Cov: []float64{1, 0, 0, 1}}
	if got := FrechetDistance(a, b); math.Abs(got-(1+4+1+4)) > 1e-9 {
		t.Errorf("distance %g, want 10", got)
	}
	x := MomentsOf(normals("x", 500, 6, 0, 1), 6)
	if got := FrechetDistance(x, x); got > 1e-9 {
		t.Errorf("distance to itself %g", got)
	}
	near, far := FrechetDistance(x, MomentsOf(normals("y", 500, 6, .1, 1), 6)), FrechetDistance(x, MomentsOf(normals("z", 500, 6, 1, 2), 6))
	if !(near > 0 && near < .5 && far > 8 && far < 16) { // about 6*.01 + sampling; 6*(1+1)
		t.Errorf("distances %g and %g", near, far)
	}
}

func TestKernelDistance(t *testing.T) {
	x, same, other := normals("a", 200, 4, 0, 1), normals("b", 200, 4, 0, 1), normals("c", 200, 4, 1, 1)
	if d := KernelDistance(x, same, 4); math.Abs(d) > .1 {
		t.Errorf("two samples of one distribution: %g", d)
	}
	if d := KernelDistance(x, other, 4); d < 1 {
		t.Errorf("two distributions: %g", d)
	}
	// By hand for d = 1: x = {0,2}, y = {1,1}: within x = (0*2+1)^3 = 1, within y = 8, between = mean(1, 1, 27, 27) = 14.
	if d := KernelDistance([]float32{0, 2}, []float32{1, 1}, 1); math.Abs(d-(1+8-28)) > 1e-9 {
		t.Errorf("by hand: %g, want -19", d)
	}
}

func TestPrecisionRecall(t *testing.T) {
	all := append(normals("left", 100, 2, -5, .5), normals("right", 100, 2, 5, .5)...)
	half := normals("half", 100, 2, -5, .5)
	p, r := PrecisionRecall(all, half, 2, 3)
	if p < .9 || r < .4 || r > .6 { // what is made is real, and half of what is real is made
		t.Errorf("one of two modes: precision %g, recall %g", p, r)
	}
	p, r = PrecisionRecall(half, all, 2, 3)
	if r < .9 || p < .4 || p > .6 {
		t.Errorf("one mode too many: precision %g, recall %g", p, r)
	}
}

func TestModes(t *testing.T) {
	// 4 pictures of class 0, 4 of class 1 of which one is unsure, none of class 2.
	probs := []float32{}
	for range 4 {
		probs = append(probs, .9, .1, 0)
	}
	for range 3 {
		probs = append(probs, .1, .9, 0)
	}
	probs = append(probs, .4, .6, 0)
	m := ModesOf(probs, 3, .8, .4)
	if m.Covered != 1 || math.Abs(m.Share[1]-.375) > 1e-9 || math.Abs(m.KL-math.Log(1.5)) > 1e-9 {
		t.Errorf("%+v, want class 0 covered, 3/8 of class 1, KL log 1.5", m)
	}
	sure := ModesOf([]float32{1, 0, 0, 1}, 2, .8, .4)
	if math.Abs(sure.Score-2) > 1e-9 || sure.KL > 1e-9 || sure.Covered != 2 {
		t.Errorf("two sure pictures of two classes: %+v, want a score of 2", sure)
	}
}

func TestAlikeness(t *testing.T) {
	const size = 28
	one := normals("picture", 1, size*size, .5, .2)
	if a := Alikeness(slices.Concat(one, one), size, 1, 10); math.Abs(a-1) > 1e-9 {
		t.Errorf("a picture and itself: %g", a)
	}
	if a := Alikeness(slices.Concat(one, normals("another", 1, size*size, .5, .2)), size, 1, 10); a > .5 {
		t.Errorf("two pictures of noise: %g", a)
	}
}

func TestClassifierFile(t *testing.T) {
	e := testEngine(t)
	c := Classifier{Size: 16, Channels: 3, Width: 4, Features: 5, Names: []string{"a", "b", "c"}}
	decls, err := c.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	values := gx.Materialise(decls, 1)
	var b bytes.Buffer
	if err := SaveClassifier(&b, c, decls, values); err != nil {
		t.Fatal(err)
	}
	f, err := weights.OpenBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	x, err := OpenClassifier(e, f)
	if err != nil {
		t.Fatal(err)
	}
	up, err := engine.Upload(decls, values)
	if err != nil {
		t.Fatal(err)
	}
	pix := normals("pix", 70, 16*16*3, 0, .5) // more than one run of 64
	features, probs, err := x.Examine(pix)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := NewExaminer(e, c, up).Examine(pix)
	if err != nil {
		t.Fatal(err)
	}
	if len(features) != 70*5 || len(probs) != 70*3 || !slices.Equal(features, want) {
		t.Errorf("%d features, %d probabilities, equal to those before saving: %v", len(features), len(probs), slices.Equal(features, want))
	}
	if s := probs[207] + probs[208] + probs[209]; math.Abs(float64(s)-1) > 1e-5 {
		t.Errorf("probabilities sum to %g", s)
	}
}
