package curve

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"slices"
)

// Options say how a figure looks. The zero value is a light one, 960 units wide, with linear axes and no smoothing.
type Options struct {
	Title         string
	Width, Height int     // in units of about a pixel; 0: 960, and 340 for each row of panels
	Scale         float64 // pixels of a PNG for each unit, at most 8; 0: 2
	Columns       int     // of panels; 0: one to three
	Smooth        float64 // weight of the past in a moving average, 0 (none) to below 1; the curve itself stays, faint
	LogX, LogY    bool
	IgnoreOutlier bool     // the outer 2 % of values do not widen the axis
	Time          bool     // X are seconds, not steps
	XLabel        string   // "": step, or time
	Names         []string // curves that have a colour, drawn or not: so that figures of one report agree
	Dark          bool
}

// Figure is a picture of curves, laid out.
type Figure struct {
	scene scene
	scale float64
}

// Size is the figure's size in units.
func (f *Figure) Size() (w, h float64) { return f.scene.w, f.scene.h }

// ErrEmpty says that there is nothing to draw.
var ErrEmpty = errors.New("no curve to draw")

type theme struct {
	paper, ink, faint, grid color.NRGBA
	curves                  []color.NRGBA
}

func rgb(v uint32) color.NRGBA { return color.NRGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255} }

// Colours that people with any colour vision tell apart (Okabe and Ito, 2008), lightened on a dark ground.
var (
	light = theme{rgb(0xffffff), rgb(0x2b2b2b), rgb(0x6b6b6b), rgb(0xe6e6e6), []color.NRGBA{rgb(0x0072b2), rgb(0xd55e00),
		rgb(0x009e73), rgb(0xb0588e), rgb(0xd18f00), rgb(0x3d9fd6), rgb(0x595959), rgb(0x8a6d3b)}}
	dark = theme{rgb(0x16181c), rgb(0xe4e4e4), rgb(0x9a9a9a), rgb(0x30343a), []color.NRGBA{rgb(0x4ea8e6), rgb(0xff8c42),
		rgb(0x3fc79a), rgb(0xe39ac6), rgb(0xf2c14e), rgb(0x8fd3ff), rgb(0xb5b5b5), rgb(0xc9a66b)}}
)

const (
	titleSize, labelSize, tickSize = 18, 13, 11.5
	margin                         = 18
)

// panel is the curves that share axes.
type panel struct {
	name   string
	series []Series
}

// Plot lays out curves, a panel for each Panel in order of appearance. Series without points are left out; without
// any point the error is ErrEmpty. On a logarithmic axis what is not positive is a gap; a panel without anything
// positive gets a linear axis.
func Plot(series []Series, o Options) (*Figure, error) {
	if !(o.Smooth >= 0 && o.Smooth < 1) {
		return nil, fmt.Errorf("smoothing %g is not in [0, 1)", o.Smooth)
	}
	panels, names := group(series)
	if len(panels) == 0 {
		return nil, ErrEmpty
	}
	l := layout{o: o, theme: light, names: names, coloured: slices.Clone(o.Names)}
	for _, n := range names {
		if !slices.Contains(l.coloured, n) {
			l.coloured = append(l.coloured, n)
		}
	}
	if o.Dark {
		l.theme = dark
	}
	l.scene.background = l.theme.paper
	cols := o.Columns
	if cols < 1 {
		cols = min(int(math.Ceil(math.Sqrt(float64(len(panels))))), 3)
	}
	cols = min(cols, len(panels))
	rows := (len(panels) + cols - 1) / cols
	l.scene.w, l.scene.h = float64(o.Width), float64(o.Height)
	if o.Width <= 0 {
		l.scene.w = 960
	}
	top := l.head()
	if o.Height <= 0 {
		height := 340.0
		if cols == 1 && rows == 1 {
			height = 440
		}
		l.scene.h = top + float64(rows)*height + margin/2
	}
	w, h := (l.scene.w-margin)/float64(cols), (l.scene.h-top-margin/2)/float64(rows)
	if w < 120 || h < 100 {
		return nil, fmt.Errorf("%d panels do not fit into %g x %g", len(panels), l.scene.w, l.scene.h)
	}
	for i, p := range panels {
		l.panel(p, box{margin/2 + float64(i%cols)*w, top + float64(i/cols)*h, w, h})
	}
	scale := o.Scale
	if !(scale > 0) {
		scale = 2
	}
	if scale > 8 || l.scene.w*scale > 20000 || l.scene.h*scale > 20000 {
		return nil, fmt.Errorf("a figure of %g x %g at scale %g is too large", l.scene.w, l.scene.h, scale)
	}
	return &Figure{l.scene, scale}, nil
}

// group sorts curves into panels, and lists the names for the legend.
func group(series []Series) (panels []panel, names []string) {
	for _, s := range series {
		if s.len() == 0 {
			continue
		}
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
		i := slices.IndexFunc(panels, func(p panel) bool { return p.name == s.Panel })
		if i < 0 {
			panels, i = append(panels, panel{name: s.Panel}), len(panels)
		}
		panels[i].series = append(panels[i].series, s)
	}
	return panels, names
}

type layout struct {
	o     Options
	theme theme
	names []string // in the legend
	scene scene

	coloured []string // names in the order of their colours
}

func (l *layout) colour(name string) color.NRGBA {
	return l.theme.curves[slices.Index(l.coloured, name)%len(l.theme.curves)]
}

