package weights

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// memoryFile makes a File of one-element float32 tensors.
func memoryFile(t *testing.T, names ...string) *File {
	t.Helper()
	var outs []Out
	for i, n := range names {
		outs = append(outs, Out{Name: n, DType: F32, Shape: []int{1}, Floats: []float32{float32(i)}})
	}
	var buf bytes.Buffer
	if err := WriteSafetensors(&buf, nil, outs); err != nil {
		t.Fatal(err)
	}
	f, err := OpenBytes(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestLoaderTakesAll(t *testing.T) {
	l := NewLoader(memoryFile(t, "visual.proj", "visual.ln.weight", "loss.a", "loss.b", "bn.num_batches_tracked", "old.query"))
	if n := l.Skip("loss.", "absent."); n != 2 {
		t.Errorf("skipped %d, want 2", n)
	}
	if n := l.SkipFunc(func(s string) bool { return strings.HasSuffix(s, "num_batches_tracked") }); n != 1 {
		t.Errorf("skipped %d, want 1", n)
	}
	v := l.Sub("visual.")
	if !v.Has("proj") || v.Has("visual.proj") || l.Has("proj") {
		t.Error("Has looks under the wrong prefix")
	}
	if got := v.Names(); !slices.Equal(got, []string{"ln.weight", "proj"}) {
		t.Errorf("names %v", got)
	}
	if x, err := v.Take("proj", 1); err != nil || !slices.Equal(x, []float32{0}) {
		t.Errorf("proj = %v, %v", x, err)
	}
	if x, err := v.Sub("ln.").Take("weight", 1); err != nil || !slices.Equal(x, []float32{1}) {
		t.Errorf("ln.weight = %v, %v", x, err)
	}
	if got := l.First("new.to_q", "old.query"); got != "old.query" {
		t.Errorf("First = %s", got)
	}
	if got := l.First("new.to_q", "newer.to_q"); got != "new.to_q" {
		t.Errorf("First of absent names = %s", got)
	}
	if _, err := l.TakeTensor("old.query", 1); err != nil {
		t.Error(err)
	}
	if err := l.Done(); err != nil {
		t.Error(err)
	}
}

func TestLoaderReports(t *testing.T) {
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("extra.%02d", i))
	}
	l := NewLoader(memoryFile(t, append(names, "w", "x", "twice")...))
	if _, err := l.Take("absent"); !errors.Is(err, ErrMissing) {
		t.Errorf("absent: %v", err)
	}
	if _, err := l.Sub("deep.").Take("absent", 3); !errors.Is(err, ErrMissing) {
		t.Errorf("deep.absent: %v", err)
	}
	if _, err := l.Take("w", 2, 3); !errors.Is(err, ErrShape) || !strings.Contains(err.Error(), "[1]") || !strings.Contains(err.Error(), "[2 3]") {
		t.Errorf("w: %v", err)
	}
	if _, err := l.Take("twice", 1); err != nil {
		t.Error(err)
	}
	if _, err := l.Take("twice", 1); !errors.Is(err, ErrTaken) {
		t.Errorf("second take: %v", err)
	}
	if _, err := l.TakeInt64("x", 1); !errors.Is(err, ErrDType) {
		t.Errorf("floats as integers: %v", err)
	}
	err := l.Done()
	var m *MismatchError
	if !errors.As(err, &m) {
		t.Fatalf("Done: %v", err)
	}
	if !slices.Equal(m.Missing, []string{"absent", "deep.absent"}) || !slices.Equal(m.LeftOver, names) || len(m.Shapes) != 1 || len(m.Failed) != 2 {
		t.Errorf("%+v", m)
	}
	for _, is := range []error{ErrMissing, ErrShape, ErrTaken, ErrDType} {
		if !errors.Is(err, is) {
			t.Errorf("the report does not wrap %q", is)
		}
	}
	for _, want := range []string{"2 missing (absent, deep.absent)", "12 left over (extra.00,", "extra.09, and 2 more", "w is [1], want [2 3]", "taken"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("report %q lacks %q", err, want)
		}
	}
}
