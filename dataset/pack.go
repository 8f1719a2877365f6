package dataset

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// A pack is a folder with these files. The manifest is written last and holds the digests of the
// others: a folder without it, or whose files differ from it, is not a pack.
const (
	manifestFile = "pack.json"
	pairsFile    = "pairs.jsonl"
	imagesFile   = "images.zip"
	noticeFile   = "NOTICE"
	packFormat   = 1
)

// Caps on a pack that is opened.
const (
	maxPackImages  = 500_000
	maxPairsBytes  = 256 << 20
	maxSpriteSide  = 512
	maxSpriteBytes = 4 << 20
)

// Pair is one captioned picture of a pack: a line of pairs.jsonl.
type Pair struct {
	File    string   `json:"file"`    // path inside images.zip
	Style   string   `json:"style"`   // drawing style, e.g. "fluent3d"
	Licence string   `json:"licence"` // SPDX identifier
	Label   string   `json:"label"`   // what is shown, in lower-case English, without an article
	Tags    []string `json:"tags"`    // further words
	Group   string   `json:"group"`   // coarse class, e.g. "food & drink"
	Concept string   `json:"concept"` // the same for all drawings of one thing
}

// Source is a package that a pack was made from.
type Source struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Licence string `json:"licence"`
	By      string `json:"by"`
}

// Manifest describes a whole pack.
type Manifest struct {
	Format  int               `json:"format"`
	Name    string            `json:"name"`
	Size    int               `json:"size"`   // side of its pictures in pixels
	Count   int               `json:"count"`  // number of pictures
	Recipe  string            `json:"recipe"` // options it was built with
	Sources []Source          `json:"sources"`
	SHA256  map[string]string `json:"sha256"` // digest by file name
}

// ErrNoPack is in the error of OpenPack when the folder holds no (whole) pack.
var ErrNoPack = errors.New("no data pack here")

// writePack writes the files of a pack into dir, the manifest last. imgs and pairs go together.
func writePack(dir string, m Manifest, pairs []Pair, imgs []*image.NRGBA, notice string) (Manifest, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return m, err
	}
	// From here until the new manifest is in place the folder is not a pack.
	if err := os.Remove(filepath.Join(dir, manifestFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return m, err
	}
	var zipped, lines bytes.Buffer
	zw := zip.NewWriter(&zipped)
	enc := json.NewEncoder(&lines)
	enc.SetEscapeHTML(false)
	for i, p := range pairs {
		if err := enc.Encode(p); err != nil {
			return m, err
		}
		w, err := zw.CreateHeader(&zip.FileHeader{Name: p.File, Method: zip.Store})
		if err != nil {
			return m, err
		}
		if err := png.Encode(w, imgs[i]); err != nil {
			return m, err
		}
	}
	if err := zw.Close(); err != nil {
		return m, err
	}
	m.Format, m.Count, m.SHA256 = packFormat, len(pairs), map[string]string{}
	for _, f := range []struct {
		name string
		data []byte
	}{{imagesFile, zipped.Bytes()}, {pairsFile, lines.Bytes()}, {noticeFile, []byte(notice)}} {
		path := filepath.Join(dir, f.name)
		if err := writeAtomic(path, f.data); err != nil {
			return m, err
		}
		d, err := fileDigest(path)
		if err != nil {
			return m, err
		}
		m.SHA256[f.name] = d
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	return m, writeAtomic(filepath.Join(dir, manifestFile), append(b, '\n'))
}

// readManifest reads pack.json and checks that the other files are the ones it was written for.
func readManifest(dir string) (Manifest, error) {
	var m Manifest
	if err := readJSON(filepath.Join(dir, manifestFile), &m); err != nil {
		return m, fmt.Errorf("%s: %w: %w", dir, ErrNoPack, err)
	}
	if m.Format != packFormat {
		return m, fmt.Errorf("%s: pack format %d, this build reads %d", dir, m.Format, packFormat)
	}
	if m.Size < 1 || m.Size > maxSpriteSide || m.Count < 1 || m.Count > maxPackImages {
		return m, fmt.Errorf("%s: pack of %d pictures of %d px is outside the limits", dir, m.Count, m.Size)
	}
	for _, name := range []string{imagesFile, pairsFile} {
		got, err := fileDigest(filepath.Join(dir, name))
		if err != nil {
			return m, fmt.Errorf("%s: %w: %w", dir, ErrNoPack, err)
		}
		if got != m.SHA256[name] {
			return m, fmt.Errorf("%s: %w: %s is damaged (sha256 differs from %s)", dir, ErrNoPack, name, manifestFile)
		}
	}
	return m, nil
}

// readPairs reads pairs.jsonl.
func readPairs(dir string) ([]Pair, error) {
	f, err := os.Open(filepath.Join(dir, pairsFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Pair
	sc := bufio.NewScanner(io.LimitReader(f, maxPairsBytes))
	sc.Buffer(make([]byte, 1<<16), 1<<20)
	for n := 1; sc.Scan(); n++ {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		var p Pair
		if err := json.Unmarshal(sc.Bytes(), &p); err != nil {
			return nil, fmt.Errorf("%s line %d: %w", pairsFile, n, err)
		}
		if p.File == "" || p.Label == "" || p.Concept == "" {
			return nil, fmt.Errorf("%s line %d: file, label and concept are needed", pairsFile, n)
		}
		if out = append(out, p); len(out) > maxPackImages {
			return nil, fmt.Errorf("%s: more than %d lines", pairsFile, maxPackImages)
		}
	}
	return out, sc.Err()
}

// Pack is an opened data pack: all its sprites in memory.
type Pack struct {
	Manifest Manifest
	Sprites  []*Sprite // in the order of pairs.jsonl
}

// OpenPack checks and loads a pack folder. A missing or damaged pack gives an error that wraps
// ErrNoPack.
func OpenPack(dir string) (*Pack, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	pairs, err := readPairs(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	zr, err := zip.OpenReader(filepath.Join(dir, imagesFile))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	defer zr.Close()
	files := make(map[string]*zip.File, len(zr.File))
	for _, f := range zr.File {
		files[f.Name] = f
	}
	sprites := make([]*Sprite, len(pairs))
	errs := make([]error, len(pairs))
	parallel(len(pairs), runtime.GOMAXPROCS(0), func(i int) {
		sprites[i], errs[i] = readSprite(files[pairs[i].File], pairs[i], m.Size)
	})
	if err := errors.Join(errs...); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, fmt.Errorf("%s: %s", dir, first)
	}
	return &Pack{Manifest: m, Sprites: sprites}, nil
}

func readSprite(f *zip.File, p Pair, size int) (*Sprite, error) {
	if f == nil {
		return nil, fmt.Errorf("%s: %s is missing", imagesFile, p.File)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.File, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxSpriteBytes))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.File, err)
	}
	img, err := decodeNRGBA(b, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.File, err)
	}
	return newSprite(p, img), nil
}

// parallel calls f(0..n-1) from the given number of goroutines. Which one calls what must not matter.
func parallel(n, workers int, f func(i int)) {
	if workers = min(workers, n); workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < n; i += workers {
				f(i)
			}
		}()
	}
	wg.Wait()
}
