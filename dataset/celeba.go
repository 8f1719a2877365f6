package dataset

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/smalti/smalti/pixel"
)

// The layout of CelebA (Liu et al. 2015): aligned pictures of 178 x 218 pixels and a table of 40 attributes.
const (
	celebaFolder     = "img_align_celeba"
	celebaZip        = "img_align_celeba.zip"
	celebaAttributes = "list_attr_celeba.txt"
	celebaCrop       = 178 // side of the square from the middle

	maxCelebA = 1_000_000 // pictures
)

// CelebA is a folder in CelebA's layout. Pictures are decoded when they are read.
type CelebA struct {
	size   int
	dir    string               // of the picture files, or empty
	zipped map[string]*zip.File // by base name
	names  []string             // base names, sorted
	tags   []string
	tagged [][]int
}

// IsCelebA tells whether a folder has CelebA's layout.
func IsCelebA(dir string) bool {
	for _, name := range []string{celebaFolder, celebaZip} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// OpenCelebA opens a folder with img_align_celeba (a folder, or the .zip) and, if it is there, list_attr_celeba.txt.
// Pictures are cropped to the square of 178 pixels in their middle, or the largest one that fits, and scaled to size.
func OpenCelebA(dir string, size int) (*CelebA, error) {
	if size < 8 || size > 512 {
		return nil, fmt.Errorf("open CelebA: size %d is outside 8..512", size)
	}
	c := &CelebA{size: size}
	if err := c.list(dir); err != nil {
		return nil, fmt.Errorf("open CelebA: %w", err)
	}
	if len(c.names) == 0 || len(c.names) > maxCelebA {
		return nil, fmt.Errorf("open CelebA: %d pictures in %s", len(c.names), dir)
	}
	slices.Sort(c.names)
	c.tagged = make([][]int, len(c.names))
	f, err := os.Open(filepath.Join(dir, celebaAttributes))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open CelebA: %w", err)
	}
	defer f.Close()
	if err := c.readAttributes(f); err != nil {
		return nil, fmt.Errorf("open CelebA: %s: %w", celebaAttributes, err)
	}
	return c, nil
}

// list finds the picture files.
func (c *CelebA) list(dir string) error {
	folder := filepath.Join(dir, celebaFolder)
	entries, err := os.ReadDir(folder)
	if err == nil {
		c.dir = folder
		if inner := filepath.Join(folder, celebaFolder); len(entries) > 0 && entries[0].IsDir() { // as some archives unpack
			c.dir = inner
			if entries, err = os.ReadDir(inner); err != nil {
				return err
			}
		}
		for _, e := range entries {
			if isPicture(e.Name()) && e.Type().IsRegular() {
				c.names = append(c.names, e.Name())
			}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	zr, err := zip.OpenReader(filepath.Join(dir, celebaZip)) // stays open as long as the set is used
	if err != nil {
		return err
	}
	c.zipped = map[string]*zip.File{}
	for _, f := range zr.File {
		if name := path.Base(f.Name); isPicture(name) && f.Mode().IsRegular() {
			if c.zipped[name] == nil {
				c.names = append(c.names, name)
			}
			c.zipped[name] = f
		}
	}
	return nil
}

func isPicture(name string) bool {
	return slices.Contains(pictureTypes, strings.ToLower(filepath.Ext(name))) && !strings.HasPrefix(name, ".")
}

// readAttributes reads the table: the number of pictures, the names of the attributes, then a line for each picture with
// its name and 1 or -1 for each attribute.
func (c *CelebA) readAttributes(r io.Reader) error {
	at := make(map[string]int, len(c.names))
	for i, n := range c.names {
		at[n] = i
	}
	sc := bufio.NewScanner(r)
	for line := 1; sc.Scan(); line++ {
		words := strings.Fields(sc.Text())
		switch {
		case line == 1:
			if _, err := strconv.Atoi(sc.Text()); err != nil && len(words) > 1 {
				return fmt.Errorf("line 1 is not the number of pictures")
			}
		case line == 2:
			c.tags = words
		case len(words) == 0:
		case len(words) != len(c.tags)+1:
			return fmt.Errorf("line %d has %d words, want a name and %d attributes", line, len(words), len(c.tags))
		default:
			i, ok := at[words[0]]
			if !ok {
				continue // the table may know more pictures than there are
			}
			for k, w := range words[1:] {
				switch w {
				case "1":
					c.tagged[i] = append(c.tagged[i], k)
				case "-1":
				default:
					return fmt.Errorf("line %d: attribute %q, want 1 or -1", line, w)
				}
			}
		}
	}
	return sc.Err()
}

// Len is the number of pictures.
func (c *CelebA) Len() int { return len(c.names) }

// Size is the side of a picture.
func (c *CelebA) Size() int { return c.size }

// Channels is 3.
func (c *CelebA) Channels() int { return 3 }

// Class is 0: attributes are no classes.
func (c *CelebA) Class(int) int { return 0 }

// Classes are none.
func (c *CelebA) Classes() []string { return nil }

// Tags are the names of the attributes.
func (c *CelebA) Tags() []string { return c.tags }

// Tagged lists the attributes that a picture has.
func (c *CelebA) Tagged(i int) []int { return c.tagged[i] }

// Read decodes, crops and scales a picture.
func (c *CelebA) Read(i int, dst []uint8) error {
	if i < 0 || i >= c.Len() || len(dst) != c.size*c.size*3 {
		return fmt.Errorf("read picture %d of %d into %d bytes", i, c.Len(), len(dst))
	}
	img, err := c.decode(c.names[i])
	if err != nil {
		return fmt.Errorf("%s: %w", c.names[i], err)
	}
	b := img.Bounds()
	side := min(celebaCrop, b.Dx(), b.Dy())
	corner := b.Min.Add(image.Pt((b.Dx()-side)/2, (b.Dy()-side)/2))
	toRGB(dst, img, image.Rectangle{Min: corner, Max: corner.Add(image.Pt(side, side))}, c.size)
	return nil
}

func (c *CelebA) decode(name string) (image.Image, error) {
	if c.dir != "" {
		return pixel.DecodeFile(filepath.Join(c.dir, name))
	}
	r, err := c.zipped[name].Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return pixel.Decode(r)
}
