package prior

import (
	"context"
	"fmt"
	"slices"

	"github.com/smalti/smalti/engine"
)

// A grid that is larger than the model's is drawn as taming's sample_conditional.py does: each code is predicted by the
// model from a window of the model's size around it, of which the codes before it, row by row, are there already. Near
// the edges the window stops and the place inside it moves.

// window is a grid under a window.
type window struct {
	h, w   int // of the grid
	gh, gw int // of the window
}

func (s *sheet) window() window {
	gh, gw := s.m.Grid()
	return window{h: s.o.H, w: s.o.W, gh: gh, gw: gw}
}

// corner is where the window of a position begins.
func (w window) corner(i, j int) (top, left int) {
	return max(0, min(i-w.gh/2, w.h-w.gh)), max(0, min(j-w.gw/2, w.w-w.gw))
}

// before calls seen for every position of the window of i,j that comes before it.
func (w window) before(i, j int, seen func(a, b int)) {
	top, left := w.corner(i, j)
	for a := top; a <= i; a++ {
		for b := left; b < left+w.gw && (a < i || b < j); b++ {
			seen(a, b)
		}
	}
}

// rowByRow is the order of the reference: one position at a time.
func rowByRow(w window, known []bool) [][]int {
	var out [][]int
	for k := range w.h * w.w {
		if !known[k] {
			out = append(out, []int{k})
		}
	}
	return out
}

// wavefront orders positions by what they need: those of one group need only codes of groups before it, so that a group
// is drawn at once. The codes are those of the order row by row, because each position sees the same codes and draws with
// a number of its own. A row can follow the one above it as soon as that is half a window ahead, so that many rows of a
// high grid are under way together.
func wavefront(w window, known []bool) [][]int {
	var out [][]int
	depth := make([]int, w.h*w.w)
	for k := range depth {
		if known[k] {
			continue
		}
		d := 0
		w.before(k/w.w, k%w.w, func(a, b int) { d = max(d, depth[a*w.w+b]) })
		depth[k] = d + 1
		if d == len(out) {
			out = append(out, nil)
		}
		out[d] = append(out[d], k)
	}
	return out
}

// slide draws all pictures of the sheet group by group, at most batch pictures' windows at once.
func (s *sheet) slide(ctx context.Context, groups [][]int, batch int) error {
	w, done := s.window(), 0
	for _, group := range groups {
		byRows := map[int][]spot{} // windows cut after the row of the position have equal lengths
		for _, k := range group {
			top, _ := w.corner(k/w.w, k%w.w)
			rows := k/w.w - top + 1
			for picture := range s.codes {
				byRows[rows] = append(byRows[rows], spot{picture, k})
			}
		}
		for rows := 1; rows <= w.gh; rows++ {
			for spots := range slices.Chunk(byRows[rows], batch) {
				if err := s.predict(ctx, w, rows, spots); err != nil {
					return fmt.Errorf("prior: sample: %w", err)
				}
			}
		}
		if done += len(group); s.o.Progress != nil {
			s.o.Progress(done, len(s.codes[0]))
		}
	}
	return nil
}

// spot is a position of a picture.
type spot struct{ picture, position int }

// predict draws the codes of spots, which all lie in the same row of their windows, the last of rows.
func (s *sheet) predict(ctx context.Context, w window, rows int, spots []spot) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, size := len(spots), 1
	for size < n { // few sizes, so that few graphs are compiled
		size *= 2
	}
	spots = append(slices.Clip(spots), slices.Repeat(spots[n-1:], size-n)...)
	room := min(rows*w.gw, s.m.BlockSize-s.m.Prefix()) // the last code of a whole window is never read
	var pictures []int
	var flat, lengths []int32
	for _, at := range spots {
		i, j := at.position/w.w, at.position%w.w
		top, left := w.corner(i, j)
		var seen []int32
		w.before(i, j, func(a, b int) { seen = append(seen, s.codes[at.picture][a*w.w+b]) })
		if len(seen) != (i-top)*w.gw+j-left {
			return fmt.Errorf("window of position %d has %d codes", at.position, len(seen))
		}
		pictures, lengths = append(pictures, at.picture), append(lengths, int32(s.m.Prefix()+len(seen)))
		flat = append(append(flat, seen...), make([]int32, room-len(seen))...)
	}
	if s.none != nil {
		flat, lengths = append(flat, flat...), append(lengths, lengths...)
	}
	total := s.rows(len(spots))
	outs, err := s.m.prefill.Run(s.m.values, s.conditions(pictures), ints(flat, total, room), ints(lengths, total))
	if err != nil {
		return err
	}
	logits, k := engine.Floats(outs[0]), s.m.VocabSize
	for r, at := range spots[:n] {
		var without []float32
		if s.none != nil {
			without = logits[(len(spots)+r)*k : (len(spots)+r+1)*k]
		}
		s.choose(at.picture, at.position, logits[r*k:(r+1)*k], without)
	}
	return nil
}
