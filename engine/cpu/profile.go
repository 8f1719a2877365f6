package cpu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Profile adds up the time of each kind of operation and takes down when each ran.
type Profile struct {
	start  time.Time
	mu     sync.Mutex
	lines  map[string]*ProfileLine
	events []ProfileEvent
}

// maxProfileEvents bounds the memory of a profile that nobody stops: what comes later is in the sums only.
const maxProfileEvents = 1 << 20

// ProfileEvent is one operation as it ran.
type ProfileEvent struct {
	Line *ProfileLine
	At   time.Duration // from the start of the profile
	Time time.Duration
}

// ProfileLine is one operation on shapes of one kind.
type ProfileLine struct {
	Kind  string // the operation
	Name  string // with its shapes
	Count int
	Time  time.Duration // of all
	Best  time.Duration // of the fastest: what counts on a machine that others use too
	Work  float64       // floating-point operations of one, or elements moved; 0 where unknown
}

// StartProfile makes runs from now on measure each operation. StopProfile ends it.
func (b *Backend) StartProfile() {
	b.mu.Lock()
	b.profile = &Profile{start: time.Now(), lines: map[string]*ProfileLine{}}
	b.mu.Unlock()
}

// StopProfile ends measuring and returns the profile, or nil if none was started.
func (b *Backend) StopProfile() *Profile {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.profile
	b.profile = nil
	return p
}

func (b *Backend) profiling() *Profile {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.profile
}

func (p *Profile) time(t *thunk, f *frame) {
	start := time.Now()
	t.run(f)
	d := time.Since(start)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[t.unit]
	if l == nil {
		l = &ProfileLine{Kind: t.name, Name: t.unit, Best: d, Work: t.work}
		p.lines[t.unit] = l
	}
	l.Best = min(l.Best, d)
	l.Count++
	l.Time += d
	if len(p.events) < maxProfileEvents {
		p.events = append(p.events, ProfileEvent{Line: l, At: start.Sub(p.start), Time: d})
	}
}

// Events returns the operations in the order in which they ended. Their lines must not be changed.
func (p *Profile) Events() []ProfileEvent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// estimate is the time of all as it would be if each had been as fast as the fastest.
func (l *ProfileLine) estimate() time.Duration { return l.Best * time.Duration(l.Count) }

// Lines returns the operations, those that take longest first.
func (p *Profile) Lines() []ProfileLine {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []ProfileLine
	for _, l := range p.lines {
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b ProfileLine) int {
		return cmp.Or(cmp.Compare(b.estimate(), a.estimate()), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// String is a table: the time of each kind of operation, then the operations that take longest.
func (p *Profile) String() string {
	lines := p.Lines()
	kinds := map[string]*ProfileLine{}
	var names []string
	for _, l := range lines {
		k := kinds[l.Kind]
		if k == nil {
			k = &ProfileLine{}
			kinds[l.Kind], names = k, append(names, l.Kind)
		}
		k.Count += l.Count
		k.Time += l.Time
		k.Best += l.estimate()
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(kinds[b].Best, kinds[a].Best) })
	var b strings.Builder
	fmt.Fprintf(&b, "%12s %12s %7s\n", "time ms", "if best ms", "count")
	for _, n := range names {
		k := kinds[n]
		fmt.Fprintf(&b, "%12.3f %12.3f %7d %s\n", milli(k.Time), milli(k.Best), k.Count, n)
	}
	fmt.Fprintf(&b, "%12s %12s %7s %10s %8s\n", "time ms", "if best ms", "count", "best ms", "G/s")
	for _, l := range lines[:min(60, len(lines))] {
		fmt.Fprintf(&b, "%12.3f %12.3f %7d %10.3f %8.1f %s\n", milli(l.Time), milli(l.estimate()), l.Count, milli(l.Best),
			l.Work/max(1, float64(l.Best.Nanoseconds())), l.Name)
	}
	return b.String()
}

func milli(d time.Duration) float64 { return d.Seconds() * 1e3 }
