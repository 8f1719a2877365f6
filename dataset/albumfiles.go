package dataset

import (
	"archive/tar"
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// fileSet is the files of a folder or archive by name.
type fileSet struct {
	files   []file // sorted by name
	coco    string // name of the file with COCO's captions that was asked for, or empty
	closers []io.Closer
}

// file is one file of a set.
type file struct {
	name string // slash-separated
	size int64
	open func() (io.ReadCloser, error)
}

// ext is the extension in lower case, with its dot.
func (f file) ext() string { return strings.ToLower(path.Ext(f.name)) }

// maxFiles bounds a source.
const maxFiles = 20_000_000

func (s *fileSet) close() error {
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// openFiles lists the files of a source by what it is.
func openFiles(source string) (*fileSet, error) {
	info, err := os.Stat(source)
	if err != nil {
		return nil, err
	}
	s := &fileSet{}
	switch ext := strings.ToLower(filepath.Ext(source)); {
	case info.IsDir():
		err = s.addFolder(source, true)
	case ext == ".zip":
		err = s.addZip(source)
	case ext == ".tar":
		err = s.addTar(source, "")
	case ext == ".json":
		// COCO keeps annotations/captions.json beside the folders of pictures.
		root := filepath.Dir(source)
		if filepath.Base(root) == "annotations" {
			root = filepath.Dir(root)
		}
		if err = s.addFolder(root, false); err == nil {
			var name string
			name, err = filepath.Rel(root, source)
			s.coco = filepath.ToSlash(name)
		}
	default:
		err = fmt.Errorf("%s is neither a folder nor a .zip, .tar or .json file", source)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	slices.SortStableFunc(s.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return s, nil
}

// addFolder lists a folder with everything below it; with shards, .tar files in it are opened.
func (s *fileSet) addFolder(dir string, shards bool) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if shards && strings.EqualFold(path.Ext(name), ".tar") {
			return s.addTar(p, strings.TrimSuffix(name, path.Ext(name))+"/")
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return s.add(file{name, info.Size(), func() (io.ReadCloser, error) { return os.Open(p) }})
	})
}

func (s *fileSet) add(f file) error {
	if len(s.files) >= maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	s.files = append(s.files, f)
	return nil
}

func (s *fileSet) addZip(source string) error {
	z, err := zip.OpenReader(source)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	s.closers = append(s.closers, z)
	for _, f := range z.File {
		if f.Mode().IsRegular() {
			if err := s.add(file{f.Name, int64(f.UncompressedSize64), f.Open}); err != nil {
				return err
			}
		}
	}
	return nil
}

// addTar lists a .tar file; its contents are read where they lie. One that ends early has the files up to there.
func (s *fileSet) addTar(source, prefix string) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, f)
	count := &counter{r: f}
	t := tar.NewReader(count)
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF || err == io.ErrUnexpectedEOF && n > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		part := io.NewSectionReader(f, count.n, h.Size)
		open := func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(part, 0, part.Size())), nil
		}
		if err := s.add(file{prefix + strings.TrimPrefix(h.Name, "./"), h.Size, open}); err != nil {
			return err
		}
	}
}

// counter knows how far its reader has been read. It can Seek, so that tar skips contents without reading them.
type counter struct {
	r io.ReadSeeker
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) Seek(offset int64, whence int) (int64, error) {
	n, err := c.r.Seek(offset, whence)
	if err == nil {
		c.n = n
	}
	return n, err
}
