package course

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smalti/smalti/track/curve"
	"github.com/smalti/smalti/weights"
)

// Files of a report.
const (
	pageFile    = "report.html"
	numbersFile = "report.json"
	spreadsFile = "norms" // the figure of the slopes, without its end
)

//go:embed report.html.tmpl
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"number": func(v float64) string {
		if abs(v) >= 1000 {
			return fmt.Sprintf("%.0f", v)
		}
		return fmt.Sprintf("%.3g", v)
	},
	"percent": func(v float64) string { return fmt.Sprintf("%.3g %%", 100*v) },
	"seconds": func(r Report) string { return fmt.Sprintf("%.0f", r.Budget.Seconds()) },
}).Parse(pageText))

// plot is a figure of the report.
type plot struct {
	File, Title, Text string
	series            []curve.Series
	options           curve.Options
}

// write writes the numbers, the figures, the sheets and the page.
func (r *Report) write(dir string) error {
	for i := range r.Sides {
		s := &r.Sides[i]
		for k := range s.Sheets {
			s.Sheets[k].File = fmt.Sprintf("%s-%03.0f.png", s.Name, 100*s.Sheets[k].Share)
			b, err := os.ReadFile(s.Sheets[k].path)
			if err != nil {
				return err
			}
			if err := save(filepath.Join(dir, s.Sheets[k].File), b); err != nil {
				return err
			}
		}
	}
	var drawn []plot
	for _, p := range r.plots() {
		p.options.Scale = r.scale
		for _, s := range r.Sides {
			if p.File != spreadsFile { // there curves are kinds of pictures
				p.options.Names = append(p.options.Names, s.Title)
			}
		}
		ok, err := p.draw(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Title, err)
		}
		if ok {
			drawn = append(drawn, p)
		}
	}
	numbers, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := save(filepath.Join(dir, numbersFile), append(numbers, '\n')); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := page.Execute(&b, struct {
		Report
		Plots []plot
	}{*r, drawn}); err != nil {
		return err
	}
	return save(filepath.Join(dir, pageFile), b.Bytes())
}

func save(path string, b []byte) error {
	return weights.SaveFile(path, func(w io.Writer) error { _, err := w.Write(b); return err })
}

// draw writes a figure as PNG and SVG; without curves there is none.
func (p plot) draw(dir string) (bool, error) {
	var kept []curve.Series
	for _, s := range p.series {
		if len(s.X) > 0 {
			kept = append(kept, s)
		}
	}
	if len(kept) == 0 {
		return false, nil
	}
	f, err := curve.Plot(kept, p.options)
	if err != nil {
		return false, err
	}
	for end, write := range map[string]func(io.Writer) error{".png": f.PNG, ".svg": f.SVG} {
		if err := weights.SaveFile(filepath.Join(dir, p.File+end), write); err != nil {
			return false, err
		}
	}
	return true, nil
}

// plots are the figures of the report.
func (r *Report) plots() []plot {
	over := curve.Options{XLabel: "% of the budget", Smooth: .6}
	scores := curve.Options{XLabel: "% of the budget"}
	return []plot{
		{"quality", "What comes out", "The distance of the features of generated digits from those of real ones (like FID, with our own classifier), the digits that are covered, how unevenly they are made, and the share of real digits that lie among them (recall).",
			slicesOf(r.each("distance", "Fréchet distance", true), r.each("modes", "digits covered", true), r.each("kl_uniform", "KL from uniform, nats", true), r.each("recall", "recall", true)), scores},
		{"losses", "What the losses say", "The generator's loss, and the judge's: the discriminator's loss, or the critic's estimate of the distance.",
			slicesOf(r.each("generator.loss", "generator's loss", false), r.estimates()), over},
		{"tells", "Whether the losses tell of quality", "At each evaluation: the mean of the generator's loss and of the judge's figure since the one before, over the distance of the pictures. A figure that tells of quality rises from left to right.",
			r.tellers(), curve.Options{XLabel: "Fréchet distance"}},
		{"gradients", "What reaches the players", "Norms of the gradients of both players, on a logarithmic scale.",
			slicesOf(r.each("generator.gradient_norm", "gradient of the generator", false), r.judges(".gradient_norm", "gradient of the judge")),
			curve.Options{XLabel: "% of the budget", Smooth: .6, LogY: true}},
		{"saturated", "Where the discriminator is sure", "The share of generated pictures that it gives less than 1 %: there the minimax loss has lost 99 % of its slope.",
			r.each("generator.saturated", "share of saturated logits", false), over},
		{spreadsFile, "How steep the judge is", "Norms of the judge's gradient at real pictures, generated ones and mixtures, at the end of the run. The penalty pulls those of mixtures to 1.",
			r.spreads(), curve.Options{XLabel: "norm"}},
	}
}

