package dataset

import (
	"fmt"
	"runtime"
	"slices"
	"sort"
	"sync"

	"github.com/smalti/smalti/rng"
)

// Shares of the kinds of scenes; the rest is one sprite plain on white.
const (
	shareSingle   = .60
	sharePair     = .20
	shareSeveral  = .10
	shareRecolour = .25 // of the things that can take another colour
	shareWhite    = .40 // of the backgrounds
	shareLook     = .50 // a clear colour of a thing is said
)

// ComposeOptions tunes a Composer. The zero value is the recommended mixture.
type ComposeOptions struct {
	ShapeShare float64 // share of scenes made of procedural shapes; 0 means 0.10, negative none
	Plain      bool    // only one sprite on white, label as caption, no recolouring: for measuring
}

// Composer draws sprites into captioned scenes. A sample is a pure function of (seed, step, index);
// a Composer is safe for concurrent use.
type Composer struct {
	opts     ComposeOptions
	sprites  []*Sprite
	shapes   []*Sprite
	concepts []string       // sorted
	id       map[string]int // index in concepts
	groups   [][]*Sprite    // sprites by part and concept, in the order of names
	cum      []float64      // cumulated weights of groups
	pool     *sync.Pool
	calm     bool
}

// Sample is a captioned picture.
type Sample struct {
	Pix      []float32 // size*size*3, RGB interleaved, [0,1], sRGB-encoded
	Size     int
	Caption  string
	Concepts []int // what is shown, as indices into Composer.Concepts
	Meta     Meta
}

// Meta says how a sample was made.
type Meta struct {
	Kind       string   // "single", "pair", "several" or "plain"
	Background string   // colour name
	Styles     []string // drawing style of each thing
	Colours    []string // colour each thing is said to have, "" for none
	Relation   string   // "left" or "above" for a pair: how the first thing stands to the second
	Count      int      // number of things drawn
}

// Batch is n samples in one array.
type Batch struct {
	Pix      []float32 // n*size*size*3
	N, Size  int
	Captions []string
	Concepts [][]int
	Meta     []Meta
}

// Part is one source of a mixture: its sprites, and how often one of them is drawn beside those of the other parts.
type Part struct {
	Sprites []*Sprite
	Weight  float64 // above 0
}

// NewComposer makes a composer of sprites, which may be none if the options ask for shapes.
func NewComposer(sprites []*Sprite, opts ComposeOptions) (*Composer, error) {
	return NewMixture([]Part{{sprites, 1}}, opts)
}

// NewMixture makes a composer of several parts: each thing of a scene is of a part by the parts' weights, then of a concept
// of that part, then one of its drawings; a scene's things may come from different parts.
func NewMixture(parts []Part, opts ComposeOptions) (*Composer, error) {
	var sprites []*Sprite
	for _, p := range parts {
		sprites = append(sprites, p.Sprites...)
		if !(p.Weight > 0) {
			return nil, fmt.Errorf("compose: weight %g of a part is not above 0", p.Weight)
		}
	}
	if opts.ShapeShare == 0 {
		opts.ShapeShare = .10
	}
	if opts.ShapeShare > 1 {
		return nil, fmt.Errorf("compose: share of shapes %g is over 1", opts.ShapeShare)
	}
	if len(sprites) == 0 && opts.ShapeShare < 1 {
		return nil, fmt.Errorf("compose: no sprites")
	}
	c := &Composer{opts: opts, sprites: sprites, id: map[string]int{}}
	c.pool = &sync.Pool{New: func() any { return new(scratch) }}
	if opts.ShapeShare > 0 && !opts.Plain {
		c.shapes = ShapeSprites()
	}
	if len(sprites) == 0 {
		c.shapes = ShapeSprites()
	}
	names := map[string]bool{}
	for _, p := range parts {
		c.addPart(p, len(parts) > 1)
	}
	for _, s := range append(slices.Clip(sprites), c.shapes...) {
		names[s.Concept] = true
	}
	c.concepts = sortedKeys(names)
	for i, n := range c.concepts {
		c.id[n] = i
	}
	return c, nil
}

