package track

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/track/wandb"
)

const apiKey = "0123456789abcdef0123456789abcdef01234567"

// fakeWandB is a W&B server on the loopback that checks every request and keeps what it is told as W&B does: lines
// where their offset says.
type fakeWandB struct {
	t   *testing.T
	url string
	// answer, if set, may answer a request in the server's stead, before or after it was carried out (late).
	answer func(n int, w http.ResponseWriter, r *http.Request) (handled, late bool)

	mu       sync.Mutex
	requests int
	runs     map[string]*fakeRun
}

type fakeRun struct {
	name, display, config string
	tags                  []string
	files                 map[string][]string // lines by file
	uploads               map[string]string   // type by name
	marked                []string
	beats                 int
	complete              bool
	code                  int
}

func newFakeWandB(t *testing.T) *fakeWandB {
	f := &fakeWandB{t: t, runs: map[string]*fakeRun{}}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

func (f *fakeWandB) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if user, pass, ok := r.BasicAuth(); !ok || user != "api" || pass != apiKey {
		http.Error(w, "no such key: "+pass, http.StatusUnauthorized)
		return
	}
	if f.answer != nil {
		handled, late := f.answer(f.requests, w, r)
		if handled && late {
			f.carryOut(httptest.NewRecorder(), r)
		}
		if handled {
			return
		}
	}
	f.carryOut(w, r)
}

func (f *fakeWandB) carryOut(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/graphql":
		f.graphql(w, r)
	case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/files/team/faces/") && strings.HasSuffix(r.URL.Path, "/file_stream"):
		f.stream(w, r, strings.Split(r.URL.Path, "/")[4])
	case r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/put/"):
		b, err := io.ReadAll(r.Body)
		if err != nil {
			f.t.Error(err)
		}
		run, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/put/"), "/")
		f.runs[run].uploads[name] = http.DetectContentType(b)
	default:
		f.t.Errorf("an unexpected request: %s %s", r.Method, r.URL)
		http.NotFound(w, r)
	}
}

func (f *fakeWandB) graphql(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Query     string
		Variables struct {
			Name, Project, Entity, DisplayName, Config, State, Run string
			Tags, Files                                            []string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		f.t.Errorf("a query that is not JSON: %v", err)
	}
	v := q.Variables
	switch {
	case strings.Contains(q.Query, "RunResumeStatus"):
		run := f.runs[v.Name]
		if run == nil {
			fmt.Fprint(w, `{"data":{"model":{"bucket":null}}}`)
			return
		}
		h := run.files[wandb.HistoryFile]
		tail, err := json.Marshal(h[max(len(h)-1, 0):])
		if err != nil {
			f.t.Error(err)
		}
		summary := "{}"
		if s := run.files[wandb.SummaryFile]; len(s) > 0 {
			summary = s[len(s)-1]
		}
		fmt.Fprintf(w, `{"data":{"model":{"bucket":{"id":"x","historyLineCount":%d,"eventsLineCount":%d,"logLineCount":%d,"historyTail":%q,"summaryMetrics":%q}}}}`,
			len(h), len(run.files[wandb.EventsFile]), len(run.files[wandb.OutputFile]), tail, summary)
	case strings.Contains(q.Query, "UpsertBucket"):
		if v.Project != "faces" || v.State != "running" || !json.Valid([]byte(v.Config)) {
			f.t.Errorf("upsert of %+v", v)
		}
		run := f.runs[v.Name]
		if run == nil {
			run = &fakeRun{files: map[string][]string{}, uploads: map[string]string{}}
			f.runs[v.Name] = run
		}
		run.name, run.display, run.config, run.tags, run.complete = v.Name, v.DisplayName, v.Config, v.Tags, false
		fmt.Fprintf(w, `{"data":{"upsertBucket":{"bucket":{"id":"x","name":%q,"project":{"name":"faces","entity":{"name":"team"}}}}}}`, v.Name)
	case strings.Contains(q.Query, "CreateRunFiles"):
		fmt.Fprintf(w, `{"data":{"createRunFiles":{"files":[{"name":%q,"uploadUrl":"/put/%s/%s"}]}}}`, v.Files[0], v.Run, v.Files[0])
	default:
		f.t.Errorf("an unexpected query: %s", q.Query)
	}
}

