package dataset

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"
)

// AlbumPictures are the pictures of an album, without classes.
type AlbumPictures struct{ *Album }

// Len is the number of pictures.
func (a AlbumPictures) Len() int { return len(a.Pictures) }

// Size is the side of a picture.
func (a AlbumPictures) Size() int { return a.Album.Size }

// Channels is 3.
func (a AlbumPictures) Channels() int { return 3 }

// Class is 0.
func (a AlbumPictures) Class(int) int { return 0 }

// Classes are none.
func (a AlbumPictures) Classes() []string { return nil }

// PackPictures are the pictures of a pack over white, classes by the pairs' groups and tags by the pairs' tags. They stay
// compressed in memory and are decoded when they are read.
type PackPictures struct {
	size   int
	stored int // side of the stored pictures
	files  []*zip.File
	labels labels
}

// OpenPackPictures opens a pack for pictures of the given side: that of the pack, or a smaller one.
func OpenPackPictures(dir string, size int) (*PackPictures, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	if size < 1 || size > m.Size {
		return nil, fmt.Errorf("%s: pictures of %d pixels from a pack of %d", dir, size, m.Size)
	}
	pairs, err := readPairs(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, imagesFile))
	if err != nil {
		return nil, err
	}
	zr, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", dir, imagesFile, err)
	}
	byName := make(map[string]*zip.File, len(zr.File))
	for _, f := range zr.File {
		byName[f.Name] = f
	}
	p := &PackPictures{size: size, stored: m.Size}
	for _, pair := range pairs {
		f := byName[pair.File]
		if f == nil {
			return nil, fmt.Errorf("%s: %s: %s is missing", dir, imagesFile, pair.File)
		}
		p.files = append(p.files, f)
		p.labels.add(pair.Group, pair.Tags)
	}
	return p, nil
}

// Len is the number of pictures.
func (p *PackPictures) Len() int { return len(p.files) }

// Size is the side of a picture.
func (p *PackPictures) Size() int { return p.size }

// Channels is 3.
func (p *PackPictures) Channels() int { return 3 }

// Class is the number of the picture's group.
func (p *PackPictures) Class(i int) int { return p.labels.class[i] }

// Classes are the groups, in the order in which they appear.
func (p *PackPictures) Classes() []string { return p.labels.classes }

// Tags are all tags, in the order in which they appear.
func (p *PackPictures) Tags() []string { return p.labels.tags }

// Tagged lists the numbers of a picture's tags.
func (p *PackPictures) Tagged(i int) []int { return p.labels.tagged[i] }

// Read decodes a picture.
func (p *PackPictures) Read(i int, dst []uint8) error {
	if i < 0 || i >= p.Len() || len(dst) != p.size*p.size*3 {
		return fmt.Errorf("read picture %d of %d into %d bytes", i, p.Len(), len(dst))
	}
	r, err := p.files[i].Open()
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxSpriteBytes))
	if err != nil {
		return fmt.Errorf("%s: %w", p.files[i].Name, err)
	}
	img, err := decodeNRGBA(b, p.stored)
	if err != nil {
		return fmt.Errorf("%s: %w", p.files[i].Name, err)
	}
	toRGB(dst, img, img.Bounds(), p.size)
	return nil
}

// toRGB scales a square part of a picture over white to size x size and stores it in dst.
func toRGB(dst []uint8, img image.Image, part image.Rectangle, size int) {
	out := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	if part.Dx() == size && part.Dy() == size {
		draw.Draw(out, out.Bounds(), img, part.Min, draw.Over)
	} else {
		draw.CatmullRom.Scale(out, out.Bounds(), img, part, draw.Over, nil)
	}
	for i := range size * size {
		copy(dst[i*3:i*3+3], out.Pix[i*4:i*4+3])
	}
}

// labels numbers classes and tags as they appear.
type labels struct {
	class   []int
	tagged  [][]int
	classes []string
	tags    []string
	seen    map[string]int
}

func (l *labels) add(class string, tags []string) {
	if l.seen == nil {
		l.seen = map[string]int{}
	}
	number := func(prefix, name string, list *[]string) int {
		k, ok := l.seen[prefix+name]
		if !ok {
			k = len(*list)
			l.seen[prefix+name] = k
			*list = append(*list, name)
		}
		return k
	}
	l.class = append(l.class, number("class:", class, &l.classes))
	var mine []int
	for _, t := range tags {
		mine = append(mine, number("tag:", t, &l.tags))
	}
	l.tagged = append(l.tagged, mine)
}
