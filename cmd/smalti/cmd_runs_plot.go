package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/track"
	"github.com/smalti/smalti/ui"
	"github.com/smalti/smalti/weights"
)

// plotOptions are the flags of verbs that draw curves.
type plotOptions struct {
	out    string
	values []string
	smooth float64
	log    bool
	by     string
	width  int
}

func (o *plotOptions) addFlags(f *pflag.FlagSet) {
	f.StringVarP(&o.out, "out", "o", "", "picture to write to `FILE`, .png or .svg; without it curves are drawn in the terminal")
	f.StringSliceVar(&o.values, "values", nil, "numbers to draw, `NAME,...`; score/* is all that begin so, * is all")
	f.Float64Var(&o.smooth, "smooth", 0, "weight of the past in a moving average, from 0 (none) to below 1")
	f.BoolVar(&o.log, "log", false, "logarithmic values")
	f.StringVar(&o.by, "by", "step", "what curves run over: step or time")
	f.IntVar(&o.width, "width", 0, "width of the picture; a PNG has twice as many pixels; default: 960")
}

func (o *plotOptions) check() error {
	ext := strings.ToLower(filepath.Ext(o.out))
	switch {
	case o.out != "" && ext != ".png" && ext != ".svg":
		return spec.Refusef("name it .png or .svg", "-o %s is no kind of picture that curves are drawn to", o.out)
	case !(o.smooth >= 0 && o.smooth < 1):
		return spec.Refusef("use a value from 0 to below 1, for example 0.6", "--smooth is %g", o.smooth)
	case o.by != string(track.ByStep) && o.by != string(track.ByTime):
		return spec.Refusef("use step or time", "--by is %q", o.by)
	case o.width != 0 && (o.width < 200 || o.width > 4000):
		return spec.Refusef("use a value from 200 to 4000", "--width is %d", o.width)
	}
	return nil
}

