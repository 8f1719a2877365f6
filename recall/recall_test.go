package recall

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

func toyConfig() Config {
	sum := strings.Repeat("ab", 32)
	return Config{GridH: 2, GridW: 3, Factor: 3, Codes: 20, Width: 4, VQGAN: Model{"book", sum}, CLIP: Model{"eye", sum}}
}

type toyPicture struct {
	e      Entry
	codes  []int32
	mask   []bool
	vector []float32
}

func toyPictures() []toyPicture {
	s := rng.New(1, "pictures")
	labels := []Entry{{Label: "apple", Style: "a"}, {Label: "red apple", Style: "b", Tags: []string{"fruit"}}, {Label: "pineapple", Style: "a"},
		{Label: "man and woman", Style: "c", Group: "people"}, {Label: "pear", Style: "a", Tags: []string{"fruit"}}}
	var out []toyPicture
	for _, e := range labels {
		p := toyPicture{e: e, codes: make([]int32, 6), mask: make([]bool, 54), vector: make([]float32, 4)}
		for i := range p.codes {
			p.codes[i] = int32(s.IntN(20))
		}
		for i := range p.mask {
			p.mask[i] = s.Bernoulli(.5)
		}
		s.FillNormal(p.vector)
		out = append(out, p)
	}
	return out
}

func toyIndex(t *testing.T) *Index {
	t.Helper()
	x := New(toyConfig())
	for _, p := range toyPictures() {
		if err := x.Add(p.e, p.codes, p.mask, p.vector); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func save(t *testing.T, x *Index) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := x.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(t *testing.T, data []byte) (*Index, error) {
	t.Helper()
	f, err := weights.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	return Read(f)
}

func TestIndexTravelsThroughAFile(t *testing.T) {
	x := toyIndex(t)
	data := save(t, x)
	y, err := read(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if y.Config != x.Config || y.Pictures != 5 {
		t.Errorf("read %+v, wrote %+v", y.Config, x.Config)
	}
	for i, p := range toyPictures() {
		e := y.Entries[i]
		if e.Label != p.e.Label || e.Style != p.e.Style || e.Group != p.e.Group || !slices.Equal(e.Tags, p.e.Tags) {
			t.Errorf("entry %d is %+v", i, e)
		}
		if !slices.Equal(y.Grid(i), p.codes) || !slices.Equal(y.Mask(i), p.mask) {
			t.Errorf("picture %d has other codes or another outline", i)
		}
		if found := y.Nearest(p.vector, 1, nil); found[0].Number != i || math.Abs(found[0].Similarity-1) > 1e-3 { // half precision
			t.Errorf("picture %d is not the nearest to itself: %+v", i, found)
		}
	}
	if !bytes.Equal(save(t, toyIndex(t)), data) {
		t.Error("the same pictures make another file")
	}
}

func TestNearestIsInOrder(t *testing.T) {
	x := toyIndex(t)
	query := []float32{1, 2, -1, .5}
	all := x.Nearest(query, 99, nil)
	if len(all) != 5 || !slices.IsSortedFunc(all, func(a, b Found) int {
		if a.Similarity < b.Similarity {
			return 1
		}
		return -1
	}) {
		t.Errorf("found %+v", all)
	}
	some := x.Nearest(query, 2, func(e Entry) bool { return e.Style == "a" })
	for _, f := range some {
		if x.Entries[f.Number].Style != "a" {
			t.Errorf("picture %d was not wanted", f.Number)
		}
	}
	if len(some) != 2 || x.Nearest(query[:3], 1, nil) != nil || x.Nearest(make([]float32, 4), 1, nil) != nil {
		t.Error("a query of another width, or without a direction, finds something")
	}
}

func TestNamed(t *testing.T) {
	x := toyIndex(t)
	for name, want := range map[string][]string{"Apple": {"apple"}, "red apple": {"red apple"}, "woman": {"man and woman"}, "fruit": {"red apple", "pear"}, "ship": nil, "": nil} {
		var got []string
		if fits := x.Named(name); fits != nil {
			for _, e := range x.Entries {
				if fits(e) {
					got = append(got, e.Label)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q names %q, want %q", name, got, want)
		}
	}
	if !x.Labelled("A man and woman") || x.Labelled("man and") {
		t.Error("a label is not known as one, or a part of it is")
	}
}

func TestIndexRefuses(t *testing.T) {
	x := New(toyConfig())
	p := toyPictures()[0]
	for name, err := range map[string]error{
		"code":    x.Add(p.e, []int32{0, 1, 2, 3, 4, 20}, p.mask, p.vector),
		"grid":    x.Add(p.e, p.codes[:5], p.mask, p.vector),
		"outline": x.Add(p.e, p.codes, p.mask[:53], p.vector),
		"vector":  x.Add(p.e, p.codes, p.mask, make([]float32, 4)),
	} {
		if !errors.Is(err, ErrMisfit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var b bytes.Buffer
	if x.Save(&b) == nil {
		t.Error("an index without pictures is written")
	}
	for name, spoil := range map[string]func(x *Index){
		"too few codes":      func(x *Index) { x.codes = x.codes[:24] },
		"too few outlines":   func(x *Index) { x.masks = x.masks[:len(x.masks)-1] },
		"too few entries":    func(x *Index) { x.Entries = x.Entries[:4] },
		"a code of no book":  func(x *Index) { x.codes[3] = 31 },
		"too many outlines":  func(x *Index) { x.masks = append(x.masks, make([]byte, 1<<16)...) },
		"too many pictures":  func(x *Index) { x.Pictures = 1 << 21 },
		"a short sha256":     func(x *Index) { x.CLIP.SHA256 = "ab" },
		"a huge grid":        func(x *Index) { x.GridH = 1 << 12 },
		"an embedding short": func(x *Index) { x.Width = 5 },
	} {
		y := toyIndex(t)
		spoil(y)
		var b bytes.Buffer
		if err := y.Save(&b); err != nil {
			continue // refused already
		}
		if _, err := read(t, b.Bytes()); err == nil {
			t.Errorf("an index with %s is read", name)
		}
	}
}
