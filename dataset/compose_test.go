package dataset

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/rng"
)

// fruits are sprites of 60 concepts in two styles.
func fruits() []*Sprite {
	var out []*Sprite
	for i := range 60 {
		name := "fruit" + string(rune('a'+i/10)) + string(rune('a'+i%10))
		for _, style := range []string{"noto", heldStyle} {
			out = append(out, disc(name, name, style, 220, uint8(20+i), 30))
		}
	}
	return out
}

func mustCompose(t testing.TB, sprites []*Sprite, opts ComposeOptions) *Composer {
	t.Helper()
	c, err := NewComposer(sprites, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBatchDoesNotDependOnGoroutines(t *testing.T) {
	c := mustCompose(t, fruits(), ComposeOptions{})
	const n, size = 40, 24
	one := c.batch(5, 9, n, size, 1)
	for _, workers := range []int{2, 3, 16} {
		if got := c.batch(5, 9, n, size, workers); !reflect.DeepEqual(got, one) {
			t.Fatalf("batch with %d goroutines differs from the one with 1", workers)
		}
	}
	for i := range uint64(n) {
		s := c.Sample(5, 9, i, size)
		if !slices.Equal(s.Pix, one.Pix[int(i)*size*size*3:int(i+1)*size*size*3]) || s.Caption != one.Captions[i] {
			t.Fatalf("sample %d differs from the batch", i)
		}
	}
	if other := c.batch(5, 10, n, size, 2); slices.Equal(other.Pix, one.Pix) || slices.Equal(other.Captions, one.Captions) {
		t.Error("the next step gives the same batch")
	}
}

func TestBatchIsInRangeAndMixed(t *testing.T) {
	c := mustCompose(t, fruits(), ComposeOptions{})
	const n = 2000
	b := c.Batch(1, 0, n, 8)
	for i, v := range b.Pix {
		if !(v >= 0 && v <= 1) {
			t.Fatalf("value %d is %g, outside [0,1]", i, v)
		}
	}
	kinds, white, recoloured := map[string]float64{}, 0., 0.
	for i, m := range b.Meta {
		kinds[m.Kind]++
		if m.Background == "white" {
			white++
		}
		if m.Kind == "single" && m.Styles[0] != "shapes" && m.Colours[0] != "" && m.Colours[0] != "red" {
			recoloured++
		}
		if want := map[string]int{"single": 1, "plain": 1, "pair": 2, "several": 1}[m.Kind]; len(b.Concepts[i]) != want {
			t.Fatalf("%s has %d concepts, want %d", m.Kind, len(b.Concepts[i]), want)
		}
		for _, id := range b.Concepts[i] {
			if name := strings.TrimPrefix(c.Concepts()[id], "shape "); m.Kind != "several" && !strings.Contains(b.Captions[i], name) {
				t.Fatalf("caption %q does not say its concept %q", b.Captions[i], name)
			}
		}
	}
	// Shares over 2000 draws: four standard deviations of a binomial are at most 0.045.
	for kind, want := range map[string]float64{"single": .60 + .01, "pair": .20, "several": .10, "plain": .09} {
		if got := kinds[kind] / n; math.Abs(got-want) > .045 {
			t.Errorf("share of %s is %.3f, want %.2f", kind, got, want)
		}
	}
	if got := recoloured / (kinds["single"] * .9); math.Abs(got-.25*10/11) > .06 {
		t.Errorf("share of recoloured things is %.3f", got)
	}
	if white/n < .3 {
		t.Errorf("white backgrounds are %.3f of all, want the most", white/n)
	}
}

// TestRecolourIsWhatItSays paints a red disc in every named colour and names the result.
func TestRecolourIsWhatItSays(t *testing.T) {
	for _, from := range []*Sprite{disc("apple", "apple", "noto", 220, 25, 30), disc("ball", "ball", "noto", 30, 60, 220), disc("stone", "stone", "noto", 150, 150, 150)} {
		if !from.paintable {
			t.Fatalf("%s is not paintable", from.Label)
		}
		for c := range colours {
			planes := make([]float32, from.Size*from.Size*4)
			from.planes(planes, c, false, [3]float32{})
			var hit, all float64
			for i := 0; i < len(planes); i += 4 {
				if a := planes[i+3]; a > .9 {
					all++
					if classify(planes[i]/a, planes[i+1]/a, planes[i+2]/a) == c {
						hit++
					}
				}
			}
			if hit < .6*all {
				t.Errorf("%s painted %s: only %.0f %% of it looks so", from.Label, colours[c].name, 100*hit/all)
			}
		}
	}
}

func TestNamedColoursAreClassified(t *testing.T) {
	for i, c := range colours {
		if got := classify(c.fill[0], c.fill[1], c.fill[2]); got != i {
			t.Errorf("fill of %s is classified as %d", c.name, got)
		}
	}
	if s := disc("apple", "apple", "noto", 220, 25, 30); s.lookColor != colourIndex("red") {
		t.Errorf("a red disc has look colour %d", s.lookColor)
	}
	for h := range 20 {
		r, g, b := hsvToRGB(float32(h)/20, .7, .8)
		if h2, s2, v2 := rgbToHSV(r, g, b); hueDistance(h2, float32(h)/20) > 1e-5 || math.Abs(float64(s2-.7)) > 1e-5 || math.Abs(float64(v2-.8)) > 1e-5 {
			t.Errorf("hsv of hue %d/20 comes back as %g %g %g", h, h2, s2, v2)
		}
	}
}

// TestShapesShowTheirCaption checks colour and place of single shapes against the pixels.
func TestShapesShowTheirCaption(t *testing.T) {
	c := Shapes()
	const size = 48
	checked := 0
	for i := range uint64(400) {
		s := c.Sample(3, 0, i, size)
		if s.Meta.Kind != "single" {
			continue
		}
		bg := commonest(s.Pix)
		var mx, my, n float64
		hits := 0
		want := colourIndex(s.Meta.Colours[0])
		for y := range size {
			for x := range size {
				p := s.Pix[(y*size+x)*3 : (y*size+x)*3+3]
				if math.Abs(float64(p[0]-bg[0]))+math.Abs(float64(p[1]-bg[1]))+math.Abs(float64(p[2]-bg[2])) < .1 {
					continue
				}
				mx, my, n = mx+float64(x)+.5, my+float64(y)+.5, n+1
				if classify(p[0], p[1], p[2]) == want {
					hits++
				}
			}
		}
		if n == 0 || n > size*size/2 {
			continue // a big shape, or one of the background's colour
		}
		checked++
		if hits < 8 {
			t.Errorf("%q: only %d pixels have the colour", s.Caption, hits)
		}
		x, y := mx/n/size, my/n/size
		if strings.Contains(s.Caption, "left") && x > .48 || strings.Contains(s.Caption, "on the right") && x < .52 ||
			strings.Contains(s.Caption, " top") && y > .48 || strings.Contains(s.Caption, "bottom") && y < .52 {
			t.Errorf("%q: the shape is at %.2f, %.2f", s.Caption, x, y)
		}
	}
	if checked < 80 {
		t.Errorf("only %d shapes were checked", checked)
	}
}

// commonest is the most frequent colour of a picture: the background unless the shape is big.
func commonest(pix []float32) [3]float32 {
	count := map[[3]float32]int{}
	var best [3]float32
	for i := 0; i < len(pix); i += 3 {
		c := [3]float32(pix[i : i+3])
		if count[c]++; count[c] > count[best] {
			best = c
		}
	}
	return best
}

// TestPairRelation puts a red and a blue disc side by side and finds them where the caption says.
func TestPairRelation(t *testing.T) {
	c := mustCompose(t, []*Sprite{disc("redthing", "r", "noto", 230, 20, 20), disc("bluething", "b", "noto", 20, 40, 230)}, ComposeOptions{ShapeShare: -1})
	const size = 32
	seen := map[string]int{}
	for i := range uint64(600) {
		s := c.Sample(11, 0, i, size)
		m := s.Meta
		if m.Kind != "pair" || (m.Colours[0] != "" && m.Colours[0] != "red" && m.Colours[0] != "blue") || m.Colours[1] != "" && m.Colours[1] != "red" && m.Colours[1] != "blue" {
			continue
		}
		var red, blue, nr, nb float64
		for y := range size {
			for x := range size {
				p := s.Pix[(y*size+x)*3 : (y*size+x)*3+3]
				at := float64(x)
				if m.Relation == "above" {
					at = float64(y)
				}
				if p[0] > .6 && p[1] < .22 && p[2] < .22 {
					red, nr = red+at, nr+1
				}
				if p[2] > .6 && p[0] < .25 && p[1] < .30 {
					blue, nb = blue+at, nb+1
				}
			}
		}
		if nr < 20 || nb < 20 {
			continue // a background or a recolouring hides one
		}
		redFirst := red/nr < blue/nb
		for _, rel := range []struct {
			words string
			first bool // the first noun is the left or upper one
		}{{" to the left of ", true}, {" to the right of ", false}, {" above ", true}, {" below ", false}} {
			if !strings.Contains(s.Caption, rel.words) {
				continue
			}
			seen[rel.words]++
			startsRed := strings.Contains(strings.Split(s.Caption, rel.words)[0], "redthing")
			if (startsRed == rel.first) != redFirst {
				t.Errorf("%q: red before blue is %v", s.Caption, redFirst)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("relations seen: %v, want all four", seen)
	}
}

func TestSplitIsDisjointAndStable(t *testing.T) {
	sprites := fruits()
	sp := Split(sprites)
	if len(sp.Train)+len(sp.HeldConcepts)+len(sp.HeldStyle) != len(sprites) {
		t.Fatal("the splits are not a partition")
	}
	held := map[string]bool{}
	for _, s := range sp.HeldConcepts {
		held[s.Concept] = true
	}
	for _, s := range append(slices.Clone(sp.Train), sp.HeldStyle...) {
		if held[s.Concept] {
			t.Errorf("concept %s is held out and used", s.Concept)
		}
	}
	for _, s := range sp.Train {
		if s.Style == heldStyle {
			t.Errorf("%s of the held-out style is used", s.File)
		}
	}
	n := 0
	for i := range 4000 {
		if heldConcept("concept" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))) {
			n++
		}
	}
	if n < 145 || n > 255 { // 200 expected, four deviations are 55
		t.Errorf("%d of 4000 concepts are held out, want about 200", n)
	}
	// A change of the hash would silently mix old and new splits.
	if got := stableHash("red apple"); got != 0x503bd684 {
		t.Errorf("stableHash(red apple) = %#x", got)
	}
}

// TestOverKeepsColourAndArea resamples a full square and compares area and colour.
func TestOverKeepsColourAndArea(t *testing.T) {
	const n, size = 16, 40
	planes := make([]float32, n*n*4)
	for i := 0; i < len(planes); i += 4 {
		planes[i], planes[i+1], planes[i+2], planes[i+3] = .5, .25, 0, 1
	}
	for _, side := range []float32{7.3, 16, 29.6} {
		dst := make([]float32, size*size*3)
		new(scratch).over(dst, size, size, n, planes, 5.2, 4.7, side)
		var sum float64
		for i := 0; i < len(dst); i += 3 {
			sum += float64(dst[i]) / .5
			if math.Abs(float64(dst[i]-2*dst[i+1])) > 1e-5 || dst[i+2] != 0 {
				t.Fatalf("side %g: colour %v is not that of the sprite", side, dst[i:i+3])
			}
		}
		// The filter's foot beyond the edge counts as transparent: a few per cent at the smallest side.
		if want := float64(side * side); math.Abs(sum-want) > .02*want {
			t.Errorf("side %g: covers %.2f pixels, want %.2f", side, sum, want)
		}
		middle := dst[((5+int(side)/2)*size+5+int(side)/2)*3]
		if math.Abs(float64(middle-.5)) > 1e-5 {
			t.Errorf("side %g: the middle is %g, want 0.5", side, middle)
		}
	}
}

func TestAugment(t *testing.T) {
	c := Shapes()
	const size = 32
	src := c.Sample(1, 1, 1, size).Pix
	dst, again := make([]float32, len(src)), make([]float32, len(src))
	Augment(rng.New(1, "a"), dst, src, size, 0)
	if !slices.Equal(dst, src) {
		t.Error("strength 0 changes the picture")
	}
	var weak, strong float64
	for i := range uint64(60) {
		for _, strength := range []float64{.1, 1} {
			Augment(rng.New(1, "a", i), dst, src, size, strength)
			Augment(rng.New(1, "a", i), again, src, size, strength)
			if !slices.Equal(dst, again) {
				t.Fatal("the same stream gives two results")
			}
			for k, v := range dst {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("value %g outside [0,1]", v)
				}
				if d := math.Abs(float64(v - src[k])); strength == 1 {
					strong += d
				} else {
					weak += d
				}
			}
		}
	}
	if weak == 0 || strong < 1.5*weak {
		t.Errorf("mean changes %g (strength 0.1) and %g (1): want the second clearly larger", weak, strong)
	}
	// The geometry alone keeps a constant picture constant.
	flat := make([]float32, size*size*3)
	fillColour(flat, [3]float32{.3, .6, .9})
	drawWarp(rng.New(2, "w"), 1).sample(dst, size, flat, size)
	blur3(dst, size, .2)
	for k, v := range dst {
		if math.Abs(float64(v-flat[k])) > 1e-6 {
			t.Fatalf("a flat picture became %g at %d", v, k)
		}
	}
	identityWarp().sample(dst, size, src, size)
	for k, v := range dst {
		if math.Abs(float64(v-src[k])) > 1e-5 {
			t.Fatalf("the identity warp moved a pixel by %g", v-src[k])
		}
	}
}

func TestAugmentBatchDoesNotDependOnGoroutines(t *testing.T) {
	a, b := Shapes().Batch(1, 2, 12, 16), Shapes().Batch(1, 2, 12, 16)
	AugmentBatch(a, 1, 2, .7, 1)
	AugmentBatch(b, 1, 2, .7, 5)
	if !slices.Equal(a.Pix, b.Pix) {
		t.Error("AugmentBatch depends on the number of goroutines")
	}
}

func TestPlain(t *testing.T) {
	pix, caption := Plain(disc("red apple", "red apple", "noto", 220, 25, 30), 32)
	mid := pix[(16*32+16)*3:]
	if caption != "a red apple" || classify(pix[0], pix[1], pix[2]) != 0 || classify(mid[0], mid[1], mid[2]) != colourIndex("red") {
		t.Errorf("plain %q: corner %v, middle %v", caption, pix[:3], mid[:3])
	}
	c := mustCompose(t, []*Sprite{disc("red apple", "red apple", "noto", 220, 25, 30)}, ComposeOptions{Plain: true})
	if s := c.Sample(1, 2, 3, 32); !slices.Equal(s.Pix, pix) || s.Caption != caption || s.Meta.Kind != "plain" {
		t.Errorf("a plain composer gives %q, not the plain picture", s.Caption)
	}
}

func TestComposerRefusesNothing(t *testing.T) {
	if _, err := NewComposer(nil, ComposeOptions{}); err == nil {
		t.Error("a composer of nothing was made")
	}
	if _, err := NewComposer(fruits(), ComposeOptions{ShapeShare: 1.5}); err == nil {
		t.Error("a share over 1 was taken")
	}
}

func BenchmarkSample32(b *testing.B) {
	c := mustCompose(b, bigSprites(), ComposeOptions{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Sample(1, 0, uint64(i), 32)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "samples/s")
}

func BenchmarkAugment32(b *testing.B) {
	src := Shapes().Sample(1, 1, 1, 32).Pix
	dst := make([]float32, len(src))
	for i := 0; b.Loop(); i++ {
		Augment(rng.New(1, "augment", uint64(i)), dst, src, 32, .7)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
}

// bigSprites are 64 px sprites, the size of a pack's.
func bigSprites() []*Sprite {
	out := ShapeSprites()
	for _, s := range out {
		s.plain, s.paintable = false, true
	}
	return out
}

// TestCalmScenesAreFew checks that a drawing on a ground is one picture: calm scenes that say the same of one thing are equal,
// and captions are those of the composer itself.
func TestCalmScenesAreFew(t *testing.T) {
	c := mustCompose(t, fruits(), ComposeOptions{ShapeShare: -1})
	calm := c.Calm()
	pictures := map[string]map[string]bool{} // how many pictures there are of what is in a scene
	kinds := map[string]bool{}
	const n, size = 4000, 16
	free, b := c.Batch(1, 0, n, size), calm.Batch(1, 0, n, size)
	same := 0
	for i := range n {
		m := b.Meta[i]
		kinds[m.Kind] = true
		if slices.Equal(free.Pix[i*size*size*3:(i+1)*size*size*3], b.Pix[i*size*size*3:(i+1)*size*size*3]) {
			same++
		}
		if m.Kind != "single" || m.Colours[0] != "" {
			continue
		}
		key := fmt.Sprint(b.Concepts[i], m.Styles, m.Background)
		if pictures[key] == nil {
			pictures[key] = map[string]bool{}
		}
		pictures[key][fmt.Sprint(b.Pix[i*size*size*3:(i+1)*size*size*3])] = true
	}
	for key, p := range pictures {
		if len(p) > 1 {
			t.Errorf("%d pictures of %s, want one", len(p), key)
		}
	}
	if len(pictures) < 10 || len(kinds) != 4 || same > n/5 {
		t.Errorf("%d different scenes of one thing, kinds %v, %d of %d scenes are as without Calm", len(pictures), kinds, same, n)
	}
}
