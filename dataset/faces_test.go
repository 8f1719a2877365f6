package dataset

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/event"
)

var cellCorner = regexp.MustCompile(`<svg x="(\d+)" y="(\d+)" width="(\d+)"[^>]*fill="#([0-9a-f]{6})"`)

// faceTools stands for npm, node and rsvg-convert: a face is a square of its background's colour.
func faceTools(t *testing.T) runner {
	fake := &fakeTools{t: t, calls: map[string]int{}, packages: map[string]map[string]string{
		"@dicebear/core@9.4.3":      {"package/package.json": "{}", "package/lib/index.js": "", "package/README.md": ""},
		"@dicebear/toon-head@9.4.3": {"package/package.json": "{}", "package/lib/index.js": ""},
	}}
	return func(ctx context.Context, c command) ([]byte, error) {
		switch c.name {
		case "node":
			if _, err := os.Stat(filepath.Join(c.dir, "node_modules/@dicebear/toon-head/lib/index.js")); err != nil {
				return nil, err
			}
			var out bytes.Buffer
			for line := range strings.Lines(string(c.stdin)) {
				var o faceOptions
				if err := json.Unmarshal([]byte(line), &o); err != nil {
					return nil, err
				}
				b, err := json.Marshal(fmt.Sprintf(`<svg xmlns="x" %s fill="#%s"></svg>`, wholeBox, o.Background[0]))
				if err != nil {
					return nil, err
				}
				out.Write(append(b, '\n'))
			}
			return out.Bytes(), nil
		case "rsvg-convert":
			side := 0
			if _, err := fmt.Sscanf(string(c.stdin), `<svg xmlns="http://www.w3.org/2000/svg" width="%d"`, &side); err != nil {
				return nil, err
			}
			img := image.NewNRGBA(image.Rect(0, 0, side, side))
			for _, m := range cellCorner.FindAllStringSubmatch(string(c.stdin), -1) {
				var x, y, n int
				col := color.NRGBA{A: 255}
				if _, err := fmt.Sscan(m[1], &x); err != nil {
					return nil, err
				}
				if _, err := fmt.Sscan(m[2], &y); err != nil {
					return nil, err
				}
				if _, err := fmt.Sscan(m[3], &n); err != nil {
					return nil, err
				}
				if _, err := fmt.Sscanf(m[4], "%02x%02x%02x", &col.R, &col.G, &col.B); err != nil {
					return nil, err
				}
				for i := range n * n {
					img.SetNRGBA(x+i%n, y+i/n, col)
				}
			}
			var b bytes.Buffer
			err := png.Encode(&b, img)
			return b.Bytes(), err
		}
		return fake.run(ctx, c)
	}
}

func TestBuildFaces(t *testing.T) {
	opts := FacesOptions{Dir: t.TempDir(), Size: 16, Count: 100, run: faceTools(t), unpinned: true}
	var rec event.Recorder
	m, err := BuildFaces(context.Background(), opts, &rec)
	if err != nil {
		t.Fatal(err)
	}
	if m.Count != 100 || m.Size != 16 {
		t.Fatalf("manifest %+v", m)
	}
	p, err := OpenPackPictures(opts.Dir, 8)
	if err != nil {
		t.Fatal(err)
	}
	pairs, err := readPairs(opts.Dir)
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]bool{}
	got := make([]uint8, 8*8*3)
	for i, pair := range pairs { // over two sheets: picture and words belong together
		if err := p.Read(i, got); err != nil {
			t.Fatal(err)
		}
		want := ""
		for _, g := range faceGrounds {
			if strings.HasSuffix(pair.Label, ", "+g.words+" background") {
				want = g.key
			}
		}
		if hex := fmt.Sprintf("%02x%02x%02x", got[0], got[1], got[2]); hex != want {
			t.Errorf("face %d %q is #%s, want #%s", i, pair.Label, hex, want)
		}
		if p.Classes()[p.Class(i)] != pair.Group || !slices.Contains(p.Tagged(i), slices.Index(p.Tags(), pair.Tags[1])) {
			t.Errorf("face %d: class and tags differ from the pair's", i)
		}
		labels[pair.Label] = true
	}
	if len(labels) < 95 {
		t.Errorf("%d different captions of 100", len(labels))
	}
	if _, err := os.Stat(filepath.Join(opts.Dir, ".cache")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cache stayed: %v", err)
	}
	if _, err := OpenPackPictures(opts.Dir, 32); err == nil {
		t.Error("pictures larger than the pack's were promised")
	}
}

