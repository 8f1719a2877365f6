package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"path"
	"runtime"
	"strings"

	"golang.org/x/image/draw"

	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/rng"
)

// Album is somebody's own pictures, captioned or not: those of a folder, of an archive, or of a list of captions. A sample is
// a pure function of (seed, step, index); an Album is safe for concurrent use.
type Album struct {
	Size     int       // side of the pictures in pixels
	Pictures []Picture // sorted by path
	Skipped  int       // pictures that could not be read
	First    error     // why the first of them could not

	files *fileSet // where pictures are read from that are not kept in memory
}

// Picture is one picture of an Album with its captions, at least one.
type Picture struct {
	Path     string // inside the folder or archive, slash-separated
	Captions []string

	rgb  []uint8 // Size*Size*3, the middle square with alpha over white; nil when it is read again for each use
	file int     // of the album's files
}

// pictureTypes are the extensions of files that are looked at.
var pictureTypes = []string{".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}

// keepBytes is how many bytes of pictures an Album keeps in memory; beyond that they are read again for each use.
const keepBytes = 1 << 30

// OpenAlbum reads all pictures of a source, cropped to their middle square and scaled to size x size. A source is a folder
// with everything below it, a .zip or .tar file, a folder of .tar files (webdataset's shards), or a .json file with COCO's
// captions beside or above its pictures. See captionsOf for where captions come from. Pictures that cannot be read are
// skipped and counted; a source without a single readable one is an error.
func OpenAlbum(path string, size int) (*Album, error) {
	if size < 1 || size > 4096 {
		return nil, fmt.Errorf("open pictures: size %d is outside 1..4096", size)
	}
	set, err := openFiles(path)
	if err != nil {
		return nil, fmt.Errorf("open pictures: %w", err)
	}
	a, err := newAlbum(set, size, keepBytes)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open pictures of %s: %w", path, err), set.close())
	}
	if a.files == nil {
		return a, set.close()
	}
	return a, nil
}

// newAlbum reads the pictures of a set and keeps as many bytes of them.
func newAlbum(set *fileSet, size, keep int) (*Album, error) {
	captions, err := captionsOf(set)
	if err != nil {
		return nil, err
	}
	var at []int
	for i, f := range set.files {
		if isPicture(path.Base(f.name)) && (set.coco == "" || len(captions.coco[path.Base(f.name)]) > 0) {
			at = append(at, i)
		}
	}
	a := &Album{Size: size, files: set}
	inMemory := len(at) <= keep/(size*size*3)
	pics, errs := make([]Picture, len(at)), make([]error, len(at))
	parallel(len(at), runtime.GOMAXPROCS(0), func(i int) {
		f := set.files[at[i]]
		rgb := make([]uint8, size*size*3)
		if errs[i] = a.read(at[i], rgb); !inMemory {
			rgb = nil
		}
		pics[i] = Picture{Path: f.name, Captions: captions.of(f.name), rgb: rgb, file: at[i]}
	})
	for i, err := range errs {
		if err == nil {
			a.Pictures = append(a.Pictures, pics[i])
			continue
		}
		if a.Skipped++; a.First == nil {
			a.First = fmt.Errorf("%s: %w", pics[i].Path, err)
		}
	}
	if inMemory {
		a.files = nil
	}
	if len(a.Pictures) == 0 {
		if a.First != nil {
			return nil, fmt.Errorf("none of %d pictures can be read: %w", a.Skipped, a.First)
		}
		return nil, fmt.Errorf("no pictures (%s)", strings.Join(pictureTypes, " "))
	}
	return a, nil
}

