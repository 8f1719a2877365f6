package track

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/track/tfevents"
	"github.com/smalti/smalti/track/wandb"
)

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock gives times a tenth of a second apart.
func clock() func() time.Time {
	var mu sync.Mutex
	at := day
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(100 * time.Millisecond)
		return at
	}
}

func sheet() image.Image {
	img := image.NewRGBA(image.Rect(0, 0, 6, 4))
	img.Set(1, 1, color.RGBA{200, 10, 10, 255})
	return img
}

// training emits what a training from a step to another does, with a row of numbers every ten steps.
func training(s event.Sink, from, to int) {
	s.Emit(event.Event{Kind: event.Started, Step: from, Steps: 100, Text: map[string]string{"recipe": "gan"}})
	for n := from + 10; n <= to; n += 10 {
		s.Emit(event.Event{Kind: event.Scalars, Step: n, Steps: 100, Loss: 1 / float64(n), Values: map[string]float64{"loss": 1 / float64(n), "lr": 0.1}})
		s.Emit(event.Event{Kind: event.Scalars, Step: n, Steps: 100, Scores: map[string]float64{"fid": float64(200 - n)}})
		s.Emit(event.Event{Kind: event.Histograms, Step: n, Histograms: map[string]event.Histogram{"grad": event.Bin([]float64{0, 1, float64(n)}, 4)}})
	}
	s.Emit(event.Event{Kind: event.Samples, Step: to, Picture: sheet()})
	s.Emit(event.Event{Kind: event.Notice, Step: to, Message: "a word"})
	if to == 100 {
		s.Emit(event.Event{Kind: event.Done, Step: 100, Steps: 100, Scores: map[string]float64{"fid": 100}, Seconds: 5})
	}
}

func open(t *testing.T, dir string, o Options) *Tracker {
	t.Helper()
	if o.Now == nil {
		o.Now = clock()
	}
	tr, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestARunInItsFolder(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "first")
	tr := open(t, dir, Options{Info: Info{Project: "p", Kind: "gan", Tags: []string{"x"}, Config: json.RawMessage(`{"lr":0.1}`)}})
	_, err := io.WriteString(tr.Console(), "hello\r\nhalf 10%\rhalf 90%\nno end")
	if err != nil {
		t.Fatal(err)
	}
	training(tr, 0, 100)
	rep, err := tr.Close(nil)
	if err != nil || rep.Status != Done || rep.Step != 100 || len(rep.Sinks) != 1 || rep.Sinks[0].Dropped != 0 || rep.Sinks[0].Written != 36 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if again, err := tr.Close(errors.New("x")); err != nil || again.Status != Done {
		t.Fatalf("closed twice: %+v, %v", again, err)
	}
	tr.Emit(event.Event{Kind: event.Step}) // after the end: no panic, no line
	runs, err := Runs(root)
	if err != nil || len(runs) != 1 {
		t.Fatalf("%v, %v", runs, err)
	}
	r := runs[0]
	want := map[string]float64{"loss": 0.01, "lr": 0.1, "score/fid": 100}
	if r.Status != Done || r.Name != "first" || r.Kind != "gan" || len(r.ID) != 8 || r.Steps != 100 || !reflect.DeepEqual(r.Last, want) {
		t.Fatalf("%+v", r)
	}
	if b, err := os.ReadFile(filepath.Join(dir, ConsoleFile)); err != nil || string(b) != "hello\nhalf 90%\nnotice: a word\n" {
		t.Fatalf("console %q, %v", b, err)
	}
	var named string
	err = r.Events(func(rec Record) bool {
		if rec.Kind == event.Samples {
			named = rec.Path
		}
		if rec.Time.Before(day) || rec.Time.After(day.Add(time.Minute)) {
			t.Errorf("time %v of %v", rec.Time, rec.Kind)
		}
		return true
	})
	if st, serr := os.Stat(filepath.Join(dir, named)); err != nil || serr != nil || named != "samples/samples-00000100.png" || st.Size() == 0 {
		t.Fatalf("sheet %q: %v, %v", named, err, serr)
	}
	ss, err := r.Series(ByStep, "score/*", "loss")
	if err != nil || len(ss) != 2 || ss[0].Panel != "score/fid" || !slices.Equal(ss[1].X, []float64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}) || ss[1].Y[9] != 0.01 {
		t.Fatalf("%+v, %v", ss, err)
	}
	if ts, err := r.Series(ByTime, "loss"); err != nil || ts[0].X[0] <= 0 || ts[0].X[0] > 10 {
		t.Fatalf("%+v, %v", ts, err)
	}
	if _, err := r.Series(ByStep, "los"); err == nil || !strings.Contains(err.Error(), "have loss, lr, score/fid") {
		t.Fatalf("a name that is not there: %v", err)
	}
	if f, err := Plot(ss, PlotOptions{Smooth: 0.5, Width: 300, Height: 300, Scale: 1}); err != nil || f.PNG(io.Discard) != nil || Chart(ss, ChartOptions{}) == "" {
		t.Fatalf("the curves were not drawn: %v", err)
	}
}

