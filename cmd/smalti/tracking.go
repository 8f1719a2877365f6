package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/track"
	"github.com/smalti/smalti/track/wandb"
	"github.com/smalti/smalti/train"
	"github.com/smalti/smalti/ui"
)

// openTracker starts the record of a training in its run folder. A run that goes on stays the same run, with the name,
// tags and sinks that it had.
func (a *app) openTracker(kind string, cfg any, o *trainOptions, opts train.Options, notify event.Sink) (*track.Tracker, error) {
	if _, _, err := wandb.FromEnv(a.env); err != nil {
		return nil, spec.Refusef("correct it, or turn W&B off with WANDB_MODE=disabled", "%v", err)
	}
	settings, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	t := track.Options{
		Info:         track.Info{Name: o.name, Kind: kind, Tags: o.tags, Config: settings},
		KeepsJournal: true, TensorBoard: o.tensorBoard, WandB: o.wandb,
		Getenv: a.env, Notify: once(notify), Sampler: track.NewSampler(a.now), Now: a.now,
	}
	if exists(filepath.Join(opts.Dir, track.InfoFile)) { // also of a run that ended before its first checkpoint
		t.Resume = true
		if old, err := track.OpenRun(opts.Dir); err == nil {
			t.Project, t.Notes = old.Project, old.Notes
			if len(t.Tags) == 0 {
				t.Tags = old.Tags
			}
			for _, s := range old.Sinks {
				t.TensorBoard = t.TensorBoard || s.Sink == "TensorBoard"
				t.WandB = t.WandB || strings.HasPrefix(s.Sink, "W&B")
			}
		}
	}
	return track.Open(opts.Dir, t)
}

// closeTracker ends the record of a training, and says what did not get all of it. The work is done and safe: its record
// must not make it fail.
func closeTracker(t *track.Tracker, work error, sink event.Sink) {
	wait := time.AfterFunc(2*time.Second, func() {
		sink.Emit(event.Event{Kind: event.Notice, Message: "the last of the run's numbers are still on their way; that may take 20 s"})
	})
	rep, err := t.Close(work)
	wait.Stop()
	if err != nil {
		sink.Emit(event.Event{Kind: event.Warning, Message: err.Error()})
	}
	file := ""
	for _, d := range rep.Sinks {
		isWandb := strings.HasPrefix(d.Sink, "W&B")
		if isWandb && d.Where != "" && !d.GaveUp && file == "" {
			file = d.Where // comes before the server
		}
		if d.Dropped == 0 {
			continue
		}
		e := event.Event{Kind: event.Warning, Message: fmt.Sprintf("%s did not get %d of the run's %d records", d.Sink, d.Dropped, d.Dropped+d.Written)}
		if isWandb && file != "" {
			e.Hint = "upload them with: wandb sync " + file
		}
		sink.Emit(e)
	}
}

// once leaves out a path that the message says already.
func once(to event.Sink) event.Sink {
	return event.Func(func(e event.Event) {
		if strings.Contains(e.Message, e.Path) {
			e.Path = ""
		}
		to.Emit(e)
	})
}

// recorder hands events to the tracker, and what a terminal would say of them to its log.
func recorder(t *track.Tracker, now func() time.Time) event.Sink {
	log := ui.NewTerminal(t.Console(), ui.Options{Now: now})
	return event.Func(func(e event.Event) {
		switch e.Kind {
		case event.Notice, event.Warning, event.Failed: // are in the log anyway
		default:
			log.Emit(e)
		}
		if e.Kind == event.Samples && e.Path != "" { // sheets that the training keeps itself go under their folder's name
			text := map[string]string{"name": filepath.Base(filepath.Dir(e.Path))}
			maps.Copy(text, e.Text)
			e.Text = text
		}
		t.Emit(e)
		if e.Kind == event.Scalars && len(e.Histograms) > 0 {
			t.Emit(event.Event{Kind: event.Histograms, Step: e.Step, Steps: e.Steps, Histograms: e.Histograms})
		}
	})
}

// liveChart draws the losses of a training while it runs: on a screen above the progress line, elsewhere at every
// evaluation.
type liveChart struct {
	term   *ui.Terminal
	screen ui.Screen
	now    func() time.Time
	drawn  time.Time
	curves map[string]*track.Series
}

// chartEvery is the shortest time between two charts on a screen.
const chartEvery = time.Second

// liveChart returns nil if no chart is wanted or none can be shown.
func (a *app) liveChart(o *trainOptions, opts train.Options, sink event.Sink) event.Sink {
	term, ok := sink.(*ui.Terminal)
	if !o.chart || !ok {
		return nil
	}
	c := &liveChart{term: term, screen: ui.Detect(a.err, a.env), now: a.now, curves: map[string]*track.Series{}}
	if opts.Resume { // what came before
		if r, err := track.OpenRun(opts.Dir); err == nil {
			_ = r.Events(func(rec track.Record) bool { c.add(rec.Event); return true })
		}
	}
	return c
}

// Emit draws.
func (c *liveChart) Emit(e event.Event) {
	c.add(e)
	if e.Kind != event.Scalars {
		return
	}
	judged, last := len(e.Scores) > 0, e.Step >= e.Steps // the last stays on the screen
	if now := c.now(); judged || c.screen.TTY && (last || now.Sub(c.drawn) >= chartEvery) {
		c.drawn = now
		c.term.Pin(c.text())
	}
}

func (c *liveChart) add(e event.Event) {
	if e.Kind == event.Started { // may begin before where it was cut off
		for _, s := range c.curves {
			n, _ := slices.BinarySearch(s.X, float64(e.Step)+.5)
			s.X, s.Y = s.X[:n], s.Y[:n]
		}
	}
	for name, y := range lossesOf(track.Numbers(e)) {
		s := c.curves[name]
		if s == nil {
			s = &track.Series{Name: name, Panel: "loss"}
			c.curves[name] = s
		}
		s.X, s.Y = append(s.X, float64(e.Step)), append(s.Y, y)
	}
}

func (c *liveChart) text() string {
	var all []track.Series
	for _, name := range slices.Sorted(maps.Keys(c.curves)) {
		all = append(all, *c.curves[name])
	}
	return track.Chart(all, track.ChartOptions{Width: min(c.screen.Columns, 100) - 1, Height: min(c.screen.Rows/2, 11), Colour: c.screen.Colour})
}

// lossesOf picks the loss, or its terms if there is no whole.
func lossesOf(values map[string]float64) map[string]float64 {
	if y, ok := values["loss"]; ok {
		return map[string]float64{"loss": y}
	}
	out := map[string]float64{}
	for k, y := range values {
		if strings.HasPrefix(k, "loss/") {
			out[k] = y
		}
	}
	return out
}
