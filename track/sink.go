package track

import (
	"context"
	"time"

	"github.com/smalti/smalti/event"
)

// Kinds of events that only this package makes.
const (
	System  event.Kind = "system"  // Values are figures of the machine at a moment: cpu (% of all cores), rss (bytes)
	Console event.Kind = "console" // Message is a line that the program wrote
)

// Record is an event and when it came.
type Record struct {
	Time time.Time
	event.Event
}

// Sink brings records to one place. A lane calls it from one goroutine, so it needs no locks; its methods may block.
type Sink interface {
	// Take remembers a record for the next Flush. It does no input or output and cannot fail.
	Take(Record)
	// Flush brings everything taken to its place. After an error it is called again, with or without more records
	// taken, and must then neither lose nor repeat what it had brought before. Errors with a method
	// Permanent() bool that returns true end the lane; RetryAfter() time.Duration sets the pause.
	// It is also called with nothing taken, as a sign of life, if the lane has an idle time.
	Flush(ctx context.Context) error
	// Close ends the run. It is called once nothing is left to flush, again after an error, and at the latest when ctx
	// is over, which is when Close of the Tracker stops waiting.
	Close(ctx context.Context, end End) error
}

// Status is how a run stands.
type Status string

// Statuses.
const (
	Running Status = "running"
	Done    Status = "done"    // all of it
	Stopped Status = "stopped" // before its end, on purpose: it can go on
	Failed  Status = "failed"  // said so, or its heart stopped without a word
)

// End is how a run ended.
type End struct {
	Status  Status
	Time    time.Time
	Message string             // why it failed, "" if it did not
	Last    map[string]float64 // the last value of each number
	Step    int
}

// ExitCode is the status as processes say it.
func (e End) ExitCode() int {
	switch e.Status {
	case Failed:
		return 1
	case Stopped:
		return 130
	default:
		return 0
	}
}

// Numbers are the values of an event by the names that all sinks and plots use: Values under their own names, the loss
// as "loss", its terms as "loss/NAME", scores as "score/NAME". Only kinds that report on a step have any.
func Numbers(e event.Event) map[string]float64 {
	switch e.Kind {
	case event.Step, event.Scalars, event.Done:
	default:
		return nil
	}
	out := make(map[string]float64, len(e.Values)+len(e.Losses)+len(e.Scores)+1)
	if e.Loss != 0 || e.Kind == event.Step {
		out["loss"] = e.Loss
	}
	for k, v := range e.Losses {
		out["loss/"+k] = v
	}
	for k, v := range e.Scores {
		out["score/"+k] = v
	}
	for k, v := range e.Values {
		out[k] = v
	}
	return out
}
