package engine

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// tick is a clock that moves by a millisecond whenever it is read.
func tick() func() time.Time {
	t := time.Unix(0, 0)
	return func() time.Time {
		t = t.Add(time.Millisecond)
		return t
	}
}

func TestRecorderSeesRunsCompilationsAndOperations(t *testing.T) {
	e, err := New(Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p := e.Program("product", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{graph.Exp(graph.Dot(in[0], in[1]).Product())}
	})
	run := func() float32 {
		out, err := p.Run(nil, FromFloats([]float32{1, 2, 3, 4}, 2, 2), FromFloats([]float32{0, 1, 1, 0}, 2, 2))
		if err != nil {
			t.Fatal(err)
		}
		return Floats(out[0])[3]
	}
	ops, plain := Record(RecordOptions{Now: tick(), Ops: true}), Record(RecordOptions{Now: tick()})
	first := run()
	plain.Stop()
	if second := run(); second != first {
		t.Errorf("recorded runs give %v and %v", first, second)
	}
	ops.Stop()
	run() // seen by nobody

	spans := plain.Take()
	if len(spans) != 2 || !spans[0].Compile || spans[1].Compile || spans[1].Program != "product" || len(spans[1].Ops) != 0 {
		t.Errorf("the first recorder saw %+v, want one compilation and one run without operations", spans)
	}
	if d := spans[1].Time; d != time.Millisecond {
		t.Errorf("a run took %v of a clock that ticks once", d)
	}
	if again := plain.Take(); len(again) != 0 {
		t.Errorf("taken twice: %+v", again)
	}
	spans = ops.Take()
	if len(spans) != 3 {
		t.Fatalf("the second recorder saw %d spans, want 3", len(spans))
	}
	var kinds []string
	for _, o := range spans[2].Ops {
		kinds = append(kinds, o.Kind)
		if o.Count < 1 || o.Best > o.Time {
			t.Errorf("operation %+v", o)
		}
	}
	if !strings.Contains(strings.Join(kinds, " "), "DotGeneral") {
		t.Errorf("operations of a product: %v", kinds)
	}
	checkTable(t, ops)
	checkTrace(t, spans)
	checkEvents(t, spans[2])
}

// checkEvents holds the operations one by one to their sums, and to an order without overlap: one runs after the other.
func checkEvents(t *testing.T, s Span) {
	t.Helper()
	count, sum := make([]int, len(s.Ops)), make([]time.Duration, len(s.Ops))
	end := time.Duration(0)
	for _, v := range s.Events {
		if v.At < end {
			t.Errorf("operation %s began at %v, before the last one ended at %v", s.Ops[v.Op].Name, v.At, end)
		}
		end = v.At + v.Time
		count[v.Op]++
		sum[v.Op] += v.Time
	}
	for i, o := range s.Ops {
		if count[i] != o.Count || sum[i] != o.Time {
			t.Errorf("%s: %d events of %v, summed up %d of %v", o.Name, count[i], sum[i], o.Count, o.Time)
		}
	}
	product, exp := -1, -1
	for i, v := range s.Events {
		switch s.Ops[v.Op].Kind {
		case "DotGeneral":
			product = i
		case "Cluster":
			exp = i
		}
	}
	if product < 0 || exp < product {
		t.Errorf("the product is event %d, what is computed from it event %d", product, exp)
	}
}

func checkTable(t *testing.T, r *Recorder) {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" product\n", "DotGeneral", "2.000"} { // two runs of one tick
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

func checkTrace(t *testing.T, spans []Span) {
	t.Helper()
	var b bytes.Buffer
	if err := WriteTrace(&b, spans); err != nil {
		t.Fatal(err)
	}
	var got struct{ TraceEvents []traceEvent }
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	end, ops := 0.0, 0
	for _, e := range got.TraceEvents {
		switch e.Cat {
		case "run":
			end = e.TS + e.Dur
		case "op":
			ops++
			if e.TS+e.Dur > end+1e-6 {
				t.Errorf("operation %s ends at %v, after its run at %v", e.Name, e.TS+e.Dur, end)
			}
		}
	}
	if ops < 2 {
		t.Errorf("%d operations in the trace, want those of two runs", ops)
	}
}

func TestRecorderForgetsTheDetailsOfLongRuns(t *testing.T) {
	r := Record(RecordOptions{Now: tick(), Ops: true})
	defer r.Stop()
	const each = 1000
	for range maxEvents/each + 5 {
		r.add(nil, Span{Program: "p", Time: time.Second, Ops: []Op{{Name: "o", Count: each, Time: time.Second, Best: time.Second}}, Events: make([]Event, each)})
	}
	if n := r.byOp["o"].Count; n != maxEvents+5*each {
		t.Errorf("the sums hold %d operations of %d", n, maxEvents+5*each)
	}
	s := r.Take()
	if last, next := s[maxEvents/each-1], s[maxEvents/each]; len(last.Events) != each || len(last.Ops) != 1 || len(next.Events) != 0 || len(next.Ops) != 0 {
		t.Error("spans keep their operations without limit")
	}
}