// head writes title and legend and returns where the panels begin.
func (l *layout) head() float64 {
	y := float64(margin) / 2
	if l.o.Title != "" {
		y += titleSize + 6
		l.scene.word(l.o.Title, point{margin, y}, titleSize, start, l.theme.ink)
		y += 4
	}
	if len(l.names) < 2 {
		return y + 4
	}
	const swatch = 22
	x := float64(margin)
	y += labelSize + 6
	for _, n := range l.names {
		c := l.colour(n)
		n = cut(n, labelSize, l.scene.w-2*margin-swatch-6)
		w := swatch + 6 + width(n, labelSize)
		if x > margin && x+w > l.scene.w-margin {
			x, y = margin, y+labelSize+7
		}
		l.scene.line([]point{{x, y - 4}, {x + swatch, y - 4}}, 3, c, nil)
		l.scene.word(n, point{x + swatch + 6, y}, labelSize, start, l.theme.ink)
		x += w + 20
	}
	return y + 8
}

// cut shortens a word to a width.
func cut(s string, size, room float64) string {
	if width(s, size) <= room {
		return s
	}
	r := []rune(s)
	for len(r) > 1 && width(string(r)+"…", size) > room {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

// axes chooses the ranges of a panel's values.
func (l *layout) axes(p panel, smooth [][]float64, inner box) (x, y axis) {
	var xs [][]float64
	ys := slices.Clone(smooth)
	for _, s := range p.series {
		xs = append(xs, s.X)
		if !l.o.IgnoreOutlier {
			ys = append(ys, s.Y)
		}
	}
	across := func(vs [][]float64, log, robust bool, share float64, n int, u unit) axis {
		lo, hi, ok := extent(vs, log, robust)
		if !ok && log {
			log = false
			lo, hi, _ = extent(vs, false, robust)
		}
		if lo != hi {
			lo, hi = padded(lo, hi, share, log)
		}
		return newAxis(lo, hi, log, n, u)
	}
	u := counts
	if l.o.Time {
		u = times
	}
	x = across(xs, l.o.LogX, false, 0, int(inner.w/80), u)
	y = across(ys, l.o.LogY, l.o.IgnoreOutlier, 0.04, int(inner.h/34), numbers)
	return x, y
}

// panel draws one pair of axes and its curves.
func (l *layout) panel(p panel, b box) {
	smooth := make([][]float64, len(p.series))
	for i, s := range p.series {
		smooth[i] = Smooth(s.Y[:s.len()], l.o.Smooth)
	}
	inner := box{b.x + 20, b.y + 30, b.w - 20 - margin, b.h - 30 - 44}
	ax, ay := l.axes(p, smooth, inner)
	left := 0.0
	for _, t := range ay.ticks {
		left = math.Max(left, width(t.label, tickSize))
	}
	inner.x, inner.w = inner.x+left, inner.w-left
	ax, _ = l.axes(p, smooth, inner)

	sx := scale{ax.lo, ax.hi, inner.x, inner.x + inner.w, ax.log}
	sy := scale{ay.lo, ay.hi, inner.y + inner.h, inner.y, ay.log}
	l.frame(p, b, inner, ax, ay, sx, sy)
	clip := box{inner.x - 2, inner.y - 2, inner.w + 4, inner.h + 4}
	draw := func(i int, y []float64, w float64, share float64) {
		for _, run := range lines(p.series[i].X, y, sx, sy) {
			l.scene.line(run, w, fade(l.colour(p.series[i].Name), share), &clip)
		}
	}
	if l.o.Smooth > 0 {
		for i, s := range p.series {
			draw(i, s.Y[:s.len()], 1, 0.28)
		}
	}
	for i := range p.series {
		draw(i, smooth[i], 1.8, 1)
	}
}

// frame draws grid, ticks and words of a panel.
func (l *layout) frame(p panel, b, inner box, ax, ay axis, sx, sy scale) {
	th := l.theme
	bottom, right := inner.y+inner.h, inner.x+inner.w
	for _, t := range ay.ticks {
		y, ok := sy.place(t.value)
		if !ok {
			continue
		}
		strength := 1.0
		if t.label == "" {
			strength = 0.5
		}
		l.scene.line([]point{{inner.x, y}, {right, y}}, 1, fade(th.grid, strength), nil)
		if t.label != "" {
			l.scene.word(t.label, point{inner.x - 7, y + tickSize*0.36}, tickSize, end, th.faint)
		}
	}
	edge := math.Inf(-1) // words below the axis must not touch
	for _, t := range ax.ticks {
		x, ok := sx.place(t.value)
		if !ok {
			continue
		}
		l.scene.line([]point{{x, bottom}, {x, bottom + 4}}, 1, th.faint, nil)
		half := width(t.label, tickSize) / 2
		if t.label != "" && x-half > edge {
			l.scene.word(t.label, point{x, bottom + 17}, tickSize, middle, th.faint)
			edge = x + half + 8
		}
	}
	l.scene.line([]point{{inner.x, bottom}, {right, bottom}}, 1, th.faint, nil)
	label := l.o.XLabel
	if label == "" {
		label = map[bool]string{true: "time", false: "step"}[l.o.Time]
	}
	l.scene.word(label, point{inner.x + inner.w/2, bottom + 34}, tickSize+0.5, middle, th.faint)
	value := l.lastValue(p)
	room := right - inner.x - width(value, tickSize) - 12
	l.scene.word(cut(p.name, labelSize+1, room), point{inner.x, b.y + 20}, labelSize+1, start, th.ink)
	l.scene.word(value, point{right, b.y + 20}, tickSize, end, th.faint)
}

// lastValue says where the only curve of a panel ends.
func (l *layout) lastValue(p panel) string {
	if len(p.series) != 1 {
		return ""
	}
	s := p.series[0]
	v := Smooth(s.Y[:s.len()], l.o.Smooth)
	return "last " + fmt.Sprintf("%.4g", v[len(v)-1])
}