func slicesOf(all ...[]curve.Series) (out []curve.Series) {
	for _, s := range all {
		out = append(out, s...)
	}
	return out
}

// line is a figure of a side over its budget.
func (s *Side) line(from map[string]*Series, name, panel string) curve.Series {
	out := curve.Series{Name: s.Title, Panel: panel}
	if x := from[name]; x != nil {
		for i, step := range x.Step {
			out.X, out.Y = append(out.X, 100*step/float64(max(1, s.Steps))), append(out.Y, x.Y[i])
		}
	}
	return out
}

// each is a figure of every side: a score, or a value.
func (r *Report) each(name, panel string, score bool) (out []curve.Series) {
	for i := range r.Sides {
		s := &r.Sides[i]
		from := s.history.Values
		if score {
			from = s.history.Scores
		}
		out = append(out, s.line(from, name, panel))
	}
	return out
}

// judges is a figure of every side's judge.
func (r *Report) judges(name, panel string) (out []curve.Series) {
	for i := range r.Sides {
		s := &r.Sides[i]
		out = append(out, s.line(s.history.Values, s.judge+name, panel))
	}
	return out
}

// estimates are the figures by which the judges might tell of quality, each in a panel of its own: their units differ.
func (r *Report) estimates() (out []curve.Series) {
	for i := range r.Sides {
		s := &r.Sides[i]
		out = append(out, s.line(s.history.Values, s.estimate(), s.estimatePanel()))
	}
	return out
}

func (s *Side) estimatePanel() string {
	if s.judge == "critic" {
		return "critic's estimate of the distance"
	}
	return "discriminator's loss"
}

// tellers are the figures of estimates and the generators' losses over the distance, evaluation by evaluation.
func (r *Report) tellers() (out []curve.Series) {
	for i := range r.Sides {
		s := &r.Sides[i]
		for _, f := range []struct{ name, panel string }{{"generator.loss", "generator's loss"}, {s.estimate(), s.estimatePanel()}} {
			c := curve.Series{Name: s.Title, Panel: f.panel}
			x, y := s.pairs(f.name)
			for _, k := range order(y) {
				c.X, c.Y = append(c.X, y[k]), append(c.Y, x[k])
			}
			out = append(out, c)
		}
	}
	return out
}

// order is that of rising values.
func order(x []float64) []int {
	out := make([]int, len(x))
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	return out
}

// spreads are the histograms of the judge's gradients as curves.
func (r *Report) spreads() (out []curve.Series) {
	for i := range r.Sides {
		s := &r.Sides[i]
		for _, place := range []string{"real", "fake", "mixed"} {
			h, ok := s.history.Norms["norm_"+place]
			if !ok {
				continue
			}
			c := curve.Series{Name: "at " + place + " pictures", Panel: s.Title}
			total := 0.
			for _, n := range h.Counts {
				total += n
			}
			for k, n := range h.Counts {
				c.X, c.Y = append(c.X, (h.Edges[k]+h.Edges[k+1])/2), append(c.Y, n/max(total, 1))
			}
			out = append(out, c)
		}
	}
	return out
}

// Classes are the names of the classes that were counted, for the page.
func (r Report) Classes() (names []string) {
	if len(r.Sides) == 0 {
		return nil
	}
	for k := range r.Sides[0].Final {
		if name, ok := strings.CutPrefix(k, "share_"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Even is the share of a class where all are made alike, for the page.
func (r Report) Even() float64 { return 1 / float64(max(1, len(r.Classes()))) }

// Has tells whether a measure was taken, for the page.
func (s Side) Has(name string) bool { _, ok := s.Final[name]; return ok }

// Get is a measure, for the page.
func (s Side) Get(name string) float64 { return s.Final[name] }
