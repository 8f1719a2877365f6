package track

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/smalti/smalti/event"
)

// Options say how a run is tracked. The zero value keeps it in its folder only.
type Options struct {
	Info                // an empty ID, Name or Created is filled in
	Resume       bool   // the folder holds the run's first part
	KeepsJournal bool   // the work writes events.jsonl itself, as train.Loop does
	TensorBoard  bool   // event files in the folder "tensorboard" of the run's folder
	WandB        bool   // W&B even if the environment does not ask for it; offline without a key
	Host         string // the machine's name for W&B, "" is not told

	// Getenv reads the environment for W&B: nil is an empty one. With WANDB_API_KEY or WANDB_MODE the run goes to W&B
	// as they say; no request is made unless there is a key and the mode is online or not given.
	Getenv func(string) string
	HTTP   *http.Client // for W&B; nil: one with a timeout of 3 minutes

	Notify      event.Sink    // is told when a sink fails, by the goroutine that calls Emit or Close; may be nil
	Sampler     Sampler       // figures of the machine; nil: none
	SampleEvery time.Duration // 0: 15 s
	Heartbeat   time.Duration // how often status.json is written; 0: 10 s
	Retry       Retry
	Queue       int           // records that wait for a sink before the oldest are dropped; 0: 8192
	Grace       time.Duration // how long Close waits for slow sinks; 0: 20 s
	Now         func() time.Time

	sinks []sinkEntry // for tests
	open  openFunc
}

type sinkEntry struct {
	name string
	sink Sink
	pace pace
}

// ErrExists says that a folder already holds a run that was not to be resumed.
var ErrExists = errors.New("the folder already holds a run")

// Tracker hands a run's events to its sinks. It is an event.Sink, safe for concurrent use; Emit never waits for a disk
// or a network.
type Tracker struct {
	dir    string
	opts   Options
	info   Info
	lanes  []*lane
	pulsed sync.WaitGroup
	quit   chan struct{}

	mu     sync.Mutex
	closed bool
	report Report
	last   map[string]float64
	still  []event.Event // that the status cannot be written, for the user
	told   bool
}

// Report is how a run stands: the content of status.json, and what Close returns.
type Report struct {
	Status  Status      `json:"status"`
	Time    time.Time   `json:"time"` // of the heartbeat
	Beat    float64     `json:"beat"` // seconds to the next one
	Step    int         `json:"step"`
	Steps   int         `json:"steps,omitempty"`
	Message string      `json:"message,omitempty"` // why it failed
	Last    event.Event `json:"last"`              // the last value of each number, as Values
	Sinks   []Delivery  `json:"sinks,omitempty"`
}

// Open starts to track a run in a folder, which is made if need be. It fails only if the folder cannot be written, if
// it holds a run that is not to be resumed (ErrExists), or if the options or the environment make no sense; what fails
// later never stops the run.
func Open(dir string, o Options) (*Tracker, error) {
	o = o.filled()
	info, err := prepareRun(dir, o)
	if err != nil {
		return nil, fmt.Errorf("track: %w", err)
	}
	t := &Tracker{dir: dir, opts: o, info: info, quit: make(chan struct{}), last: map[string]float64{}}
	t.report = Report{Status: Running, Beat: o.Heartbeat.Seconds()}
	entries, err := t.sinks()
	if err != nil {
		return nil, fmt.Errorf("track: %w", err)
	}
	if err := t.writeStatus(); err != nil {
		return nil, fmt.Errorf("track: %w", err)
	}
	for _, e := range entries {
		t.lanes = append(t.lanes, newLane(e.name, e.sink, o.Retry, e.pace, o.Queue))
	}
	t.pulsed.Go(t.pulse)
	return t, nil
}

func (o Options) filled() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	for d, or := range map[*time.Duration]time.Duration{&o.SampleEvery: 15 * time.Second, &o.Heartbeat: 10 * time.Second, &o.Grace: 20 * time.Second} {
		if *d <= 0 {
			*d = or
		}
	}
	if o.Queue <= 0 {
		o.Queue = 8192
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 3 * time.Minute}
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.open == nil {
		o.open = openFile
	}
	return o
}

// Info says what the run is.
func (t *Tracker) Info() Info { return t.info }

// Emit hands an event to all sinks and returns at once.
func (t *Tracker) Emit(e event.Event) { t.tell(t.record(e)) }

// tell brings news of the lanes to the user.
func (t *Tracker) tell(news []event.Event) {
	for _, n := range news {
		event.Or(t.opts.Notify).Emit(n)
	}
}

