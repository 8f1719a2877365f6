package track

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/track/curve"
)

// Series, PlotOptions, Figure and ChartOptions are those of package curve, where the drawing is done.
type (
	Series       = curve.Series
	PlotOptions  = curve.Options
	Figure       = curve.Figure
	ChartOptions = curve.ChartOptions
)

// Plot lays out curves as a figure, which writes itself as PNG and SVG.
func Plot(series []Series, o PlotOptions) (*Figure, error) { return curve.Plot(series, o) }

// Chart draws curves as lines of text for a terminal.
func Chart(series []Series, o ChartOptions) string { return curve.Chart(series, o) }

// Axis says what curves run over.
type Axis string

// Axes.
const (
	ByStep Axis = "step" // finished steps
	ByTime Axis = "time" // seconds since the first event, or seconds of work where a journal tells no times
)

// Names returns the names of all numbers of a run, sorted.
func (r Run) Names() []string { return slices.Sorted(maps.Keys(r.Last)) }

// Series reads the curves of a run by name, in the order asked for; a name that ends in * stands for all that begin
// so, and no names for all. Each is drawn in a panel of its name, labelled by the run's. What was recorded after a
// step that the run was later resumed from is left out. A name that the run does not have is an error.
func (r Run) Series(by Axis, names ...string) ([]Series, error) {
	if by != ByStep && by != ByTime {
		return nil, fmt.Errorf("track: no axis %q (have step, time)", by)
	}
	c := collector{by: by, points: map[string]*points{}}
	if err := r.Events(c.take); err != nil {
		return nil, err
	}
	have := slices.Sorted(maps.Keys(c.points))
	want, err := choose(have, names)
	if err != nil {
		return nil, fmt.Errorf("track: run %s: %w", r.Name, err)
	}
	out := make([]Series, len(want))
	for i, name := range want {
		p := c.points[name]
		out[i] = Series{Name: r.Name, Panel: name, X: p.x, Y: p.y}
	}
	return out, nil
}

func choose(have, names []string) ([]string, error) {
	if len(names) == 0 {
		return have, nil
	}
	var out []string
	for _, n := range names {
		prefix, all := strings.CutSuffix(n, "*")
		found := false
		for _, h := range have {
			if h == n || all && strings.HasPrefix(h, prefix) {
				found = true
				if !slices.Contains(out, h) {
					out = append(out, h)
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("no number %q (have %s)", n, strings.Join(have, ", "))
		}
	}
	return out, nil
}

// points are the values of one number.
type points struct {
	step []int
	x, y []float64
}

// collector gathers points from events.
type collector struct {
	by     Axis
	start  time.Time
	before float64 // seconds of work in earlier parts of the run, for journals without times
	worked float64 // seconds of work so far
	points map[string]*points
}

func (c *collector) take(r Record) bool {
	if r.Kind == event.Started {
		for _, p := range c.points {
			p.cut(r.Step)
		}
		c.before = c.worked
	}
	if c.start.IsZero() {
		c.start = r.Time
	}
	x := float64(r.Step)
	if c.by == ByTime {
		switch {
		case !r.Time.IsZero():
			x = r.Time.Sub(c.start).Seconds()
		case r.Seconds > 0:
			x = c.before + r.Seconds
			c.worked = x
		default:
			return true
		}
	}
	for name, y := range Numbers(r.Event) {
		p := c.points[name]
		if p == nil {
			p = &points{}
			c.points[name] = p
		}
		if n := len(p.step); n > 0 && p.step[n-1] == r.Step { // said twice, as scores at the end are
			p.x[n-1], p.y[n-1] = x, y
			continue
		}
		p.step, p.x, p.y = append(p.step, r.Step), append(p.x, x), append(p.y, y)
	}
	return true
}

// cut leaves out what came after a step.
func (p *points) cut(step int) {
	n := len(p.step)
	for n > 0 && p.step[n-1] > step {
		n--
	}
	p.step, p.x, p.y = p.step[:n], p.x[:n], p.y[:n]
}
