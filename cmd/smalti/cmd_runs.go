package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/track"
	"github.com/smalti/smalti/train"
	"github.com/smalti/smalti/ui"
)

func (a *app) newRuns() *cobra.Command {
	return group("runs", "List, look at and compare trainings and paintings by their run folders",
		a.newRunsList(), a.newRunsShow(), a.newRunsPlot(), a.newRunsCompare())
}

// runNames says how verbs find RUN.
const runNames = `RUN is a run's folder, the picture beside a painting's, or the name or id of a run in or below this folder.`

func (a *app) newRunsList() *cobra.Command {
	return &cobra.Command{
		Use: "list [DIR]", Short: "List the runs in and below a folder, the newest first", Args: atMost(1),
		Long: `List trainings and paintings in a folder and up to three levels below it; without DIR in this folder, which includes
./runs. A small index, .runs-index.json, makes the next list fast; it may be deleted at any time.`,
		Example: `  smalti runs list
  smalti runs list ~/experiments --json`,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.runRunsList(append(args, ".")[0])
		},
	}
}

func (a *app) runRunsList(dir string) error {
	if !exists(dir) {
		return spec.Refusef("check the spelling of the path", "there is no folder %s", dir)
	}
	runs, err := track.Runs(dir)
	if err != nil {
		return err
	}
	if a.json {
		for _, r := range runs {
			a.sink().Emit(runEvent(settle(r)))
		}
		return nil
	}
	if len(runs) == 0 {
		a.sink().Emit(event.Event{Kind: event.Notice, Message: "there are no runs in " + dir, Hint: "smalti train and smalti paint make them"})
		return nil
	}
	t := ui.NewTable("RUN", "NAME", "KIND", "STATUS", ">STEPS", ">AGE", "LAST VALUES")
	for _, r := range runs {
		r = settle(r)
		name := r.Name
		if name == filepath.Base(r.Dir) {
			name = ""
		}
		t.Row(r.Dir, name, r.Kind, string(r.Status), steps(r), age(a.now().Sub(r.Updated)), headline(r.Last))
	}
	return t.Write(a.out)
}

func (a *app) newRunsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show RUN", Short: "Print a run's settings and last values", Args: exactly(1), Long: "Print a run's settings and last values. " + runNames,
		Example: `  smalti runs show runs/vqgan
  smalti runs show apple.png --json`,
		RunE: func(_ *cobra.Command, args []string) error { return a.runRunsShow(args[0]) },
	}
}

func (a *app) runRunsShow(name string) error {
	r, err := findRun(name)
	if err != nil {
		return err
	}
	if a.json {
		a.sink().Emit(runEvent(r))
		return nil
	}
	about := ui.NewTable()
	status := string(r.Status)
	if r.Message != "" {
		status += ": " + r.Message
	}
	begun := stamp(r.Created)
	if r.Created.Equal(r.Updated) { // nobody wrote it down
		begun = ""
	}
	for _, row := range [][2]string{{"name", r.Name}, {"folder", r.Dir}, {"id", r.ID}, {"kind", r.Kind}, {"status", status}, {"steps", steps(r)},
		{"begun", begun}, {"last word", stamp(r.Updated)}, {"tags", strings.Join(r.Tags, ", ")}, {"project", r.Project}, {"notes", r.Notes}} {
		if row[1] != "" {
			about.Row(row[0], row[1])
		}
	}
	for _, s := range r.Sinks {
		text := fmt.Sprintf("%d records", s.Written)
		for _, part := range []string{s.Where, s.Error} {
			if part != "" {
				text += ", " + part
			}
		}
		if s.Dropped > 0 {
			text += fmt.Sprintf(", %d lost", s.Dropped)
		}
		about.Row("in "+s.Sink, text)
	}
	if err := about.Write(a.out); err != nil {
		return err
	}
	settings := ui.NewTable("SETTING", "VALUE")
	for _, k := range sorted(settingsOf(r)) {
		settings.Row(k, short(settingsOf(r)[k]))
	}
	last := ui.NewTable("NUMBER", ">LAST")
	for _, k := range r.Names() {
		last.Row(k, ui.Number(r.Last[k]))
	}
	for _, t := range []*ui.Table{settings, last} {
		if t.Len() == 0 {
			continue
		}
		fmt.Fprintln(a.out)
		if err := t.Write(a.out); err != nil {
			return err
		}
	}
	return nil
}

