package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes what a Recorder has seen as text: programs, kinds of operations, and the operations that took
// longest. "if best" is the time that all would have taken had each been as fast as the fastest of its kind: what
// counts on a machine that others use too.
func (r *Recorder) WriteTable(w io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "run ms\truns\tmean ms\tbest ms\tcompile ms\t program\n")
	for _, p := range sorted(r.sums, func(p *programSum) time.Duration { return p.time + p.compile }) {
		fmt.Fprintf(t, "%.3f\t%d\t%.3f\t%.3f\t%.1f\t %s\n", ms(p.time), p.runs, ms(p.time)/float64(max(1, p.runs)), ms(p.best), ms(p.compile), p.name)
	}
	kinds := map[string]*Op{}
	var all time.Duration
	for _, o := range r.byOp {
		k := kinds[o.Kind]
		if k == nil {
			k = &Op{Name: o.Kind}
			kinds[o.Kind] = k
		}
		k.Count += o.Count
		k.Time += o.Time
		k.Best += o.Best * time.Duration(o.Count)
		all += o.Time
	}
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / max(all.Seconds(), 1e-9) }
	fmt.Fprint(t, "\t\t\t\t\t\ntime ms\t%\tif best ms\tcount\t\t kind of operation\n")
	for _, k := range sorted(kinds, func(o *Op) time.Duration { return o.Time }) {
		fmt.Fprintf(t, "%.3f\t%.1f\t%.3f\t%d\t\t %s\n", ms(k.Time), percent(k.Time), ms(k.Best), k.Count, k.Name)
	}
	fmt.Fprint(t, "\t\t\t\t\t\ntime ms\t%\tbest ms\tcount\tG/s\t operation\n")
	for _, o := range sorted(r.byOp, func(o *Op) time.Duration { return o.Time }) {
		fmt.Fprintf(t, "%.3f\t%.1f\t%.3f\t%d\t%.1f\t %s\n", ms(o.Time), percent(o.Time), ms(o.Best), o.Count, o.Work/max(1, float64(o.Best.Nanoseconds())), printable(o.Name))
	}
	return t.Flush()
}

// sorted returns the values of m, the largest first.
func sorted[V any](m map[string]V, size func(V) time.Duration) []V {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(size(m[b]), size(m[a])), cmp.Compare(a, b)) })
	out := make([]V, len(names))
	for i, n := range names {
		out[i] = m[n]
	}
	return out
}

// printable keeps a name within its cell.
func printable(s string) string { return strings.NewReplacer("\t", " ", "\n", " ").Replace(s) }

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

// traceEvent is one event of the Trace Event Format, which chrome://tracing and ui.perfetto.dev read.
type traceEvent struct {
	Name  string         `json:"name"`
	Cat   string         `json:"cat,omitempty"`
	Phase string         `json:"ph"`
	TS    float64        `json:"ts"`            // microseconds
	Dur   float64        `json:"dur,omitempty"` // microseconds
	PID   int            `json:"pid"`
	TID   int            `json:"tid"`
	Args  map[string]any `json:"args,omitempty"`
}

// WriteTrace writes spans in the Trace Event Format; each engine is a thread. Programs stand where they ran, and so do the
// operations within those runs that a Recorder kept them of.
func WriteTrace(w io.Writer, spans []Span) error {
	var events []traceEvent
	var origin time.Time
	named := map[int]bool{}
	for _, s := range spans {
		if origin.IsZero() || s.Start.Before(origin) {
			origin = s.Start
		}
		if !named[s.Engine] {
			named[s.Engine] = true
			events = append(events, traceEvent{Name: "thread_name", Phase: "M", PID: 1, TID: s.Engine + 1, Args: map[string]any{"name": fmt.Sprintf("engine %d", s.Engine)}})
		}
	}
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	for _, s := range spans {
		e := traceEvent{Name: s.Program, Cat: "run", Phase: "X", TS: us(s.Start.Sub(origin)), Dur: us(s.Time), PID: 1, TID: s.Engine + 1}
		if s.Compile {
			e.Name, e.Cat = "compile "+s.Program, "compile"
		}
		events = append(events, e)
		for _, v := range s.Events {
			o := s.Ops[v.Op]
			at := min(us(v.At), e.Dur) // clocks differ by their reading times
			events = append(events, traceEvent{Name: o.Kind, Cat: "op", Phase: "X", TS: e.TS + at, Dur: min(us(v.Time), e.Dur-at), PID: 1, TID: s.Engine + 1,
				Args: map[string]any{"operation": o.Name, "best_us": us(o.Best), "work": o.Work}})
		}
	}
	return json.NewEncoder(w).Encode(map[string]any{"displayTimeUnit": "ms", "traceEvents": events})
}
