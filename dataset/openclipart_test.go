package dataset

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smalti/smalti/event"
)

// drawPNG is a w x h picture with a box of a colour in its middle, on a ground of another.
func drawPNG(t testing.TB, w, h int, box, ground color.NRGBA) string {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := ground
			if x >= w/8 && x < w-w/8 && y >= h/8 && y < h-h/8 {
				c = box
			}
			img.SetNRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const pd = "http://web.resource.org/cc/PublicDomain"

// drawSVG is a drawing with metadata as Inkscape writes them.
func drawSVG(title, creator, licence string, keywords ...string) string {
	var li strings.Builder
	for _, k := range keywords {
		fmt.Fprintf(&li, "<rdf:li>%s</rdf:li>", k)
	}
	return `<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE svg [<!ENTITY x "x">]><svg xmlns="http://www.w3.org/2000/svg"><title>not this</title>
<metadata><rdf:RDF><cc:Work rdf:about=""><dc:title>` + title + `</dc:title><dc:subject><rdf:Bag>` + li.String() + `</rdf:Bag></dc:subject>
<dc:creator><cc:Agent><dc:title>` + creator + `</dc:title></cc:Agent></dc:creator><cc:license rdf:resource="` + licence + `" />
</cc:Work></rdf:RDF></metadata><path d="&broken"`
}

func clipartDebs(t testing.TB) *fakeApt {
	red, blue, none, white := color.NRGBA{200, 30, 30, 255}, color.NRGBA{30, 30, 200, 255}, color.NRGBA{}, color.NRGBA{255, 255, 255, 255}
	green := color.NRGBA{30, 160, 40, 255}
	pics, svgs := map[string]string{}, map[string]string{}
	add := func(name, picture, drawing string) {
		pics["./"+clipartPNG+"/"+name+".png"] = picture
		if drawing != "" {
			svgs["./"+clipartSVG+"/"+name+".svg"] = drawing
		}
	}
	add("food/burger", drawPNG(t, 90, 60, red, none), drawSVG("Burger", "A", pd, "protein", "food"))
	add("food/again", drawPNG(t, 90, 60, red, none), drawSVG("Other burger", "A", pd, "food"))
	add("animals/cavallo", drawPNG(t, 60, 60, blue, white), drawSVG("cavallo", "Architetto Francesco Rollandin", pd, "mammal", "horse"))
	add("animals/mucca", drawPNG(t, 60, 70, blue, none), drawSVG("mucca", "Architetto Francesco Rollandin", pd))
	add("people/man", drawPNG(t, 50, 70, green, none), drawSVG("man", "B", pd, "people"))
	add("tools/grey", drawPNG(t, 60, 60, color.NRGBA{70, 70, 70, 255}, none), drawSVG("anvil", "A", pd))
	add("tools/gpl", drawPNG(t, 61, 60, red, none), drawSVG("saw", "A", "http://creativecommons.org/licenses/GPL/2.0/"))
	add("tools/free", drawPNG(t, 62, 60, red, none), drawSVG("axe", "A", ""))
	add("tools/small", drawPNG(t, 20, 20, red, none), drawSVG("nail", "A", pd))
	add("tools/long", drawPNG(t, 400, 40, red, none), drawSVG("rope", "A", pd))
	add("tools/empty", drawPNG(t, 60, 60, none, none), drawSVG("nothing here", "A", pd))
	add("tools/broken", "not a png", drawSVG("drill", "A", pd))
	add("tools/alone", drawPNG(t, 63, 60, red, none), "")
	add("tools/link", "->grey.png", drawSVG("linked", "A", pd))
	add("logos/company", drawPNG(t, 64, 60, red, none), drawSVG("company", "A", pd))
	return &fakeApt{debs: map[string][]byte{"openclipart-png=1": makeDeb(t, pics), "openclipart-svg=1": makeDeb(t, svgs)}}
}

func (f *fakeApt) options(dir string, names ...string) PackOptions {
	o := PackOptions{Dir: dir, Workers: 2, run: f.run}
	for _, n := range names {
		o.debs = append(o.debs, debPackage{Name: n, Version: "1"})
	}
	return o
}

func TestBuildOpenclipart(t *testing.T) {
	apt := clipartDebs(t)
	dir := t.TempDir()
	var seen sink
	o := apt.options(dir, "openclipart-png", "openclipart-svg")
	m, err := BuildOpenclipart(context.Background(), o, &seen)
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenPack(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Sprites {
		got = append(got, fmt.Sprint(s.File, " ", s.Label, " ", s.Licence, " ", s.Group, " ", s.Tags))
	}
	want := []string{"openclipart/animals/cavallo.png horse CC-PDDC animals [animal]", "openclipart/food/again.png other burger CC-PDDC food [food]",
		"openclipart/people/man.png man CC-PDDC people & body []"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("pack holds\n%q\nwant\n%q", got, want)
	}
	// The white ground of the horse is gone and the box fills the square.
	if h := p.Sprites[0]; h.RGBA[3] != 255 || h.RGBA[2] < 150 {
		t.Errorf("the horse's corner is %v, want the box's blue", h.RGBA[:4])
	}
	var notice string
	for _, e := range seen.events {
		if e.Kind == event.Notice {
			notice = e.Message
		}
	}
	for _, why := range []string{"1 equal", "1 black and white", "2 without a licence", "1 without an English name", "1 without a drawing", "1 unreadable", "3 empty, tiny or long"} {
		if !strings.Contains(notice, why) {
			t.Errorf("the notice %q lacks %q", notice, why)
		}
	}
	if m.Count != 3 || len(m.Sources) != 2 {
		t.Errorf("manifest %+v", m)
	}
	if _, err := os.Stat(filepath.Join(dir, ".cache")); err == nil {
		t.Error("the cache is left")
	}
	calls := apt.calls
	if _, err := BuildOpenclipart(context.Background(), o, &seen); err != nil || apt.calls != calls {
		t.Errorf("a finished pack was built again (%v)", err)
	}
	o.Limit, o.Workers = 2, 1
	if m, err = BuildOpenclipart(context.Background(), o, &seen); err != nil || m.Count != 2 {
		t.Errorf("limit 2 gives %d pictures, %v", m.Count, err)
	}
}

func TestBuildFromDebsRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *PackOptions)
		want   string
	}{
		"no folder":  {func(o *PackOptions) { o.Dir = "" }, "no folder"},
		"size":       {func(o *PackOptions) { o.Size = 2000 }, "outside 16..256"},
		"limit":      {func(o *PackOptions) { o.Limit = -1 }, "negative"},
		"no package": {func(o *PackOptions) { o.debs[1].Name = "other" }, "unable to locate"},
		"digest":     {func(o *PackOptions) { o.debs[0].SHA256 = strings.Repeat("0", 64) }, "sha256"},
	} {
		o := clipartDebs(t).options(t.TempDir(), "openclipart-png", "openclipart-svg")
		c.change(&o)
		if _, err := BuildOpenclipart(context.Background(), o, &sink{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	if _, err := BuildOpenclipart(ctx, clipartDebs(t).options(dir, "openclipart-png", "openclipart-svg"), &sink{}); err == nil {
		t.Error("a cancelled build worked")
	}
	if _, err := OpenPack(dir); err == nil {
		t.Error("a cancelled build left a pack")
	}
}

func TestClipartNames(t *testing.T) {
	for _, c := range []struct {
		title, creator string
		keywords       []string
		label, tags    string
	}{
		{"blacksmith hammer", "A", []string{"tool", "work"}, "blacksmith hammer", "tool"},
		{"cavallo", "Architetto Francesco Rollandin", []string{"mammal", "horse"}, "horse", "animal"},
		{"cavallo", "Architetto Francesco Rollandin", []string{"mammal"}, "animal", ""},
		{"clipart by nicu buculei - baloon1_04", "Nicu Buculei", []string{"party", "balloon"}, "balloon", ""},
		{"clipart by nicu buculei - baloon1_04", "Nicu Buculei", []string{"party"}, "", ""},
		{"lime (slice)", "A", []string{"food", "fruit", "lime"}, "lime", "food fruit"},
		{"tie - clothing", "A", nil, "tie", ""},
		{"arrow-heart 2", "A", nil, "arrow heart", ""},
		{"The moon", "A", nil, "moon", ""},
		{"Stack of books, taller", "A", nil, "stack of books", ""},
		{"direction &amp;agrave; suivre", "A", []string{"arrow"}, "arrow", ""},
		{"one two three four five six seven", "A", []string{"numbers"}, "numbers", ""},
		{"svg road signs", "John Cliff", []string{"transport", "roadsign"}, "road sign", ""},
		{"", "Architetto Francesco Rollandin", []string{"architetto francesco rollandin", "signs_and_symbols", "cow"}, "cow", ""},
		{"creation day 3 number", "A", []string{"number"}, "number", ""},
		{"", "A", []string{"hash(0x865f868)", "0x865f868", "sign"}, "", ""},
	} {
		label, tags := about{title: c.title, creator: c.creator, keywords: c.keywords}.words()
		if label != c.label || strings.Join(tags, " ") != c.tags {
			t.Errorf("%q %q: named %q %q, want %q %q", c.title, c.keywords, label, tags, c.label, c.tags)
		}
	}
}

func TestReadAbout(t *testing.T) {
	a := readAbout([]byte(drawSVG("Two\n words &amp;", "Me", pd, "one", " ", "two")))
	if a.title != "Two words &" || a.creator != "Me" || !a.publicDomain() || strings.Join(a.keywords, " ") != "one two" {
		t.Errorf("read %+v", a)
	}
	latin := strings.Replace(drawSVG("caf\xe9", "", pd), "UTF-8", "iso-8859-1", 1)
	if a := readAbout([]byte(latin)); a.title != "café" {
		t.Errorf("title in Latin-1 is %q", a.title)
	}
	for name, svg := range map[string]string{
		"nothing": "", "no XML": "hello", "cut": drawSVG("x", "y", pd)[:180], "deep": strings.Repeat("<a>", 10_000),
		"many keywords": drawSVG("x", "y", pd, strings.Split(strings.Repeat("k,", 1000), ",")...),
		"long title":    drawSVG(strings.Repeat("long ", 1<<16), "y", ""),
	} {
		a := readAbout([]byte(svg))
		if len(a.keywords) > maxKeywords || name != "many keywords" && a.publicDomain() {
			t.Errorf("%s: read %d keywords, licence %q", name, len(a.keywords), a.licence)
		}
	}
}

func FuzzReadAbout(f *testing.F) {
	f.Add([]byte(drawSVG("title", "maker", pd, "a", "b")))
	f.Add([]byte("<cc:Work><dc:title>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := readAbout(b)
		label, tags := a.words()
		for _, w := range append([]string{label}, tags...) {
			if w != strings.ToLower(w) || strings.ContainsAny(w, "0123456789\n<>") {
				t.Errorf("word %q", w)
			}
		}
	})
}

func TestCutOutRefuses(t *testing.T) {
	red := color.NRGBA{255, 0, 0, 255}
	whole := drawPNG(t, 64, 64, red, color.NRGBA{})
	wide := []byte(whole)
	copy(wide[16:24], "\x00\x01\x00\x00\x00\x01\x00\x00") // 65536 x 65536
	for name, file := range map[string][]byte{"none": nil, "cut": []byte(whole[:len(whole)/2]), "huge": wide, "text": []byte("hello")} {
		if _, err := cutOut(file, 64, clipartShape); err == nil {
			t.Errorf("%s: a broken picture was read", name)
		}
	}
	// A white picture inside a coloured frame keeps its white.
	img, err := cutOut([]byte(drawPNG(t, 64, 64, color.NRGBA{255, 255, 255, 255}, red)), 64, clipartShape)
	if err != nil {
		t.Fatal(err)
	}
	if c := img.NRGBAAt(32, 32); c.A != 255 {
		t.Errorf("the white inside became %v", c)
	}
}
