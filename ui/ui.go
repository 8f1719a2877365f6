// Package ui shows events to people and programs: progress and pictures on a terminal, plain lines in a log, one JSON
// object per line for other programs, and tables. It knows no work: whatever it shows arrives as an event.Event.
//
// Start with Detect and NewTerminal, or NewJSON; picture.go draws pictures, table.go tables.
package ui

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
)

// Screen says what is at the other end of a writer.
type Screen struct {
	TTY      bool     // it understands cursor movement
	Columns  int      // width in characters; 80 if unknown
	Rows     int      // height in characters; 24 if unknown
	Colour   bool     // colour is wanted
	Graphics Graphics // the best way to show a picture, None if there is none
}

// Detect finds out what w is from its file descriptor and the environment: TERM, COLORTERM, NO_COLOR, and what
// DetectGraphics looks at.
func Detect(w io.Writer, getenv func(string) string) Screen {
	s := Screen{Columns: 80, Rows: 24}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || getenv("TERM") == "dumb" {
		return s
	}
	s.TTY = true
	if c, r, err := term.GetSize(int(f.Fd())); err == nil && c > 0 && r > 0 {
		s.Columns, s.Rows = c, r
	}
	s.Colour = getenv("NO_COLOR") == ""
	s.Graphics = DetectGraphics(getenv)
	return s
}

// Printable makes text from outside safe for a terminal: control characters, which could move the cursor or worse,
// and those that turn the direction of writing become U+FFFD; line breaks and tabs become spaces.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		default:
			return r
		}
	}, s)
}

// Bytes formats a size with decimal units: 999 B, 1.5 kB, 350 MB.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n), -1
	for x >= 999.5 && unit < 5 {
		x /= 1000
		unit++
	}
	if x < 9.95 {
		return fmt.Sprintf("%.1f %cB", x, "kMGTPE"[unit])
	}
	return fmt.Sprintf("%.0f %cB", x, "kMGTPE"[unit])
}

// Duration formats a time for people: 0.4 s, 12 s, 2:05, 1:02:05.
func Duration(d time.Duration) string {
	if d < 9950*time.Millisecond {
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	}
	s := int(math.Round(d.Seconds()))
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	default:
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
}

// Number formats a value with four significant digits, without an exponent where that stays short.
func Number(x float64) string {
	if a := math.Abs(x); a >= 1000 && a < 1e7 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.4g", x)
}
