package wandb

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

func encode(rs ...Record) (b []byte) {
	for i, r := range rs {
		b = AppendFrame(b, int64(len(b)), r.Encode(uint64(i+1)))
	}
	return b
}

// wholeRun has every kind of record, one of them across three blocks.
func wholeRun() []Record {
	run := Run{ID: "abc12345", Entity: "me", Project: "faces", Name: "first try", Notes: "n", Host: "box", Tags: []string{"gan", "64"},
		Config: map[string]string{"lr": "0.1", "net": `{"width":64}`}, Start: at}
	return []Record{Header(), run.Record(), Telemetry(), Config(map[string]string{"late": "true"}),
		History(0, map[string]string{"_step": "0", "loss": "NaN"}),
		History(7, map[string]string{"_step": "7", "loss": "0.5", "h": Histogram(event.Histogram{Edges: []float64{0, 1, 2}, Counts: []float64{3, 4}})}),
		Stats(at, map[string]string{"cpu": "50", "proc.memory.rssMB": "123.5"}), Output(at, "hello\n"),
		Files("media/images/a.png", "config.yaml"), Summary(map[string]string{"big": String(strings.Repeat("x", 80000))}),
		Exit(3, 90*time.Second), Footer()}
}

// The file was read whole by W&B's own reader (core/internal/transactionlog at b6e29505), which also checks checksums
// and messages. A change of its bytes must be read by it again.
func TestGoldenFile(t *testing.T) {
	got := encode(wholeRun()...)
	path := filepath.Join("testdata", "whole.wandb")
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes differ from the %d of %s", len(got), len(want), path)
	}
}

// A record by hand: header, then CRC-32 of 01 08 01 b2 01 00, length 5, type 1 (full), num 1, an empty footer (22).
func TestGoldenRecord(t *testing.T) {
	want := "3a572642e1be00" + "9d45932d" + "0500" + "01" + "0801b20100"
	if got := hex.EncodeToString(encode(Footer())); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func readAll(b []byte) (out []Entry, err error) {
	r := NewReader(bytes.NewReader(b))
	for {
		e, err := r.Next()
		if err != nil {
			return out, err
		}
		out = append(out, e)
	}
}

func TestRoundTrip(t *testing.T) {
	got, err := readAll(encode(wholeRun()...))
	if err != io.EOF {
		t.Fatal(err)
	}
	want := []Entry{{Kind: "header"},
		{Kind: "run", Values: map[string]string{"lr": "0.1", "net": `{"width":64}`}, Run: Run{ID: "abc12345", Entity: "me", Project: "faces",
			Name: "first try", Notes: "n", Host: "box", Tags: []string{"gan", "64"}, Start: at}},
		{Kind: "telemetry"}, {Kind: "config", Values: map[string]string{"late": "true"}},
		{Kind: "history", Values: map[string]string{"_step": "0", "loss": "NaN"}},
		{Kind: "history", Step: 7, Values: map[string]string{"_step": "7", "loss": "0.5", "h": `{"_type":"histogram","bins":[0,1,2],"values":[3,4]}`}},
		{Kind: "stats", Time: at, Values: map[string]string{"cpu": "50", "proc.memory.rssMB": "123.5"}},
		{Kind: "output", Time: at, Line: "hello\n"}, {Kind: "files", Paths: []string{"media/images/a.png", "config.yaml"}},
		{Kind: "summary", Values: map[string]string{"big": `"` + strings.Repeat("x", 80000) + `"`}},
		{Kind: "exit", Code: 3}, {Kind: "footer"}}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		want[i].Num = uint64(i + 1)
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("record %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

// Records of every length around the end of a block: chunks must not straddle it, and fewer than seven bytes are padded.
func TestBlocks(t *testing.T) {
	for n := blockSize - 40; n < blockSize+10; n++ {
		first, second := bytes.Repeat([]byte{1}, n), bytes.Repeat([]byte{2}, 3*blockSize)
		b := AppendFrame(nil, 0, first)
		b = AppendFrame(b, int64(len(b)), second)
		f := frames{r: bytes.NewReader(b)}
		for i, want := range [][]byte{first, second} {
			got, err := f.next()
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("record %d after %d bytes: %d bytes, %v", i, n, len(got), err)
			}
		}
		if _, err := f.next(); err != io.EOF {
			t.Fatalf("after the last record: %v", err)
		}
	}
}

func TestCutsAndDamageAreNoticed(t *testing.T) {
	rs := wholeRun()
	b := encode(rs...)
	ends := map[int]bool{len(header): true} // a log without records ends well
	for i := range rs {
		ends[len(encode(rs[:i+1]...))] = true
	}
	for n := 0; n < len(b); n += 1 + n/100 {
		_, err := readAll(b[:n])
		if want := map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[ends[n]]; err != want {
			t.Fatalf("cut to %d bytes: %v, want %v", n, err, want)
		}
	}
	for i := 0; i < len(b); i += 1 + i/100 {
		bad := bytes.Clone(b)
		bad[i] ^= 0x40
		if _, err := readAll(bad); !errors.Is(err, ErrCorrupt) && err != io.ErrUnexpectedEOF {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
}

func TestRowsAndValues(t *testing.T) {
	for v, want := range map[float64]string{0.1: "0.1", math.Inf(1): "Infinity", math.Inf(-1): "-Infinity", 1e30: "1e+30", -2: "-2"} {
		if got := Number(v); got != want {
			t.Errorf("%g: %s, want %s", v, got, want)
		}
	}
	if Number(math.NaN()) != "NaN" {
		t.Error("NaN is not NaN")
	}
	if got := Line(map[string]string{"b": "1", "a\"": "NaN"}); got != `{"a\"":NaN,"b":1}` {
		t.Errorf("line %s", got)
	}
	if got := ConfigJSON(map[string]string{"x": "NaN", "y": "[1]"}); !strings.Contains(got, `"x":{"value":"NaN"}`) || !strings.Contains(got, `"y":{"value":[1]}`) ||
		!strings.Contains(got, `"t":{`) {
		t.Errorf("config %s", got)
	}
	big := event.Histogram{Edges: make([]float64, 1302), Counts: make([]float64, 1301)}
	for i := range big.Edges {
		big.Edges[i] = float64(i)
	}
	for i := range big.Counts {
		big.Counts[i] = 1
	}
	got := Histogram(big)
	if n := strings.Count(got, ","); n > 2*512+3 || !strings.HasPrefix(got, `{"_type":"histogram","bins":[0,4,`) || !strings.HasSuffix(got, ",4,1]}") {
		t.Errorf("joined histogram with %d commas: %.60s … %s", n, got, got[len(got)-20:])
	}
}

func FuzzReader(f *testing.F) {
	f.Add(encode(wholeRun()[:9]...), false)
	f.Add([]byte{0x12, 4, 0x0a, 2, 0x0a, 0}, true)
	f.Fuzz(func(t *testing.T, b []byte, frame bool) {
		if frame { // reach the messages behind the checksums
			b = AppendFrame(nil, 0, b)
		}
		if _, err := readAll(b); err == nil {
			t.Fatal("reading ended without an error")
		}
	})
}
