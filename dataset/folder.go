package dataset

import (
	"fmt"
	"image"
	_ "image/gif"  // decoders of the formats OpenFolder reads
	_ "image/jpeg" //
	_ "image/png"  //
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // decoder
)

// Caps on a picture of a folder, before it is decoded.
const (
	maxFolderSide   = 16_384
	maxFolderPixels = 40_000_000
	maxCaptionBytes = 64 << 10
)

// folderTypes are the file name extensions OpenFolder looks at.
var folderTypes = []string{".png", ".jpg", ".jpeg", ".webp", ".gif"}

// Picture is one picture of a folder with its captions.
type Picture struct {
	Path     string   // relative to the folder, slash-separated
	Captions []string // lines of the sidecar file, or the file name in words
	RGB      []uint8  // Size*Size*3 of the folder: cropped to the middle square, alpha over white
}

// Folder is a folder of pictures in memory.
type Folder struct {
	Size     int
	Pictures []Picture // sorted by path
	Skipped  int       // pictures that could not be read
	First    error     // why the first of them could not
}

// OpenFolder reads all pictures under dir, cropped to their middle square and scaled to size x size.
// The caption of NAME.png is in NAME.txt, one wording a line; without it the words of the file name
// are used. Unreadable or over-large pictures are skipped and counted. A folder without a single
// readable picture is an error.
func OpenFolder(dir string, size int) (*Folder, error) {
	if size < 1 || size > 4096 {
		return nil, fmt.Errorf("open folder: size %d is outside 1..4096", size)
	}
	var paths []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() && slices.Contains(folderTypes, strings.ToLower(filepath.Ext(p))) {
			paths = append(paths, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	slices.Sort(paths)
	pics, errs := make([]Picture, len(paths)), make([]error, len(paths))
	parallel(len(paths), runtime.GOMAXPROCS(0), func(i int) {
		pics[i], errs[i] = readPicture(dir, paths[i], size)
	})
	f := &Folder{Size: size}
	for i, err := range errs {
		if err == nil {
			f.Pictures = append(f.Pictures, pics[i])
			continue
		}
		if f.Skipped++; f.First == nil {
			f.First = err
		}
	}
	if len(f.Pictures) == 0 {
		if f.First != nil {
			return nil, fmt.Errorf("open folder %s: none of %d pictures can be read: %w", dir, f.Skipped, f.First)
		}
		return nil, fmt.Errorf("open folder %s: no pictures (%s)", dir, strings.Join(folderTypes, " "))
	}
	return f, nil
}

func readPicture(dir, path string, size int) (Picture, error) {
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		return Picture{}, err
	}
	img, err := decodeCapped(path)
	if err != nil {
		return Picture{}, fmt.Errorf("%s: %w", rel, err)
	}
	b := img.Bounds()
	side := min(b.Dx(), b.Dy())
	corner := image.Pt(b.Min.X+(b.Dx()-side)/2, b.Min.Y+(b.Dy()-side)/2)
	out := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.CatmullRom.Scale(out, out.Bounds(), img, image.Rectangle{Min: corner, Max: corner.Add(image.Pt(side, side))}, draw.Over, nil)
	p := Picture{Path: filepath.ToSlash(rel), Captions: readCaptions(path), RGB: make([]uint8, size*size*3)}
	for i := range size * size {
		copy(p.RGB[i*3:i*3+3], out.Pix[i*4:i*4+3])
	}
	return p, nil
}

// decodeCapped decodes a picture file whose size is within the caps.
func decodeCapped(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cfg, _, err := image.DecodeConfig(f)
	if err != nil {
		return nil, err
	}
	if cfg.Width < 1 || cfg.Height < 1 || cfg.Width > maxFolderSide || cfg.Height > maxFolderSide || cfg.Width*cfg.Height > maxFolderPixels {
		return nil, fmt.Errorf("picture of %dx%d is outside the limits", cfg.Width, cfg.Height)
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(f)
	return img, err
}

// readCaptions reads the sidecar of a picture, or makes words of its name.
func readCaptions(path string) []string {
	stem := strings.TrimSuffix(path, filepath.Ext(path))
	var out []string
	if st, err := os.Stat(stem + ".txt"); err == nil && st.Size() <= maxCaptionBytes {
		if b, err := os.ReadFile(stem + ".txt"); err == nil {
			for line := range strings.Lines(strings.ToValidUTF8(string(b), "")) {
				if line = strings.TrimSpace(line); line != "" {
					out = append(out, line)
				}
			}
		}
	}
	if len(out) == 0 {
		name := strings.NewReplacer("_", " ", "-", " ", ".", " ").Replace(filepath.Base(stem))
		out = []string{strings.Join(strings.Fields(name), " ")}
	}
	return out
}
