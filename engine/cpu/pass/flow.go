package pass

import "slices"

// flow is a network for Dinic's algorithm (1970): the most that can flow from a source to a sink.
type flow struct {
	first []int // by place: its first edge, or -1
	edges []flowEdge
	depth []int
	next  []int // by place: the edge to try next
}

// flowEdge is one direction of an edge; edge i's other direction is i^1.
type flowEdge struct{ to, next, left int }

// endless is more than any sum of sizes.
const endless = 1 << 60

func newFlow(places int) *flow {
	f := &flow{first: make([]int, places), depth: make([]int, places), next: make([]int, places)}
	for i := range f.first {
		f.first[i] = -1
	}
	return f
}

func (f *flow) edge(from, to, most int) {
	f.edges = append(f.edges, flowEdge{to, f.first[from], most}, flowEdge{from, f.first[to], 0})
	f.first[from], f.first[to] = len(f.edges)-2, len(f.edges)-1
}

// run lets as much flow as can. Where an endless path leads from source to sink, the result means nothing.
func (f *flow) run(source, sink int) {
	for f.layers(source, sink) {
		copy(f.next, f.first)
		for f.push(source, sink, endless) > 0 {
		}
	}
}

// layers finds the distance of each place from the source and whether the sink can be reached.
func (f *flow) layers(source, sink int) bool {
	for i := range f.depth {
		f.depth[i] = -1
	}
	f.depth[source] = 0
	queue := []int{source}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for e := f.first[at]; e >= 0; e = f.edges[e].next {
			if to := f.edges[e].to; f.edges[e].left > 0 && f.depth[to] < 0 {
				f.depth[to] = f.depth[at] + 1
				queue = append(queue, to)
			}
		}
	}
	return f.depth[sink] >= 0
}

func (f *flow) push(at, sink, most int) int {
	if at == sink {
		return most
	}
	for ; f.next[at] >= 0; f.next[at] = f.edges[f.next[at]].next {
		e := f.next[at]
		to := f.edges[e].to
		if f.edges[e].left == 0 || f.depth[to] != f.depth[at]+1 {
			continue
		}
		if got := f.push(to, sink, min(most, f.edges[e].left)); got > 0 {
			f.edges[e].left -= got
			f.edges[e^1].left += got
			return got
		}
	}
	return 0
}

// reaching marks the places from which more could flow to the sink: the sink's side of the last minimum cut.
func (f *flow) reaching(sink int) []bool {
	reach := make([]bool, len(f.first))
	reach[sink] = true
	queue := []int{sink}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for e := f.first[at]; e >= 0; e = f.edges[e].next {
			if from := f.edges[e].to; f.edges[e^1].left > 0 && !reach[from] {
				reach[from] = true
				queue = append(queue, from)
			}
		}
	}
	return slices.Clip(reach)
}
