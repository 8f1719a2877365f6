package ui

import (
	"fmt"
	"image"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/smalti/smalti/event"
)

// Options say how a Terminal shows events.
type Options struct {
	Screen  Screen
	Now     func() time.Time // the clock that speeds are measured with
	Preview bool             // show pictures, if the screen can
	Quiet   bool             // show nothing; errors are the caller's to print
}

// Terminal shows events to people. On a screen it keeps one status line, and a picture above it, up to date, and lets
// messages scroll by above; elsewhere it writes a line about every tenth of the work. It prints neither Result events,
// which are a verb's output, nor the message of Failed, which is printed where all errors are. It is safe for
// concurrent use.
type Terminal struct {
	mu   sync.Mutex
	w    io.Writer
	opts Options

	meter   meter
	drawn   time.Time // when the status line was drawn last
	status  bool      // the status line is on the screen
	rows    int       // rows of the picture above the status line
	pin     string    // text that is kept between messages and status line
	pinned  int       // its lines on the screen
	tenth   int       // of the work, that was last written as a line
	began   time.Time
	started bool
}

// redraw is the shortest time between two status lines on a screen.
const redraw = 100 * time.Millisecond

// NewTerminal returns a sink that writes to w. Close ends the status line.
func NewTerminal(w io.Writer, opts Options) *Terminal {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Screen.Columns < 1 {
		opts.Screen.Columns = 80
	}
	if opts.Screen.Rows < 1 {
		opts.Screen.Rows = 24
	}
	return &Terminal{w: w, opts: opts, tenth: -1}
}

// Emit shows e.
func (t *Terminal) Emit(e event.Event) {
	if t.opts.Quiet {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Kind {
	case event.Started:
		t.began, t.started = t.opts.Now(), true
		t.meter, t.tenth = meter{}, -1
		if e.Message != "" {
			t.say("", e.Message)
		}
	case event.Step:
		t.step(e)
	case event.Scalars:
		if len(e.Scores) > 0 {
			t.say("", fmt.Sprintf("step %d: %s", e.Step, numbers(e.Scores)))
		} else {
			t.step(e)
		}
	case event.Preview, event.Samples:
		t.preview(e.Picture)
	case event.Notice:
		t.say("note: ", sentence(e))
	case event.Warning:
		t.say(t.paint("33", "warning: "), sentence(e))
	case event.Saved:
		t.say("saved ", e.Path)
	case event.Checkpoint:
		t.say("", fmt.Sprintf("checkpoint at step %d: %s", e.Step, e.Path))
	case event.Done:
		t.done(e)
	case event.Failed:
		t.clear()
	}
}

// Close leaves the status line, if there is one, as the last thing shown.
func (t *Terminal) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finish()
}

// Pin keeps lines of text, each with a line break at its end, right above the status line while messages scroll by
// above, until it is called again or the work is done, which leaves them there. Without a screen they are written at
// once. The text may hold escape sequences for colours: it must be the program's own.
func (t *Terminal) Pin(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.opts.Quiet:
	case t.opts.Screen.TTY:
		status := t.status
		t.clear()
		t.pin = text
		if status {
			t.draw()
		}
	default:
		fmt.Fprint(t.w, text)
	}
}

func (t *Terminal) step(e event.Event) {
	now := t.opts.Now()
	t.meter.update(e, now)
	last := e.Steps > 0 && e.Step >= e.Steps
	if t.opts.Screen.TTY {
		if last || t.drawn.IsZero() || now.Sub(t.drawn) >= redraw {
			t.drawn = now
			t.draw()
		}
		return
	}
	if tenth := tenths(e); tenth != t.tenth {
		t.tenth = tenth
		fmt.Fprintf(t.w, "step %s\n", strings.Join(append([]string{t.meter.counter()}, t.meter.facts()...), "  "))
	}
}

// tenths counts tenths of the work, or powers of two of a work of unknown length.
func tenths(e event.Event) int {
	if e.Steps > 0 {
		return e.Step * 10 / e.Steps
	}
	n := 0
	for s := e.Step; s > 1; s /= 2 {
		n++
	}
	return n
}

// draw replaces the status line, and shows what is pinned above it. The cursor stays in it.
func (t *Terminal) draw() {
	if t.pin != "" && t.pinned == 0 {
		fmt.Fprint(t.w, "\r\x1b[K", t.pin)
		t.pinned = strings.Count(t.pin, "\n")
	}
	fmt.Fprint(t.w, "\r", t.meter.line(t.opts.Screen.Columns-1), "\x1b[K")
	t.status = true
}

// clear takes the status line and what is pinned off the screen.
func (t *Terminal) clear() {
	if t.status {
		fmt.Fprint(t.w, "\r\x1b[K")
		t.status = false
	}
	if t.pinned > 0 {
		fmt.Fprintf(t.w, "\x1b[%dA\x1b[J", t.pinned)
		t.pinned = 0
	}
}

// finish keeps the status line and what is pinned, and goes below them.
func (t *Terminal) finish() {
	if t.status {
		t.draw()
		fmt.Fprintln(t.w)
		t.status = false
	}
	t.rows, t.pin, t.pinned = 0, "", 0
}

// say writes a line above the status line, or below it if its work is done. A picture above scrolls away with it.
func (t *Terminal) say(label, text string) {
	if t.meter.steps > 0 && t.meter.step >= t.meter.steps {
		t.finish()
	}
	status := t.status
	t.clear()
	t.rows = 0
	fmt.Fprintln(t.w, label+Printable(text))
	if status {
		t.draw()
	}
}

func (t *Terminal) done(e event.Event) {
	t.finish()
	var parts []string
	if e.Message != "" {
		parts = append(parts, Printable(e.Message))
	}
	if len(e.Scores) > 0 {
		parts = append(parts, numbers(e.Scores))
	}
	text := "done"
	switch {
	case e.Seconds > 0:
		text += " in " + Duration(time.Duration(e.Seconds*float64(time.Second)))
	case t.started:
		text += " in " + Duration(t.opts.Now().Sub(t.began))
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, "; ")
	}
	fmt.Fprintln(t.w, text)
	t.started = false
}

// preview draws a picture above the status line, over the one before if nothing was said since.
func (t *Terminal) preview(img image.Image) {
	s := t.opts.Screen
	if !t.opts.Preview || !s.TTY || s.Graphics == None || img == nil || img.Bounds().Empty() {
		return
	}
	status := t.status
	t.clear()
	if t.rows > 0 {
		fmt.Fprintf(t.w, "\x1b[%dA", t.rows)
	}
	rows, err := Draw(t.w, img, s)
	if err != nil {
		return // the screen is gone, or the picture cannot be encoded: the work goes on
	}
	t.rows = rows
	if status {
		t.draw()
	}
}

// paint wraps text in a colour, if colour is wanted.
func (t *Terminal) paint(sgr, text string) string {
	if !t.opts.Screen.Colour {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// sentence joins what a notice or warning has to say.
func sentence(e event.Event) string {
	text := e.Message
	if e.Path != "" {
		text = strings.TrimPrefix(text+": "+e.Path, ": ")
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// numbers lists values by name.
func numbers(m map[string]float64) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = Printable(k) + " " + Number(m[k])
	}
	return strings.Join(parts, ", ")
}
