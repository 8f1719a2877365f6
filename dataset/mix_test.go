package dataset

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestParseMix(t *testing.T) {
	got, err := ParseMix(" emoji,openclipart:3, shapes ,/some/folder:x,other:0.5")
	want := []MixPart{{"emoji", 70}, {"openclipart", 3}, {"shapes", 10}, {"/some/folder:x", unknownShare}, {"other", .5}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, %v; want %v", got, err, want)
	}
	if again, err := ParseMix(FormatMix(got)); err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("%q came back as %v, %v", FormatMix(got), again, err)
	}
	for bad, why := range map[string]string{"": "empty", "a,,b": "empty", "a,a:3": "twice", "a:0,b": "above 0", "a:-1,b": "above 0", "a:inf,b": "above 0",
		"a:nan,": "empty", "shapes": "no pack", "shapes:5": "no pack", "a,b:1e9": "above 0"} {
		if _, err := ParseMix(bad); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: error %v, want one with %q", bad, err, why)
		}
	}
	if parts, err := ParseMix(DefaultMix); err != nil || len(parts) != 4 || parts[0] != (MixPart{"emoji", 70}) {
		t.Errorf("the default mixture is read as %v, %v", parts, err)
	}
}

// named are discs of one colour with the given names.
func named(style string, names ...string) []*Sprite {
	var out []*Sprite
	for i, n := range names {
		out = append(out, disc(n, n, style, uint8(40+i*9), 90, 160))
	}
	return out
}

// Names that the hash holds out and names that it does not, found rather than assumed.
func heldAndFree(t *testing.T) (held, free []string) {
	t.Helper()
	for _, a := range []string{"hammer", "lamp", "apple", "horse", "boat", "tree", "cup", "train", "house", "ball", "spoon", "knife", "plate", "ladder", "bucket", "broom", "candle", "basket",
		"pillow", "mirror", "bottle", "carpet", "ticket", "button", "needle", "hat", "coat", "violin", "drum", "whistle", "kite", "anchor", "rope", "wheel", "engine", "rocket", "tent", "stove"} {
		if heldConcept(a) {
			held = append(held, a)
		} else {
			free = append(free, a)
		}
	}
	if len(held) == 0 || len(free) < 20 {
		t.Fatalf("%d held-out and %d other names: the test needs more", len(held), len(free))
	}
	return held, free
}

func TestSplitMixKeepsAThingOnOneSide(t *testing.T) {
	held, free := heldAndFree(t)
	h := held[0]
	first := append(named("noto", h, "red "+free[0]), named(heldStyle, free[1])...)
	second := named("openclipart", h, Plural(h), "old "+h, "red "+h, free[2], h+" shop")
	got := SplitMix([][]*Sprite{first, second})
	alone := Split(first)
	if !reflect.DeepEqual(got[0], alone) {
		t.Errorf("the first pack is divided otherwise than alone: %v and %v", got[0], alone)
	}
	var in []string
	for _, s := range got[1].Train {
		in = append(in, s.Label)
	}
	for _, l := range in {
		if l != free[2] && l != h+" shop" {
			t.Errorf("%q is trained on with %q held out", l, h)
		}
	}
	if len(in) == 0 {
		t.Error("nothing of the second pack is trained on")
	}
	// What the first pack trains on under another colour is not held out of the second by the hash of its bare name.
	third := SplitMix([][]*Sprite{named("noto", freeColour(t, h)+" "+h), named("openclipart", h)})
	if len(third[1].Train) != 1 {
		t.Errorf("%q is held out of the second pack though the first trains on one of another colour", h)
	}
}

// freeColour is a colour with which a held-out name is not held out.
func freeColour(t *testing.T, name string) string {
	t.Helper()
	for _, c := range ColourNames() {
		if !heldConcept(c + " " + name) {
			return c
		}
	}
	t.Fatalf("every %s is held out", name)
	return ""
}

