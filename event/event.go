// Package event is the language in which work speaks to whoever watches it: a painting, a training, an import report
// what happened as Events to a Sink, and never print. Terminals, JSON lines, run folders and web pages are Sinks.
//
// Start with Event and Kind; sink.go has the small Sinks that everybody needs.
package event

import "image"

// Kind says what an Event reports. The set is open: a Sink ignores kinds that it does not know.
type Kind string

// Kinds of any work.
const (
	Started Kind = "started" // work begins; Steps is its length if known, Text holds its settings
	Step    Kind = "step"    // Step of Steps is finished; Loss, Losses, Values describe it
	Preview Kind = "preview" // Picture shows how the work looks after Step
	Notice  Kind = "notice"  // something the user should know, with nothing lost (a prompt was cut, say)
	Warning Kind = "warning" // something that probably is not what the user wanted
	Saved   Kind = "saved"   // a file was written completely at Path
	Result  Kind = "result"  // an answer of a query: Text, Values and Scores hold it (one event per row)
	Done    Kind = "done"    // work ended well; Scores and Seconds sum it up
	Failed  Kind = "failed"  // work ended badly: Message and Hint say how
)

// Kinds of trainings, besides the above.
const (
	Scalars    Kind = "scalars"    // Values at Step: what a plot is drawn from
	Histograms Kind = "histograms" // Histograms at Step: how values are spread (gradients, say)
	Samples    Kind = "samples"    // Picture is a sheet of what the model makes after Step
	Checkpoint Kind = "checkpoint" // a state that training can resume from was written at Path
	Epoch      Kind = "epoch"      // Values["epoch"] passes over the data are finished
)

// Event is one report. Which fields are set depends on Kind. Encoded as JSON it is one flat object; zero fields are
// left out, except that a Step always carries step, steps and loss. Numbers that JSON cannot hold are written as the
// strings "NaN", "Infinity" and "-Infinity", and read back.
//
// Maps and Picture are shared between the sender and all Sinks: nobody changes them after Emit.
type Event struct {
	Kind    Kind               `json:"kind"`
	Step    int                `json:"step,omitempty"`    // finished steps, in absolute steps of the job
	Steps   int                `json:"steps,omitempty"`   // steps in all; 0 is unknown
	Loss    float64            `json:"loss,omitempty"`    // the number that is minimised
	Losses  map[string]float64 `json:"losses,omitempty"`  // its terms by name
	Scores  map[string]float64 `json:"scores,omitempty"`  // judgements of the result, e.g. CLIP similarity at start and end
	Values  map[string]float64 `json:"values,omitempty"`  // any other numbers
	Text    map[string]string  `json:"text,omitempty"`    // any other words
	Seconds float64            `json:"seconds,omitempty"` // time that the work measured by the clock it was given
	Path    string             `json:"path,omitempty"`    // file or folder that the event is about
	Message string             `json:"message,omitempty"` // one sentence for people, lower-case, without a full stop
	Hint    string             `json:"hint,omitempty"`    // what to try, for Failed and Warning
	Picture image.Image        `json:"-"`                 // for Preview and Samples; never encoded

	Histograms map[string]Histogram `json:"histograms,omitempty"` // spreads of values by name
}

// Sink takes events. Emit must not block for long and must not fail: a Sink that can fail remembers its first error
// and lets its owner ask for it. Unless a Sink says otherwise, Emit is called by one goroutine at a time, in order.
type Sink interface {
	Emit(Event)
}
