package paint

import (
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// Matrix3 is a 3x3 matrix over homogeneous pixel coordinates (x, y, 1), row by row. A warp's matrix takes a point of
// the picture to where it is shown.
type Matrix3 [9]float64

func (a Matrix3) mul(b Matrix3) Matrix3 {
	var c Matrix3
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				c[3*i+j] += a[3*i+k] * b[3*k+j]
			}
		}
	}
	return c
}

func (a Matrix3) inverse() Matrix3 {
	minor := func(i, j, k, l int) float64 { return a[i]*a[j] - a[k]*a[l] }
	adj := Matrix3{
		minor(4, 8, 5, 7), minor(2, 7, 1, 8), minor(1, 5, 2, 4),
		minor(5, 6, 3, 8), minor(0, 8, 2, 6), minor(2, 3, 0, 5),
		minor(3, 7, 4, 6), minor(1, 6, 0, 7), minor(0, 4, 1, 3),
	}
	det := a[0]*adj[0] + a[1]*adj[3] + a[2]*adj[6]
	for i := range adj {
		adj[i] /= det
	}
	return adj
}

func shift(x, y float64) Matrix3 { return Matrix3{1, 0, x, 0, 1, y, 0, 0, 1} }

// Rotation turns by an angle in degrees around the centre of a picture of w x h, counter-clockwise as one looks at it.
func Rotation(degrees float64, w, h int) Matrix3 {
	cx, cy := float64(w-1)/2, float64(h-1)/2
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	return shift(cx, cy).mul(Matrix3{cos, sin, 0, -sin, cos, 0, 0, 0, 1}).mul(shift(-cx, -cy))
}

// AffineMatrix is kornia's get_affine_matrix2d: turn by -degrees around the centre, move by (tx, ty) pixels, after a
// shear of (sx, sy) degrees.
func AffineMatrix(degrees, tx, ty, sx, sy float64, w, h int) Matrix3 {
	cx, cy := float64(w)/2-0.5, float64(h)/2-0.5
	a, b := math.Tan(sx*math.Pi/180), math.Tan(sy*math.Pi/180)
	shear := Matrix3{1, -a, a * cy, -b, 1 + a*b, b * (a*cy + cx), 0, 0, 1}
	return shift(tx, ty).mul(Rotation(-degrees, w, h)).mul(shear)
}

// PerspectiveMatrix is the projective map that takes four points from to four points to.
func PerspectiveMatrix(from, to [4][2]float64) Matrix3 {
	var a [8][9]float64
	for i := range 4 {
		x, y, u, v := from[i][0], from[i][1], to[i][0], to[i][1]
		a[2*i] = [9]float64{x, y, 1, 0, 0, 0, -u * x, -u * y, u}
		a[2*i+1] = [9]float64{0, 0, 0, x, y, 1, -v * x, -v * y, v}
	}
	for c := range 8 { // Gauss and Jordan, with pivots
		best := c
		for r := c; r < 8; r++ {
			if math.Abs(a[r][c]) > math.Abs(a[best][c]) {
				best = r
			}
		}
		a[c], a[best] = a[best], a[c]
		for r := range 8 {
			if r == c {
				continue
			}
			f := a[r][c] / a[c][c]
			for k := c; k < 9; k++ {
				a[r][k] -= f * a[c][k]
			}
		}
	}
	m := Matrix3{8: 1}
	for i := range 8 {
		m[i] = a[i][8] / a[i][i]
	}
	return m
}

// sampling turns a pixel matrix into the map that a warp's graph uses: from the place shown to the place looked up,
// both in coordinates from -1 to 1 between the centres of the outermost pixels.
func (a Matrix3) sampling(w, h int) Matrix3 {
	n := Matrix3{2 / float64(w-1), 0, -1, 0, 2 / float64(h-1), -1, 0, 0, 1}
	return n.mul(a).mul(n.inverse()).inverse()
}

// WarpParams are the parameters of a warp of cuts of w x h that shows the pixel matrix m (kept as it is: on false).
func WarpParams(on bool, m Matrix3, w, h int) []float32 {
	p := []float32{flag(on)}
	for _, v := range m.sampling(w, h) {
		p = append(p, float32(v))
	}
	return p
}

// warp is a resampling along a matrix, bilinear, with kornia's conventions of which corners are aligned.
type warp struct {
	outAligned, inAligned bool // coordinates of the place shown, and of the place looked up
	padding               gx.Padding
}

// Params: whether to warp; then nine elements of the matrix.
func (warp) Params() int { return 10 }

