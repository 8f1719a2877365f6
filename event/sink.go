package event

import (
	"slices"
	"sync"
)

// Func makes a function a Sink.
type Func func(Event)

// Emit calls f.
func (f Func) Emit(e Event) { f(e) }

// Discard drops every event. It is safe for concurrent use.
var Discard Sink = Func(func(Event) {})

// Multi hands every event to each sink, in the order given. Nil sinks are left out. It is as safe for concurrent use
// as the least safe of its sinks.
func Multi(sinks ...Sink) Sink {
	var kept multi
	for _, s := range sinks {
		if s != nil {
			kept = append(kept, s)
		}
	}
	return kept
}

type multi []Sink

func (m multi) Emit(e Event) {
	for _, s := range m {
		s.Emit(e)
	}
}

// Or returns s, or Discard if s is nil, so that work may be started without a Sink.
func Or(s Sink) Sink {
	if s == nil {
		return Discard
	}
	return s
}

// Locked makes s safe for concurrent use: it takes one event at a time.
func Locked(s Sink) Sink {
	l := &locked{sink: Or(s)}
	return l
}

type locked struct {
	mu   sync.Mutex
	sink Sink
}

func (l *locked) Emit(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sink.Emit(e)
}

// Recorder keeps all events for tests and for short work whose events are looked at afterwards. The zero value is
// ready; it is safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	events []Event
}

// Emit keeps e.
func (r *Recorder) Emit(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Events returns a copy of what was kept, in order of arrival: all of it, or only the kinds given.
func (r *Recorder) Events(kinds ...Kind) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Event
	for _, e := range r.events {
		if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
			out = append(out, e)
		}
	}
	return out
}

// Last returns the newest event of the kind given, and whether there is one.
func (r *Recorder) Last(kind Kind) (Event, bool) {
	all := r.Events(kind)
	if len(all) == 0 {
		return Event{}, false
	}
	return all[len(all)-1], true
}
