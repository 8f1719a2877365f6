package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/event"
)

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// file writes a file into a fresh folder and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func request(t *testing.T, name string, contents ...string) Request {
	t.Helper()
	r := Request{Name: name, Kind: KindVQGAN, Version: "1", Config: json.RawMessage(`{ "f": 16, "note": "a<b" }`), Source: "a test", Licence: "MIT"}
	for i, c := range contents {
		n := fmt.Sprintf("part%d.bin", i)
		r.Files = append(r.Files, Input{Name: n, Path: file(t, n, c)})
	}
	return r
}

// tree lists the files under a folder, without the lock.
func tree(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && d.Name() != lockFile {
			rel, _ := filepath.Rel(root, p)
			out = append(out, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func names(ms []Model) []string {
	var out []string
	for _, m := range ms {
		out = append(out, m.Name)
	}
	return out
}

func mustImport(t *testing.T, s *Store, req Request) Model {
	t.Helper()
	m, err := s.Import(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testBuiltin() Builtin {
	data := []byte("weights inside the program")
	return Builtin{Name: "builtin/clip", Kind: KindCLIP, Version: "0", SHA256: hexSum(data), Size: int64(len(data)), Open: func() ([]byte, error) { return data, nil }}
}

func TestImportGetListRemove(t *testing.T) {
	root := filepath.Join(t.TempDir(), "deep", "models")
	s := New(root, testBuiltin())
	if l, err := s.List(); err != nil || !reflect.DeepEqual(names(l), []string{"builtin/clip"}) {
		t.Fatalf("an absent folder lists %v, %v", names(l), err)
	}
	var rec event.Recorder
	big := strings.Repeat("x", 3*mib+5)
	req := request(t, "taming/f16", big, "second")
	m, err := s.Import(t.Context(), req, &rec)
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{
		Schema: 1, Name: "taming/f16", Kind: "vqgan", Version: "1", Config: json.RawMessage(`{"f":16,"note":"a<b"}`), Source: "a test", Licence: "MIT",
		Files: []File{{"part0.bin", hexSum([]byte(big)), 3*mib + 5}, {"part1.bin", hexSum([]byte("second")), 6}},
	}
	if !reflect.DeepEqual(m.Manifest, want) {
		t.Fatalf("imported\n%+v\nwant\n%+v", m.Manifest, want)
	}
	got, err := New(root).Get("taming/f16")
	if err != nil || !reflect.DeepEqual(got.Manifest, want) || got.Size() != 3*mib+11 {
		t.Fatalf("found\n%+v, %v\nwant\n%+v", got.Manifest, err, want)
	}
	p, err := got.Path("part1.bin")
	if b, rerr := os.ReadFile(p); err != nil || rerr != nil || string(b) != "second" {
		t.Fatalf("part1.bin at %s: %q, %v, %v", p, b, err, rerr)
	}
	for _, bad := range []string{"", "part2.bin"} {
		if p, err := got.Path(bad); err == nil {
			t.Errorf("file %q of a model of two files is %s", bad, p)
		}
	}
	if steps := rec.Events(event.Step); len(steps) != 3 || steps[2].Step != 3 || steps[2].Steps != 3 || steps[0].Text["file"] != "part0.bin" {
		t.Errorf("progress %+v", steps)
	}
	if saved, ok := rec.Last(event.Saved); !ok || saved.Path != filepath.Join(root, "manifests", "taming", "f16.json") {
		t.Errorf("saved %+v", saved)
	}

	mustImport(t, s, request(t, "other", "second"))
	if l, err := s.List(); err != nil || !reflect.DeepEqual(names(l), []string{"builtin/clip", "other", "taming/f16"}) {
		t.Fatalf("list %v, %v", names(l), err)
	}
	if err := s.Remove("taming/f16"); err != nil {
		t.Fatal(err)
	}
	// The shared blob stays, the other goes, and so does the empty folder of the name.
	if got, want := tree(t, root), []string{"blobs/sha256-" + hexSum([]byte("second")), "manifests/other.json"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("after removal %v, want %v", got, want)
	}
	if _, err := os.Stat(filepath.Join(root, "manifests", "taming")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the name is left: %v", err)
	}
	if err := s.Remove("other"); err != nil || len(tree(t, root)) != 0 {
		t.Fatalf("after all are removed: %v, %v", tree(t, root), err)
	}
}

func TestNotFoundNamesTheOthers(t *testing.T) {
	s := New(t.TempDir(), testBuiltin())
	mustImport(t, s, request(t, "openai/vit-b-32", "x"))
	_, err := s.Get("openai/vit-b32")
	var missing *NotFoundError
	if !errors.As(err, &missing) || !reflect.DeepEqual(missing.Known, []string{"builtin/clip", "openai/vit-b-32"}) {
		t.Fatalf("%v", err)
	}
	if got := missing.Similar(3); !reflect.DeepEqual(got, []string{"openai/vit-b-32"}) {
		t.Errorf("similar names %v", got)
	}
	_, err = s.Get("clpi")
	if !errors.As(err, &missing) || !reflect.DeepEqual(missing.Similar(3), []string{"builtin/clip"}) {
		t.Errorf("similar to clpi: %v", missing.Similar(3))
	}
	if err := s.Remove("nothing"); !errors.As(err, &missing) {
		t.Errorf("remove: %v", err)
	}
	if _, err := s.Verify(t.Context(), nil, "nothing"); !errors.As(err, &missing) {
		t.Errorf("verify: %v", err)
	}
	if _, err := New("").Get("a"); !errors.As(err, &missing) || !strings.Contains(err.Error(), "no others") {
		t.Errorf("no folder: %v", err)
	}
}

func TestImportRefuses(t *testing.T) {
	s := New(t.TempDir())
	good := func() Request { return request(t, "m", "x") }
	var bad *NameError
	for _, c := range []struct {
		name   string
		change func(*Request)
		check  func(error) bool
	}{
		{"bad name", func(r *Request) { r.Name = "../m" }, func(err error) bool { return errors.As(err, &bad) }},
		{"builtin name", func(r *Request) { r.Name = "builtin/x" }, nil},
		{"no kind", func(r *Request) { r.Kind = "" }, nil},
		{"no files", func(r *Request) { r.Files = nil }, nil},
		{"config is no JSON", func(r *Request) { r.Config = json.RawMessage("{") }, nil},
		{"missing file", func(r *Request) { r.Files[0].Path += "x" }, func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
		{"folder for a file", func(r *Request) { r.Files[0].Path = t.TempDir() }, nil},
		{"file twice", func(r *Request) { r.Files = append(r.Files, r.Files[0]) }, nil},
		{"file name with ..", func(r *Request) { r.Files[0].Name = "a/../b" }, nil},
		{"config too large", func(r *Request) { r.Config = json.RawMessage(`"` + strings.Repeat("x", maxManifest) + `"`) }, nil},
	} {
		r := good()
		c.change(&r)
		_, err := s.Import(t.Context(), r, nil)
		if err == nil || c.check != nil && !c.check(err) {
			t.Errorf("%s: %v", c.name, err)
		}
		if left := tree(t, s.Root()); len(left) != 0 {
			t.Errorf("%s leaves %v", c.name, left)
		}
	}
	if _, err := New("").Import(t.Context(), good(), nil); !errors.Is(err, ErrNoRoot) {
		t.Errorf("no folder: %v", err)
	}
}

func TestImportOfATakenName(t *testing.T) {
	s := New(t.TempDir())
	first := request(t, "m", "one")
	mustImport(t, s, first)
	mustImport(t, s, first) // the very same is no conflict
	if _, err := s.Import(t.Context(), request(t, "m", "two"), nil); !errors.Is(err, ErrExists) {
		t.Fatalf("another model of the name: %v", err)
	}
	if m, err := s.Get("m"); err != nil || m.Files[0].SHA256 != hexSum([]byte("one")) {
		t.Fatalf("the first model was changed: %+v %v", m, err)
	}
	if got := tree(t, s.Root()); len(got) != 2 {
		t.Errorf("the refused import left %v", got)
	}
	r := request(t, "m", "two")
	r.Replace = true
	mustImport(t, s, r)
	want := []string{"blobs/sha256-" + hexSum([]byte("two")), "manifests/m.json"}
	if got := tree(t, s.Root()); !reflect.DeepEqual(got, want) {
		t.Errorf("after replacing %v, want %v", got, want)
	}
}

var errFull = errors.New("no space left on device")

// disk is a budget of bytes shared by all writers through it.
type disk struct{ left int }

func (d *disk) through(w io.Writer) io.Writer { return diskWriter{d, w} }

type diskWriter struct {
	d *disk
	w io.Writer
}

func (x diskWriter) Write(p []byte) (int, error) {
	n := min(len(p), x.d.left)
	x.d.left -= n
	n, err := x.w.Write(p[:n])
	if err == nil && n < len(p) {
		err = errFull
	}
	return n, err
}

func TestAFullDiskLeavesNothing(t *testing.T) {
	full := 0
	for room := 0; ; room += 37 {
		s := New(t.TempDir())
		s.wrap = (&disk{left: room}).through
		_, err := s.Import(t.Context(), request(t, "a/b", strings.Repeat("x", 100), "second"), nil)
		if err == nil {
			if left := tree(t, s.Root()); len(left) != 3 {
				t.Fatalf("a complete import left %v", left)
			}
			break
		}
		full++
		if !errors.Is(err, errFull) {
			t.Fatalf("room for %d bytes: %v", room, err)
		}
		if left := tree(t, s.Root()); len(left) != 0 {
			t.Fatalf("room for %d bytes leaves %v", room, left)
		}
	}
	if full < 10 { // 106 bytes of files and a manifest of some hundred
		t.Fatalf("the disk was full %d times only", full)
	}
}

func TestCancelLeavesNothing(t *testing.T) {
	s := New(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	sink := event.Func(func(event.Event) { cancel() }) // at the first MiB
	_, err := s.Import(ctx, request(t, "m", strings.Repeat("x", 5*mib)), sink)
	if !errors.Is(err, context.Canceled) || len(tree(t, s.Root())) != 0 {
		t.Fatalf("%v leaves %v", err, tree(t, s.Root()))
	}
}

func TestVerifyFindsAndImportHeals(t *testing.T) {
	s := New(t.TempDir(), testBuiltin())
	req := request(t, "m", "content", "short", "gone", "fine")
	m := mustImport(t, s, req)
	if p, err := s.Verify(t.Context(), nil); err != nil || len(p) != 0 {
		t.Fatalf("a fresh store: %v, %v", p, err)
	}
	at := func(i int) string { p, _ := m.Path(m.Files[i].Name); return p }
	for i, damage := range []func(string) error{
		func(p string) error { return os.WriteFile(p, []byte("cOntent"), 0o600) },
		func(p string) error { return os.Truncate(p, 2) },
		os.Remove,
	} {
		if err := damage(at(i)); err != nil {
			t.Fatal(err)
		}
	}
	var rec event.Recorder
	got, err := s.Verify(t.Context(), &rec)
	want := []Problem{{"m", "part0.bin", "content is damaged"}, {"m", "part1.bin", "has 2 bytes instead of 5"}, {"m", "part2.bin", "missing"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("problems %v, %v", got, err)
	}
	if r := rec.Events(event.Result); len(r) != 2 || r[0].Text["state"] != "ok" || r[1].Text["state"] != "damaged" {
		t.Errorf("results %+v", r)
	}
	mustImport(t, s, req)
	if p, err := s.Verify(t.Context(), nil, "m"); err != nil || len(p) != 0 {
		t.Fatalf("after importing again: %v, %v", p, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Verify(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	b := testBuiltin()
	b.SHA256 = hexSum([]byte("something else"))
	if p, err := New("", b).Verify(t.Context(), nil); err != nil || len(p) != 1 {
		t.Errorf("a builtin with a wrong hash: %v, %v", p, err)
	}
}

func TestBuiltins(t *testing.T) {
	s := New(t.TempDir(), testBuiltin())
	m, err := s.Get("builtin/clip")
	if err != nil || !m.Builtin() || m.SHA256() != testBuiltin().SHA256 || m.Version != "0" {
		t.Fatalf("%+v, %v", m, err)
	}
	if b, err := m.Data(); err != nil || string(b) != "weights inside the program" {
		t.Errorf("data %q, %v", b, err)
	}
	if p, err := m.Path(""); err == nil {
		t.Errorf("a builtin lies at %s", p)
	}
	if err := s.Remove("builtin/clip"); err == nil {
		t.Error("a builtin was removed")
	}
	if _, err := mustImport(t, s, request(t, "m", "x")).Data(); err == nil {
		t.Error("a model on disk has data inside the program")
	}
}

func TestIdentity(t *testing.T) {
	one := Manifest{Files: []File{{"a", strings.Repeat("1", 64), 1}}}
	if one.SHA256() != strings.Repeat("1", 64) {
		t.Error("one file is not its own hash")
	}
	two := Manifest{Files: []File{{"a", strings.Repeat("1", 64), 1}, {"b", strings.Repeat("2", 64), 1}}}
	want := hexSum([]byte(strings.Repeat("1", 64) + "  a\n" + strings.Repeat("2", 64) + "  b\n"))
	if two.SHA256() != want {
		t.Errorf("two files: %s, want %s", two.SHA256(), want)
	}
}

func TestBrokenManifests(t *testing.T) {
	s := New(t.TempDir())
	m := mustImport(t, s, request(t, "good", "x"))
	blob := filepath.Base(filepath.FromSlash(blobPath(m.SHA256())))
	sum := strings.Repeat("a", 64)
	entry := func(name, file, sha string, size int) string {
		return fmt.Sprintf(`{"schema":1,"name":%q,"kind":"k","files":[{"name":%q,"sha256":%q,"size":%d}]}`, name, file, sha, size)
	}
	broken := map[string]string{
		"cut":     `{"schema":1,`,
		"schema":  strings.Replace(entry("schema", "f", sum, 1), `"schema":1`, `"schema":2`, 1),
		"renamed": entry("other", "f", sum, 1),
		"escape":  entry("escape", "f", "../../../../etc/passwd", 1),
		"upper":   entry("upper", "f", strings.ToUpper(sum), 1),
		"size":    entry("size", "f", sum, -1),
		"fname":   entry("fname", "../f", sum, 1),
		"nofiles": `{"schema":1,"name":"nofiles","kind":"k","files":[]}`,
	}
	for name, text := range broken {
		if err := os.WriteFile(filepath.Join(s.Root(), "manifests", name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(name); err == nil || errors.As(err, new(*NotFoundError)) {
			t.Errorf("%s: %+v, %v", name, got.Manifest, err)
		}
	}
	l, err := s.List()
	if !reflect.DeepEqual(names(l), []string{"good"}) || err == nil || strings.Count(err.Error(), "broken manifest") != len(broken) {
		t.Fatalf("list %v, %v", names(l), err)
	}
	// A manifest that cannot be read may name any blob, so none is removed until it is gone.
	if err := s.Remove("good"); err == nil || !slices.Contains(tree(t, s.Root()), "blobs/"+blob) {
		t.Errorf("%v: %v", err, tree(t, s.Root()))
	}
	for name := range broken {
		_ = s.Remove(name) // complains as long as others are left
	}
	if got := tree(t, s.Root()); len(got) != 0 {
		t.Errorf("left %v", got)
	}
}

func TestNames(t *testing.T) {
	for _, ok := range []string{"a", "clip-vit_b.32", "openai/ViT-B-32", "a/b/c/d", "0"} {
		if err := CheckName(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{
		"", ".", "..", "a/..", "../a", "/a", "a/", "a//b", ".hidden", "a/.b", "a\\b", "a b", "a:b", "é", "a\x00", "-a", "a.json", "a.JSON/b", "a.", "a/b/c/d/e",
		strings.Repeat("a", 129),
	} {
		var e *NameError
		if err := CheckName(bad); !errors.As(err, &e) || e.Name != bad {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestLocks(t *testing.T) {
	s := New(t.TempDir())
	mustImport(t, s, request(t, "m", "x"))
	inside := false
	_, err := s.Import(t.Context(), request(t, "n", strings.Repeat("x", mib)), event.Func(func(e event.Event) {
		if e.Kind == event.Step {
			inside = true
			if err := s.Remove("m"); !errors.Is(err, ErrBusy) {
				t.Errorf("removal during an import: %v", err)
			}
			mustImport(t, s, request(t, "o", "y")) // imports do not exclude each other
		}
	}))
	if err != nil || !inside {
		t.Fatal(err, inside)
	}
	// What a crashed import left is swept by the next.
	stale := filepath.Join(s.Root(), "tmp", "stale")
	if err := os.WriteFile(stale, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustImport(t, s, request(t, "p", "z"))
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a stale file is left: %v", err)
	}
	if l, err := s.List(); err != nil || !reflect.DeepEqual(names(l), []string{"m", "n", "o", "p"}) {
		t.Errorf("list %v, %v", names(l), err)
	}
}

// Nothing inside the folder may lead out of it.
func TestLinksOutOfTheFolderAreNotFollowed(t *testing.T) {
	s := New(t.TempDir())
	m := mustImport(t, s, request(t, "m", "x"))
	secret := file(t, "secret", "x")
	p, _ := m.Path("")
	if err := os.Remove(p); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, p); err != nil {
		t.Skip(err)
	}
	if got, err := s.Verify(t.Context(), nil); err != nil || len(got) != 1 {
		t.Errorf("a blob that is a link out of the folder: %v, %v", got, err)
	}
}

func TestInputsAndLinks(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"b.bin", "a.json", "sub/c.bin", ".git/x", ".hidden"} {
		p = filepath.Join(dir, filepath.FromSlash(p))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(filepath.Base(p)), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	ins, err := Inputs(dir)
	var got []string
	for _, in := range ins {
		got = append(got, in.Name)
	}
	if err != nil || !reflect.DeepEqual(got, []string{"a.json", "b.bin", "sub/c.bin"}) {
		t.Fatalf("inputs %v, %v", got, err)
	}
	if one, err := Inputs(ins[1].Path); err != nil || !reflect.DeepEqual(one, []Input{{"b.bin", ins[1].Path}}) {
		t.Errorf("a file: %v, %v", one, err)
	}
	if _, err := Inputs(t.TempDir()); err == nil {
		t.Error("an empty folder has inputs")
	}
	if _, err := Inputs(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	m := mustImport(t, New(t.TempDir()), Request{Name: "m", Kind: "k", Files: ins})
	out := t.TempDir()
	if err := m.LinkInto(out); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(out, "sub", "c.bin")); err != nil || string(b) != "c.bin" {
		t.Errorf("linked file: %q, %v", b, err)
	}
}

func TestDefaultRoot(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"SMALTI_MODELS": "m", "HOME": "/h"}, "m"},
		{map[string]string{"XDG_DATA_HOME": "/d", "HOME": "/h"}, "/d/smalti/models"},
		{map[string]string{"XDG_DATA_HOME": "relative", "HOME": "/h"}, "/h/.local/share/smalti/models"},
		{map[string]string{"HOME": "/h"}, "/h/.local/share/smalti/models"},
		{nil, ""},
	} {
		if got := filepath.ToSlash(DefaultRoot(func(k string) string { return c.env[k] })); got != c.want {
			t.Errorf("%v: %q, want %q", c.env, got, c.want)
		}
	}
}
