package ui

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/smalti/smalti/event"
)

// meter measures how fast steps come. The first step of a job compiles graphs, so it does not count.
type meter struct {
	step, steps int
	at          time.Time     // when step came
	perStep     time.Duration // moving average; 0 is not known yet
	samples     int
	loss        string // "" is not known
	label       string
	unit        string
}

// smoothing is the weight of a new measurement once there are enough for a moving average.
const smoothing = 0.1

// update takes a Step or Scalars event at time now.
func (m *meter) update(e event.Event, now time.Time) {
	label := e.Message
	if label == "" {
		label = e.Text["file"]
	}
	unit := e.Text["unit"]
	if unit == "" {
		unit = "it"
	}
	if e.Step < m.step || e.Steps != m.steps || unit != m.unit { // other work
		*m = meter{}
	}
	if done := e.Step - m.step; done > 0 {
		if !m.at.IsZero() {
			m.samples++
			weight := max(smoothing, 1/float64(m.samples))
			m.perStep += time.Duration(weight * float64(now.Sub(m.at)/time.Duration(done)-m.perStep))
		}
		m.at = now
	}
	m.step, m.steps, m.label, m.unit = e.Step, e.Steps, label, unit
	switch {
	case e.Loss == 0 && len(e.Losses) > 0: // of players, each with a loss of its own
		m.loss = "loss"
		for _, name := range slices.Sorted(maps.Keys(e.Losses)) {
			m.loss += fmt.Sprintf(" %s %.4f", Printable(name), e.Losses[name])
		}
	case e.Loss != 0 || e.Kind == event.Scalars && len(e.Scores) == 0:
		m.loss = fmt.Sprintf("loss %.4f", e.Loss)
	}
}

// rate says the speed, "" while it is unknown.
func (m *meter) rate() string {
	if m.perStep <= 0 {
		return ""
	}
	r := float64(time.Second) / float64(m.perStep)
	if m.unit == "it" && r < 1 {
		return fmt.Sprintf("%.1f s/it", 1/r)
	}
	if r < 9.95 {
		return fmt.Sprintf("%.1f %s/s", r, m.unit)
	}
	return fmt.Sprintf("%.0f %s/s", r, m.unit)
}

// facts are the parts of the status beside bar and counter.
func (m *meter) facts() []string {
	var out []string
	if r := m.rate(); r != "" {
		out = append(out, r)
		if m.steps > m.step {
			out = append(out, "ETA "+Duration(m.perStep*time.Duration(m.steps-m.step)))
		}
	}
	if m.loss != "" {
		out = append(out, m.loss)
	}
	if m.label != "" {
		out = append(out, Printable(m.label))
	}
	return out
}

// counter is the step of the steps, padded so that it does not jump.
func (m *meter) counter() string {
	if m.steps < 1 {
		return fmt.Sprint(m.step)
	}
	total := fmt.Sprint(m.steps)
	return fmt.Sprintf("%*d/%s", len(total), m.step, total)
}

// line is the status in at most width characters: a bar of a third of them, up to 40, and the facts that fit beside
// it, left out from the right.
func (m *meter) line(width int) string {
	bar := ""
	if room := min(width/3, 40); m.steps > 0 && room >= 5 {
		full := min(room*m.step/m.steps, room)
		bar = strings.Repeat("━", full) + strings.Repeat("─", room-full) + " "
	}
	text := bar + m.counter()
	for _, f := range m.facts() {
		if next := text + "  " + f; utf8.RuneCountInString(next) <= width {
			text = next
		}
	}
	return cutRunes(text, width)
}

func cutRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(n, 0)])
}