// findRun opens a run by folder, picture, name or id.
func findRun(name string) (track.Run, error) {
	dir := name
	if st, err := os.Stat(name); err == nil && !st.IsDir() {
		dir = run.FolderFor(name)
	}
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		r, err := track.OpenRun(dir)
		if err != nil {
			return r, spec.Refusef("run: smalti runs list", "%s holds no run", dir)
		}
		return settle(r), nil
	}
	runs, err := track.Runs(".")
	if err != nil {
		return track.Run{}, err
	}
	var found []track.Run
	var where []string
	for _, r := range runs {
		if r.Name == name || r.ID == name || filepath.Base(r.Dir) == name {
			found, where = append(found, r), append(where, r.Dir)
		}
	}
	switch len(found) {
	case 0:
		return track.Run{}, spec.Refusef("run: smalti runs list", "there is no run %q", name)
	case 1:
		return settle(found[0]), nil
	default:
		return track.Run{}, spec.Refusef("name one by its folder: "+strings.Join(where, ", "), "there are %d runs %q", len(found), name)
	}
}

// Files that say what a run is which was not tracked.
const jobFile = "job.json" // of a painting

// settle fills in what only the folder of a run without run.json tells. One that ended without a word, but with its
// state saved after its last event, was stopped and can go on.
func settle(r track.Run) track.Run {
	if r.Kind == "" {
		if exists(filepath.Join(r.Dir, jobFile)) {
			r.Kind = "paint"
		}
		_ = r.Events(func(rec track.Record) bool {
			if rec.Kind == event.Started && rec.Text["recipe"] != "" {
				r.Kind = rec.Text["recipe"]
			}
			return rec.Kind != event.Started
		})
	}
	for _, name := range []string{train.ConfigFile, jobFile} {
		if len(r.Config) > 0 {
			break
		}
		if b, err := os.ReadFile(filepath.Join(r.Dir, name)); err == nil && json.Valid(b) {
			r.Config = b
		}
	}
	if r.Status == track.Failed && !exists(filepath.Join(r.Dir, track.StatusFile)) {
		state, err := os.Stat(filepath.Join(r.Dir, train.StateFile))
		if journal, jerr := os.Stat(filepath.Join(r.Dir, track.EventsFile)); err == nil && jerr == nil && !saidFailed(r) &&
			!state.ModTime().Before(journal.ModTime().Add(-time.Second)) {
			r.Status, r.Message = track.Stopped, ""
		}
	}
	return r
}

// saidFailed reports whether a run's journal says that its last part failed.
func saidFailed(r track.Run) (failed bool) {
	_ = r.Events(func(rec track.Record) bool {
		failed = rec.Kind == event.Failed || failed && rec.Kind != event.Started
		return true
	})
	return failed
}

// settingsOf are the settings of a run by dotted name. Lists of plain values stay whole.
func settingsOf(r track.Run) map[string]string {
	out := map[string]string{}
	d := json.NewDecoder(bytes.NewReader(r.Config))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) == nil {
		flatten("", tree, out)
	}
	return out
}

func flatten(name string, v any, out map[string]string) {
	at := func(k string) string { return strings.TrimPrefix(name+"."+k, ".") }
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			flatten(at(k), sub, out)
		}
		return
	case []any:
		if slices.ContainsFunc(v, func(x any) bool { _, group := x.(map[string]any); return group }) {
			for i, sub := range v {
				flatten(at(fmt.Sprint(i)), sub, out)
			}
			return
		}
	case string:
		out[name] = v
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte(fmt.Sprint(v))
	}
	out[name] = string(b)
}

// runEvent is a run for programs.
func runEvent(r track.Run) event.Event {
	text := map[string]string{"dir": r.Dir, "name": r.Name, "id": r.ID, "kind": r.Kind, "status": string(r.Status), "message": r.Message,
		"created": stamp(r.Created), "updated": stamp(r.Updated), "tags": strings.Join(r.Tags, ",")}
	var config bytes.Buffer
	if json.Compact(&config, r.Config) == nil {
		text["config"] = config.String()
	}
	maps.DeleteFunc(text, func(_, v string) bool { return v == "" })
	return event.Event{Kind: event.Result, Step: r.Step, Steps: r.Steps, Text: text, Values: r.Last}
}

func steps(r track.Run) string {
	if r.Steps == 0 {
		return fmt.Sprint(r.Step)
	}
	return fmt.Sprintf("%d/%d", r.Step, r.Steps)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// age is how long ago something was, in its largest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(max(d, 0).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d d", int(d.Hours()/24))
	}
}

// headline is the losses and at most three scores of a run.
func headline(last map[string]float64) string {
	losses := lossesOf(last)
	names := sorted(losses)
	scores := 0
	for _, k := range sorted(last) {
		if strings.HasPrefix(k, "score/") && scores < 3 {
			names, scores = append(names, k), scores+1
		}
	}
	for i, k := range names {
		names[i] = strings.TrimPrefix(strings.TrimPrefix(k, "score/"), "loss/") + " " + ui.Number(last[k])
	}
	return strings.Join(names, ", ")
}

// short cuts a setting that is too long for a table.
func short(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + fmt.Sprintf("... (%d characters)", len(r))
	}
	return s
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return spec.Refusef("run: "+cmd.UseLine(), "%s takes at most %d argument(s), got %d", cmd.CommandPath(), n, len(args))
		}
		return nil
	}
}
