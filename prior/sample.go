package prior

import (
	"context"
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
)

// Options say how pictures are drawn. The zero value takes the likeliest codes on the model's own grid.
type Options struct {
	Choice
	Seed     uint64
	First    int     // number of the first picture: a picture's codes depend on its number and not on what is drawn beside it
	Guidance float64 // of captions: how far to go from no caption to the caption, 1 (or 0) being there; 2 to 3 exaggerate
	H, W     int     // grid of codes; 0 for the model's. A grid that is larger on either side is drawn in a window that slides
	Batch    int     // most sequences at once; 0 for 16

	NoCache  bool                  // read the whole sequence again for every code: the slow twin, with the same result
	Progress func(done, total int) // told how many codes there are so far, of one batch after the other; may be nil
}

// DefaultOptions are taming's for a first look: temperature 1, the 100 likeliest codes.
func DefaultOptions() Options { return Options{Choice: Choice{Temperature: 1, TopK: 100}} }

func (o Options) validate() error {
	switch {
	case !(o.Temperature >= 0) || o.Temperature > 100:
		return fmt.Errorf("prior: temperature is out of range: %g", o.Temperature)
	case o.TopK < 0:
		return fmt.Errorf("prior: top-k is out of range: %d", o.TopK)
	case !(o.TopP >= 0 && o.TopP <= 1):
		return fmt.Errorf("prior: top-p is out of range: %g", o.TopP)
	case !(o.Guidance >= 0) || o.Guidance > 100:
		return fmt.Errorf("prior: guidance is out of range: %g", o.Guidance)
	case o.First < 0 || o.Batch < 0:
		return fmt.Errorf("prior: first picture or batch is out of range: %d, %d", o.First, o.Batch)
	}
	return nil
}

// guided reports whether a second sequence without the caption is read beside each.
func (o Options) guided() bool { return o.Guidance != 0 && o.Guidance != 1 }

// maxSide bounds a grid; 1024 codes at f = 16 are 16384 pixels.
const maxSide = 1024

// Sample draws one picture for each input. A picture's codes depend on its number (Options.First and its place in the
// list), its input, and the options that say how codes are chosen; never on Batch, or on the other pictures.
func (m *Model) Sample(ctx context.Context, in []Input, o Options) ([]Codes, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.guided() && m.Condition != Text {
		return nil, fmt.Errorf("prior: guidance needs a model for captions, this one's condition is %q", m.Condition)
	}
	gh, gw := m.Grid()
	if o.H == 0 && o.W == 0 {
		o.H, o.W = gh, gw
	}
	if o.H < 1 || o.H > maxSide || o.W < gw || o.W > maxSide {
		return nil, fmt.Errorf("prior: %w: a grid of %dx%d codes; rows have %d to %d, and there are 1 to %d", ErrSize, o.W, o.H, gw, maxSide, maxSide)
	}
	rows := max(1, o.Batch)
	if o.Batch == 0 {
		rows = 16
	}
	if o.guided() {
		rows = max(1, rows/2)
	}
	var out []Codes
	for first := 0; first < len(in); first += rows {
		s, err := m.sheet(in[first:min(first+rows, len(in))], o, o.First+first)
		if err != nil {
			return nil, err
		}
		if o.W == gw && o.H <= gh {
			err = s.grow(ctx)
		} else {
			err = s.slide(ctx, wavefront(s.window(), s.known()), rows)
		}
		if err != nil {
			return nil, err
		}
		for _, codes := range s.codes {
			out = append(out, Codes{H: o.H, W: o.W, Idx: codes})
		}
	}
	return out, nil
}

// sheet is a batch of pictures being drawn.
type sheet struct {
	m     *Model
	o     Options
	first int       // number of the first picture
	cond  [][]int32 // tokens in front of each picture's codes
	none  []int32   // those of no caption, when that is asked for
	codes [][]int32 // of each picture, Unknown where it is not drawn yet
	given [][]bool
}

func (m *Model) sheet(in []Input, o Options, first int) (*sheet, error) {
	s := &sheet{m: m, o: o, first: first}
	if o.guided() {
		s.none = m.nothing(nil)
	}
	total := o.H * o.W
	for i, x := range in {
		cond, err := m.condition(nil, x)
		if err != nil {
			return nil, err
		}
		codes := slices.Repeat([]int32{Unknown}, total)
		if x.Given != nil {
			if len(x.Given) != total {
				return nil, fmt.Errorf("prior: %w: %d given codes for a grid of %dx%d", ErrSize, len(x.Given), o.W, o.H)
			}
			if err := m.checkCodes(x.Given, true); err != nil {
				return nil, fmt.Errorf("given codes of picture %d: %w", first+i, err)
			}
			codes = slices.Clone(x.Given)
		}
		given := make([]bool, total)
		for k, code := range codes {
			given[k] = code != Unknown
		}
		s.cond, s.codes, s.given = append(s.cond, cond), append(s.codes, codes), append(s.given, given)
	}
	return s, nil
}

