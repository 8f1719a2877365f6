package dataset

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/smalti/smalti/event"
)

func tgz(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, name := range sortedKeys(files) {
		if err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(files[name])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fakeTools stands for npm and rsvg-convert. The fake renderer paints a disc whose colour is in the
// drawing ("#rrggbb"), fails on "broken" and paints nothing on "blank".
type fakeTools struct {
	t        *testing.T
	packages map[string]map[string]string
	mu       sync.Mutex
	calls    map[string]int
	stopAt   int    // cancel before this rendering
	cancel   func() //
}

func (f *fakeTools) run(ctx context.Context, c command) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[c.name]++
	switch c.name {
	case "npm":
		name := c.args[len(c.args)-1]
		files, ok := f.packages[name]
		if !ok {
			return nil, fmt.Errorf("404 %s", name)
		}
		return nil, os.WriteFile(filepath.Join(c.dir, "p.tgz"), tgz(f.t, files), 0o644)
	case "rsvg-convert":
		if f.stopAt > 0 && f.calls[c.name] >= f.stopAt {
			f.cancel()
			return nil, context.Canceled
		}
		svg := string(c.stdin)
		if strings.Contains(svg, "broken") {
			return nil, errors.New("rsvg-convert: error")
		}
		img := image.NewNRGBA(image.Rect(0, 0, 64, 64))
		if i := strings.IndexByte(svg, '#'); i >= 0 && !strings.Contains(svg, "blank") {
			var col color.NRGBA
			col.A = 255
			if _, err := fmt.Sscanf(svg[i:i+7], "#%02x%02x%02x", &col.R, &col.G, &col.B); err != nil {
				return nil, err
			}
			for y := 10; y < 54; y++ {
				for x := 10; x < 54; x++ {
					img.SetNRGBA(x, y, col)
				}
			}
		}
		var b bytes.Buffer
		err := png.Encode(&b, img)
		return b.Bytes(), err
	}
	return nil, fmt.Errorf("unexpected tool %s", c.name)
}

func newFakeTools(t *testing.T) *fakeTools {
	return &fakeTools{t: t, calls: map[string]int{}, packages: map[string]map[string]string{
		"emojibase-data@17.0.0": {
			"package/en/data.json": `[{"label":"red apple","hexcode":"1F34E","tags":["fruit","red","143"],"group":4},
				{"label":"dog face","hexcode":"1F436","tags":["pet"],"group":3},{"label":"key","hexcode":"1F511","group":7},
				{"label":"bomb","hexcode":"1F4A3","group":7},{"label":"axe","hexcode":"1FA93","group":7},{"label":"gear","hexcode":"2699","group":7},
				{"label":"flag: Japan","hexcode":"1F1EF-1F1F5","group":9},{"label":"waving hand","hexcode":"1F44B","group":1,
				"skins":[{"label":"waving hand: light skin tone","hexcode":"1F44B-1F3FB"}]}]`,
			"package/en/shortcodes/github.json": `{"1F511":["key_old","clef"]}`,
			"package/LICENSE":                   "MIT",
		},
		"one@1": {
			"package/chars.json": `{"1f34e":"apple-a","1f436":"dog-face","1f4a3":"bomb","1fa93":"axe","2699-fe0f":"gear","1f1ef-1f1f5":"flag-jp","1f44b":"waving","1f44b-1f3fb":"waving-light"}`,
			"package/icons.json": `{"icons":{"apple-a":{"body":"#dd1111"},"dog-face":{"body":"#886622"},"bomb":{"body":"broken"},"axe":{"body":"blank"},
				"gear":{"body":"#dd1111"},"clef":{"body":"#11dd11"},"hidden":{"body":"#010101","hidden":true},"flag-jp":{"body":"#ffeeff"},
				"waving":{"body":"#eecc11"},"waving-light":{"body":"#eeccaa"},"unknown":{"body":"#123456"}},"width":32,"height":32}`,
		},
		"two@1": {
			"package/chars.json": `{}`,
			"package/icons.json": `{"icons":{"red-apple":{"body":"#cc0000"},"apple_a":{"body":"#cc3300"}}}`,
		},
	}}
}

func (f *fakeTools) options(dir string) EmojiOptions {
	return EmojiOptions{PackOptions: PackOptions{Dir: dir, Workers: 1, run: f.run}, styles: []emojiStyle{
		{name: "first", licence: "MIT", by: "A", pkg: npmPackage{Name: "one", Version: "1"}},
		{name: "second", licence: "CC-BY-4.0", by: "B", pkg: npmPackage{Name: "two", Version: "1"}},
	}}
}

type sink struct{ events []event.Event }

func (s *sink) Emit(e event.Event) { s.events = append(s.events, e) }

func TestBuildEmoji(t *testing.T) {
	f := newFakeTools(t)
	dir := t.TempDir()
	var seen sink
	m, err := BuildEmoji(context.Background(), f.options(dir), &seen)
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenPack(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Sprites {
		got = append(got, s.File+" "+s.Label+" "+s.Licence)
	}
	// gear equals the apple, axe is blank, bomb is broken, the flag and the tone are not wanted.
	want := []string{"first/1F34E.png red apple MIT", "first/1F511.png key MIT", "first/1F436.png dog MIT", "first/1F44B.png waving hand MIT", "second/1F34E.png red apple CC-BY-4.0"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("pack holds\n%q\nwant\n%q", got, want)
	}
	if m.Count != len(want) || len(m.Sources) != 3 {
		t.Errorf("manifest %+v", m)
	}
	if tags := p.Sprites[0].Tags; len(tags) != 1 || tags[0] != "fruit" {
		t.Errorf("tags of the apple: %q", tags)
	}
	notice, err := os.ReadFile(filepath.Join(dir, noticeFile))
	if err != nil || !strings.Contains(string(notice), "style second: B\n  package two 1, licence CC-BY-4.0") {
		t.Errorf("notice lacks an attribution: %v\n%s", err, notice)
	}
	if _, err := os.Stat(filepath.Join(dir, ".cache")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the cache is left")
	}
	if last := seen.events[len(seen.events)-1]; last.Kind != event.Saved || last.Values["pictures"] != 5 {
		t.Errorf("last event %+v", last)
	}
	// A second call does nothing; another recipe builds anew.
	calls := f.calls["rsvg-convert"]
	if _, err := BuildEmoji(context.Background(), f.options(dir), &seen); err != nil || f.calls["rsvg-convert"] != calls {
		t.Errorf("a finished pack was built again (%v)", err)
	}
	o := f.options(dir)
	o.Limit = 1
	if m, err = BuildEmoji(context.Background(), o, &seen); err != nil || m.Count != 2 {
		t.Errorf("limit 1 gives %d pictures, %v; want one a style", m.Count, err)
	}
	o.Limit, o.Symbols, o.Tones = 0, true, true
	if m, err = BuildEmoji(context.Background(), o, &seen); err != nil || m.Count != 7 {
		t.Errorf("with flags and tones %d pictures, %v; want 7", m.Count, err)
	}
}

func TestBuildEmojiResumes(t *testing.T) {
	f := newFakeTools(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	f.stopAt, f.cancel = 4, cancel
	if _, err := BuildEmoji(ctx, f.options(dir), &sink{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled build gives %v", err)
	}
	if _, err := OpenPack(dir); !errors.Is(err, ErrNoPack) {
		t.Fatalf("a cancelled build left a pack: %v", err)
	}
	done := f.calls["rsvg-convert"] - 1 // the last call was refused
	npm := f.calls["npm"]
	f.stopAt, f.calls["rsvg-convert"] = 0, 0
	if _, err := BuildEmoji(context.Background(), f.options(dir), &sink{}); err != nil {
		t.Fatal(err)
	}
	// 8 drawings in all; one of the finished three (gear) has the same source as another's (apple).
	if got := f.calls["rsvg-convert"]; got > 8-done+1 || got == 0 {
		t.Errorf("%d renderings after the restart, %d before", got, done)
	}
	if f.calls["npm"] != npm {
		t.Errorf("packages were fetched again: %d calls, then %d", npm, f.calls["npm"])
	}
}

func TestBuildEmojiRefuses(t *testing.T) {
	f := newFakeTools(t)
	for name, c := range map[string]struct {
		change func(o *EmojiOptions, f *fakeTools)
		want   string
	}{
		"no folder":   {func(o *EmojiOptions, _ *fakeTools) { o.Dir = "" }, "no folder"},
		"size":        {func(o *EmojiOptions, _ *fakeTools) { o.Size = 2000 }, "outside 16..256"},
		"limit":       {func(o *EmojiOptions, _ *fakeTools) { o.Limit = -1 }, "negative"},
		"digest":      {func(o *EmojiOptions, _ *fakeTools) { o.styles[1].pkg.SHA256 = strings.Repeat("0", 64) }, "sha256"},
		"no package":  {func(o *EmojiOptions, _ *fakeTools) { o.styles[1].pkg.Name = "three" }, "404"},
		"path escape": {func(o *EmojiOptions, f *fakeTools) { f.packages["two@1"]["package/../../evil/icons.json"] = "{}" }, "outside its folder"},
		"bad json":    {func(o *EmojiOptions, f *fakeTools) { f.packages["two@1"]["package/icons.json"] = "{" }, "icons.json"},
	} {
		f = newFakeTools(t)
		o := f.options(t.TempDir())
		c.change(&o, f)
		if _, err := BuildEmoji(context.Background(), o, &sink{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	_, err := BuildEmoji(context.Background(), EmojiOptions{PackOptions: PackOptions{Dir: t.TempDir()}}, &sink{})
	var missing *ToolError
	if !errors.As(err, &missing) || missing.Tool != "npm" || missing.Hint == "" {
		t.Errorf("without tools: %v", err)
	}
}

func TestExecCommandReportsTheTool(t *testing.T) {
	out, err := execCommand(context.Background(), command{name: "sh", args: []string{"-c", "cat"}, stdin: []byte("in")})
	if err != nil || string(out) != "in" {
		t.Errorf("cat gives %q, %v", out, err)
	}
	_, err = execCommand(context.Background(), command{name: "sh", args: []string{"-c", "echo first >&2; echo reason >&2; exit 3"}})
	if err == nil || !strings.Contains(err.Error(), "reason") || strings.Contains(err.Error(), "first") {
		t.Errorf("a failing tool gives %v, want its last line", err)
	}
}