// read decodes a file into Size*Size*3 bytes. Headers are held to pixel's caps before anything is decoded.
func (a *Album) read(file int, dst []uint8) error {
	r, err := a.files.files[file].open()
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxPictureBytes+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if len(raw) > maxPictureBytes {
		return fmt.Errorf("larger than %d MiB", maxPictureBytes>>20)
	}
	img, err := pixel.Decode(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	b := img.Bounds()
	side := min(b.Dx(), b.Dy())
	corner := image.Pt(b.Min.X+(b.Dx()-side)/2, b.Min.Y+(b.Dy()-side)/2)
	toRGB(dst, img, image.Rectangle{Min: corner, Max: corner.Add(image.Pt(side, side))}, a.Size)
	return nil
}

// maxPictureBytes bounds the file of one picture.
const maxPictureBytes = 64 << 20

// Read fills Size*Size*3 bytes with a picture.
func (a *Album) Read(i int, dst []uint8) error {
	if i < 0 || i >= len(a.Pictures) || len(dst) != a.Size*a.Size*3 {
		return fmt.Errorf("read picture %d of %d into %d bytes", i, len(a.Pictures), len(dst))
	}
	p := &a.Pictures[i]
	if p.rgb != nil {
		copy(dst, p.rgb)
		return nil
	}
	if err := a.read(p.file, dst); err != nil {
		return fmt.Errorf("%s: %w", p.Path, err)
	}
	return nil
}

// Split keeps about 5 % of the pictures out of training, by a hash of their paths: the same ones whatever is added. Of two
// pictures or more at least one is on either side.
func (a *Album) Split() (train, held *Album) {
	part := func(keep func(i int) bool) *Album {
		out := &Album{Size: a.Size, files: a.files}
		for i, p := range a.Pictures {
			if keep(i) {
				out.Pictures = append(out.Pictures, p)
			}
		}
		return out
	}
	if len(a.Pictures) == 1 {
		return a, &Album{Size: a.Size}
	}
	isHeld := func(i int) bool { return stableHash(a.Pictures[i].Path)%20 == 0 }
	first, any, all := 0, false, true
	for i := range a.Pictures {
		if stableHash(a.Pictures[i].Path) < stableHash(a.Pictures[first].Path) {
			first = i
		}
		any, all = any || isHeld(i), all && isHeld(i)
	}
	if !any || all { // a small set
		isHeld = func(i int) bool { return i == first }
	}
	return part(func(i int) bool { return !isHeld(i) }), part(isHeld)
}

// Concepts are none: nobody knows what the pictures of an album show but their captions.
func (a *Album) Concepts() []string { return nil }

// Sample is a picture with one of its captions, drawn by (seed, step, index) and scaled to size x size. Half of the pictures
// are mirrored unless their caption speaks of a side.
func (a *Album) Sample(seed, step, index uint64, size int) Sample {
	out := Sample{Pix: make([]float32, size*size*3), Size: size}
	a.draw(rng.New(seed, "album", step, index), &out)
	return out
}

// Batch is samples 0..n-1 of a step; it does not depend on the number of goroutines.
func (a *Album) Batch(seed, step uint64, n, size int) Batch {
	plane := size * size * 3
	b := Batch{Pix: make([]float32, n*plane), N: n, Size: size,
		Captions: make([]string, n), Concepts: make([][]int, n), Meta: make([]Meta, n)}
	parallel(n, runtime.GOMAXPROCS(0), func(i int) {
		s := Sample{Pix: b.Pix[i*plane : (i+1)*plane], Size: size}
		a.draw(rng.New(seed, "album", step, uint64(i)), &s)
		b.Captions[i], b.Concepts[i], b.Meta[i] = s.Caption, s.Concepts, s.Meta
	})
	return b
}

func (a *Album) draw(s *rng.Stream, out *Sample) {
	i := s.IntN(len(a.Pictures))
	captions := a.Pictures[i].Captions
	out.Caption = captions[s.IntN(len(captions))]
	out.Concepts = []int{i}
	out.Meta = Meta{Kind: "picture", Count: 1}
	a.planes(i, s.Bernoulli(.5) && !oneSided(out.Caption), out.Pix, out.Size)
}

// Plain is the i-th picture scaled to size x size, as values in [0,1], with its first caption.
func (a *Album) Plain(i, size int) (pix []float32, caption string) {
	pix = make([]float32, size*size*3)
	a.planes(i, false, pix, size)
	return pix, a.Pictures[i].Captions[0]
}

// planes writes a picture at size x size. A file that could be read when the album was opened and no longer can be is grey:
// it neither ends a training of days nor changes what other pictures are drawn.
func (a *Album) planes(i int, flip bool, dst []float32, size int) {
	rgb := a.Pictures[i].rgb
	if rgb == nil {
		rgb = make([]uint8, a.Size*a.Size*3)
		if a.Read(i, rgb) != nil {
			for k := range rgb {
				rgb[k] = 128
			}
		}
	}
	if size != a.Size {
		rgb = rescale(rgb, a.Size, size)
	}
	for y := range size {
		for x := range size {
			from := (y*size + x) * 3
			if flip {
				from = (y*size + size - 1 - x) * 3
			}
			to := (y*size + x) * 3
			for k := range 3 {
				dst[to+k] = float32(rgb[from+k]) / 255
			}
		}
	}
}

// rescale brings a square RGB picture from one side to another.
func rescale(rgb []uint8, from, to int) []uint8 {
	img, out := image.NewRGBA(image.Rect(0, 0, from, from)), image.NewRGBA(image.Rect(0, 0, to, to))
	for i := range from * from {
		copy(img.Pix[i*4:], rgb[i*3:i*3+3])
		img.Pix[i*4+3] = 255
	}
	draw.CatmullRom.Scale(out, out.Bounds(), img, img.Bounds(), draw.Src, nil)
	small := make([]uint8, to*to*3)
	for i := range to * to {
		copy(small[i*3:i*3+3], out.Pix[i*4:i*4+3])
	}
	return small
}
