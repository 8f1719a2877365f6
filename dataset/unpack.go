package dataset

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Caps on what an unpacked package may hold. The largest one in use (openclipart-svg) unpacks to 180 MB.
const (
	maxPackageBytes   = 512 << 20
	maxPackageEntries = 50_000
	maxArchiveBytes   = 256 << 20
)

// openArchive opens a downloaded package that is not over the cap.
func openArchive(path string) (*os.File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxArchiveBytes {
		return nil, fmt.Errorf("archive of %d bytes is over the cap of %d", st.Size(), maxArchiveBytes)
	}
	return os.Open(path)
}

// unpackTGZ unpacks the archive of an npm package into dir.
func unpackTGZ(archive, dir string, keep func(string) bool) error {
	f, err := openArchive(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	defer zr.Close()
	return unpackTar(zr, dir, keep)
}

// unpackTar writes the regular files of a tar stream that keep wants into dir, without the first element of their paths
// ("package/" of npm, "./" of Debian); keep sees them so. Links and devices are skipped; a path that leaves dir is an
// error; sizes are capped.
func unpackTar(r io.Reader, dir string, keep func(string) bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tr := tar.NewReader(r)
	left := int64(maxPackageBytes)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n >= maxPackageEntries {
			return fmt.Errorf("more than %d entries", maxPackageEntries)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if left -= h.Size; left < 0 {
			return fmt.Errorf("unpacks to more than %d bytes", maxPackageBytes)
		}
		if err := unpackFile(tr, h, dir, keep); err != nil {
			return err
		}
	}
}

func unpackFile(tr *tar.Reader, h *tar.Header, dir string, keep func(string) bool) error {
	_, rel, ok := strings.Cut(h.Name, "/")
	if !ok || !filepath.IsLocal(rel) {
		return fmt.Errorf("archive holds the path %q outside its folder", h.Name)
	}
	if !keep(rel) {
		return nil
	}
	path := filepath.Join(dir, filepath.FromSlash(rel))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	w, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, tr); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}