// addPart adds the concepts of a part, which together weigh what it does if there are others.
func (c *Composer) addPart(p Part, others bool) {
	by := map[string][]*Sprite{}
	for _, s := range p.Sprites {
		by[s.Concept] = append(by[s.Concept], s)
	}
	all, scale, sum := 0., 1., 0.
	for _, name := range sortedKeys(by) {
		all += groupWeight(by[name][0])
	}
	if others {
		scale = p.Weight / all
	}
	if len(c.cum) > 0 {
		sum = c.cum[len(c.cum)-1]
	}
	for _, name := range sortedKeys(by) {
		c.groups = append(c.groups, by[name])
		sum += groupWeight(by[name][0]) * scale
		c.cum = append(c.cum, sum)
	}
}

// groupWeight evens out classes that come in many near-equal variants (man, woman, person doing X).
func groupWeight(s *Sprite) float64 {
	switch s.Group {
	case "people & body":
		return .3
	case "smileys & emotion", "symbols", "flags":
		return .6
	}
	return 1
}

// Concepts are the names of this composer's concepts (its sprites' and the shapes'), sorted;
// Sample.Concepts indexes them. Composers of different sprites number differently: compare names.
func (c *Composer) Concepts() []string { return c.concepts }

// Calm is the composer of the same scenes in their plainest form: every thing in its middle place, at its middle size, never
// mirrored, on the pure colour of its ground. A model that knows scenes by heart has far fewer of these to know, and a start for
// a painting wants the thing in the middle anyway.
func (c *Composer) Calm() *Composer {
	calm := *c
	calm.calm = true
	return &calm
}

// Sprites are the sprites the composer draws from, without shapes.
func (c *Composer) Sprites() []*Sprite { return c.sprites }

// Sample composes one picture of size x size pixels.
func (c *Composer) Sample(seed, step, index uint64, size int) Sample {
	out := Sample{Pix: make([]float32, size*size*3), Size: size}
	sc := c.pool.Get().(*scratch)
	c.compose(sc, rng.New(seed, "compose", step, index), &out)
	c.pool.Put(sc)
	return out
}

// Batch composes samples 0..n-1 of a step, in parallel. The result does not depend on the number of
// goroutines.
func (c *Composer) Batch(seed, step uint64, n, size int) Batch {
	return c.batch(seed, step, n, size, runtime.GOMAXPROCS(0))
}

func (c *Composer) batch(seed, step uint64, n, size, workers int) Batch {
	plane := size * size * 3
	b := Batch{Pix: make([]float32, n*plane), N: n, Size: size,
		Captions: make([]string, n), Concepts: make([][]int, n), Meta: make([]Meta, n)}
	parallel(n, workers, func(i int) {
		s := Sample{Pix: b.Pix[i*plane : (i+1)*plane], Size: size}
		sc := c.pool.Get().(*scratch)
		c.compose(sc, rng.New(seed, "compose", step, uint64(i)), &s)
		c.pool.Put(sc)
		b.Captions[i], b.Concepts[i], b.Meta[i] = s.Caption, s.Concepts, s.Meta
	})
	return b
}

// scene is a sample in the making.
type scene struct {
	c   *Composer
	sc  *scratch
	s   *rng.Stream
	out *Sample
	bg  int

	calm bool
}

// compose draws one scene into out.Pix.
func (c *Composer) compose(sc *scratch, s *rng.Stream, out *Sample) {
	d := &scene{c: c, sc: sc, s: s, out: out, calm: c.calm}
	if c.opts.Plain {
		d.plain()
		return
	}
	shapes := len(c.groups) == 0 || len(c.shapes) > 0 && s.Float64() < c.opts.ShapeShare
	switch u := s.Float64(); {
	case u < shareSingle && shapes:
		d.singleShape()
	case u < shareSingle:
		d.single()
	case u < shareSingle+sharePair:
		d.pair(shapes)
	case u < shareSingle+sharePair+shareSeveral:
		d.several(shapes)
	case shapes:
		d.singleShape()
	default:
		d.plain()
	}
}

// pick draws a sprite: first a concept by weight, then one of its drawings.
func (d *scene) pick(shapes bool) *Sprite {
	if shapes || len(d.c.groups) == 0 {
		return d.c.shapes[d.s.IntN(len(d.c.shapes))]
	}
	cum := d.c.cum
	i := sort.SearchFloat64s(cum, d.s.Float64()*cum[len(cum)-1])
	g := d.c.groups[min(i, len(cum)-1)]
	return g[d.s.IntN(len(g))]
}

