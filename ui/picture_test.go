package ui

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
)

func gradient(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x * 255 / w), uint8(y * 255 / h), uint8((x + y) * 255 / (w + h)), 255})
		}
	}
	return m
}

func atLeast(t *testing.T, want image.Image, got image.Image, dB float64) {
	t.Helper()
	d, err := pixel.Compare(want, got)
	if err != nil || d.PSNR < dB {
		t.Fatalf("%v: %.1f dB, want at least %.0f", err, d.PSNR, dB)
	}
}

// readBlocks is a terminal that knows colours and the upper half block.
func readBlocks(t *testing.T, s string, cols int) *image.NRGBA {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	m := image.NewNRGBA(image.Rect(0, 0, cols, 2*len(lines)))
	token := regexp.MustCompile("\x1b\\[([0-9;]*)([mK])|▀")
	for y, line := range lines {
		var ink [2]color.NRGBA // upper, lower
		x := 0
		if rest := token.ReplaceAllString(line, ""); rest != "" {
			t.Fatalf("line %d holds %q", y, rest)
		}
		for _, tok := range token.FindAllStringSubmatch(line, -1) {
			if tok[0] == "▀" {
				m.SetNRGBA(x, 2*y, ink[0])
				m.SetNRGBA(x, 2*y+1, ink[1])
				x++
				continue
			}
			var n []int
			for _, f := range strings.Split(tok[1], ";") {
				v, _ := strconv.Atoi(f)
				n = append(n, v)
			}
			if tok[2] == "K" || n[0] == 0 {
				continue
			}
			c := color.NRGBA{A: 255}
			if n[1] == 2 {
				c.R, c.G, c.B = uint8(n[2]), uint8(n[3]), uint8(n[4])
			} else {
				cube := []uint8{0, 95, 135, 175, 215, 255}
				i := n[2] - 16
				c.R, c.G, c.B = cube[i/36], cube[i/6%6], cube[i%6]
			}
			ink[(n[0]-38)/10] = c
		}
		if x != cols {
			t.Fatalf("line %d has %d characters, want %d", y, x, cols)
		}
	}
	return m
}

func TestBlocks(t *testing.T) {
	src := gradient(20, 12)
	var b bytes.Buffer
	rows, err := Draw(&b, src, Screen{TTY: true, Columns: 21, Rows: 24, Graphics: Blocks})
	if err != nil || rows != 6 {
		t.Fatal(rows, err)
	}
	if d, err := pixel.Compare(src, readBlocks(t, b.String(), 20)); err != nil || !d.Equal() {
		t.Fatalf("the picture came out differently: %+v, %v", d, err)
	}
	b.Reset()
	if _, err := Draw(&b, src, Screen{TTY: true, Columns: 21, Rows: 24, Graphics: Blocks256}); err != nil {
		t.Fatal(err)
	}
	got := readBlocks(t, b.String(), 20)
	for i, v := range got.Pix { // the nearest level of the cube is at most 48 away (between 0 and 95)
		if d := int(v) - int(src.Pix[i]); d > 48 || d < -48 {
			t.Fatalf("256 colours: byte %d is %d, want %d", i, v, src.Pix[i])
		}
	}
}

func TestDrawFitsTheScreen(t *testing.T) {
	for _, c := range []struct{ w, h, cols, rows, wantCols, wantRows int }{
		{100, 100, 80, 24, 24, 12}, {100, 100, 200, 200, 80, 40}, {1000, 10, 80, 24, 79, 1}, {10, 1000, 80, 24, 1, 12}, {64, 64, 1, 1, 1, 1},
	} {
		cols, rows := cells(image.Pt(c.w, c.h), Screen{Columns: c.cols, Rows: c.rows})
		if rows > max(c.rows/2, 1) || cols > max(c.cols-1, 1) || cols != c.wantCols || rows != c.wantRows {
			t.Errorf("%dx%d on %dx%d: %d x %d characters, want %d x %d", c.w, c.h, c.cols, c.rows, cols, rows, c.wantCols, c.wantRows)
		}
	}
	var b bytes.Buffer
	if rows, err := Draw(&b, gradient(4, 4), Screen{Columns: 80, Rows: 24}); rows != 0 || err != nil || b.Len() != 0 {
		t.Errorf("without graphics: %d rows, %v, %q", rows, err, b.String())
	}
}

// inner checks that room is made for the picture and the cursor comes back, and returns what is between.
func inner(t *testing.T, s string, rows int) string {
	t.Helper()
	n := strconv.Itoa(rows)
	body, ok := strings.CutPrefix(s, strings.Repeat("\n", rows)+"\x1b["+n+"A\x1b7")
	body, ok2 := strings.CutSuffix(body, "\x1b8\x1b["+n+"B")
	if !ok || !ok2 {
		t.Fatalf("no room made: %.80q ... %q", s, s[max(0, len(s)-20):])
	}
	return body
}

