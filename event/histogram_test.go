package event

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
)

func TestBin(t *testing.T) {
	got := Bin([]float64{0, 1, 2, 2.5, 4, math.NaN(), math.Inf(1)}, 4)
	want := Histogram{Edges: []float64{0, 1, 2, 3, 4}, Counts: []float64{1, 1, 2, 1}}
	if !reflect.DeepEqual(got, want) || !got.Valid() {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if h := Bin([]float64{3, 3, 3}, 10); len(h.Counts) != 1 || h.Counts[0] != 3 || !h.Valid() {
		t.Fatalf("equal values: %+v", h)
	}
	if h := Bin([]float64{-math.MaxFloat64, math.MaxFloat64}, 2); !h.Valid() || h.Counts[0] != 1 || h.Counts[1] != 1 {
		t.Fatalf("far apart: %+v", h)
	}
	for _, h := range []Histogram{Bin(nil, 3), Bin([]float64{math.NaN()}, 3), Bin([]float64{1}, 0),
		{Edges: []float64{0, 1}, Counts: []float64{math.NaN()}}, {Edges: []float64{1, 0}, Counts: []float64{1}}} {
		if h.Valid() {
			t.Errorf("%+v is called valid", h)
		}
	}
}

func TestHistogramsInAnEvent(t *testing.T) {
	e := Event{Kind: Histograms, Step: 2, Histograms: map[string]Histogram{"g": {Edges: []float64{0, math.Inf(1)}, Counts: []float64{2}}}}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"kind":"histograms","step":2,"histograms":{"g":{"edges":[0,"Infinity"],"counts":[2]}}}`; string(b) != want {
		t.Fatalf("got  %s\nwant %s", b, want)
	}
	var back Event
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, e) {
		t.Fatalf("read back %+v, %v", back, err)
	}
}