// known is the set of positions that no picture of the sheet has to draw.
func (s *sheet) known() []bool {
	out := slices.Repeat([]bool{true}, s.o.H*s.o.W)
	for _, given := range s.given {
		for k, g := range given {
			out[k] = out[k] && g
		}
	}
	return out
}

// choose draws the code at a position of a picture of the sheet, unless it is given.
func (s *sheet) choose(picture, position int, with, without []float32) {
	if s.given[picture][position] {
		return
	}
	if without != nil {
		guide(with, without, s.o.Guidance)
	}
	u := uniform(s.o.Seed, s.first+picture, position)
	s.codes[picture][position] = s.o.pick(with[:s.m.NumCodes()], u)
}

// rows is the number of sequences read for pictures: twice as many when their captions are exaggerated.
func (s *sheet) rows(pictures int) int {
	if s.none != nil {
		return 2 * pictures
	}
	return pictures
}

// conditions is the tensor [rows,p] for the pictures listed.
func (s *sheet) conditions(pictures []int) *tensors.Tensor {
	var flat []int32
	for _, i := range pictures {
		flat = append(flat, s.cond[i]...)
	}
	if s.none != nil {
		for range pictures {
			flat = append(flat, s.none...)
		}
	}
	return ints(flat, s.rows(len(pictures)), s.m.Prefix())
}

// grow draws all pictures of the sheet, whose grid is the model's, one position after the other.
func (s *sheet) grow(ctx context.Context) error {
	known := s.known()
	at, end := 0, len(known) // positions to draw: all before at are known, and all from end on
	for at < len(known) && known[at] {
		at++
	}
	for end > at && known[end-1] {
		end--
	}
	if at == end {
		return nil
	}
	g := s.newGrowth()
	logits, err := g.read(ctx, at)
	for ; err == nil; logits, err = g.next(ctx, at) {
		n, k := len(s.codes), s.m.VocabSize
		for i := range n {
			var without []float32
			if s.none != nil {
				without = logits[(n+i)*k : (n+i+1)*k]
			}
			s.choose(i, at, logits[i*k:(i+1)*k], without)
		}
		if at++; s.o.Progress != nil {
			s.o.Progress(at, len(known))
		}
		if at == end {
			return nil
		}
	}
	return fmt.Errorf("prior: sample: %w", err)
}

// growth reads the codes of a sheet as they come.
type growth struct {
	s     *sheet
	room  int // codes that fit
	cond  *tensors.Tensor
	cache []*tensors.Tensor
}

// newGrowth makes room for the whole grid, whatever of it is to be drawn: no sum depends on the other pictures' share.
func (s *sheet) newGrowth() *growth {
	all := make([]int, len(s.codes))
	for i := range all {
		all[i] = i
	}
	return &growth{s: s, room: max(1, s.o.H*s.o.W-1), cond: s.conditions(all)}
}

// read reads the condition and the first codes of every picture, n of them, and returns the logits [rows,VocabSize] of
// the next.
func (g *growth) read(ctx context.Context, n int) ([]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows := g.s.rows(len(g.s.codes))
	flat := make([]int32, 0, rows*g.room)
	for i := range rows {
		codes := g.s.codes[i%len(g.s.codes)]
		flat = append(flat, codes[:n]...)
		flat = append(flat, make([]int32, g.room-n)...)
	}
	length := int32(g.s.m.Prefix() + n)
	outs, err := g.s.m.prefill.Run(g.s.m.values, g.cond, ints(flat, rows, g.room), ints(slices.Repeat([]int32{length}, rows), rows))
	if err != nil {
		return nil, err
	}
	g.cache = outs[1:]
	return engine.Floats(outs[0]), nil
}

// next reads the code before position at and returns the logits of that position.
func (g *growth) next(ctx context.Context, at int) ([]float32, error) {
	place := g.s.m.Prefix() + at - 1 // where the code goes
	if g.s.o.NoCache || place < g.s.m.Unmasked {
		return g.read(ctx, at)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows := g.s.rows(len(g.s.codes))
	last := make([]int32, rows)
	for i := range last {
		last[i] = g.s.codes[i%len(g.s.codes)][at-1]
	}
	in := append([]*tensors.Tensor{ints(last, rows), tensors.FromValue(int32(place))}, g.cache...)
	outs, err := g.s.m.step.Run(g.s.m.values, in...)
	if err != nil {
		return nil, err
	}
	for _, old := range g.cache { // do not wait for the collector: a cache is large and there is one for each code
		old.MustFinalizeAll()
	}
	g.cache = outs[1:]
	return engine.Floats(outs[0]), nil
}
