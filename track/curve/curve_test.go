package curve

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/smalti/smalti/rng"
)

func TestSmoothIsTensorBoards(t *testing.T) {
	got := Smooth([]float64{1, 3, math.NaN(), 5}, 0.5)
	// 1; (0.25*1 + 0.5*3)/0.75; the gap; (0.125*1 + 0.25*3 + 0.5*5)/0.875
	want := []float64{1, 1.75 / 0.75, math.NaN(), 3.375 / 0.875}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-12 || math.IsNaN(got[i]) != math.IsNaN(want[i]) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	y := []float64{1, 2}
	if !slices.Equal(Smooth(y, 0), y) {
		t.Fatal("no smoothing changed the curve")
	}
}

func labels(a axis) (out []string) {
	for _, t := range a.ticks {
		if t.label != "" {
			out = append(out, t.label)
		}
	}
	return out
}

func TestTicksAreReadable(t *testing.T) {
	cases := []struct {
		lo, hi float64
		log    bool
		n      int
		u      unit
		want   string
	}{
		{0, 1, false, 5, numbers, "0 0.2 0.4 0.6 0.8 1.0"},
		{-1.3, 2.2, false, 4, numbers, "−1 0 1 2"},
		{0.0001, 0.0002, false, 4, numbers, "1e-4 1.5e-4 2e-4"},
		{1e8, 3e8, false, 4, numbers, "1e8 1.5e8 2e8 2.5e8 3e8"},
		{0, 40000, false, 4, counts, "0 10k 20k 30k 40k"},
		{0, 3e6, false, 3, counts, "0 1M 2M 3M"},
		{0, 900, false, 3, counts, "0 200 400 600 800"},
		{510, 990, false, 2, counts, "600 800"},
		{31, 58, false, 2, times, "40 s 50 s"},
		{0, 40000, false, 6, times, "0 2 h 4 h 6 h 8 h 10 h"},
		{0, 600, false, 5, times, "0 2 min 4 min 6 min 8 min 10 min"},
		{0, 500000, false, 4, times, "0 2 d 4 d"},
		{0, 2, false, 4, times, "0 0.5 s 1.0 s 1.5 s 2.0 s"},
		{0.01, 100, true, 6, numbers, "0.01 0.1 1 10 100"},
		{0.05, 3, true, 6, numbers, "0.05 0.1 0.2 0.5 1 2"},
		{1e-9, 1, true, 4, numbers, "1e-9 1e-6 0.001 1"},
		{5, 5, false, 4, numbers, "4.5 5.0 5.5"},
	}
	for _, c := range cases {
		a := newAxis(c.lo, c.hi, c.log, c.n, c.u)
		if got := strings.Join(labels(a), " "); got != c.want {
			t.Errorf("%g to %g: %q, want %q", c.lo, c.hi, got, c.want)
		}
	}
}

// Whatever the range, ticks rise, are few, lie inside and have different labels.
func TestTicksOfAnyRange(t *testing.T) {
	s := rng.New(1, "ticks")
	for range 3000 {
		lo := (s.Float64() - 0.5) * math.Pow(10, float64(s.IntN(24)-8))
		hi := lo + s.Float64()*math.Pow(10, float64(s.IntN(24)-8))
		log := s.IntN(3) == 0
		if log {
			lo, hi = math.Abs(lo)+1e-12, math.Abs(lo)+1e-12+math.Abs(hi)
		}
		n := 2 + s.IntN(9)
		a := newAxis(lo, hi, log, n, []unit{numbers, counts, times}[s.IntN(3)])
		ls := labels(a)
		if len(ls) > 3*n+9 || len(a.ticks) > 120 {
			t.Fatalf("%g to %g (log %v): %d labels for %d", lo, hi, log, len(ls), n)
		}
		slack := (a.hi - a.lo) * 1e-6
		for i, k := range a.ticks {
			if k.value < a.lo-slack || k.value > a.hi+slack || i > 0 && k.value <= a.ticks[i-1].value {
				t.Fatalf("%g to %g (log %v): ticks %v", lo, hi, log, a.ticks)
			}
		}
	}
}

func TestThinKeepsExtremes(t *testing.T) {
	var x, y []float64
	for i := range 100000 {
		x, y = append(x, float64(i)), append(y, math.Sin(float64(i)))
	}
	y[54321] = 50
	sx, sy := scale{0, 1e5, 0, 500, false}, scale{-50, 50, 100, 0, false}
	out := lines(x, y, sx, sy)
	if len(out) != 1 || len(out[0]) > 4*501 {
		t.Fatalf("%d runs, the first of %d points", len(out), len(out[0]))
	}
	low := math.Inf(1)
	for _, p := range out[0] {
		low = min(low, p.y)
	}
	if low != 0 {
		t.Fatalf("the spike is at %g, not at 0", low)
	}
}

