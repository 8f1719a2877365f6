package ui

import (
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
)

// Players of a game have losses of their own and none together; an evaluation has no loss at all.
func TestMeterNamesTheLossesOfPlayers(t *testing.T) {
	var m meter
	m.update(event.Event{Kind: event.Scalars, Step: 1, Steps: 9, Losses: map[string]float64{"generator": .5, "critic": -2}}, time.Time{})
	const want = "loss critic -2.0000 generator 0.5000"
	if got := strings.Join(m.facts(), "; "); got != want {
		t.Errorf("facts %q, want %q", got, want)
	}
	m.update(event.Event{Kind: event.Scalars, Step: 1, Steps: 9, Scores: map[string]float64{"distance": 3}}, time.Time{})
	if got := strings.Join(m.facts(), "; "); got != want {
		t.Errorf("facts after an evaluation %q, want %q", got, want)
	}
	m.update(event.Event{Kind: event.Scalars, Step: 2, Steps: 9, Loss: .25, Losses: map[string]float64{"a": .25}}, time.Time{})
	if got := strings.Join(m.facts(), "; "); got != "loss 0.2500" {
		t.Errorf("facts %q, want the whole loss", got)
	}
}
