package dataset

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// makeTarXZ packs files, in the order of their names; a value that begins with "->" becomes a link.
func makeTarXZ(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw, err := xz.WriterConfig{DictCap: 1 << 16}.NewWriter(&b) // the usual 8 MiB take long to clear
	if err != nil {
		t.Fatal(err)
	}
	tw := tar.NewWriter(zw)
	for _, name := range sortedKeys(files) {
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(files[name])), Mode: 0o644}
		if to, ok := strings.CutPrefix(files[name], "->"); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, to, 0
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(tw, files[name]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// makeAr packs members (name, content, name, content...).
func makeAr(members ...string) []byte {
	var b bytes.Buffer
	b.WriteString(arMagic)
	for i := 0; i < len(members); i += 2 {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d%s%s", members[i], 0, 0, 0, "100644", len(members[i+1]), arEnd, members[i+1])
		if len(members[i+1])%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func makeDeb(t testing.TB, files map[string]string) []byte {
	return makeAr("debian-binary", "2.0\n", "control.tar.xz", "odd", "data.tar.xz", string(makeTarXZ(t, files)))
}

// fakeApt stands for apt-get: it has packages by "name=version".
type fakeApt struct {
	debs  map[string][]byte
	calls int
}

func (f *fakeApt) run(_ context.Context, c command) ([]byte, error) {
	f.calls++
	what := c.args[len(c.args)-1]
	deb, ok := f.debs[what]
	if c.name != "apt-get" || !ok {
		return nil, fmt.Errorf("unable to locate %s", what)
	}
	name, version, _ := strings.Cut(what, "=")
	return nil, os.WriteFile(filepath.Join(c.dir, name+"_"+strings.ReplaceAll(version, ":", "%3a")+"_all.deb"), deb, 0o644)
}

func everything(string) bool { return true }

func TestFetchDeb(t *testing.T) {
	deb := makeDeb(t, map[string]string{"./usr/share/a.txt": "A", "./usr/share/b.txt": "B", "./usr/share/link": "->/etc/passwd"})
	sum := sha256.Sum256(deb)
	p := debPackage{"thing", "1:2-3", hex.EncodeToString(sum[:])}
	apt := &fakeApt{debs: map[string][]byte{"thing=1:2-3": deb}}
	cache := t.TempDir()
	var asked []string
	dir, err := fetchDeb(context.Background(), apt.run, p, cache, func(name string) bool {
		asked = append(asked, name)
		return strings.HasSuffix(name, "a.txt")
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(asked, " "); got != "usr/share/a.txt usr/share/b.txt" {
		t.Errorf("keep was asked for %q, want the regular files without ./", got)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "usr/share/a.txt")); err != nil || string(b) != "A" {
		t.Errorf("a.txt holds %q, %v", b, err)
	}
	for _, gone := range []string{"b.txt", "link"} {
		if _, err := os.Lstat(filepath.Join(dir, "usr/share", gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was unpacked: %v", gone, err)
		}
	}
	if again, err := fetchDeb(context.Background(), apt.run, p, cache, everything); err != nil || again != dir || apt.calls != 1 {
		t.Errorf("a second call gives %q, %v after %d downloads", again, err, apt.calls)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, ".fetch-*")); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// A package that somebody put there is used if it is the pinned one, without apt-get.
func TestFetchDebTakesOneThatIsThere(t *testing.T) {
	deb := makeDeb(t, map[string]string{"./a": "A"})
	sum := sha256.Sum256(deb)
	p := debPackage{"thing", "1", hex.EncodeToString(sum[:])}
	none := func(context.Context, command) ([]byte, error) {
		return execCommand(context.Background(), command{name: "smalti-no-such-program"})
	}
	cache := t.TempDir()
	path := filepath.Join(cache, "thing_1_all.deb")
	if err := os.WriteFile(path, []byte("another file"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := fetchDeb(context.Background(), none, p, cache, everything)
	var missing *ToolError
	if !errors.As(err, &missing) || missing.Tool != "apt-get" || !strings.Contains(missing.Hint, cache) {
		t.Errorf("without apt-get: %v", err)
	}
	if err := os.WriteFile(path, deb, 0o644); err != nil {
		t.Fatal(err)
	}
	dir, err := fetchDeb(context.Background(), none, p, cache, everything)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err != nil {
		t.Error(err)
	}
}

func TestHostileDebsAreRefused(t *testing.T) {
	good := string(makeTarXZ(t, map[string]string{"./a": strings.Repeat("0123456789", 1000)}))
	huge := makeAr("data.tar.xz", good)
	copy(huge[len(arMagic)+48:], "9999999999")
	for name, c := range map[string]struct {
		deb  []byte
		want string
	}{
		"empty":            {nil, "no Debian package"},
		"other file":       {[]byte("PK\x03\x04 this is a zip"), "no Debian package"},
		"no data":          {makeAr("debian-binary", "2.0\n"), "no member data.tar.xz"},
		"zstd":             {makeAr("debian-binary", "2.0\n", "data.tar.zst", "x"), "no member data.tar.xz"},
		"header cut":       {makeAr("debian-binary", "2.0\n", "data.tar.xz", good)[:100], "header of an ar member"},
		"member cut":       {makeAr("debian-binary", "2.0\n")[:len(arMagic)+arHeader+2], "unexpected EOF"},
		"data cut":         {makeAr("data.tar.xz", good)[:len(arMagic)+arHeader+len(good)/2], "unexpected EOF"},
		"size not its own": {huge, "broken header"},
		"not xz":           {makeAr("data.tar.xz", "plain text, not xz at all"), "data.tar.xz"},
		"path escape":      {makeDeb(t, map[string]string{"./../../evil": "x"}), "outside its folder"},
		"absolute path":    {makeDeb(t, map[string]string{"//etc/evil": "x"}), "outside its folder"},
		"many members":     {makeAr(strings.Split(strings.Repeat("m,,", 2*maxArMembers)+"data.tar.xz,x", ",")...), "no member"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "p.deb")
		if err := os.WriteFile(path, c.deb, 0o644); err != nil {
			t.Fatal(err)
		}
		err := unpackDeb(path, filepath.Join(dir, "in", "out"), everything)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(dir, "evil")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a file outside of the folder was written", name)
		}
	}
}

// A tar header that promises more than the cap is refused before anything of it is written.
func TestOversizeTarIsRefused(t *testing.T) {
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "./big", Typeflag: tar.TypeReg, Size: maxPackageBytes + 1, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unpackTar(&b, dir, everything); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a file over the cap gives %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "big")); !errors.Is(err, os.ErrNotExist) {
		t.Error("it was written")
	}
}

func TestFetchDebChecksTheDigest(t *testing.T) {
	apt := &fakeApt{debs: map[string][]byte{"thing=1": makeDeb(t, map[string]string{"./a": "A"})}}
	cache := t.TempDir()
	_, err := fetchDeb(context.Background(), apt.run, debPackage{"thing", "1", strings.Repeat("0", 64)}, cache, everything)
	if err == nil || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("another digest gives %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "*")); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}