func mixture(t testing.TB, weights ...float64) *Composer {
	t.Helper()
	parts := []Part{{named("noto", "hammer", "lamp", "apple", "horse", "boat"), weights[0]}, {named("openclipart", "tree", "cup"), weights[1]},
		{named("sweethome3d", "house", "ball", "hammer"), weights[2]}}
	c, err := NewMixture(parts, ComposeOptions{ShapeShare: .10})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMixtureWeights(t *testing.T) {
	c := mixture(t, 70, 12, 8)
	got := map[string]float64{}
	const n = 5000
	all := 0.
	for i := range uint64(n) {
		for _, style := range c.Sample(3, 0, i, 4).Meta.Styles {
			got[style]++
			all++
		}
	}
	// Plain pictures are never of shapes, 1 in 10 of the scenes: the parts' shares are of what is left.
	rest := all - got["shapes"]
	for style, want := range map[string]float64{"noto": 70. / 90, "openclipart": 12. / 90, "sweethome3d": 8. / 90} {
		if share := got[style] / rest; math.Abs(share-want) > 4*math.Sqrt(want*(1-want)/rest) { // four standard deviations
			t.Errorf("%s is %.3f of the things, want %.3f", style, share, want)
		}
	}
	if len(c.Concepts()) != 9+len(shapeList) {
		t.Errorf("%d concepts; a name that two parts share is one", len(c.Concepts()))
	}
	for _, bad := range []float64{0, -1, math.NaN()} {
		if _, err := NewMixture([]Part{{named("noto", "lamp"), bad}}, ComposeOptions{}); err == nil {
			t.Errorf("weight %g is taken", bad)
		}
	}
}

// A sample is a function of (seed, step, index) whatever the number of goroutines, and the scale of the weights does not count.
func TestMixtureIsDeterministic(t *testing.T) {
	a, b := mixture(t, 70, 12, 8), mixture(t, 70, 12, 8)
	one, many := a.batch(5, 9, 40, 16, 1), b.batch(5, 9, 40, 16, 7)
	if !reflect.DeepEqual(one, many) {
		t.Error("batches of one and of seven goroutines differ")
	}
	if other := a.batch(5, 10, 40, 16, 1); reflect.DeepEqual(one.Captions, other.Captions) {
		t.Error("two steps have the same captions")
	}
	if double := mixture(t, 140, 24, 16).batch(5, 9, 40, 16, 1); !reflect.DeepEqual(one, double) {
		t.Error("weights twice as large draw otherwise")
	}
}

// One part alone draws what a composer of its sprites always drew, whatever its weight.
func TestMixtureOfOneIsTheComposer(t *testing.T) {
	sprites := named("noto", "hammer", "lamp", "apple", "horse", "boat")
	plain, err := NewComposer(sprites, ComposeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mixed, err := NewMixture([]Part{{sprites, 70}}, ComposeOptions{ShapeShare: 10. / 100})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(plain.Batch(1, 2, 30, 16), mixed.Batch(1, 2, 30, 16)) {
		t.Error("they differ")
	}
}

func TestOpenMix(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	writeTestPack(t, a)
	writeTestPack(t, b)
	m, err := OpenMix([]MixPart{{a, 70}, {ShapesName, 10}, {b, 20}})
	if err != nil {
		t.Fatal(err)
	}
	if m.ShapeShare != .10 || len(m.Packs) != 2 || !reflect.DeepEqual(m.weights, []float64{70, 20}) {
		t.Errorf("opened share %g, %d packs, weights %v", m.ShapeShare, len(m.Packs), m.weights)
	}
	c, err := m.Composer()
	if err != nil || len(c.Sprites()) != len(m.Packs[0].Train)+len(m.Packs[1].Train) {
		t.Errorf("composer of %d sprites, %v", len(c.Sprites()), err)
	}
	if m, err = OpenMix([]MixPart{{a, 1}, {b, 1}}); err != nil || m.ShapeShare >= 0 {
		t.Errorf("without shapes their share is %g, %v", m.ShapeShare, err)
	}
	if _, err := OpenMix([]MixPart{{a, 1}, {t.TempDir(), 1}}); err == nil {
		t.Error("a folder without a pack was opened")
	}
	if _, err := OpenMix([]MixPart{{ShapesName, 1}}); err == nil {
		t.Error("a mixture of nothing was opened")
	}
}

func TestNewStylesInCaptions(t *testing.T) {
	for style, want := range map[string]string{clipartStyle: "clip art of ", furnitureStyle: "a 3d render of "} {
		c, err := NewMixture([]Part{{named(style, "burger", "lamp"), 1}}, ComposeOptions{ShapeShare: -1})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for i := range uint64(200) {
			found = found || strings.HasPrefix(c.Sample(1, 0, i, 4).Caption, want)
		}
		if !found {
			t.Errorf("no caption begins with %q", want)
		}
	}
}
