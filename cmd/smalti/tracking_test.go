package main

import (
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/track"
	"github.com/smalti/smalti/train"
	"github.com/smalti/smalti/ui"
)

func TestRecorderKeepsSheetsHistogramsAndALog(t *testing.T) {
	dir := t.TempDir()
	tr, err := track.Open(dir, track.Options{TensorBoard: true})
	if err != nil {
		t.Fatal(err)
	}
	r := recorder(tr, time.Now)
	sheet := image.NewGray(image.Rect(0, 0, 2, 2))
	r.Emit(event.Event{Kind: event.Started, Steps: 2})
	r.Emit(event.Event{Kind: event.Samples, Step: 1, Picture: sheet, Path: filepath.Join(dir, train.FramesDir, "0000001.png")})
	r.Emit(event.Event{Kind: event.Samples, Step: 1, Picture: sheet})
	spread := event.Histogram{Edges: []float64{0, 1, 2}, Counts: []float64{3, 4}}
	r.Emit(event.Event{Kind: event.Scalars, Step: 1, Steps: 2, Scores: map[string]float64{"distance": 3}, Histograms: map[string]event.Histogram{"slopes": spread}})
	r.Emit(event.Event{Kind: event.Warning, Message: "hm"})
	if rep, err := tr.Close(nil); err != nil || rep.Status != track.Stopped {
		t.Fatal(rep.Status, err)
	}
	if _, err := os.Stat(filepath.Join(dir, track.SamplesDir, "samples-00000001.png")); err != nil {
		t.Error(err)
	}
	if all, _ := filepath.Glob(filepath.Join(dir, track.SamplesDir, "*")); len(all) != 1 {
		t.Errorf("the sheet that the training writes itself was written once more: %v", all)
	}
	log, err := os.ReadFile(filepath.Join(dir, track.ConsoleFile))
	if err != nil || string(log) != "step 1: distance 3\nwarning: hm\n" {
		t.Errorf("log %q, %v", log, err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, track.TensorBoardDir, "*"))
	if len(files) != 1 {
		t.Fatalf("event files %v", files)
	}
	if b, err := os.ReadFile(files[0]); err != nil || !strings.Contains(string(b), "slopes") {
		t.Errorf("TensorBoard has no histogram of the evaluation: %v", err)
	}
}

func TestLiveChartGoesOnWhereTheRunWasCutOff(t *testing.T) {
	dir := t.TempDir()
	journal := `{"kind":"started","steps":9}
{"kind":"scalars","step":1,"steps":9,"losses":{"maker":5,"judge":1}}
{"kind":"scalars","step":2,"steps":9,"losses":{"maker":4,"judge":1}}
{"kind":"scalars","step":3,"steps":9,"losses":{"maker":9,"judge":1}}
`
	if err := os.WriteFile(filepath.Join(dir, track.EventsFile), []byte(journal), 0o666); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	a := &app{err: &out, env: func(string) string { return "" }, now: time.Now}
	sink, _ := a.openSink(false)
	c := a.liveChart(&trainOptions{chart: true}, train.Options{Dir: dir, Resume: true}, sink).(*liveChart)
	c.Emit(event.Event{Kind: event.Started, Step: 2, Steps: 9})
	c.Emit(event.Event{Kind: event.Scalars, Step: 3, Steps: 9, Losses: map[string]float64{"maker": 3, "judge": 2}})
	if out.Len() != 0 {
		t.Errorf("a log gets charts at evaluations only, got %q", out.String())
	}
	maker := c.curves["loss/maker"]
	if len(maker.X) != 3 || maker.X[2] != 3 || maker.Y[2] != 3 || maker.Y[1] != 4 {
		t.Errorf("curve %v %v", maker.X, maker.Y)
	}
	c.Emit(event.Event{Kind: event.Scalars, Step: 3, Steps: 9, Scores: map[string]float64{"distance": 1}})
	if got := out.String(); !strings.Contains(got, "loss/judge") || !strings.Contains(got, "loss/maker") || len(maker.X) != 3 {
		t.Errorf("chart %q of %v", got, maker.X)
	}
	a.json = true
	for name, s := range map[string]event.Sink{"json": ui.NewJSON(&out), "terminal": sink} {
		if got := a.liveChart(&trainOptions{chart: name == "json"}, train.Options{}, s); got != nil {
			t.Errorf("%s: a chart that nobody asked for or can see: %v", name, got)
		}
	}
}

func TestRunsThatNobodyTracked(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, age time.Duration) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	open := func() track.Run {
		r, err := findRun(dir)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	write(track.EventsFile, `{"kind":"started","steps":9,"text":{"recipe":"vqgan"}}`+"\n"+`{"kind":"step","step":4,"steps":9,"loss":2}`+"\n", time.Hour)
	write(train.ConfigFile, `{"train":{"lr":1e-3,"list":[1,2]},"parts":[{"a":"x"},{"a":"y"}]}`, time.Hour)
	if r := open(); r.Status != track.Failed || r.Kind != "vqgan" || steps(r) != "4/9" || headline(r.Last) != "loss 2" {
		t.Errorf("without a state: %+v", r)
	}
	write(train.StateFile, "", time.Hour)
	r := open()
	if r.Status != track.Stopped {
		t.Errorf("with its state saved last: %s", r.Status)
	}
	want := map[string]string{"train.lr": "1e-3", "train.list": "[1,2]", "parts.0.a": "x", "parts.1.a": "y"}
	for k, v := range settingsOf(r) {
		if want[k] != v {
			t.Errorf("setting %s is %q, want %q", k, v, want[k])
		}
		delete(want, k)
	}
	if len(want) > 0 {
		t.Errorf("settings missing: %v", want)
	}
	write(train.StateFile, "", 2*time.Hour)
	if r := open(); r.Status != track.Failed {
		t.Errorf("with a state older than its last word: %s", r.Status)
	}
}