func (f *fakeWandB) stream(w http.ResponseWriter, r *http.Request, id string) {
	run := f.runs[id]
	var u wandb.Update
	if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
		f.t.Errorf("an update that is not JSON: %v", err)
	}
	if run == nil || run.complete && (u.Complete == nil || len(u.Files) > 0) {
		f.t.Errorf("numbers of run %q, which is not there or over", id)
		http.NotFound(w, r)
		return
	}
	if len(u.Files) == 0 && u.Complete == nil {
		run.beats++
	}
	for name, c := range u.Files {
		have := run.files[name]
		if c.Offset > len(have) {
			f.t.Errorf("%s: lines at %d, but there are %d", name, c.Offset, len(have))
			continue
		}
		if name == wandb.SummaryFile {
			have = nil
		}
		for i, line := range c.Content { // what is sent once more must be what was sent
			if at := c.Offset + i; at < len(have) && have[at] != line {
				f.t.Errorf("%s: line %d was %q and is to be %q", name, at, have[at], line)
			}
		}
		run.files[name] = append(have[:min(c.Offset, len(have))], c.Content...)
	}
	run.marked = append(run.marked, u.Uploaded...)
	if u.Complete != nil {
		run.complete, run.code = *u.Complete, *u.ExitCode
	}
	fmt.Fprint(w, `{"exitcode":null,"limits":{}}`)
}

func (f *fakeWandB) run(id string) fakeRun {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs[id] == nil {
		return fakeRun{}
	}
	return *f.runs[id]
}

func (f *fakeWandB) env(kv ...string) func(string) string {
	m := map[string]string{"WANDB_API_KEY": apiKey, "WANDB_BASE_URL": f.url, "WANDB_PROJECT": "faces", "WANDB_RUN_ID": "run1"}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return func(k string) string { return m[k] }
}

func rowSteps(t *testing.T, lines []string) (out []int) {
	t.Helper()
	for _, l := range lines {
		var row struct {
			Step *int `json:"_step"`
		}
		if err := json.Unmarshal([]byte(l), &row); err != nil || row.Step == nil {
			t.Fatalf("row %s: %v", l, err)
		}
		out = append(out, *row.Step)
	}
	return out
}

var tens = []int{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}

func TestOnlineRun(t *testing.T) {
	f := newFakeWandB(t)
	var told event.Recorder
	dir := t.TempDir()
	tr := open(t, dir, Options{Info: Info{Name: "n", Tags: []string{"a"}, Config: json.RawMessage(`{"lr":0.1}`)}, Getenv: f.env("WANDB_TAGS", "b"), Notify: &told})
	training(tr, 0, 100)
	rep, err := tr.Close(nil)
	if err != nil || len(rep.Sinks) != 3 {
		t.Fatalf("%+v, %v", rep, err)
	}
	for _, d := range rep.Sinks {
		if d.Dropped != 0 || d.Failures != 0 || d.GaveUp {
			t.Errorf("%+v", d)
		}
	}
	r := f.run("run1")
	if !r.complete || r.code != 0 || r.display != "n" || !slices.Equal(r.tags, []string{"a", "b"}) || !strings.Contains(r.config, `"lr":{"value":0.1}`) {
		t.Fatalf("%+v", r)
	}
	if got := rowSteps(t, r.files[wandb.HistoryFile]); !slices.Equal(got, tens) {
		t.Fatalf("rows of steps %v", got)
	}
	last := r.files[wandb.HistoryFile][9]
	for _, part := range []string{`"loss":0.01`, `"score/fid":100`, `"_type":"histogram"`, `"_type":"image-file"`, `"_runtime":`} {
		if !strings.Contains(last, part) {
			t.Errorf("%s is not in the last row %s", part, last)
		}
	}
	picture := ""
	for name, kind := range r.uploads {
		if kind == "image/png" {
			picture = name
		}
	}
	if len(r.uploads) != 3 || !strings.HasPrefix(picture, "media/images/samples_100_") || !slices.Contains(r.marked, picture) || !strings.Contains(last, picture) {
		t.Errorf("uploads %v, marked %v", r.uploads, r.marked)
	}
	if s := r.files[wandb.SummaryFile]; len(s) != 1 || !strings.Contains(s[0], `"loss":0.01`) {
		t.Errorf("summary %v", s)
	}
	if o := r.files[wandb.OutputFile]; len(o) != 1 || !strings.HasSuffix(o[0], "notice: a word\n") {
		t.Errorf("output %q", o)
	}
	if at := f.url + "/team/faces/runs/run1"; rep.Sinks[2].Where != at {
		t.Errorf("the run's page is %q, want %q", rep.Sinks[2].Where, at)
	}
	for _, name := range []string{InfoFile, StatusFile, EventsFile} {
		if b, err := os.ReadFile(dir + "/" + name); err != nil || strings.Contains(string(b), apiKey) {
			t.Errorf("%s holds the key, or %v", name, err)
		}
	}
}

