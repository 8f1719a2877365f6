package curve

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ChartOptions say how a chart looks. The zero value is 80 characters wide and 12 lines high for each panel.
type ChartOptions struct {
	Width, Height int     // in characters, per panel, all words included; 0: 80 and 12
	Smooth        float64 // as in Options; only the smoothed curve is drawn
	LogY          bool
	Time          bool // X are seconds
	Colour        bool // tell curves apart by the terminal's colours
}

// colours are the terminal's own, which fit its ground.
var colours = []string{"34", "33", "32", "35", "36", "31", "37"}

// Chart draws curves as dots of braille characters, eight to a character, a panel below the other, each line with a
// line break at its end. Curves without points are left out; without any the chart is empty.
func Chart(series []Series, o ChartOptions) string {
	if o.Width <= 0 {
		o.Width = 80
	}
	if o.Height <= 0 {
		o.Height = 12
	}
	o.Width, o.Height = min(max(o.Width, 24), 1000), min(max(o.Height, 5), 500)
	panels, names := group(series)
	var b strings.Builder
	for _, p := range panels {
		chartPanel(&b, p, names, o)
	}
	if len(names) > 1 {
		var parts []string
		for i, n := range names {
			parts = append(parts, paint("━━ ", i, o)+printable(n))
		}
		b.WriteString(strings.Join(parts, "   ") + "\n")
	}
	return b.String()
}

// dots is a grid of braille dots, two by four a character.
type dots struct {
	w, h  int // characters
	cells []rune
	owner []int // which curve a character shows
}

// bits of the dots of a braille character, by row and column.
var bits = [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

func (d *dots) set(x, y, owner int) {
	if x < 0 || y < 0 || x >= 2*d.w || y >= 4*d.h {
		return
	}
	i := y/4*d.w + x/2
	d.cells[i] |= bits[y%4][x%2]
	d.owner[i] = owner
}

// line sets the dots between two places.
func (d *dots) line(a, b point, owner int) {
	n := min(int(math.Max(math.Abs(b.x-a.x), math.Abs(b.y-a.y)))+1, 8*(d.w+d.h))
	for i := 0; i <= n; i++ {
		t := float64(i) / float64(n)
		d.set(int(math.Round(a.x+(b.x-a.x)*t)), int(math.Round(a.y+(b.y-a.y)*t)), owner)
	}
}

func chartPanel(b *strings.Builder, p panel, names []string, o ChartOptions) {
	var xs, ys [][]float64
	for _, s := range p.series {
		xs, ys = append(xs, s.X), append(ys, Smooth(s.Y[:s.len()], o.Smooth))
	}
	log := o.LogY
	lo, hi, ok := extent(ys, log, false)
	if !ok {
		log = false
		lo, hi, _ = extent(ys, false, false)
	}
	rows := o.Height - 3 // heading, axis, words below it
	y := newAxis(lo, hi, log, max(rows/2, 2), numbers)
	x0, x1, _ := extent(xs, false, false)
	u := counts
	if o.Time {
		u = times
	}
	left := 0
	for _, t := range y.ticks {
		left = max(left, utf8.RuneCountInString(t.label))
	}
	d := dots{w: max(o.Width-left-2, 8), h: rows}
	d.cells, d.owner = make([]rune, d.w*d.h), make([]int, d.w*d.h)
	sx := scale{x0, x1, 0, float64(2*d.w - 1), false}
	if x0 == x1 {
		sx.lo, sx.hi = x0-1, x1+1
	}
	sy := scale{y.lo, y.hi, float64(4*d.h - 1), 0, y.log}
	for i, s := range p.series {
		for _, run := range lines(s.X, ys[i], sx, sy) {
			for k, q := range run {
				d.line(run[max(k-1, 0)], q, slices.Index(names, s.Name))
			}
		}
	}
	x := newAxis(sx.lo, sx.hi, false, max(d.w/12, 2), u)
	writeChart(b, p, d, y, x, sx, sy, left, o)
}

func writeChart(b *strings.Builder, p panel, d dots, y, x axis, sx, sy scale, left int, o ChartOptions) {
	head := printable(p.name)
	if len(p.series) == 1 {
		s := p.series[0]
		v := Smooth(s.Y[:s.len()], o.Smooth)
		head = strings.TrimSpace(fmt.Sprintf("%s  %.4g", head, v[len(v)-1]))
	}
	fmt.Fprintf(b, "%*s %s\n", left, "", runes(head, d.w+1))
	labels := make([]string, d.h)
	for _, t := range y.ticks {
		if at, ok := sy.place(t.value); ok && t.label != "" {
			labels[min(max(int(math.Round(at))/4, 0), d.h-1)] = t.label
		}
	}
	for r := range d.h {
		mark := "│"
		if labels[r] != "" {
			mark = "┤"
		}
		fmt.Fprintf(b, "%s%s%s", strings.Repeat(" ", left-utf8.RuneCountInString(labels[r])), labels[r], mark)
		b.WriteString(strings.TrimRight(d.row(r, o), " "))
		b.WriteByte('\n')
	}
	axis := []rune(strings.Repeat("─", d.w))
	words := []rune(strings.Repeat(" ", d.w))
	edge := 0
	for _, t := range x.ticks {
		at, ok := sx.place(t.value)
		c := int(math.Round(at)) / 2
		if !ok || c < 0 || c >= d.w {
			continue
		}
		axis[c] = '┬'
		n := utf8.RuneCountInString(t.label)
		from := min(max(c-n/2, 0), d.w-n)
		if from >= edge && from >= 0 {
			copy(words[from:], []rune(t.label))
			edge = from + n + 1
		}
	}
	fmt.Fprintf(b, "%*s└%s\n%*s %s\n", left, "", string(axis), left, "", strings.TrimRight(string(words), " "))
}

// row is one line of dots, neighbours of one curve in one stretch of colour.
func (d *dots) row(r int, o ChartOptions) string {
	var b strings.Builder
	for c := 0; c < d.w; {
		i, j := r*d.w+c, c
		var part strings.Builder
		for ; j < d.w; j++ {
			k := r*d.w + j
			if (d.cells[k] == 0) != (d.cells[i] == 0) || d.owner[k] != d.owner[i] {
				break
			}
			if d.cells[k] == 0 {
				part.WriteByte(' ')
			} else {
				part.WriteRune(0x2800 + d.cells[k])
			}
		}
		if d.cells[i] == 0 {
			b.WriteString(part.String())
		} else {
			b.WriteString(paint(part.String(), d.owner[i], o))
		}
		c = j
	}
	return b.String()
}

func paint(s string, curve int, o ChartOptions) string {
	if !o.Colour {
		return s
	}
	return "\x1b[" + colours[curve%len(colours)] + "m" + s + "\x1b[0m"
}

func runes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(n, 0)])
}

// printable keeps names from outside from moving the cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