func TestKitty(t *testing.T) {
	noise := image.NewNRGBA(image.Rect(0, 0, 60, 60)) // does not compress into one part
	for i := range noise.Pix {
		noise.Pix[i] = uint8(i * i * 2654435761 >> 13)
		if i%4 == 3 {
			noise.Pix[i] = 255
		}
	}
	for _, src := range []image.Image{noise, gradient(2, 2)} {
		var b bytes.Buffer
		rows, err := Draw(&b, src, Screen{TTY: true, Columns: 80, Rows: 24, Graphics: Kitty})
		if err != nil {
			t.Fatal(err)
		}
		var data strings.Builder
		parts := strings.Split(strings.TrimSuffix(inner(t, b.String(), rows), "\x1b\\"), "\x1b\\")
		for i, p := range parts {
			head, payload, ok := strings.Cut(p, ";")
			want, more := "\x1b_G", "m=1"
			if i == 0 {
				want += "a=T,f=100,c=24,r=12,q=2,C=1,"
			}
			if i == len(parts)-1 {
				more = "m=0"
			}
			if !ok || head != want+more || len(payload) > 4096 {
				t.Fatalf("part %d of %d: %q with %d bytes", i, len(parts), head, len(payload))
			}
			data.WriteString(payload)
		}
		raw, err := base64.StdEncoding.DecodeString(data.String())
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if d, err := pixel.Compare(src, got); err != nil || !d.Equal() {
			t.Fatalf("%+v, %v", d, err)
		}
		if src == image.Image(noise) && len(parts) < 3 {
			t.Fatalf("noise took %d parts", len(parts))
		}
	}
}

func TestITerm(t *testing.T) {
	var b bytes.Buffer
	src := gradient(8, 8)
	rows, err := Draw(&b, src, Screen{TTY: true, Columns: 80, Rows: 24, Graphics: ITerm})
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("^\x1b]1337;File=inline=1;size=(\\d+);width=24;height=12;preserveAspectRatio=0:(.*)\a$").FindStringSubmatch(inner(t, b.String(), rows))
	if m == nil {
		t.Fatalf("%q", b.String())
	}
	raw, err := base64.StdEncoding.DecodeString(m[2])
	if err != nil || strconv.Itoa(len(raw)) != m[1] {
		t.Fatalf("%d bytes, said %s: %v", len(raw), m[1], err)
	}
	got, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := pixel.Compare(src, got); err != nil || !d.Equal() {
		t.Fatalf("%+v, %v", d, err)
	}
}

// readSixel is a terminal that knows sixel graphics: colour definitions and choices, repeats, $ and -.
func readSixel(t *testing.T, s string) *image.NRGBA {
	t.Helper()
	m := regexp.MustCompile("(?s)^\x1bP0;1q\"1;1;(\\d+);(\\d+)(.*)\x1b\\\\$").FindStringSubmatch(s)
	if m == nil {
		t.Fatalf("no sixels: %.60q", s)
	}
	w, _ := strconv.Atoi(m[1])
	h, _ := strconv.Atoi(m[2])
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	palette := map[string]color.NRGBA{}
	var ink color.NRGBA
	x, y := 0, 0
	for _, tok := range regexp.MustCompile(`#(\d+)(?:;2;(\d+);(\d+);(\d+))?|(?:!(\d+))?([?-~])|[$-]|.`).FindAllStringSubmatch(m[3], -1) {
		switch {
		case tok[0] == "$":
			x = 0
		case tok[0] == "-":
			x, y = 0, y+6
		case tok[2] != "":
			level := func(s string) uint8 { v, _ := strconv.Atoi(s); return uint8((v*255 + 50) / 100) }
			palette[tok[1]] = color.NRGBA{level(tok[2]), level(tok[3]), level(tok[4]), 255}
		case tok[1] != "":
			c, ok := palette[tok[1]]
			if !ok {
				t.Fatalf("colour %s is not defined", tok[1])
			}
			ink = c
		case tok[6] != "":
			n := 1
			if tok[5] != "" {
				n, _ = strconv.Atoi(tok[5])
			}
			for range n {
				for bit := range 6 {
					if (tok[6][0]-'?')>>bit&1 == 1 {
						out.SetNRGBA(x, y+bit, ink)
					}
				}
				x++
			}
		default:
			t.Fatalf("unknown sixel command %q", tok[0])
		}
	}
	return out
}