// two are curves whose pictures can be checked: a level line at 1, and one with a gap.
func two() []Series {
	a, b := Series{Name: "level", Panel: "loss"}, Series{Name: "gap <&> x", Panel: "loss"}
	for i := range 101 {
		a.X, a.Y = append(a.X, float64(i)), append(a.Y, 1)
		b.X, b.Y = append(b.X, float64(i)), append(b.Y, 2)
		if i > 30 && i < 70 {
			b.Y[i] = math.Inf(1)
		}
	}
	return []Series{a, b}
}

func near(c, d color.Color) bool {
	r, g, b, _ := c.RGBA()
	s, h, a, _ := d.RGBA()
	diff := func(x, y uint32) bool { return max(x, y)-min(x, y) < 0x0800 }
	return diff(r, s) && diff(g, h) && diff(b, a)
}

// count is how many pixels of a field have a colour.
func count(img image.Image, r image.Rectangle, c color.Color) (n int) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if near(img.At(x, y), c) {
				n++
			}
		}
	}
	return n
}

func TestPNG(t *testing.T) {
	f, err := Plot(two(), Options{Title: "t", Width: 400, Height: 300, Scale: 1})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.PNG(&b); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil || img.Bounds() != image.Rect(0, 0, 400, 300) {
		t.Fatalf("%v, %v", img.Bounds(), err)
	}
	body := image.Rect(60, 80, 400, 260)
	whole, gappy := count(img, body, light.curves[0]), count(img, body, light.curves[1])
	if whole < 250 || gappy < whole/3 || gappy > whole*3/4 {
		t.Fatalf("the level line has %d pixels, the one with a gap of 40 %% has %d", whole, gappy)
	}
	if n := count(img, image.Rect(0, 0, 400, 80), light.ink); n < 30 {
		t.Fatalf("title and legend have %d dark pixels", n)
	}
	again, err := Plot(two(), Options{Title: "t", Width: 400, Height: 300, Scale: 1})
	if err != nil {
		t.Fatal(err)
	}
	img2, err := again.Image()
	if err != nil || !bytes.Equal(img2.Pix, toRGBA(img).Pix) {
		t.Fatalf("the same figure is another picture: %v", err)
	}
}

func toRGBA(img image.Image) *image.RGBA {
	out := image.NewRGBA(img.Bounds())
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.Set(x, y, img.At(x, y))
		}
	}
	return out
}