// The server fails in every way it can before and after it has carried out a request: each line is there once.
func TestOnlineRetries(t *testing.T) {
	f := newFakeWandB(t)
	f.answer = func(n int, w http.ResponseWriter, r *http.Request) (handled, late bool) {
		switch n % 5 {
		case 1:
			w.Header().Set("Retry-After", "0")
			http.Error(w, "slow down", http.StatusTooManyRequests)
			return true, false
		case 3: // carried out, but the answer is lost
			w.WriteHeader(http.StatusInternalServerError)
			return true, true
		default:
			return false, false
		}
	}
	tr := open(t, t.TempDir(), Options{Getenv: f.env(), Retry: Retry{First: time.Millisecond, Longest: 2 * time.Millisecond, Attempts: 50}})
	training(tr, 0, 100)
	rep, err := tr.Close(nil)
	if err != nil || rep.Sinks[2].Dropped != 0 || rep.Sinks[2].Failures < 3 || rep.Sinks[2].GaveUp {
		t.Fatalf("%+v, %v", rep, err)
	}
	r := f.run("run1")
	if got := rowSteps(t, r.files[wandb.HistoryFile]); !slices.Equal(got, tens) || len(r.files[wandb.OutputFile]) != 1 || !r.complete {
		t.Fatalf("rows of steps %v, output %q, complete %v", got, r.files[wandb.OutputFile], r.complete)
	}
}

// A run that is resumed goes on in the same run: the steps that it computes again are not sent again.
func TestOnlineResume(t *testing.T) {
	f := newFakeWandB(t)
	dir := t.TempDir()
	tr := open(t, dir, Options{Getenv: f.env()})
	training(tr, 0, 70)
	if _, err := tr.Close(fmt.Errorf("killed")); err != nil {
		t.Fatal(err)
	}
	first := f.run("run1")
	if !first.complete || first.code != 1 || len(first.files[wandb.HistoryFile]) != 7 {
		t.Fatalf("%+v", first)
	}
	lines := len(first.files[wandb.OutputFile])
	tr = open(t, dir, Options{Getenv: f.env(), Resume: true})
	training(tr, 50, 100)
	if _, err := tr.Close(nil); err != nil {
		t.Fatal(err)
	}
	r := f.run("run1")
	if got := rowSteps(t, r.files[wandb.HistoryFile]); !slices.Equal(got, tens) || !r.complete || r.code != 0 {
		t.Fatalf("rows of steps %v, %+v", got, r)
	}
	if n := len(r.files[wandb.OutputFile]); lines != 2 || n != lines+1 {
		t.Fatalf("%d lines of output after %d", n, lines)
	}
}

func TestOnlineWithAWrongKey(t *testing.T) {
	f := newFakeWandB(t)
	const wrong = "ffffffffffffffffffffffffffffffffffffffff"
	var told event.Recorder
	dir := t.TempDir()
	tr := open(t, dir, Options{Getenv: f.env("WANDB_API_KEY", wrong), Notify: &told})
	training(tr, 0, 100)
	rep, err := tr.Close(nil)
	if err != nil || !rep.Sinks[2].GaveUp || rep.Sinks[2].Failures != 1 || rep.Sinks[1].Dropped != 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	w := told.Events(event.Warning)
	if len(w) != 1 || strings.Contains(w[0].Message, wrong) || !strings.Contains(w[0].Message, "401") || !strings.Contains(w[0].Message, "[key]") {
		t.Fatalf("told %+v", w)
	}
	if b, err := os.ReadFile(dir + "/" + StatusFile); err != nil || strings.Contains(string(b), wrong) {
		t.Fatalf("status: %s, %v", b, err)
	}
}

func TestASlowServerHoldsUpNobody(t *testing.T) {
	f := newFakeWandB(t)
	gate := make(chan struct{})
	defer close(gate)
	f.answer = func(int, http.ResponseWriter, *http.Request) (bool, bool) { <-gate; return true, false }
	tr := open(t, t.TempDir(), Options{Getenv: f.env(), Grace: 3 * time.Second})
	before := time.Now()
	for range 100 {
		training(tr, 0, 100)
	}
	emitted := time.Since(before)
	rep, err := tr.Close(nil)
	if err != nil || rep.Status != Done || !rep.Sinks[2].GaveUp || rep.Sinks[0].Written < 3300 { // only sheets may be dropped, one a training
		t.Fatalf("%+v, %v", rep, err)
	}
	if all := time.Since(before); emitted > 5*time.Second || all > 10*time.Second {
		t.Fatalf("emitting took %v, all of it %v", emitted, all)
	}
}

// Without a key, or with another mode, no request is made.
func TestNoRequestUnlessAskedFor(t *testing.T) {
	for _, kv := range [][]string{{"WANDB_API_KEY", ""}, {"WANDB_MODE", "offline"}, {"WANDB_MODE", "disabled"}} {
		f := newFakeWandB(t)
		tr := open(t, t.TempDir(), Options{Getenv: f.env(kv...), WandB: true})
		training(tr, 0, 100)
		rep, err := tr.Close(nil)
		if err != nil || f.requests != 0 {
			t.Errorf("%v: %d requests, %v", kv, f.requests, err)
		}
		if want := map[bool]int{true: 1, false: 2}[kv[1] == "disabled"]; len(rep.Sinks) != want {
			t.Errorf("%v: sinks %+v", kv, rep.Sinks)
		}
	}
}