func TestSixel(t *testing.T) {
	var b bytes.Buffer
	src := gradient(50, 31) // not a multiple of six
	if err := drawSixel(&b, src); err != nil {
		t.Fatal(err)
	}
	// 255 dithered colours of a smooth plane; a pixel that was not drawn is transparent, which costs far more.
	atLeast(t, src, readSixel(t, b.String()), 25)
	b.Reset()
	flat := image.NewNRGBA(image.Rect(0, 0, 40, 12))
	for i := range flat.Pix {
		flat.Pix[i] = 255
	}
	if err := drawSixel(&b, flat); err != nil {
		t.Fatal(err)
	}
	if want := "\x1bP0;1q\"1;1;40;12#0;2;100;100;100#0!40~$-#0!40~$-\x1b\\"; b.String() != want {
		t.Errorf("a white picture is %q, want %q", b.String(), want)
	}
	b.Reset()
	rows, err := Draw(&b, src, Screen{TTY: true, Columns: 80, Rows: 24, Graphics: Sixel})
	if err != nil {
		t.Fatal(err)
	}
	if size := readSixel(t, inner(t, b.String(), rows)).Rect; size.Dy() != rows*cellHeight {
		t.Errorf("%v in %d rows", size, rows)
	}
}

func TestPreviewIsDrawnOverTheOneBefore(t *testing.T) {
	var b bytes.Buffer
	c := &clock{t: time.Unix(1, 0)}
	term := NewTerminal(&b, Options{Now: c.now, Preview: true, Screen: Screen{TTY: true, Columns: 40, Rows: 24, Graphics: Blocks}})
	take := func(e event.Event) string {
		b.Reset()
		term.Emit(e)
		return b.String()
	}
	shown := event.Event{Kind: event.Preview, Picture: gradient(8, 8)}
	take(event.Event{Kind: event.Step, Step: 1, Steps: 2})
	if s := take(shown); strings.Contains(s, "A") || !strings.HasPrefix(s, "\r\x1b[K\x1b[38") || !strings.HasSuffix(s, "1/2\x1b[K") {
		t.Errorf("first picture: %.40q ... %.20q", s, s[len(s)-20:])
	}
	if s := take(shown); !strings.HasPrefix(s, "\r\x1b[K\x1b[12A\x1b[38") {
		t.Errorf("second picture: %.40q", s)
	}
	take(event.Event{Kind: event.Notice, Message: "hello"})
	if s := take(shown); strings.Contains(s, "A") {
		t.Errorf("after a message: %.40q", s)
	}
	for name, o := range map[string]Options{
		"no preview wanted": {Screen: Screen{TTY: true, Graphics: Blocks}},
		"no graphics":       {Preview: true, Screen: Screen{TTY: true}},
		"no screen":         {Preview: true, Screen: Screen{Graphics: Blocks}},
	} {
		b.Reset()
		NewTerminal(&b, o).Emit(shown)
		if b.Len() != 0 {
			t.Errorf("%s: %.40q", name, b.String())
		}
	}
}

func TestDetectGraphics(t *testing.T) {
	for _, c := range []struct {
		env  string // KEY=value pairs
		want Graphics
	}{
		{"", None},
		{"TERM=dumb COLORTERM=truecolor", None},
		{"TERM=xterm-256color", Blocks256},
		{"TERM=xterm-256color COLORTERM=truecolor", Blocks},
		{"TERM=xterm-256color COLORTERM=24bit NO_COLOR=1", None},
		{"TERM=xterm-kitty", Kitty},
		{"TERM=xterm-256color KITTY_WINDOW_ID=1 NO_COLOR=1", Kitty},
		{"TERM=xterm-ghostty", Kitty},
		{"TERM=xterm-256color TERM_PROGRAM=iTerm.app", ITerm},
		{"TERM=xterm-256color TERM_PROGRAM=WezTerm", ITerm},
		{"TERM=foot", Sixel},
		{"TERM=mlterm", Sixel},
		{"TERM=xterm-sixel", Sixel},
		{"TERM=xterm-kitty TMUX=/tmp/x", Blocks256},
		{"TERM=screen-256color KITTY_WINDOW_ID=1 COLORTERM=truecolor", Blocks},
		{"TERM=xterm-kitty SMALTI_GRAPHICS=none", None},
		{"TERM=xterm SMALTI_GRAPHICS=sixel", Sixel},
		{"TERM=xterm SMALTI_GRAPHICS=nonsense", Blocks256},
	} {
		env := map[string]string{}
		for _, kv := range strings.Fields(c.env) {
			k, v, _ := strings.Cut(kv, "=")
			env[k] = v
		}
		if got := DetectGraphics(func(k string) string { return env[k] }); got != c.want {
			t.Errorf("%s: %v, want %v", c.env, got, c.want)
		}
	}
	for g := None; g <= Kitty; g++ {
		if back, err := ParseGraphics(g.String()); err != nil || back != g {
			t.Errorf("%v does not read back: %v, %v", g, back, err)
		}
	}
}

func TestDetectWithoutATerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	env := func(string) string { return "xterm-kitty" }
	for _, w := range []interface{ Write([]byte) (int, error) }{f, &bytes.Buffer{}} {
		if s := Detect(w, env); s != (Screen{Columns: 80, Rows: 24}) {
			t.Errorf("a file is %+v", s)
		}
	}
}