// dress decides a thing's colour and what the caption will say about it.
func (d *scene) dress(s *Sprite) thing {
	t := thing{sprite: s, colour: -1, named: -1}
	if s.plain {
		t.colour = d.s.IntN(len(colours))
		t.named = t.colour
		return t
	}
	recolour, say := d.s.Float64() < shareRecolour, d.s.Float64() < shareLook
	to := d.s.IntN(len(colours))
	switch {
	case recolour && s.paintable && to != s.lookColor && to != s.wordColor:
		t.colour, t.named = to, to
	case s.wordColor < 0 && s.lookColor >= 0 && say && s.Group != "people & body":
		t.named = s.lookColor
	}
	return t
}

// visible is the colour that a thing should not stand on, or -1.
func (t thing) visible() int {
	if t.colour >= 0 {
		return t.colour
	}
	return t.sprite.lookColor
}

// fillGround draws the background: white most often, never the colour of a thing on it.
func (d *scene) fillGround(things ...thing) {
	taken := func(c int) bool {
		return slices.ContainsFunc(things, func(t thing) bool { return t.visible() == c })
	}
	d.bg = 0
	if d.s.Float64() >= shareWhite || taken(0) {
		for range 16 {
			if d.bg = 1 + d.s.IntN(numBackgrounds-1); !taken(d.bg) {
				break
			}
		}
	}
	fillColour(d.out.Pix, d.jitter(colours[d.bg].background, d.bg, .04))
	d.out.Meta.Background = colours[d.bg].name
}

// within draws a number between two, or takes their middle when scenes are calm.
func (d *scene) within(low, high float64) float64 {
	if d.calm {
		return (low + high) / 2
	}
	return d.s.Uniform(low, high)
}

// about draws a number at most r from 0, 0 when scenes are calm.
func (d *scene) about(r float64) float64 { return d.within(-r, r) }

// jitter varies a named colour a little; white, black and gray stay neutral and white nearly white.
func (d *scene) jitter(col [3]float32, name int, amount float64) [3]float32 {
	if d.calm {
		return col
	}
	common := d.s.Uniform(-amount, amount)
	for i := range col {
		j := d.s.Uniform(-amount, amount)
		if name < numNeutral {
			j = common + j/10
		}
		if name == 0 {
			j = -j * j * 10
		}
		col[i] = clamp01(col[i] + float32(j))
	}
	return col
}

func fillColour(pix []float32, col [3]float32) {
	for i := 0; i < len(pix); i += 3 {
		pix[i], pix[i+1], pix[i+2] = col[0], col[1], col[2]
	}
}

// put draws a thing: the square of its sprite with the given side, centred at (x, y), all as shares
// of the picture's side.
func (d *scene) put(t thing, x, y, side float64) {
	flip := d.s.Bernoulli(.5) && t.sprite.mayFlip && !d.calm
	var fill [3]float32
	if t.sprite.plain {
		fill = d.jitter(colours[t.colour].fill, t.colour, .05)
	}
	n := t.sprite.Size
	d.sc.sprite = grow(d.sc.sprite, n*n*4)
	t.sprite.planes(d.sc.sprite, t.colour, flip, fill)
	k := float64(d.out.Size)
	d.sc.over(d.out.Pix, d.out.Size, d.out.Size, n, d.sc.sprite, float32((x-side/2)*k), float32((y-side/2)*k), float32(side*k))
}

// note records things in the sample.
func (d *scene) note(kind string, count int, things ...thing) {
	m := &d.out.Meta
	m.Kind, m.Count = kind, count
	for _, t := range things {
		name := ""
		if t.named >= 0 {
			name = colours[t.named].name
		}
		m.Colours = append(m.Colours, name)
		m.Styles = append(m.Styles, t.sprite.Style)
		d.out.Concepts = append(d.out.Concepts, d.c.id[t.sprite.Concept])
	}
}

func (d *scene) captioner() captioner { return captioner{s: d.s, bg: d.bg} }

