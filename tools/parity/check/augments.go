package check

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/paint"
)

func init() { checkers["blocks_kornia"] = blocksKornia }

// Tolerances of the augmentations. The values are the fixture's. A gradient meets the bilinear weights of up to four
// neighbours and the kinks of the colour formulas, which round as the values do.
var (
	korniaValues = golden.Tolerance{Abs: 1e-4}
	// kornia builds and inverts its matrices in float32; translations are some ten pixels.
	korniaMatrix = golden.Tolerance{Abs: 2e-5, Rel: 1e-5}
)

// kornia is the fixture of augmentations: the pictures x [n,3,h,w], the adjoint gy that all share, and the parameters
// that kornia drew for the chosen pictures.
type kornia struct {
	blocks
	n, h, w int
}

func blocksKornia(f *golden.Fixture, r *golden.Report) error {
	e, err := startEngine()
	if err != nil {
		return err
	}
	d := f.Shape("x")
	k := kornia{blocks{f: f, r: r, e: e, picture: true, tol: korniaValues}, d[0], d[2], d[3]}
	for _, step := range []func() error{k.flip, k.jitter, k.sharpness, k.affine, k.perspective, k.rotation, k.erasing} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// chosen returns for each picture its place among the pictures that were changed, or -1.
func (k kornia) chosen(name string) []int {
	at, next := make([]int, k.n), 0
	for i, v := range k.f.Ints(name + ".param.batch_prob") {
		at[i] = -1
		if v != 0 {
			at[i] = next
			next++
		}
	}
	return at
}

func (k kornia) param(name, param string) []float32 { return k.f.Floats(name + ".param." + param) }

// apply compares an augmentation whose parameters of the i-th changed picture are given by draw (without the switch).
func (k kornia) apply(name string, a paint.Augment, draw func(i int) []float32) error {
	var p []float32
	for _, i := range k.chosen(name) {
		row := make([]float32, a.Params())
		if i >= 0 {
			copy(row, append([]float32{1}, draw(i)...))
		}
		p = append(p, row...)
	}
	return k.op(name, "gy", nil, func(_ *gx.Vars, x *graph.Node) (*graph.Node, *graph.Node) {
		params := graph.Reshape(graph.Const(x.Graph(), p), k.n, a.Params())
		return same(a.Apply(x, params))
	})
}

// warp compares a warp, with the pixel matrices that we compute, and those with kornia's.
func (k kornia) warp(name string, a paint.Augment, matrix func(i int) paint.Matrix3) error {
	var got []float32
	for _, i := range k.chosen(name) {
		m := paint.Matrix3{1, 0, 0, 0, 1, 0, 0, 0, 1}
		if i >= 0 {
			m = matrix(i)
		}
		for _, v := range m {
			got = append(got, float32(v))
		}
	}
	k.r.Compare(name+".matrix", got, k.f.Floats(name+".matrix"), korniaMatrix)
	return k.apply(name, a, func(i int) []float32 { return paint.WarpParams(true, matrix(i), k.w, k.h)[1:] })
}

func (k kornia) flip() error {
	return k.apply("RandomHorizontalFlip", paint.Flip{}, func(int) []float32 { return nil })
}

func (k kornia) jitter() error {
	const name = "ColorJitter_Ji"
	a := paint.Jitter{Brightness: 0.1, Contrast: 0.1, Saturation: 0.1, Hue: 0.1}
	for _, part := range k.f.Ints(name + ".param.order") {
		a.Order = append(a.Order, int(part))
	}
	b, c := k.param(name, "brightness_factor"), k.param(name, "contrast_factor")
	s, h := k.param(name, "saturation_factor"), k.param(name, "hue_factor")
	return k.apply(name, a, func(i int) []float32 { return []float32{b[i], c[i], s[i], h[i]} })
}

func (k kornia) sharpness() error {
	const name = "RandomSharpness_Sh"
	factor := k.param(name, "sharpness")
	return k.apply(name, paint.Sharpen{}, func(i int) []float32 { return factor[i : i+1] })
}

func (k kornia) affine() error {
	for _, c := range []struct {
		name string
		a    paint.Affine
	}{{"RandomAffine_Af", paint.Affine{}}, {"RandomAffine_border", paint.Affine{Border: true}}} {
		name, a := c.name, c.a
		angle, move := k.param(name, "angle"), k.param(name, "translations")
		sx, sy := k.param(name, "sx"), k.param(name, "sy")
		err := k.warp(name, a, func(i int) paint.Matrix3 {
			f := func(v float32) float64 { return float64(v) }
			return paint.AffineMatrix(f(angle[i]), f(move[2*i]), f(move[2*i+1]), f(sx[i]), f(sy[i]), k.w, k.h)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (k kornia) perspective() error {
	const name = "RandomPerspective_Pe"
	from, to := k.param(name, "start_points"), k.param(name, "end_points")
	corners := func(v []float32, i int) (p [4][2]float64) {
		for c := range p {
			p[c] = [2]float64{float64(v[8*i+2*c]), float64(v[8*i+2*c+1])}
		}
		return p
	}
	return k.warp(name, paint.Perspective{}, func(i int) paint.Matrix3 {
		return paint.PerspectiveMatrix(corners(from, i), corners(to, i))
	})
}

func (k kornia) rotation() error {
	const name = "RandomRotation_Ro"
	degrees := k.param(name, "degrees")
	return k.warp(name, paint.Rotate{}, func(i int) paint.Matrix3 { return paint.Rotation(float64(degrees[i]), k.w, k.h) })
}

// erasing: kornia blackens with "values", which are zero in the fixture as they are in smalti.
func (k kornia) erasing() error {
	const name = "RandomErasing_Er"
	x, y, w, h := k.param(name, "xs"), k.param(name, "ys"), k.param(name, "widths"), k.param(name, "heights")
	for _, v := range k.param(name, "values") {
		if v != 0 {
			return fmt.Errorf("%s erases with %v", name, v)
		}
	}
	return k.apply(name, paint.Erase{}, func(i int) []float32 { return []float32{y[i], y[i] + h[i], x[i], x[i] + w[i]} })
}