func TestEndings(t *testing.T) {
	for err, want := range map[error]Status{nil: Stopped, context.Canceled: Stopped, errors.New("loss is NaN"): Failed} {
		dir := t.TempDir()
		tr := open(t, dir, Options{})
		training(tr, 0, 50)
		rep, cerr := tr.Close(err)
		r, oerr := OpenRun(dir)
		if cerr != nil || oerr != nil || rep.Status != want || r.Status != want || (want == Failed) != (r.Message != "") {
			t.Errorf("%v: %+v, %+v, %v, %v", err, rep, r, cerr, oerr)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := open(t, dir, Options{}).Close(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrExists) {
		t.Errorf("a run over another: %v", err)
	}
	file := filepath.Join(dir, InfoFile)
	if _, err := Open(filepath.Join(file, "sub"), Options{}); err == nil {
		t.Error("a folder that cannot be made was made")
	}
	if _, err := Open(t.TempDir(), Options{Info: Info{Config: json.RawMessage("{")}}); err == nil {
		t.Error("settings that are not JSON were taken")
	}
	env := func(k string) string { return map[string]string{"WANDB_MODE": "onlin"}[k] }
	if _, err := Open(t.TempDir(), Options{Getenv: env}); err == nil || !strings.Contains(err.Error(), "WANDB_MODE") {
		t.Errorf("a wrong mode: %v", err)
	}
}

// A run that is killed leaves a cut line, a status that says running, and numbers past the step it is resumed from.
func TestResumeAfterACrash(t *testing.T) {
	dir := t.TempDir()
	tr := open(t, dir, Options{TensorBoard: true})
	training(tr, 0, 70)
	id := tr.Info().ID
	if _, err := tr.Close(errors.New("killed")); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, EventsFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"time":1,"kind":"scalars","step":80,"los`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	later := day.Add(time.Hour)
	tr = open(t, dir, Options{Resume: true, TensorBoard: true, Now: func() time.Time { return later }})
	training(tr, 50, 100)
	if _, err := tr.Close(nil); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRun(dir)
	if err != nil || r.ID != id || r.Status != Done {
		t.Fatalf("%+v, %v", r, err)
	}
	ss, err := r.Series(ByStep, "loss")
	if err != nil || !slices.Equal(ss[0].X, []float64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}) {
		t.Fatalf("%v, %v", ss, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, TensorBoardDir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	es := readTF(t, files[1])
	if es[0].Version != tfevents.Version || !es[1].Restart || es[1].Step != 51 {
		t.Fatalf("the second file begins with %+v", es[:2])
	}
}

func readTF(t *testing.T, path string) (out []tfevents.Event) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := tfevents.NewReader(bytes.NewReader(b))
	for {
		es, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, es...)
	}
}

func TestTensorBoardFile(t *testing.T) {
	dir := t.TempDir()
	tr := open(t, dir, Options{TensorBoard: true})
	training(tr, 0, 100)
	if _, err := tr.Close(nil); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, TensorBoardDir, "events.out.tfevents.*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	n := map[string]int{}
	for _, e := range readTF(t, files[0]) {
		n[e.Tag]++
		if e.Tag == "samples" && (e.W != 6 || e.H != 4 || !bytes.HasPrefix(e.PNG, []byte("\x89PNG"))) {
			t.Errorf("picture %+v", e)
		}
		if e.Tag == "loss" && e.Scalar != float32(1/float64(e.Step)) {
			t.Errorf("loss %g at %d", e.Scalar, e.Step)
		}
	}
	want := map[string]int{"": 1, "loss": 10, "lr": 10, "score/fid": 11, "grad": 10, "samples": 1}
	if !reflect.DeepEqual(n, want) {
		t.Fatalf("%v, want %v", n, want)
	}
}

func TestOfflineRunOfWandB(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"WANDB_MODE": "offline", "WANDB_TAGS": "t2", "WANDB_NAME": "my run", "WANDB_PROJECT": "faces"}
	tr := open(t, dir, Options{Info: Info{Tags: []string{"t1"}, Kind: "gan", Config: json.RawMessage(`{"lr":0.1,"net":{"w":8}}`)},
		Getenv: func(k string) string { return env[k] }})
	training(tr, 0, 100)
	if _, err := tr.Close(nil); err != nil {
		t.Fatal(err)
	}
	runs, err := filepath.Glob(filepath.Join(dir, "wandb", "offline-run-20260301_1200*-"+tr.Info().ID))
	if err != nil || len(runs) != 1 {
		t.Fatalf("%v, %v", runs, err)
	}
	if to, err := os.Readlink(filepath.Join(dir, "wandb", "latest-run")); err != nil || to != filepath.Base(runs[0]) {
		t.Errorf("latest-run is %q, %v", to, err)
	}
	es := readWandB(t, filepath.Join(runs[0], "run-"+tr.Info().ID+".wandb"))
	n := map[string]int{}
	var rows []wandb.Entry
	var files []string
	summary := map[string]string{}
	for i, e := range es {
		n[e.Kind]++
		if e.Num != uint64(i+1) {
			t.Fatalf("record %d has number %d", i+1, e.Num)
		}
		switch e.Kind {
		case "history":
			rows = append(rows, e)
		case "files":
			files = append(files, e.Paths...)
		case "summary":
			for k, v := range e.Values {
				summary[k] = v
			}
		case "run":
			if e.Run.Project != "faces" || e.Run.Name != "my run" || !slices.Equal(e.Run.Tags, []string{"t1", "t2"}) || e.Values["net"] != `{"w":8}` || e.Values["kind"] != `"gan"` {
				t.Errorf("run %+v", e)
			}
		}
	}
	if n["header"] != 1 || n["run"] != 1 || n["history"] != 10 || n["exit"] != 1 || n["footer"] != 1 || n["output"] != 1 || es[0].Kind != "header" || es[len(es)-1].Kind != "footer" {
		t.Fatalf("records %v", n)
	}
	last := rows[9]
	if last.Step != 100 || last.Values["_step"] != "100" || last.Values["loss"] != "0.01" || last.Values["score/fid"] != "100" ||
		!strings.Contains(last.Values["grad"], `"histogram"`) || !strings.Contains(last.Values["samples"], `"image-file"`) || last.Values["_runtime"] == "" {
		t.Fatalf("last row %+v", last)
	}
	if summary["loss"] != "0.01" || summary["_step"] != "100" || !strings.Contains(summary["_wandb"], "runtime") {
		t.Fatalf("summary %v", summary)
	}
	for _, f := range files {
		if st, err := os.Stat(filepath.Join(runs[0], "files", f)); err != nil || st.Size() == 0 {
			t.Errorf("file %s: %v", f, err)
		}
	}
	if len(files) != 5 {
		t.Errorf("files %v", files)
	}
}

