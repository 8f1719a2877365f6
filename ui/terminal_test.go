package ui

import (
	"bytes"
	"errors"
	"image"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/smalti/smalti/event"
)

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

// painting is the events of a short painting; each step takes 50 ms, the first (which compiles) 3 s.
func painting(c *clock, s event.Sink, steps int) {
	s.Emit(event.Event{Kind: event.Started, Steps: steps, Message: `painting "a red apple" 128x128`})
	s.Emit(event.Event{Kind: event.Notice, Message: "prompt cut to 77 tokens"})
	for i := 1; i <= steps; i++ {
		c.advance(50 * time.Millisecond)
		if i == 1 {
			c.advance(2950 * time.Millisecond)
		}
		s.Emit(event.Event{Kind: event.Step, Step: i, Steps: steps, Loss: 1 - float64(i)/100})
		if i == 12 {
			s.Emit(event.Event{Kind: event.Warning, Message: "the loss grows", Hint: "try a smaller --lr"})
		}
	}
	s.Emit(event.Event{Kind: event.Saved, Path: "out.png"})
	s.Emit(event.Event{Kind: event.Done, Scores: map[string]float64{"start": 0.171234, "end": 0.3}})
}

func TestPaintingInALog(t *testing.T) {
	var b bytes.Buffer
	c := &clock{t: time.Unix(1, 0)}
	term := NewTerminal(&b, Options{Now: c.now, Preview: true})
	painting(c, term, 40)
	term.Emit(event.Event{Kind: event.Preview, Picture: image.NewGray(image.Rect(0, 0, 4, 4))}) // logs have no pictures
	term.Close()
	want := `painting "a red apple" 128x128
note: prompt cut to 77 tokens
step  1/40  loss 0.9900
step  4/40  20 it/s  ETA 1.8 s  loss 0.9600
step  8/40  20 it/s  ETA 1.6 s  loss 0.9200
step 12/40  20 it/s  ETA 1.4 s  loss 0.8800
warning: the loss grows (try a smaller --lr)
step 16/40  20 it/s  ETA 1.2 s  loss 0.8400
step 20/40  20 it/s  ETA 1.0 s  loss 0.8000
step 24/40  20 it/s  ETA 0.8 s  loss 0.7600
step 28/40  20 it/s  ETA 0.6 s  loss 0.7200
step 32/40  20 it/s  ETA 0.4 s  loss 0.6800
step 36/40  20 it/s  ETA 0.2 s  loss 0.6400
step 40/40  20 it/s  loss 0.6000
saved out.png
done in 5.0 s: end 0.3, start 0.1712
`
	if got := b.String(); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPaintingOnAScreen(t *testing.T) {
	var b bytes.Buffer
	c := &clock{t: time.Unix(1, 0)}
	term := NewTerminal(&b, Options{Now: c.now, Screen: Screen{TTY: true, Columns: 60, Rows: 24, Colour: true}})
	painting(c, term, 13)
	term.Close()
	// A status line every 100 ms, so every second step, and the last step always. Messages go above it.
	const end = "\x1b[K"
	want := "painting \"a red apple\" 128x128\nnote: prompt cut to 77 tokens\n" +
		"\r━──────────────────  1/13  loss 0.9900" + end +
		"\r━━━━───────────────  3/13  20 it/s  ETA 0.5 s  loss 0.9700" + end +
		"\r━━━━━━━────────────  5/13  20 it/s  ETA 0.4 s  loss 0.9500" + end +
		"\r━━━━━━━━━━─────────  7/13  20 it/s  ETA 0.3 s  loss 0.9300" + end +
		"\r━━━━━━━━━━━━━──────  9/13  20 it/s  ETA 0.2 s  loss 0.9100" + end +
		"\r━━━━━━━━━━━━━━━━─── 11/13  20 it/s  ETA 0.1 s  loss 0.8900" + end +
		"\r" + end + "\x1b[33mwarning: \x1b[0mthe loss grows (try a smaller --lr)\n" +
		"\r━━━━━━━━━━━━━━━━━── 12/13  20 it/s  ETA 0.1 s  loss 0.8800" + end +
		"\r━━━━━━━━━━━━━━━━━━━ 13/13  20 it/s  loss 0.8700" + end +
		"\r━━━━━━━━━━━━━━━━━━━ 13/13  20 it/s  loss 0.8700" + end +
		"\nsaved out.png\ndone in 3.6 s: end 0.3, start 0.1712\n"
	if got := b.String(); got != want {
		t.Fatalf("got\n%q\nwant\n%q", got, want)
	}
}

func TestQuietSaysNothing(t *testing.T) {
	var b bytes.Buffer
	c := &clock{}
	term := NewTerminal(&b, Options{Now: c.now, Quiet: true})
	painting(c, term, 10)
	term.Close()
	if b.Len() != 0 {
		t.Fatalf("said %q", b.String())
	}
}

func TestOtherWork(t *testing.T) {
	var b bytes.Buffer
	c := &clock{t: time.Unix(1, 0)}
	term := NewTerminal(&b, Options{Now: c.now})
	for i := 1; i <= 4; i++ { // an import
		c.advance(time.Second)
		term.Emit(event.Event{Kind: event.Step, Step: i * 88, Steps: 352, Text: map[string]string{"file": "vit\x1b[2J.pt", "unit": "MiB"}})
	}
	for i := 1; i <= 2; i++ { // a training
		c.advance(20 * time.Second)
		term.Emit(event.Event{Kind: event.Scalars, Step: i * 10, Steps: 20, Loss: math.NaN(), Values: map[string]float64{"lr": 1}})
	}
	term.Emit(event.Event{Kind: event.Scalars, Step: 20, Steps: 20, Scores: map[string]float64{"top1": 0.5, "psnr": 21.347}})
	term.Emit(event.Event{Kind: event.Checkpoint, Step: 20, Path: "run/state.safetensors"})
	for i := 1; i <= 8; i++ { // of unknown length
		term.Emit(event.Event{Kind: event.Step, Step: i, Message: "counting"})
	}
	term.Emit(event.Event{Kind: event.Result, Text: map[string]string{"a": "b"}})
	term.Emit(event.Event{Kind: event.Failed, Message: "no"})
	term.Emit(event.Event{Kind: event.Done, Seconds: 3725, Message: "all counted"})
	want := `step  88/352  vit�[2J.pt
step 176/352  88 MiB/s  ETA 2.0 s  vit�[2J.pt
step 264/352  88 MiB/s  ETA 1.0 s  vit�[2J.pt
step 352/352  88 MiB/s  vit�[2J.pt
step 10/20  loss NaN
step 20/20  2.0 s/it  loss NaN
step 20: psnr 21.35, top1 0.5
checkpoint at step 20: run/state.safetensors
step 1  counting
step 2  counting
step 4  counting
step 8  counting
done in 1:02:05: all counted
`
	if got := b.String(); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

func TestStatusFitsEveryWidth(t *testing.T) {
	m := meter{step: 37, steps: 100, perStep: 81 * time.Millisecond, loss: "loss 0.8123", label: "übermalen", unit: "it"}
	for w := 1; w < 150; w++ {
		if n := utf8.RuneCountInString(m.line(w)); n > w {
			t.Fatalf("width %d: %d characters: %q", w, n, m.line(w))
		}
	}
	if got, want := m.line(100), strings.Repeat("━", 12)+strings.Repeat("─", 21)+"  37/100  12 it/s  ETA 5.1 s  loss 0.8123  übermalen"; got != want {
		t.Errorf("wide\n%q\nwant\n%q", got, want)
	}
	if got := m.line(17); got != "━────  37/100" {
		t.Errorf("narrow %q", got)
	}
	over := meter{step: 12, steps: 10, unit: "it"} // more than was said
	if got := over.line(20); !strings.HasPrefix(got, "━━━━") || strings.Contains(got, "─") {
		t.Errorf("past the end %q", got)
	}
}

func TestMeterFollowsTheSpeed(t *testing.T) {
	var m meter
	now := time.Unix(5, 0)
	step := func(i int, d time.Duration) {
		now = now.Add(d)
		m.update(event.Event{Kind: event.Step, Step: i, Steps: 1000}, now)
	}
	step(1, time.Minute) // compiling
	if m.rate() != "" {
		t.Errorf("a speed after one step: %s", m.rate())
	}
	for i := 2; i <= 6; i++ {
		step(i, 100*time.Millisecond)
	}
	if m.rate() != "10 it/s" {
		t.Errorf("rate %s, want 10 it/s", m.rate())
	}
	step(16, 10*200*time.Millisecond) // ten steps in one report
	for i := 17; i < 120; i++ {
		step(i, 200*time.Millisecond)
	}
	if m.rate() != "5.0 it/s" {
		t.Errorf("rate %s, want 5.0 it/s", m.rate())
	}
	step(3, time.Second) // another job
	if m.rate() != "" {
		t.Errorf("the speed of the job before: %s", m.rate())
	}
}

func TestJSONLines(t *testing.T) {
	var b bytes.Buffer
	j := NewJSON(&b)
	j.Emit(event.Event{Kind: event.Step, Step: 1, Steps: 2, Loss: 0.5})
	j.Emit(event.Event{Kind: event.Failed, Message: "two\nlines"})
	want := `{"kind":"step","step":1,"steps":2,"loss":0.5}` + "\n" + `{"kind":"failed","message":"two\nlines"}` + "\n"
	if b.String() != want || j.Err() != nil {
		t.Fatalf("got %s, %v", b.String(), j.Err())
	}
	broken := errors.New("broken pipe")
	writes := 0
	j = NewJSON(writerFunc(func([]byte) (int, error) { writes++; return 0, broken }))
	j.Emit(event.Event{Kind: event.Done})
	j.Emit(event.Event{Kind: event.Done})
	if !errors.Is(j.Err(), broken) || writes != 1 {
		t.Fatalf("%v after %d writes", j.Err(), writes)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestTable(t *testing.T) {
	var b bytes.Buffer
	tab := NewTable("NAME", ">SIZE", "LICENCE")
	tab.Row("builtin/clip", "4.1 MB", "Apache-2.0")
	tab.Row("größe", "350 MB")
	tab.Row("evil\x1b[31m\nname", "1 B", "", "extra")
	if err := tab.Write(&b); err != nil || tab.Len() != 3 {
		t.Fatal(err, tab.Len())
	}
	want := "NAME              SIZE  LICENCE\n" +
		"builtin/clip    4.1 MB  Apache-2.0\n" +
		"größe           350 MB\n" +
		"evil�[31m name     1 B              extra\n"
	if b.String() != want {
		t.Fatalf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	pairs := NewTable()
	pairs.Row("cpu", "AVX-512")
	pairs.Row("threads", "2")
	if err := pairs.Write(&b); err != nil || b.String() != "cpu      AVX-512\nthreads  2\n" {
		t.Fatalf("pairs %q, %v", b.String(), err)
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9949: "9.9 kB", 9951: "10 kB", 350_000_000: "350 MB", 999_600: "1.0 MB", 1_500_000_000_000: "1.5 TB"} {
		if got := Bytes(in); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[time.Duration]string{
		-time.Second: "0.0 s", 440 * time.Millisecond: "0.4 s", 9949 * time.Millisecond: "9.9 s", 9951 * time.Millisecond: "10 s",
		59400 * time.Millisecond: "59 s", 59600 * time.Millisecond: "1:00", 125 * time.Second: "2:05", 3725 * time.Second: "1:02:05",
	} {
		if got := Duration(in); got != want {
			t.Errorf("Duration(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0: "0", 0.171234: "0.1712", 12345: "12345", 1e9: "1e+09", -3: "-3", math.Inf(1): "+Inf"} {
		if got := Number(in); got != want {
			t.Errorf("Number(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"a red apple": "a red apple", "a\tb\nc": "a b c", "\x1b]0;x\a": "�]0;x�", "\u202egnp.exe": "�gnp.exe", "👩\u200d🚀": "👩\u200d🚀", "\x80\u009b": "��"} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPinnedTextStaysAboveTheStatus(t *testing.T) {
	var b bytes.Buffer
	c := &clock{t: time.Unix(1, 0)}
	term := NewTerminal(&b, Options{Now: c.now, Screen: Screen{TTY: true, Columns: 30, Rows: 24}})
	step := func(i int) {
		c.advance(time.Second)
		term.Emit(event.Event{Kind: event.Scalars, Step: i, Steps: 2, Loss: 1})
	}
	term.Pin("one\ntwo\n") // shown with the first status line
	step(1)
	term.Emit(event.Event{Kind: event.Notice, Message: "hm"})
	term.Pin("three\n")
	step(2)
	term.Close()
	step(1) // other work has nothing pinned
	term.Close()
	const end, up2 = "\x1b[K", "\x1b[2A\x1b[J"
	want := "\r" + end + "one\ntwo\n" + "\r━━━━───── 1/2  loss 1.0000" + end +
		"\r" + end + up2 + "note: hm\n" + "\r" + end + "one\ntwo\n" + "\r━━━━───── 1/2  loss 1.0000" + end +
		"\r" + end + up2 + "\r" + end + "three\n" + "\r━━━━───── 1/2  loss 1.0000" + end
	if got := b.String(); !strings.HasPrefix(got, want) {
		t.Fatalf("got\n%q\nwant\n%q", got, want)
	}
	if got := b.String()[len(want):]; strings.Contains(got, "three") || strings.Contains(got, "\x1b[1A") || strings.Count(got, "\n") != 2 {
		t.Errorf("after the end of the work: %q", got)
	}

	b.Reset()
	NewTerminal(&b, Options{Now: c.now}).Pin("chart\n")
	NewTerminal(&b, Options{Now: c.now, Quiet: true}).Pin("chart\n")
	if b.String() != "chart\n" {
		t.Errorf("without a screen, loud and quiet: %q", b.String())
	}
}