func TestFacesStopAndRefuse(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	tools := faceTools(t)
	opts := FacesOptions{Dir: t.TempDir(), Size: 16, Count: 100, unpinned: true, run: func(ctx context.Context, c command) ([]byte, error) {
		if c.name == "rsvg-convert" {
			cancel()
			return nil, ctx.Err()
		}
		return tools(ctx, c)
	}}
	if _, err := BuildFaces(ctx, opts, event.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := readManifest(opts.Dir); !errors.Is(err, ErrNoPack) {
		t.Errorf("half a pack: %v", err)
	}
	opts.Size = 8
	if _, err := BuildFaces(context.Background(), opts, event.Discard); err == nil || !strings.Contains(err.Error(), "size 8") {
		t.Errorf("size 8: %v", err)
	}
}

func TestDrawFaceIsFixed(t *testing.T) {
	a, b := drawFace(1, 7, true), drawFace(1, 7, true)
	if a.label != b.label || a.label == drawFace(1, 8, true).label {
		t.Error("a face is not a function of its number")
	}
	for i := range 500 {
		f := drawFace(2, i, true)
		if f.options.BeardChance > 0 && (f.options.RearHairChance > 0 || f.options.Clothes[0] == "dress") {
			t.Errorf("face %d: %s", i, f.label)
		}
		if strings.Contains(f.label, "  ") || strings.Contains(f.label, "a orange") || strings.HasSuffix(f.label, ",") {
			t.Errorf("face %d: %q", i, f.label)
		}
	}
}

// celebaPicture is 178 x 218: the middle square white on the left and black on the right, green beyond it.
func celebaPicture() image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, 178, 218))
	for y := range 218 {
		for x := range 178 {
			c := color.NRGBA{0, 0, 0, 255}
			switch {
			case y < 20 || y >= 198:
				c.G = 255
			case x < 89:
				c = color.NRGBA{255, 255, 255, 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

func TestCelebA(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, celebaPicture()); err != nil {
		t.Fatal(err)
	}
	table := "3\nBald Smiling\n000002.png  1 -1\n000001.png -1  1\n000009.png -1 -1\n"
	folder, zipped := t.TempDir(), t.TempDir()
	var z bytes.Buffer
	zw := zip.NewWriter(&z)
	for _, name := range []string{"000002.png", "000001.png"} {
		writeIDX(t, filepath.Join(folder, celebaFolder, name), b.Bytes())
		w, err := zw.Create(celebaFolder + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	writeIDX(t, filepath.Join(zipped, celebaZip), z.Bytes())
	for _, dir := range []string{folder, zipped} {
		writeIDX(t, filepath.Join(dir, celebaAttributes), []byte(table))
		c, err := OpenCelebA(dir, 64)
		if err != nil {
			t.Fatal(err)
		}
		if c.Len() != 2 || !IsCelebA(dir) || !slices.Equal(c.Tags(), []string{"Bald", "Smiling"}) || !slices.Equal(c.Tagged(0), []int{1}) || !slices.Equal(c.Tagged(1), []int{0}) {
			t.Errorf("set %+v", c)
		}
		got := make([]uint8, 64*64*3)
		if err := c.Read(1, got); err != nil {
			t.Fatal(err)
		}
		at := func(x, y int) []uint8 { return got[(y*64+x)*3:][:3] }
		for _, y := range []int{0, 32, 63} { // the crop holds all of the middle square and none of the green
			if !slices.Equal(at(2, y), []uint8{255, 255, 255}) || !slices.Equal(at(61, y), []uint8{0, 0, 0}) {
				t.Errorf("row %d: left %v, right %v", y, at(2, y), at(61, y))
			}
		}
	}
	for name, bad := range map[string]string{"value": "2\nBald\n000001.png 2\n", "count": "2\nBald Smiling\n000001.png 1\n"} {
		writeIDX(t, filepath.Join(folder, celebaAttributes), []byte(bad))
		if _, err := OpenCelebA(folder, 64); err == nil {
			t.Errorf("%s: a broken table was accepted", name)
		}
	}
	if _, err := OpenCelebA(t.TempDir(), 64); err == nil {
		t.Error("an empty folder was accepted")
	}
}