func readWandB(t *testing.T, path string) (out []wandb.Entry) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := wandb.NewReader(bytes.NewReader(b))
	for {
		e, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
}

// brokenFile is a file whose disk is full after some bytes, until it is repaired.
type brokenFile struct {
	handle
	disk *brokenDisk
}

type brokenDisk struct {
	mu    sync.Mutex
	room  int // bytes; then writes are cut
	fails int // failures left until the disk is repaired
}

var errFull = errors.New("no space left on device")

func (d *brokenDisk) open(path string) (handle, int64, error) {
	h, n, err := openFile(path)
	if err != nil {
		return nil, 0, err
	}
	return &brokenFile{h, d}, n, nil
}

func (f *brokenFile) Write(p []byte) (int, error) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(p) <= d.room || d.fails == 0 {
		d.room -= len(p)
		return f.handle.Write(p)
	}
	d.fails--
	n, err := f.handle.Write(p[:max(d.room, 0)])
	d.room = 0
	return n, errors.Join(errFull, err)
}

// A disk that fills up in the middle of lines and frames: nothing is lost or said twice once there is room again.
func TestFailingWritersLoseNothing(t *testing.T) {
	for _, room := range []int{0, 1, 100, 1000, 2500, 5000} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			dir := t.TempDir()
			disk := &brokenDisk{room: room, fails: 5}
			tr := open(t, dir, Options{TensorBoard: true, WandB: true, open: disk.open, Retry: Retry{First: time.Millisecond, Longest: time.Millisecond}})
			training(tr, 0, 100)
			rep, err := tr.Close(nil)
			if err != nil || rep.Status != Done {
				t.Fatalf("%+v, %v", rep, err)
			}
			failures := 0
			for _, d := range rep.Sinks {
				failures += d.Failures
				if d.Dropped != 0 || d.GaveUp || d.Error != "" {
					t.Errorf("%+v", d)
				}
			}
			if failures != 5 {
				t.Errorf("%d failures, want 5", failures)
			}
			r, err := OpenRun(dir)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			if err := r.Events(func(Record) bool { n++; return true }); err != nil || n != 34 {
				t.Errorf("%d events, %v", n, err)
			}
			tf, err := filepath.Glob(filepath.Join(dir, TensorBoardDir, "*"))
			if err != nil || len(tf) != 1 || len(readTF(t, tf[0])) != 43 {
				t.Errorf("TensorBoard: %v, %v", tf, err)
			}
			wb, err := filepath.Glob(filepath.Join(dir, "wandb", "offline-run-*", "*.wandb"))
			if err != nil || len(wb) != 1 {
				t.Fatalf("%v, %v", wb, err)
			}
			rows := 0
			for _, e := range readWandB(t, wb[0]) {
				if e.Kind == "history" {
					rows++
				}
			}
			if rows != 10 {
				t.Errorf("%d rows", rows)
			}
		})
	}
}