func (w warp) apply(x, p *graph.Node) *graph.Node {
	d := x.Shape().Dimensions
	base := baseGrid(x.Graph(), d[1], d[2], w.outAligned) // [1,h,w,2]
	row := func(i int) *graph.Node {
		bx := graph.Slice(base, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisElem(0))
		by := graph.Slice(base, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisElem(1))
		return graph.Add(graph.Add(graph.Mul(bx, param(p, i)), graph.Mul(by, param(p, i+1))), param(p, i+2))
	}
	z := row(7)
	eps := graph.Scalar(x.Graph(), x.DType(), 1e-8)
	scale := graph.Where(graph.GreaterThan(graph.Abs(z), eps), graph.Reciprocal(graph.Add(z, eps)), graph.OnesLike(z))
	grid := graph.Concatenate([]*graph.Node{graph.Mul(row(1), scale), graph.Mul(row(4), scale)}, -1)
	return choose(p, 0, gx.GridSample(x, graph.StopGradient(grid), w.padding, w.inAligned), x)
}

// baseGrid is the (x, y) of every pixel from -1 to 1: between the centres of the outermost pixels when aligned,
// between the outer edges otherwise.
func baseGrid(g *graph.Graph, h, w int, aligned bool) *graph.Node {
	at := func(i, n int) float32 {
		if aligned {
			return float32(-1 + 2*float64(i)/float64(max(1, n-1)))
		}
		return float32(-1 + (2*float64(i)+1)/float64(n))
	}
	xy := make([]float32, 0, 2*h*w)
	for y := range h {
		for x := range w {
			xy = append(xy, at(x, w), at(y, h))
		}
	}
	return graph.Reshape(graph.Const(g, xy), 1, h, w, 2)
}

// Affine turns, moves and shears with probability P, as kornia's RandomAffine.
type Affine struct {
	P         float64
	Degrees   float64 // largest turn
	Translate float64 // largest move, as a share of the side
	Shear     float64 // largest shear along x, in degrees
	Border    bool    // the edge's colour outside of the cut, instead of black
}

func (Affine) Name() string { return "affine" }
func (Affine) Params() int  { return warp{}.Params() }

func (a Affine) Draw(d Draws) []float32 {
	on := d.Cut.Bernoulli(a.P)
	u := func(r float64) float64 { return d.Cut.Uniform(-r, r) }
	move := a.Translate * float64(d.Size)
	return WarpParams(on, AffineMatrix(u(a.Degrees), u(move), u(move), u(a.Shear), 0, d.Size, d.Size), d.Size, d.Size)
}

func (a Affine) Apply(x, p *graph.Node) *graph.Node {
	w := warp{padding: gx.PadZeros}
	if a.Border {
		w.padding = gx.PadBorder
	}
	return w.apply(x, p)
}

// Perspective moves the corners inwards by at most Distortion/2 of the side, with probability P, as kornia's
// RandomPerspective.
type Perspective struct{ P, Distortion float64 }

func (Perspective) Name() string { return "perspective" }
func (Perspective) Params() int  { return warp{}.Params() }

func (a Perspective) Draw(d Draws) []float32 {
	on := d.Cut.Bernoulli(a.P)
	far := float64(d.Size - 1)
	from := [4][2]float64{{0, 0}, {far, 0}, {far, far}, {0, far}}
	inwards := [4][2]float64{{1, 1}, {-1, 1}, {-1, -1}, {1, -1}}
	to := from
	for i := range to {
		for k := range to[i] {
			to[i][k] += inwards[i][k] * d.Cut.Float64() * a.Distortion * float64(d.Size) / 2
		}
	}
	return WarpParams(on, PerspectiveMatrix(from, to), d.Size, d.Size)
}

// Apply uses kornia 0.6.4's mixed corners: places shown are aligned, places looked up are not.
func (Perspective) Apply(x, p *graph.Node) *graph.Node {
	return warp{outAligned: true, padding: gx.PadZeros}.apply(x, p)
}

// Rotate turns by at most Degrees with probability P, as kornia's RandomRotation.
type Rotate struct{ P, Degrees float64 }

func (Rotate) Name() string { return "rotate" }
func (Rotate) Params() int  { return warp{}.Params() }

func (a Rotate) Draw(d Draws) []float32 {
	on := d.Cut.Bernoulli(a.P)
	return WarpParams(on, Rotation(d.Cut.Uniform(-a.Degrees, a.Degrees), d.Size, d.Size), d.Size, d.Size)
}

func (Rotate) Apply(x, p *graph.Node) *graph.Node {
	return warp{outAligned: true, inAligned: true, padding: gx.PadZeros}.apply(x, p)
}
