package pass

import (
	"container/heap"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Reads calls f with the nodes whose memory a unit reads, some perhaps more than once.
func (u *Unit) Reads(f func(n *ir.Node)) {
	if !u.Cluster {
		u.reads(f)
		return
	}
	inside := make(map[*ir.Node]bool, len(u.Nodes))
	for _, n := range u.Nodes {
		inside[n] = true
	}
	u.reads(func(n *ir.Node) {
		if !inside[n] {
			f(n)
		}
	})
}

// reads calls f with the nodes whose values the nodes of a unit read, those of the unit included.
func (u *Unit) reads(f func(n *ir.Node)) {
	for _, n := range u.Nodes {
		for i, in := range n.In {
			if u.Cluster {
				f(Operand(n, i).Node)
			} else {
				f(Root(in))
			}
		}
	}
}

// sortUnits sorts topologically; of the units that are ready the one recorded first runs first.
func sortUnits(units []*Unit) []*Unit {
	producer := map[*ir.Node]int{}
	for i, u := range units {
		for _, n := range u.Out {
			producer[n] = i
		}
	}
	users, missing := make([][]int, len(units)), make([]int, len(units))
	for i, u := range units {
		seen := map[int]bool{}
		u.Reads(func(n *ir.Node) {
			if j, ok := producer[n]; ok && !seen[j] {
				seen[j] = true
				users[j] = append(users[j], i)
				missing[i]++
			}
		})
	}
	ready := &queue{units: units}
	for i := range units {
		if missing[i] == 0 {
			heap.Push(ready, i)
		}
	}
	sorted := make([]*Unit, 0, len(units))
	for ready.Len() > 0 {
		i := heap.Pop(ready).(int)
		sorted = append(sorted, units[i])
		for _, j := range users[i] {
			if missing[j]--; missing[j] == 0 {
				heap.Push(ready, j)
			}
		}
	}
	if len(sorted) != len(units) {
		panic("pass: units wait for each other")
	}
	return sorted
}

// queue orders the indices of units by their keys.
type queue struct {
	units []*Unit
	at    []int
}

func (q *queue) Len() int           { return len(q.at) }
func (q *queue) Less(i, j int) bool { return q.units[q.at[i]].key < q.units[q.at[j]].key }
func (q *queue) Swap(i, j int)      { q.at[i], q.at[j] = q.at[j], q.at[i] }
func (q *queue) Push(x any)         { q.at = append(q.at, x.(int)) }
func (q *queue) Pop() any {
	last := len(q.at) - 1
	x := q.at[last]
	q.at = q.at[:last]
	return x
}

// String names the unit's operations.
func (u *Unit) String() string {
	s := u.Nodes[0].Shape.String()
	for _, n := range u.Nodes {
		s += " " + n.Name()
	}
	return s
}
