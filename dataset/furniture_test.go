package dataset

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// makeCatalog is a .sh3f: a zip of the files.
func makeCatalog(t testing.TB, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for _, name := range sortedKeys(files) {
		w, err := zw.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// catalogFiles are the files of a small catalogue.
func catalogFiles(t testing.TB) map[string]string {
	red, blue, white := color.NRGBA{200, 30, 30, 255}, color.NRGBA{30, 30, 200, 255}, color.NRGBA{255, 255, 255, 255}
	return map[string]string{
		catalogList: "# a comment\nname=Small catalogue\nlicense=Creative Commons Attribution 3.0 license\n\n" +
			"id#1=x\nname#1=Winchester sofa\ntags#1=Blend Swap, Seat\ncategory#1=Living room\nicon#1=/c/sofa.png\ncreator#1=Ann\n" +
			"name#2=Caf\xe9 table 2 seats\ncategory#2=Kitchen\nicon#2=/c/table.png\ncreator#2=Bob \\u00e9 \\\n  and others\n" +
			"name#3=Female\ntags#3=Human, Woman\ncategory#3=Characters\nicon#3=/c/woman.png\ncreator#3=Cy\n" +
			"name#4=Gone\nicon#4=../../etc/passwd\n" + "name#5=99\nicon#5=/c/nameless.png\n" + "name#6=Same\nicon#6=/c/sofa.png\n",
		"c/sofa.png":     drawPNG(t, 128, 100, red, color.NRGBA{}),
		"c/table.png":    drawPNG(t, 100, 128, blue, white),
		"c/woman.png":    drawPNG(t, 60, 128, red, color.NRGBA{}),
		"c/nameless.png": drawPNG(t, 100, 100, blue, color.NRGBA{}),
	}
}

func furnitureDeb(t testing.TB, catalogs map[string]string) *fakeApt {
	files := map[string]string{"./usr/share/doc/readme": "no"}
	for name, zipped := range catalogs {
		files["./"+furnitureRoot+"/"+name+".sh3f"] = zipped
	}
	return &fakeApt{debs: map[string][]byte{"sweethome3d-furniture=1": makeDeb(t, files)}}
}

func TestBuildFurniture(t *testing.T) {
	apt := furnitureDeb(t, map[string]string{"Small": makeCatalog(t, catalogFiles(t))})
	dir := t.TempDir()
	var seen sink
	m, err := BuildFurniture(context.Background(), apt.options(dir, "sweethome3d-furniture"), &seen)
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
	want := []string{"sweethome3d/small/sofa.png winchester sofa CC-BY-3.0 living room [living room seat]",
		"sweethome3d/small/table.png cafe table CC-BY-3.0 kitchen [kitchen]",
		"sweethome3d/small/woman.png woman CC-BY-3.0 people & body [human]"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("pack holds\n%q\nwant\n%q", got, want)
	}
	if m.Count != 3 || len(m.Sources) != 1 || m.Sources[0].Licence != "CC-BY-3.0" {
		t.Errorf("manifest %+v", m)
	}
	notice, err := os.ReadFile(filepath.Join(dir, noticeFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Small: Small catalogue, CC-BY-3.0", `small/sofa.png: "Winchester sofa" by Ann`, `small/table.png: "Café table 2 seats" by Bob é and others`} {
		if !strings.Contains(string(notice), line) {
			t.Errorf("the notice lacks %q:\n%s", line, notice)
		}
	}
	said := false
	for _, e := range seen.events {
		said = said || strings.Contains(e.Message, "of 6 pictures are left out: 1 equal or empty, 1 unreadable, 1 without a name")
	}
	if !said {
		t.Error("it is not said what was left out")
	}
}

func TestHostileCatalogsAreRefused(t *testing.T) {
	with := func(name, content string) string {
		f := catalogFiles(t)
		f[name] = content
		return makeCatalog(t, f)
	}
	whole := makeCatalog(t, catalogFiles(t))
	none := catalogFiles(t)
	delete(none, catalogList)
	for name, c := range map[string]struct{ zip, want string }{
		"no zip":          {"hello", "zip"},
		"cut":             {whole[:len(whole)/2], "zip"},
		"no list":         {makeCatalog(t, none), catalogList + " is missing"},
		"long list":       {with(catalogList, strings.Repeat("#", maxCatalogList+1)), "over the cap"},
		"unknown licence": {with(catalogList, "license=All rights reserved\nname#1=a\nicon#1=/c/sofa.png\n"), "unknown licence"},
		"broken escape":   {with(catalogList, "license=Public domain\nname#1=\\u12\n"), "broken escape"},
		"nothing in it":   {with(catalogList, "license=Public domain\n"), "no picture"},
		"large icon":      {with("c/sofa.png", strings.Repeat("x", maxIconBytes+1)), ""},
	} {
		dir := t.TempDir()
		m, err := BuildFurniture(context.Background(), furnitureDeb(t, map[string]string{"Small": c.zip}).options(dir, "sweethome3d-furniture"), &sink{})
		if c.want == "" { // one bad icon costs itself and its twin, which has the same
			if err != nil || m.Count != 2 {
				t.Errorf("%s: %d pictures, %v; want 2", name, m.Count, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestFurnitureLabels(t *testing.T) {
	for name, want := range map[string]string{"Winchester sofa": "winchester sofa", "Sofa 3 seats": "sofa", "Double window 4 panes": "double window",
		"Apple iMac 1998": "computer", "TV 16:9": "television", "Bill 10€": "banknote", "Plate, glass and cutlery": "plate glass and cutlery",
		"Air conditioning - External unit": "air conditioning external unit", "Frame Hôi An": "picture frame", "Rubik's cube": "rubik's cube",
		"Parking slot 45°": "parking slot", "Hashtray": "ashtray", "123": "", "": ""} {
		if got := furnitureLabel(name); got != want {
			t.Errorf("%q is called %q, want %q", name, got, want)
		}
	}
}

func TestParseProperties(t *testing.T) {
	got, err := parseProperties([]byte("# c\n! c\n a = b \nkey:v\nword  value\nlong=one,\\\n   two\\\r\n three\nesc\\=aped=x\\ty\\\\\nsmile=\\ud83d\\ude00 \\u00e9 \xe9\nempty=\nlast=\\"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": "b ", "key": "v", "word": "value", "long": "one,twothree", "esc=aped": `x y\`, "smile": "😀 é é", "empty": "", "last": ""}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d keys, want %d: %q", len(got), len(want), got)
	}
}

func FuzzParseProperties(f *testing.F) {
	f.Add([]byte("name#1=Sofa\nicon#1=\\u00e9\\\n x"))
	f.Add([]byte("\\"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseProperties(b) })
}
