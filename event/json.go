package event

import (
	"encoding/json"
	"fmt"
	"math"
)

// number is a float64 whose JSON form survives NaN and infinities, as a diverged loss must be reportable.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(f)
	}
}

func (n *number) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"NaN"`:
		*n = number(math.NaN())
	case `"Infinity"`:
		*n = number(math.Inf(1))
	case `"-Infinity"`:
		*n = number(math.Inf(-1))
	default:
		var f float64
		if err := json.Unmarshal(b, &f); err != nil {
			return fmt.Errorf("event: number: %w", err)
		}
		*n = number(f)
	}
	return nil
}

// plain has Event's fields and tags without its methods, so that encoding it does not recurse.
type plain Event

// wire is an Event as JSON sees it: the outer fields hide the embedded ones of the same JSON name.
type wire struct {
	Kind  Kind    `json:"kind"`
	Step  *int    `json:"step,omitempty"`
	Steps *int    `json:"steps,omitempty"`
	Loss  *number `json:"loss,omitempty"`
	plain
	Losses  map[string]number `json:"losses,omitempty"`
	Scores  map[string]number `json:"scores,omitempty"`
	Values  map[string]number `json:"values,omitempty"`
	Seconds *number           `json:"seconds,omitempty"`
}

// MarshalJSON writes the event as one flat object without line breaks, keys of maps sorted.
func (e Event) MarshalJSON() ([]byte, error) {
	w := wire{plain: plain(e), Kind: e.Kind, Losses: toWire(e.Losses), Scores: toWire(e.Scores), Values: toWire(e.Values)}
	always := e.Kind == Step
	if always || e.Step != 0 {
		w.Step = &e.Step
	}
	if always || e.Steps != 0 {
		w.Steps = &e.Steps
	}
	if always || e.Loss != 0 {
		w.Loss = (*number)(&e.Loss)
	}
	if e.Seconds != 0 {
		w.Seconds = (*number)(&e.Seconds)
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. Unknown fields are ignored.
func (e *Event) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	*e = Event(w.plain)
	e.Kind, e.Losses, e.Scores, e.Values = w.Kind, fromWire(w.Losses), fromWire(w.Scores), fromWire(w.Values)
	if w.Step != nil {
		e.Step = *w.Step
	}
	if w.Steps != nil {
		e.Steps = *w.Steps
	}
	if w.Loss != nil {
		e.Loss = float64(*w.Loss)
	}
	if w.Seconds != nil {
		e.Seconds = float64(*w.Seconds)
	}
	return nil
}

func toWire(m map[string]float64) map[string]number {
	if m == nil {
		return nil
	}
	out := make(map[string]number, len(m))
	for k, v := range m {
		out[k] = number(v)
	}
	return out
}

func fromWire(m map[string]number) map[string]float64 {
	if m == nil {
		return nil
	}
	out := make(map[string]float64, len(m))
	for k, v := range m {
		out[k] = float64(v)
	}
	return out
}
