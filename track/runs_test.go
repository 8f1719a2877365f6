package track

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
)

// journal writes the journal of a run that only its work keeps, as train.Loop does.
func journal(t *testing.T, dir string, from, to int, end event.Kind) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	add := func(e event.Event) {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	if from == 0 {
		add(event.Event{Kind: event.Started, Steps: 100})
	}
	for n := from + 1; n <= to; n++ {
		add(event.Event{Kind: event.Scalars, Step: n, Steps: 100, Values: map[string]float64{"loss": float64(n)}})
	}
	if end != "" {
		add(event.Event{Kind: end, Step: to, Steps: 100, Message: "because"})
	}
	f, err := os.OpenFile(filepath.Join(dir, EventsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(b.Bytes())
	if cerr := f.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
}

func list(t *testing.T, root string, now time.Time) map[string]string {
	t.Helper()
	runs, err := runsAt(root, now)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range runs {
		rel, err := filepath.Rel(root, r.Dir)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.ToSlash(rel)] = fmt.Sprintf("%s %d/%d %g %s", r.Status, r.Step, r.Steps, r.Last["loss"], r.Message)
	}
	return out
}

func TestRunsWithoutHeartbeats(t *testing.T) {
	root, now := t.TempDir(), time.Now()
	journal(t, filepath.Join(root, "a"), 0, 100, event.Done)
	journal(t, filepath.Join(root, "set", "b"), 0, 30, event.Failed)
	journal(t, filepath.Join(root, "c"), 0, 5, "")
	journal(t, filepath.Join(root, "c", "inner"), 0, 5, "") // belongs to c
	journal(t, filepath.Join(root, ".hidden"), 0, 5, "")
	want := map[string]string{"a": "done 100/100 100 ", "set/b": "failed 30/100 30 because", "c": "running 5/100 5 "}
	if got := list(t, root, now); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	// With the index, after it was damaged, and after it was deleted, the list is the same.
	index := filepath.Join(root, indexFile)
	for _, change := range []func() error{func() error { return nil }, func() error { return os.WriteFile(index, []byte(`{"version":1,"runs":{"a"`), 0o666) },
		func() error {
			return os.WriteFile(index, []byte(`{"version":99,"runs":{"a":{"status":"failed"}}}`), 0o666)
		}, func() error { return os.Remove(index) }} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if got := list(t, root, now); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	// The index is used: a list from it alone says what it says.
	b, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(index, bytes.Replace(b, []byte(`"step":5`), []byte(`"step":6`), 1), 0o666); err != nil {
		t.Fatal(err)
	}
	if got := list(t, root, now); got["c"] != "running 6/100 5 " {
		t.Fatalf("the index was not used: %v", got)
	}
	// More lines are read on from where it ended; a journal that was written anew is read anew.
	journal(t, filepath.Join(root, "c"), 5, 9, "")
	if got := list(t, root, now); got["c"] != "running 9/100 9 " {
		t.Fatalf("after more lines: %v", got)
	}
	if err := os.Remove(filepath.Join(root, "c", EventsFile)); err != nil {
		t.Fatal(err)
	}
	journal(t, filepath.Join(root, "c"), 0, 3, "")
	journal(t, filepath.Join(root, "c"), 1, 4, "")
	if got := list(t, root, now); got["c"] != "running 4/100 4 " {
		t.Fatalf("after it was written anew: %v", got)
	}
	if got := list(t, root, now.Add(time.Hour)); got["c"] != "failed 4/100 4 it stopped without a word" {
		t.Fatalf("an hour later: %v", got)
	}
}

func TestAHeartThatStops(t *testing.T) {
	root := t.TempDir()
	tr := open(t, filepath.Join(root, "r"), Options{Now: time.Now})
	training(tr, 0, 50)
	now := time.Now()
	for after, want := range map[time.Duration]Status{0: Running, 30 * time.Second: Running, time.Minute: Failed} {
		runs, err := runsAt(root, now.Add(after))
		if err != nil || len(runs) != 1 || runs[0].Status != want {
			t.Errorf("after %v: %+v, %v", after, runs, err)
		}
	}
	if _, err := tr.Close(nil); err != nil {
		t.Fatal(err)
	}
	if runs, err := runsAt(root, now.Add(time.Hour)); err != nil || runs[0].Status != Stopped {
		t.Errorf("after the end: %+v, %v", runs, err)
	}
}

func TestFoldersThatAreNoRuns(t *testing.T) {
	if runs, err := Runs(filepath.Join(t.TempDir(), "none")); err != nil || len(runs) != 0 {
		t.Errorf("%v, %v", runs, err)
	}
	if _, err := OpenRun(t.TempDir()); err == nil {
		t.Error("an empty folder is called a run")
	}
	dir := t.TempDir()
	for _, name := range []string{InfoFile, StatusFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{nonsense"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := OpenRun(dir); err != nil || r.Name != filepath.Base(dir) {
		t.Errorf("nonsense in a run's files: %+v, %v", r, err)
	}
}

// Journals of trainings tell seconds of work and no times; a resumed run adds its own to those before.
func TestSecondsOfWork(t *testing.T) {
	dir := t.TempDir()
	lines := `{"kind":"started","steps":9}
{"kind":"scalars","step":1,"values":{"a":1},"seconds":10}
{"kind":"scalars","step":1,"scores":{"b":1}}
{"kind":"scalars","step":2,"values":{"a":2},"seconds":20}
{"kind":"scalars","step":3,"values":{"a":3},"seconds":30}
{"kind":"started","step":2,"steps":9}
{"kind":"scalars","step":3,"values":{"a":3},"seconds":11}
`
	if err := os.WriteFile(filepath.Join(dir, EventsFile), []byte(lines), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Series(ByTime, "a")
	if err != nil || !reflect.DeepEqual(s[0].X, []float64{10, 20, 41}) || !reflect.DeepEqual(s[0].Y, []float64{1, 2, 3}) {
		t.Fatalf("%+v, %v", s, err)
	}
}

// A list of many finished runs must not read their journals again.
func TestManyRunsAreListedFromTheIndex(t *testing.T) {
	root := t.TempDir()
	for n := range 50 {
		journal(t, filepath.Join(root, fmt.Sprint(n)), 0, 300, event.Done)
	}
	if got := list(t, root, time.Now()); len(got) != 50 {
		t.Fatalf("%d runs", len(got))
	}
	for n := range 50 { // same size and time, other content: only who reads it again notices
		path := filepath.Join(root, fmt.Sprint(n), EventsFile)
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte{'\n'}, int(st.Size())), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	for name, line := range list(t, root, time.Now()) {
		if line != "done 300/100 300 " {
			t.Fatalf("%s: %s", name, line)
		}
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"time":1700000000.5,"kind":"scalars","step":3,"values":{"a":"NaN"}}` + "\n{\"kind\":\"st"))
	f.Add([]byte("\n\n[]\n{}\n{\"kind\":\"x\",\"time\":-1e300}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := scan(bytes.NewReader(b), func(r Record) bool {
			if r.Kind == "" || !r.Time.IsZero() && (r.Time.Year() < 1969 || r.Time.Year() > 5200) {
				t.Fatalf("a record %+v", r)
			}
			return true
		})
		if want := int64(bytes.LastIndexByte(b, '\n') + 1); err != nil || n != want {
			t.Fatalf("%d bytes of whole lines, want %d; %v", n, want, err)
		}
	})
}