func (d *scene) single() {
	t := d.dress(d.pick(false))
	d.fillGround(t)
	side := d.within(.65, .95)
	if d.calm {
		side = plainSide
	}
	slack := (1-side)/2 + .03
	d.put(t, .5+d.about(slack), .5+d.about(slack), side)
	d.note("single", 1, t)
	d.out.Caption = d.captioner().single(t, "")
}

// places of a shape that the caption names, with the centre they stand for.
var places = []struct {
	words string
	x, y  float64
}{
	{"in the middle", .5, .5}, {"at the top", .5, .22}, {"at the bottom", .5, .78}, {"on the left", .22, .5},
	{"on the right", .78, .5}, {"in the top left corner", .22, .22}, {"in the top right corner", .78, .22},
	{"in the bottom left corner", .22, .78}, {"in the bottom right corner", .78, .78},
}

// singleShape is one shape with its size and sometimes its place in words.
func (d *scene) singleShape() {
	t := d.dress(d.pick(true))
	d.fillGround(t)
	x, y, place := .5, .5, ""
	side := d.within(.45, .65)
	switch d.s.IntN(3) {
	case 0:
		t.size, side = "small", d.within(.22, .36)
	case 1:
		t.size, side = "big", d.within(.78, .98)
	}
	if t.size != "big" {
		p := places[d.s.IntN(len(places))]
		if t.size == "" { // a middle-sized shape has less room
			x, y = .5+(p.x-.5)*.75, .5+(p.y-.5)*.75
		} else {
			x, y = p.x, p.y
		}
		if d.s.Bernoulli(.6) {
			place = p.words
		}
	}
	d.put(t, x+d.about(.03), y+d.about(.03), side)
	d.note("single", 1, t)
	if d.s.Bernoulli(.4) {
		t.size = ""
	}
	d.out.Caption = d.captioner().single(t, place)
}

// pair is two different things side by side or one above the other.
func (d *scene) pair(shapes bool) {
	first := d.pick(shapes)
	second := d.pick(shapes)
	for range 8 {
		if second.Concept != first.Concept {
			break
		}
		second = d.pick(shapes)
	}
	a, b := d.dress(first), d.dress(second)
	d.fillGround(a, b)
	how := "left"
	if d.s.Bernoulli(.5) {
		how = "above"
	}
	for i, t := range []thing{a, b} {
		along, across := .26+.48*float64(i)+d.about(.02), .5+d.about(.06)
		side := d.within(.42, .52)
		if how == "left" {
			d.put(t, along, across, side)
		} else {
			d.put(t, across, along, side)
		}
	}
	d.out.Meta.Relation = how
	d.note("pair", 2, a, b)
	d.out.Caption = d.captioner().pair(a, b, how)
}

// Spot is where a thing stands: its centre and the side of its square, as shares of the picture's side.
type Spot struct{ X, Y, Side float64 }

// layouts of several copies. The first of each number is the roomiest.
var layouts = [][]Spot{
	{{.27, .5, .48}, {.73, .5, .48}},
	{{.5, .27, .48}, {.5, .73, .48}},
	{{.5, .27, .46}, {.27, .73, .46}, {.73, .73, .46}},
	{{.19, .5, .34}, {.5, .5, .34}, {.81, .5, .34}},
	{{.27, .27, .46}, {.73, .27, .46}, {.27, .73, .46}, {.73, .73, .46}},
}

// Arrangement is where two to four copies of a thing stand, nil for other numbers.
func Arrangement(n int) []Spot {
	for _, l := range layouts {
		if len(l) == n {
			return l
		}
	}
	return nil
}

// several is two to four copies of one countable thing.
func (d *scene) several(shapes bool) {
	sprite := d.pick(shapes)
	for range 16 {
		if sprite.count == countable {
			break
		}
		sprite = d.pick(shapes)
	}
	if sprite.count != countable {
		d.single()
		return
	}
	t := d.dress(sprite)
	d.fillGround(t)
	layout := layouts[d.s.IntN(len(layouts))]
	for _, p := range layout {
		d.put(t, p.X+d.about(.02), p.Y+d.about(.02), p.Side*d.within(.9, 1.05))
	}
	d.note("several", len(layout), t)
	d.out.Caption = d.captioner().counted(t, len(layout))
}