// record queues an event, and returns what the user should know.
func (t *Tracker) record(e event.Event) []event.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.observe(e)
	if e.Kind == event.Preview { // no sink keeps them
		e.Picture = nil
	}
	t.put(e)
	if e.Kind == Console { // its writer may be what Notify writes to
		return nil
	}
	news := t.news()
	for _, n := range news {
		if n.Path == "" { // where a sink writes is for people, not for the record
			t.put(n)
		}
	}
	return news
}

func (t *Tracker) put(e event.Event) {
	r := Record{t.opts.Now(), e}
	for _, l := range t.lanes {
		l.put(r)
	}
}

// observe keeps what the status says.
func (t *Tracker) observe(e event.Event) {
	maps.Copy(t.last, Numbers(e))
	if e.Kind != System && e.Kind != Console {
		t.report.Step, t.report.Steps = max(t.report.Step, e.Step), max(t.report.Steps, e.Steps)
	}
	switch e.Kind {
	case event.Started: // may begin again before where the run was cut off
		t.report.Status, t.report.Step = Running, e.Step
	case event.Done:
		t.report.Status = Done
	case event.Failed:
		t.report.Status, t.report.Message = Failed, e.Message
	}
}

// beat notes how a heartbeat went; a failure is told once.
func (t *Tracker) beat(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil || t.told {
		return
	}
	t.told = true
	t.still = append(t.still, event.Event{Kind: event.Warning, Path: filepath.Join(t.dir, StatusFile),
		Message: "the run's status cannot be written: " + err.Error(), Hint: "the run goes on, but lists of runs will call it failed"})
}

func (t *Tracker) news() (news []event.Event) {
	news, t.still = t.still, nil
	for _, l := range t.lanes {
		_, n := l.delivery()
		news = append(news, n...)
	}
	return news
}

// pulse writes the status and samples the machine until the run ends.
func (t *Tracker) pulse() {
	beat := time.NewTicker(t.opts.Heartbeat)
	defer beat.Stop()
	var sample <-chan time.Time
	if t.opts.Sampler != nil {
		s := time.NewTicker(t.opts.SampleEvery)
		defer s.Stop()
		sample = s.C
	}
	for {
		select {
		case <-t.quit:
			return
		case <-beat.C:
			t.beat(t.writeStatus())
		case <-sample:
			if values, err := t.opts.Sampler.Sample(); err == nil && len(values) > 0 {
				t.mu.Lock()
				if !t.closed {
					t.put(event.Event{Kind: System, Values: values})
				}
				t.mu.Unlock()
			}
		}
	}
}

func (t *Tracker) writeStatus() error {
	t.mu.Lock()
	r := t.report
	r.Time = t.opts.Now().UTC()
	r.Last = event.Event{Kind: event.Scalars, Step: r.Step, Values: maps.Clone(t.last)}
	r.Sinks = nil
	for _, l := range t.lanes {
		l.mu.Lock()
		r.Sinks = append(r.Sinks, l.stat)
		l.mu.Unlock()
	}
	t.report = r
	t.mu.Unlock()
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(t.dir, StatusFile), append(b, '\n'))
}

// Close ends the run with the error that the work ended with, waits for the sinks as long as Options.Grace allows, and
// says how they fared. Without an error the run is done if a Done event came, else stopped; a cancelled context is a
// stop as well. The error returned is only about writing status.json. A second Close does nothing.
func (t *Tracker) Close(workErr error) (Report, error) {
	t.mu.Lock()
	if t.closed {
		defer t.mu.Unlock()
		return t.report, nil
	}
	end := t.ending(workErr)
	t.closed = true
	t.mu.Unlock()
	close(t.quit)
	t.pulsed.Wait()

	ctx, cancel := context.WithTimeout(context.Background(), t.opts.Grace)
	defer cancel()
	var wg sync.WaitGroup
	for _, l := range t.lanes {
		wg.Go(func() { l.close(ctx, end) })
	}
	wg.Wait()
	t.tell(t.news())
	if err := t.writeStatus(); err != nil {
		return t.report, fmt.Errorf("track: write %s: %w", StatusFile, err)
	}
	return t.report, nil
}

// ending decides how the run ended, and reports a failure that no event told.
func (t *Tracker) ending(err error) End {
	r := &t.report
	switch {
	case errors.Is(err, context.Canceled):
		r.Status = Stopped
	case err != nil:
		if r.Status != Failed {
			t.put(event.Event{Kind: event.Failed, Step: r.Step, Message: err.Error()})
		}
		r.Status, r.Message = Failed, err.Error()
	case r.Status == Running:
		r.Status = Stopped
	}
	return End{Status: r.Status, Time: t.opts.Now(), Message: r.Message, Last: maps.Clone(t.last), Step: r.Step}
}
