package tfevents

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
)

var at = time.Unix(1700000000, 250e6)

// The checksum's vectors: RFC 3720 appendix B.4 gives the CRC-32C of 32 zero bytes as 8a9136aa; masking it by hand gives
// ((c>>15)|(c<<17)) + a282ead8.
func TestMaskedChecksum(t *testing.T) {
	c := uint32(0x8a9136aa)
	if got, want := masked(make([]byte, 32)), (c>>15|c<<17)+0xa282ead8; got != want {
		t.Fatalf("got %08x, want %08x", got, want)
	}
}

// The bytes are written out by hand from the format, their checksums with a bitwise CRC-32C elsewhere: any change of a byte makes files that others cannot read.
func TestGoldenBytes(t *testing.T) {
	got := Scalar(FileVersion(nil, time.Unix(0, 0)), time.Unix(1, 0), 3, "a", 0.5)
	want := "1800000000000000" + "a37f4b22" + // length 24
		"09" + "0000000000000000" + // wall_time 0
		"1a0d" + hex.EncodeToString([]byte("brain.Event:2")) + "eedf28a3" + // file_version
		"1700000000000000" + "e7cef81e" + // length 23
		"09" + "000000000000f03f" + // wall_time 1
		"1003" + // step 3
		"2a0a" + "0a08" + "0a0161" + "15" + "0000003f" + "a4692d17" // summary{value{tag "a", simple_value 0.5}}
	if hex.EncodeToString(got) != want {
		t.Fatalf("got\n%x, want\n%s", got, want)
	}
}

func sampleFile() []byte {
	b := Restart(FileVersion(nil, at), at, 7)
	b = Scalar(b, at, 8, "loss", 0.25)
	b = Scalar(b, at, 9, "bad", math.NaN())
	b = Image(b, at, 9, "samples", 4, 3, []byte("png"))
	return Histogram(b, at, 10, "g", event.Histogram{Edges: []float64{-1, 0, 2}, Counts: []float64{3, 1}})
}

func readAll(b []byte) (out []Event, err error) {
	r := NewReader(bytes.NewReader(b))
	for {
		es, err := r.Next()
		if err != nil {
			return out, err
		}
		out = append(out, es...)
	}
}

func TestRoundTrip(t *testing.T) {
	got, err := readAll(sampleFile())
	if err != io.EOF {
		t.Fatal(err)
	}
	if len(got) != 6 || !math.IsNaN(float64(got[3].Scalar)) {
		t.Fatalf("got %+v", got)
	}
	got[3].Scalar = 0
	wall := 1700000000.25
	want := []Event{
		{WallTime: wall, Version: Version},
		{WallTime: wall, Step: 7, Restart: true},
		{WallTime: wall, Step: 8, Tag: "loss", Scalar: 0.25, HasScalar: true},
		{WallTime: wall, Step: 9, Tag: "bad", HasScalar: true},
		{WallTime: wall, Step: 9, Tag: "samples", PNG: []byte("png"), W: 4, H: 3},
		{WallTime: wall, Step: 10, Tag: "g", Histogram: &event.Histogram{Edges: []float64{-1, 0, 2}, Counts: []float64{3, 1}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%+v, want\n%+v", got, want)
	}
}

func TestEveryCutAndEveryFlippedByteIsNoticed(t *testing.T) {
	whole := sampleFile()
	first := len(FileVersion(nil, at))
	for n := 1; n < first; n++ {
		if _, err := readAll(whole[:n]); err != io.ErrUnexpectedEOF {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		if _, err := readAll(bad); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(sampleFile(), false)
	f.Add([]byte{0x2a, 2, 0x0a, 0}, true)
	f.Fuzz(func(t *testing.T, b []byte, frame bool) {
		if frame { // reach the messages behind the checksums
			b = AppendFrame(nil, b)
		}
		es, err := readAll(b)
		if err == nil {
			t.Fatal("reading ended without an error")
		}
		for _, e := range es {
			if e.Histogram != nil && !e.Histogram.Valid() {
				t.Fatalf("an invalid histogram was let through: %+v", e)
			}
		}
	})
}
