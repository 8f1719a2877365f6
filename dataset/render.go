package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

// drawing is one picture to be rendered: an SVG document or a file that decodes as WebP.
type drawing struct {
	style emojiStyle
	hex   string
	entry *emojiEntry
	svg   []byte
	webp  string
}

// renderer turns drawings into square pictures with alpha. What it rendered once it keeps in cache,
// addressed by content, and does not render again.
type renderer struct {
	run   runner
	cache string
	size  int
}

// renderAll renders every drawing with the given number of workers. The result has one entry per
// drawing, nil where rendering failed; failures are counted by style. done is called after each one,
// by one goroutine at a time.
func (r *renderer) renderAll(ctx context.Context, ds []*drawing, workers int, done func()) ([]*image.NRGBA, map[string]int, error) {
	out := make([]*image.NRGBA, len(ds))
	failed := map[string]int{}
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range max(1, workers) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				img, err := r.render(ctx, ds[i])
				mu.Lock()
				if err != nil {
					failed[ds[i].style.name]++
				}
				out[i] = img
				done()
				mu.Unlock()
			}
		}()
	}
	for i := range ds {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	return out, failed, ctx.Err()
}

// render is one drawing as a size x size picture, from the cache when it is there and whole.
func (r *renderer) render(ctx context.Context, d *drawing) (*image.NRGBA, error) {
	source := d.svg
	if d.webp != "" {
		b, err := os.ReadFile(d.webp)
		if err != nil {
			return nil, err
		}
		source = b
	}
	path := r.cachePath(source)
	if b, err := os.ReadFile(path); err == nil {
		if img, err := decodeNRGBA(b, r.size); err == nil {
			return img, nil
		}
	}
	img, err := r.draw(ctx, d, source)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, err
	}
	return img, writeAtomic(path, b.Bytes())
}

func (r *renderer) cachePath(source []byte) string {
	h := sha256.New()
	h.Write(strconv.AppendInt(nil, int64(r.size), 10))
	h.Write([]byte{0})
	h.Write(source)
	name := hex.EncodeToString(h.Sum(nil))
	return filepath.Join(r.cache, name[:2], name[2:]+".png")
}

// draw renders from scratch and centres the result in the square.
func (r *renderer) draw(ctx context.Context, d *drawing, source []byte) (*image.NRGBA, error) {
	var src image.Image
	if d.webp != "" {
		cfg, err := webp.DecodeConfig(bytes.NewReader(source))
		if err != nil {
			return nil, err
		}
		if cfg.Width > 4096 || cfg.Height > 4096 {
			return nil, fmt.Errorf("webp of %dx%d is over the cap", cfg.Width, cfg.Height)
		}
		if src, err = webp.Decode(bytes.NewReader(source)); err != nil {
			return nil, err
		}
	} else {
		s := strconv.Itoa(r.size)
		b, err := r.run(ctx, command{name: "rsvg-convert", args: []string{"-w", s, "-h", s, "-a"}, stdin: source})
		if err != nil {
			return nil, err
		}
		if src, err = png.Decode(bytes.NewReader(b)); err != nil {
			return nil, err
		}
	}
	return fitSquare(src, r.size), nil
}

// fitSquare scales src so that its longer side is size and centres it on a transparent square.
func fitSquare(src image.Image, size int) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, size, size))
	b := src.Bounds()
	k := float64(size) / float64(max(b.Dx(), b.Dy(), 1))
	w, h := max(1, int(float64(b.Dx())*k+.5)), max(1, int(float64(b.Dy())*k+.5))
	at := image.Rect(0, 0, w, h).Add(image.Pt((size-w)/2, (size-h)/2))
	draw.CatmullRom.Scale(out, at, src, b, draw.Over, nil)
	return out
}

// decodeNRGBA decodes a PNG that must be size x size.
func decodeNRGBA(b []byte, size int) (*image.NRGBA, error) {
	cfg, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if cfg.Width != size || cfg.Height != size {
		return nil, fmt.Errorf("picture is %dx%d, want %dx%d", cfg.Width, cfg.Height, size, size)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if n, ok := img.(*image.NRGBA); ok {
		return n, nil
	}
	n := image.NewNRGBA(img.Bounds())
	draw.Draw(n, n.Bounds(), img, img.Bounds().Min, draw.Src)
	return n, nil
}

// fingerprint identifies a picture up to tiny differences: 48x48 over white, 5 bits a channel.
// blank reports that fewer than 8 of its pixels differ from white.
func fingerprint(img *image.NRGBA) (key [32]byte, blank bool) {
	const side = 48
	small := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(small, small.Bounds(), image.White, image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(small, small.Bounds(), img, img.Bounds(), draw.Over, nil)
	visible := 0
	for i, p := range small.Pix {
		if p < 240 {
			visible++
		}
		small.Pix[i] = p >> 3
	}
	return sha256.Sum256(small.Pix), visible < 24
}

// writeAtomic writes a file under a temporary name in its folder and renames it.
func writeAtomic(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