func (a *app) newRunsPlot() *cobra.Command {
	var o plotOptions
	cmd := &cobra.Command{
		Use: "plot RUN...", Short: "Draw the curves of runs, as a picture or in the terminal", Args: atLeast(1),
		Long: `Draw the curves of one or more runs, a panel for each number. Without --values it draws losses, scores and what else a
run reports, but not bookkeeping such as the learning rate; in the terminal losses and scores only. ` + runNames,
		Example: `  smalti runs plot runs/vqgan -o curves.png --smooth 0.6
  smalti runs plot apple.png apple-longer.png --values "loss*" --log`,
		RunE: func(_ *cobra.Command, args []string) error {
			runs, err := findRuns(args, &o)
			if err != nil {
				return err
			}
			return a.plot(runs, &o, false)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (a *app) newRunsCompare() *cobra.Command {
	var o plotOptions
	cmd := &cobra.Command{
		Use: "compare RUN RUN...", Short: "Lay runs over one another and say how their settings differ", Args: atLeast(2),
		Long: `Print the settings in which runs differ and the last of the numbers that they share, and draw these over one
another, each number in a panel. ` + runNames,
		Example: `  smalti runs compare runs/small runs/large -o compare.png --smooth 0.6
  smalti runs compare runs/small runs/large --values loss --by time`,
		RunE: func(_ *cobra.Command, args []string) error {
			runs, err := findRuns(args, &o)
			if err != nil {
				return err
			}
			return errors.Join(a.differences(runs), a.plot(runs, &o, true))
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// findRuns opens runs, and gives each a label of its own as its name: the name, or the folder where names are equal.
func findRuns(names []string, o *plotOptions) ([]track.Run, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	runs := make([]track.Run, len(names))
	count := map[string]int{}
	for i, n := range names {
		var err error
		if runs[i], err = findRun(n); err != nil {
			return nil, err
		}
		count[runs[i].Name]++
	}
	seen := map[string]bool{}
	for i := range runs {
		dir := filepath.Clean(runs[i].Dir)
		if count[runs[i].Name] > 1 {
			runs[i].Name = dir
		}
		if seen[dir] {
			return nil, spec.Refusef("name each run once", "the run in %s is given twice", dir)
		}
		seen[dir] = true
	}
	return runs, nil
}

// plot draws what is asked for; shared leaves out numbers that not all runs have.
func (a *app) plot(runs []track.Run, o *plotOptions, shared bool) error {
	var all []track.Series
	count := map[string]int{}
	for _, r := range runs {
		s, err := r.Series(track.Axis(o.by))
		if err != nil {
			return err
		}
		for _, c := range s {
			count[c.Panel]++
		}
		all = append(all, s...)
	}
	if len(all) == 0 {
		return spec.Refusef("give it time to report", "no numbers were recorded yet")
	}
	var have []string
	for _, k := range sorted(count) {
		if !shared || count[k] == len(runs) {
			have = append(have, k)
		}
	}
	longest := map[string]int{}
	for _, s := range all {
		longest[s.Panel] = max(longest[s.Panel], len(s.X))
	}
	want, err := choosePanels(have, o, func(name string) bool { return longest[name] > 1 })
	if err != nil {
		return err
	}
	var chosen []track.Series
	for _, name := range want {
		for _, s := range all {
			if s.Panel == name {
				chosen = append(chosen, s)
			}
		}
	}
	return a.draw(runs, chosen, o)
}

// bookkeeping are numbers that are drawn only when they are asked for.
var bookkeeping = []string{"images", "images_per_second", "lr"} // lr also as the end of a player's name

// doubled tells whether a number is a player's loss that is there as loss/PLAYER as well.
func doubled(name string, have []string) bool {
	player, ok := strings.CutSuffix(name, ".loss")
	return ok && slices.Contains(have, "loss/"+player)
}

// choosePanels picks the names to draw, in order.
func choosePanels(have []string, o *plotOptions, isCurve func(string) bool) ([]string, error) {
	var out []string
	add := func(fits func(string) bool) (found bool) {
		for _, h := range have {
			if fits(h) {
				found = true
				if !slices.Contains(out, h) {
					out = append(out, h)
				}
			}
		}
		return found
	}
	for _, n := range o.values {
		prefix, many := strings.CutSuffix(n, "*")
		if !add(func(h string) bool { return h == n || many && strings.HasPrefix(h, prefix) }) {
			hint := "there are: " + strings.Join(have, ", ")
			if o.by == string(track.ByTime) {
				hint += "; what was recorded with no times is drawn by --by step"
			}
			return nil, spec.Refusef(hint, "no number %q was recorded", n)
		}
	}
	if len(o.values) > 0 {
		return out, nil
	}
	add(func(h string) bool { return h == "loss" || strings.HasPrefix(h, "loss/") })
	add(func(h string) bool { return strings.HasPrefix(h, "score/") && isCurve(h) })
	if o.out != "" || len(out) == 0 {
		add(func(h string) bool {
			return isCurve(h) && !slices.Contains(bookkeeping, h) && !strings.HasSuffix(h, ".lr") && !doubled(h, have)
		})
	}
	if len(out) == 0 {
		return nil, spec.Refusef("there are: "+strings.Join(have, ", "), "no number has a curve yet")
	}
	return out, nil
}

// draw writes a picture or a chart, and tells programs what is in it.
func (a *app) draw(runs []track.Run, all []track.Series, o *plotOptions) error {
	if a.json {
		for _, s := range all {
			if n := len(s.Y); n > 0 {
				a.sink().Emit(event.Event{Kind: event.Result, Text: map[string]string{"run": s.Name, "number": s.Panel}, Values: map[string]float64{
					"points": float64(n), "first": s.Y[0], "last": s.Y[n-1], "lowest": slices.Min(s.Y), "highest": slices.Max(s.Y)}})
			}
		}
	}
	byTime := o.by == string(track.ByTime)
	if o.out == "" {
		if a.json {
			return nil
		}
		screen := ui.Detect(a.out, a.env)
		if len(runs) > 1 && !screen.Colour { // curves of one colour do not tell runs apart
			for i := range all {
				all[i].Panel += "  (" + all[i].Name + ")"
				all[i].Name = "run"
			}
		}
		_, err := io.WriteString(a.out, track.Chart(all, track.ChartOptions{Width: min(screen.Columns, 120) - 1, Smooth: o.smooth, LogY: o.log, Time: byTime, Colour: screen.Colour}))
		return err
	}
	title := ""
	if len(runs) == 1 {
		title = strings.TrimSpace(fmt.Sprintf("%s  %s", runs[0].Name, steps(runs[0])))
	}
	fig, err := track.Plot(all, track.PlotOptions{Title: title, Width: o.width, Smooth: o.smooth, LogY: o.log, Time: byTime})
	if err != nil {
		return err
	}
	write := fig.PNG
	if strings.EqualFold(filepath.Ext(o.out), ".svg") {
		write = fig.SVG
	}
	if err := weights.SaveFile(o.out, write); err != nil {
		return err
	}
	a.sink().Emit(event.Event{Kind: event.Saved, Path: o.out})
	return nil
}

// differences prints the settings in which runs differ, and the last of the numbers that all have.
func (a *app) differences(runs []track.Run) error {
	all := make([]map[string]string, len(runs))
	names := map[string]bool{}
	head := []string{"SETTING"}
	for i, r := range runs {
		all[i] = settingsOf(r)
		for k := range all[i] {
			names[k] = true
		}
		head = append(head, r.Name)
	}
	t := ui.NewTable(head...)
	for _, k := range sorted(names) {
		row := []string{k}
		for _, s := range all {
			v, ok := s[k]
			if !ok {
				v = "-"
			}
			row = append(row, v)
		}
		if len(slices.Compact(slices.Clone(row[1:]))) == 1 {
			continue
		}
		for i, r := range runs {
			if a.json {
				a.sink().Emit(event.Event{Kind: event.Result, Text: map[string]string{"run": r.Name, "setting": k, "value": row[i+1]}})
			}
			row[i+1] = short(row[i+1])
		}
		t.Row(row...)
	}
	if a.json {
		return nil
	}
	if t.Len() == 0 {
		fmt.Fprintln(a.out, "the settings are the same")
	} else if err := t.Write(a.out); err != nil {
		return err
	}
	return a.lastNumbers(runs)
}

// lastNumbers prints the last of the numbers that all runs have.
func (a *app) lastNumbers(runs []track.Run) error {
	head := []string{"NUMBER"}
	for _, r := range runs {
		head = append(head, ">"+r.Name)
	}
	last := ui.NewTable(head...)
	for _, k := range runs[0].Names() {
		row := []string{k}
		for _, r := range runs {
			if v, ok := r.Last[k]; ok {
				row = append(row, ui.Number(v))
			}
		}
		if len(row) == len(head) {
			last.Row(row...)
		}
	}
	fmt.Fprintln(a.out)
	if err := last.Write(a.out); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	return nil
}
