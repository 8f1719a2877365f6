package dataset

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ulikunitz/xz"
)

// debPackage is a Debian package pinned by version and by the digest of its archive.
type debPackage struct {
	Name    string
	Version string
	SHA256  string // of the .deb; empty means not pinned (tests only)
}

// folder is a file-system-safe name of the package at its version.
func (p debPackage) folder() string {
	return p.Name + "-" + strings.NewReplacer(":", "_", "/", "_").Replace(p.Version)
}

// fetchDeb brings p into cache/<folder> and unpacks the files keep wants (paths inside the package, slash-separated, from
// "usr/"). A folder that is there is complete and is used as it is; so is a .deb of the right digest in cache, however it
// came there. Else `apt-get download` brings one. Nothing of the package is run or installed.
func fetchDeb(ctx context.Context, run runner, p debPackage, cache string, keep func(string) bool) (string, error) {
	final := filepath.Join(cache, p.folder())
	if st, err := os.Stat(final); err == nil && st.IsDir() {
		return final, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cache, ".fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	archive, err := p.archive(ctx, run, cache, tmp)
	if err != nil {
		return "", fmt.Errorf("fetch %s %s: %w", p.Name, p.Version, err)
	}
	dir := filepath.Join(tmp, "unpacked")
	if err := unpackDeb(archive, dir, keep); err != nil {
		return "", fmt.Errorf("unpack %s %s: %w", p.Name, p.Version, err)
	}
	if err := os.Rename(dir, final); err != nil {
		return "", err
	}
	return final, nil
}

// archive is the path of the .deb: one in cache that has the digest, else a fresh one in tmp.
func (p debPackage) archive(ctx context.Context, run runner, cache, tmp string) (string, error) {
	here, err := filepath.Glob(filepath.Join(cache, p.Name+"_*.deb"))
	if err != nil {
		return "", err
	}
	for _, path := range here {
		if p.SHA256 != "" && checkDigest(path, p.SHA256) == nil {
			return path, nil
		}
	}
	if _, err := run(ctx, command{dir: tmp, name: "apt-get", args: []string{"download", p.Name + "=" + p.Version}}); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", &ToolError{Tool: "apt-get", Hint: fmt.Sprintf("on other systems than Debian's put %s_%s of Debian into %s", p.Name, p.Version, cache)}
		}
		return "", err
	}
	got, err := filepath.Glob(filepath.Join(tmp, p.Name+"_*.deb"))
	if err != nil || len(got) != 1 {
		return "", fmt.Errorf("apt-get download left %d packages, want 1", len(got))
	}
	return got[0], checkDigest(got[0], p.SHA256)
}

// unpackDeb unpacks the files of a .deb (deb(5): an ar archive whose member data.tar.xz holds them) into dir.
func unpackDeb(archive, dir string, keep func(string) bool) error {
	f, err := openArchive(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := arMember(bufio.NewReaderSize(f, 1<<16), "data.tar.xz") // xz reads byte by byte
	if err != nil {
		return err
	}
	zr, err := xz.NewReader(data)
	if err != nil {
		return fmt.Errorf("data.tar.xz: %w", err)
	}
	if err := unpackTar(zr, dir, keep); err != nil {
		return fmt.Errorf("data.tar.xz: %w", err)
	}
	return nil
}

// Sizes of the ar format: its magic, and the header before each member, of which bytes 0..16 are the name, 48..58 the size
// in decimal and 58..60 the end mark.
const (
	arMagic      = "!<arch>\n"
	arHeader     = 60
	arEnd        = "`\n"
	maxArMembers = 64
)

// arMember finds a member of an ar archive and returns a reader of its bytes. A member that is cut short gives
// io.ErrUnexpectedEOF when it is read to there.
func arMember(r io.Reader, name string) (io.Reader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return nil, errors.New("no Debian package: it does not begin as an ar archive")
	}
	for range maxArMembers {
		h := make([]byte, arHeader)
		if _, err := io.ReadFull(r, h); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("header of an ar member: %w", err)
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(h[48:58])), 10, 64)
		if err != nil || size < 0 || size > maxArchiveBytes || string(h[58:]) != arEnd {
			return nil, errors.New("broken header of an ar member")
		}
		if strings.TrimRight(string(h[:16]), " /") == name {
			return &wholeReader{r, size}, nil
		}
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil { // members begin at even places
			return nil, fmt.Errorf("ar member %q: %w", bytes.TrimSpace(h[:16]), io.ErrUnexpectedEOF)
		}
	}
	return nil, fmt.Errorf("the ar archive has no member %s", name)
}

// wholeReader reads n bytes of r; an end before them is an error.
type wholeReader struct {
	r io.Reader
	n int64
}

func (w *wholeReader) Read(p []byte) (int, error) {
	if w.n == 0 {
		return 0, io.EOF
	}
	k, err := w.r.Read(p[:min(int64(len(p)), w.n)])
	w.n -= int64(k)
	if errors.Is(err, io.EOF) && w.n > 0 {
		err = io.ErrUnexpectedEOF
	}
	return k, err
}