func TestSVG(t *testing.T) {
	f, err := Plot(two(), Options{Width: 400, Height: 300, Smooth: 0.5, LogY: true, Dark: true})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.SVG(&b); err != nil {
		t.Fatal(err)
	}
	elements, words := map[string]int{}, ""
	for d := xml.NewDecoder(&b); ; {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			elements[tok.Name.Local]++
			for _, a := range tok.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Fatalf("<%s %s=%q>", tok.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			words += string(tok) + " "
		}
	}
	for _, w := range []string{"loss", "step", "level", "gap <&> x"} {
		if !strings.Contains(words, w) {
			t.Errorf("%q is not written in %q", w, words)
		}
	}
	if elements["polyline"] < 8 || elements["text"] < 8 || elements["clipPath"] != 1 {
		t.Errorf("elements %v", elements)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestNamesKeepTheirColours: a curve that is left out does not change the colour of another.
func TestNamesKeepTheirColours(t *testing.T) {
	ss := two()
	colourOf := func(ss []Series, o Options) string {
		f, err := Plot(ss, o)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := f.SVG(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	second := hex(light.curves[1])
	if got := colourOf(ss[1:], Options{}); strings.Contains(got, second) {
		t.Error("an only curve has the second colour")
	}
	if got := colourOf(ss[1:], Options{Names: []string{ss[0].Name, ss[1].Name}}); !strings.Contains(got, second) || strings.Contains(got, ss[0].Name) {
		t.Error("the second of two names lost its colour, or the first is shown")
	}
}

func TestPlotRefusals(t *testing.T) {
	if _, err := Plot([]Series{{Name: "a"}}, Options{}); !errors.Is(err, ErrEmpty) {
		t.Errorf("nothing: %v", err)
	}
	for _, o := range []Options{{Smooth: 1}, {Smooth: math.NaN()}, {Scale: 9}, {Width: 50}, {Height: 60}, {Width: 30000}} {
		if _, err := Plot(two(), o); err == nil {
			t.Errorf("%+v was drawn", o)
		}
	}
	f, err := Plot(two(), Options{Width: 300, Height: 200})
	if err != nil {
		t.Fatal(err)
	}
	if f.PNG(full{}) == nil || f.SVG(full{}) == nil {
		t.Error("a full disk was not noticed")
	}
}

// Odd curves must give a figure whose every place is a number.
func TestOddCurves(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for i, s := range []Series{
		{X: []float64{1}, Y: []float64{1}}, {X: []float64{0, 1}, Y: []float64{0, 0}}, {X: []float64{0, 1}, Y: []float64{nan, inf}},
		{X: []float64{5, 5}, Y: []float64{1, 2}}, {X: []float64{0, 1, 2}, Y: []float64{1e300, -1e300, 1}}, {X: []float64{0, 1}, Y: []float64{1e-320, 2e-320}},
		{X: []float64{0, 1, 2}, Y: []float64{1, 1 + 1e-16, 1}}, {X: []float64{0, 1}, Y: []float64{-1, -2}}, {X: []float64{1, 2, 3}, Y: []float64{1}},
		{X: []float64{nan}, Y: []float64{nan}}, {X: []float64{0, 1}, Y: []float64{math.MaxFloat64, -math.MaxFloat64}},
	} {
		for _, o := range []Options{{}, {LogY: true, LogX: true}, {Smooth: 0.9, IgnoreOutlier: true, Time: true}} {
			t.Run(fmt.Sprint(i, o.LogY, o.Smooth), func(t *testing.T) {
				o.Width, o.Height, o.Scale = 300, 200, 0.5
				f, err := Plot([]Series{s}, o)
				if err != nil {
					t.Fatal(err)
				}
				for _, it := range f.scene.items {
					for _, p := range append(it.points, it.at) {
						if math.IsNaN(p.x+p.y) || math.IsInf(p.x+p.y, 0) {
							t.Fatalf("a place %v of %+v", p, it)
						}
					}
				}
				if _, err := f.Image(); err != nil {
					t.Fatal(err)
				}
				if c := Chart([]Series{s}, ChartOptions{LogY: o.LogY, Smooth: o.Smooth}); strings.Count(c, "\n") != 12 {
					t.Fatalf("chart:\n%s", c)
				}
			})
		}
	}
}

func TestChart(t *testing.T) {
	s := Series{Name: "run", Panel: "loss"}
	for i := range 41 {
		s.X, s.Y = append(s.X, float64(i*100)), append(s.Y, float64(40-i))
	}
	got := Chart([]Series{s}, ChartOptions{Width: 32, Height: 8})
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != 8 || lines[0] != "   loss  0" || !strings.HasPrefix(lines[1], "40┤⠉") || !strings.HasSuffix(lines[5], "⣀") ||
		!strings.HasPrefix(lines[6], "  └┬") || !strings.HasPrefix(lines[7], "   0") {
		t.Fatalf("chart:\n%s", got)
	}
	for _, l := range lines {
		if utf8.RuneCountInString(l) > 32 {
			t.Errorf("%q is wider than 32", l)
		}
	}
	// A falling line has exactly one stretch a row, each to the right of the one above.
	edge := 0
	for _, l := range lines[1:6] {
		first := slices.IndexFunc([]rune(l), func(r rune) bool { return r >= 0x2800 && r < 0x2900 })
		if first < edge {
			t.Errorf("row %q begins before %d", l, edge)
		}
		edge = first
	}
}

func TestChartOfSeveralRuns(t *testing.T) {
	ss := two()
	ss[1].Name = "evil\x1b[2J"
	got := Chart(ss, ChartOptions{Width: 40, Height: 8, Colour: true})
	if strings.Contains(got, "\x1b[2J") || !strings.Contains(got, "\x1b[34m") || !strings.Contains(got, "\x1b[33m") || !strings.Contains(got, "level") {
		t.Fatalf("chart %q", got)
	}
	if plain := Chart(ss, ChartOptions{Width: 40, Height: 8}); strings.Contains(plain, "\x1b") {
		t.Fatalf("colours nobody wanted: %q", plain)
	}
	if Chart(nil, ChartOptions{}) != "" {
		t.Fatal("a chart of nothing")
	}
}
