package cpu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Profile adds up the time of each kind of operation.
type Profile struct {
	mu    sync.Mutex
	lines map[string]*ProfileLine
}

// ProfileLine is one kind of operation.
type ProfileLine struct {
	Name  string
	Count int
	Time  time.Duration // of all
	Best  time.Duration // of the fastest
	Work  float64       // operations in all, where known
}

// StartProfile makes runs from now on measure each operation. StopProfile ends it.
func (b *Backend) StartProfile() {
	b.mu.Lock()
	b.profile = &Profile{lines: map[string]*ProfileLine{}}
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
	for _, name := range []string{t.name, t.unit} {
		if name == "" {
			continue
		}
		l := p.lines[name]
		if l == nil {
			l = &ProfileLine{Name: name}
			p.lines[name] = l
		}
		if l.Count == 0 || d < l.Best {
			l.Best = d
		}
		l.Count++
		l.Time += d
		l.Work += t.work
	}
}

// Lines returns the kinds of operations ("Cluster") and the single ones ("Cluster: ..."), the longest first.
func (p *Profile) Lines() []ProfileLine {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []ProfileLine
	for _, l := range p.lines {
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b ProfileLine) int {
		return cmp.Or(cmp.Compare(b.Best*time.Duration(b.Count), a.Best*time.Duration(a.Count)), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// String is a table of the longest lines.
func (p *Profile) String() string {
	var b strings.Builder
	for i, l := range p.Lines() {
		if i == 60 {
			break
		}
		fmt.Fprintf(&b, "%10.3f ms %6d x best %8.3f ms ", l.Time.Seconds()*1e3, l.Count, l.Best.Seconds()*1e3)
		if l.Work > 0 {
			fmt.Fprintf(&b, "%7.1f G/s", l.Work/float64(l.Count)/max(1e-9, l.Best.Seconds())/1e9)
		} else {
			b.WriteString("           ")
		}
		fmt.Fprintf(&b, "  %s\n", l.Name)
	}
	return b.String()
}
