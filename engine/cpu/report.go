package cpu

import (
	"fmt"
	"slices"
	"strings"
)

// Memory is what a plan needs besides inputs, outputs and packed weights, in bytes.
type Memory struct {
	Arena int      // places for what lives within a run, but for Kept, and within a band
	Kept  int      // places for what is kept until the late parameters come
	Peak  int      // most that is alive at once; what both have beyond it is lost between places
	At    string   // the unit that runs then
	Lives []string // what is alive then, largest first
}

// Memory describes the plan. It is for people and tests: nothing decides by it.
func (e *Executable) Memory() Memory { return e.memory }

// Units counts what a run does: clusters, row clusters, and operations on their own by name. It is for people and tests.
func (e *Executable) Units() map[string]int {
	units := map[string]int{}
	for _, t := range e.thunks {
		units[t.name]++
	}
	return units
}

// report finds the peak of the values in the arena.
func (c *compiler) report() Memory {
	m := Memory{Arena: c.e.arena, Kept: c.e.kept}
	at, sums := 0, make([]int, len(c.units)+1)
	for s := range c.e.slots {
		if k := c.e.slots[s].kind; k != inArena && k != isKept {
			continue
		}
		for i := c.def[s]; i <= c.last[s]; i++ {
			sums[i] += c.e.slots[s].bytes
		}
	}
	for i, n := range sums {
		if n > sums[at] {
			at = i
		}
	}
	m.Peak = sums[at]
	if at >= len(c.units) {
		return m
	}
	m.At = fmt.Sprintf("%d/%d %s", at, len(c.units), c.units[at])
	type line struct {
		bytes int
		text  string
	}
	var lines []line
	for _, u := range c.units {
		for _, n := range u.Out {
			s := c.at[n.ID]
			if k := c.e.slots[s].kind; (k == inArena || k == isKept) && c.def[s] <= at && c.last[s] >= at {
				lines = append(lines, line{c.e.slots[s].bytes, fmt.Sprintf("%9d KiB  units %d to %d  %s", c.e.slots[s].bytes>>10, c.def[s], c.last[s], describe(n))})
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return b.bytes - a.bytes })
	for _, l := range lines {
		m.Lives = append(m.Lives, l.text)
	}
	return m
}

// String is a table.
func (m Memory) String() string {
	return fmt.Sprintf("arena %.1f MiB, kept %.1f MiB, peak %.1f MiB at unit %s\n%s\n", float64(m.Arena)/(1<<20), float64(m.Kept)/(1<<20), float64(m.Peak)/(1<<20), m.At, strings.Join(m.Lives, "\n"))
}