func TestAFailingSinkIsToldOnceAndInTheSummary(t *testing.T) {
	var told event.Recorder
	dir := t.TempDir()
	bad := &flaky{fail: func(int) error { return refusal{final: true} }}
	tr := open(t, dir, Options{Notify: &told, sinks: []sinkEntry{{name: "bad", sink: bad}}})
	training(tr, 0, 100)
	training(tr, 0, 100)
	rep, err := tr.Close(nil)
	if err != nil || len(rep.Sinks) != 2 || !rep.Sinks[1].GaveUp || rep.Sinks[1].Error == "" || rep.Sinks[0].Dropped != 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if w := told.Events(event.Warning); len(w) != 1 || !strings.Contains(w[0].Message, "bad does not take") {
		t.Fatalf("told %v", w)
	}
	r, err := OpenRun(dir)
	if err != nil || len(r.Sinks) != 2 || !r.Sinks[1].GaveUp {
		t.Fatalf("%+v, %v", r.Sinks, err)
	}
}

// Many goroutines at once, with a fast heartbeat and sampler: for the race detector.
func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	tr := open(t, dir, Options{TensorBoard: true, WandB: true, Now: time.Now, Heartbeat: time.Millisecond, SampleEvery: time.Millisecond, Sampler: NewSampler(nil)})
	var wg sync.WaitGroup
	con := tr.Console()
	for g := range 4 {
		wg.Go(func() {
			for n := range 200 {
				tr.Emit(event.Event{Kind: event.Step, Step: n, Steps: 200, Loss: float64(g)})
				if _, err := fmt.Fprintf(con, "%d %d\n", g, n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	rep, err := tr.Close(nil)
	if err != nil || rep.Sinks[0].Dropped != 0 || rep.Sinks[0].Written < 1600 {
		t.Fatalf("%+v, %v", rep, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, ConsoleFile))
	if err != nil || bytes.Count(b, []byte("\n")) != 800 {
		t.Fatalf("%d lines, %v", bytes.Count(b, []byte("\n")), err)
	}
}

func TestSampler(t *testing.T) {
	s := NewSampler(nil)
	first, err := s.Sample()
	if err != nil || first["rss"] < 1<<20 {
		t.Fatalf("%v, %v", first, err)
	}
	for x := 1.0; x < 3e7; x++ {
		first["busy"] = math.Sqrt(x)
		x++
	}
	second, err := s.Sample()
	if cpu, ok := second["cpu"]; err != nil || ok && (cpu <= 0 || cpu > 110) {
		t.Fatalf("%v, %v", second, err)
	}
}

func TestNumbersOfEvents(t *testing.T) {
	e := event.Event{Kind: event.Step, Loss: 2, Losses: map[string]float64{"tv": 1}, Scores: map[string]float64{"fid": 3}, Values: map[string]float64{"lr": 4}}
	if got, want := Numbers(e), (map[string]float64{"loss": 2, "loss/tv": 1, "score/fid": 3, "lr": 4}); !reflect.DeepEqual(got, want) {
		t.Fatalf("%v", got)
	}
	if Numbers(event.Event{Kind: event.Notice, Values: map[string]float64{"x": 1}}) != nil {
		t.Fatal("a notice has numbers")
	}
}
