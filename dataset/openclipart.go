package dataset

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smalti/smalti/event"
)

// The two packages: pictures as PNG, and the drawings whose metadata name them. Public domain.
var (
	clipartVersion  = "1:0.18+dfsg-19"
	clipartPictures = debPackage{"openclipart-png", clipartVersion, "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02"}
	clipartDrawings = debPackage{"openclipart-svg", clipartVersion, "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5"}
)

const (
	clipartPNG      = "usr/share/openclipart/png"
	clipartSVG      = "usr/share/openclipart/svg"
	clipartStyle    = "openclipart"
	maxClipartBytes = 8 << 20 // of one file; the largest has 4.3 MB
)

// clipartShape leaves out what is unlikely to be one thing: lines, borders, dots.
var clipartShape = cutShape{minSide: 24, maxAspect: 4}

// clipartDropped are the folders that hold no things: icon themes, generated stars, cards, flags, buttons, logos, maps.
var clipartDropped = []string{
	"computer/", "shapes/stars", "shapes/flowchart", "shapes/callouts", "shapes/jigsaw", "recreation/games/cards", "special/",
	"signs_and_symbols/flags", "signs_and_symbols/led", "buttons", "logos", "geography/",
}

var clipart = debPack{
	name: "openclipart", version: 1, debs: []debPackage{clipartPictures, clipartDrawings},
	keep: func(p string) bool {
		for _, root := range []string{clipartPNG, clipartSVG} {
			if rel, ok := strings.CutPrefix(p, root+"/"); ok {
				return !slices.ContainsFunc(clipartDropped, func(f string) bool { return strings.HasPrefix(rel, f) })
			}
		}
		return false
	},
	read: readClipart,
}

// BuildOpenclipart builds a pack of clip art in opts.Dir from Debian's pinned packages openclipart-png and openclipart-svg
// and returns its manifest: coloured pictures that their makers gave to the public domain, named by their English titles or
// keywords. It needs apt-get, or the packages in the cache's folder deb (a *ToolError says so).
func BuildOpenclipart(ctx context.Context, opts PackOptions, sink event.Sink) (Manifest, error) {
	return clipart.build(ctx, opts, sink)
}

// clipartPiece is one picture in the making.
type clipartPiece struct {
	pair Pair
	img  *image.NRGBA
	lost string // why it is left out
}

// readClipart reads the unpacked packages: pictures in dirs[0], drawings in dirs[1].
func readClipart(ctx context.Context, b *debBuilder, dirs []string) (*haul, error) {
	root := filepath.Join(dirs[0], filepath.FromSlash(clipartPNG))
	var names []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(p, ".png") {
			rel, rerr := filepath.Rel(root, p)
			names = append(names, strings.TrimSuffix(filepath.ToSlash(rel), ".png"))
			return rerr
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	pieces := make([]clipartPiece, len(names))
	if err := b.readAll(ctx, len(names), func(i int) { pieces[i] = readPiece(dirs, names[i], b.opts.Size) }); err != nil {
		return nil, err
	}
	h := &haul{notice: clipartNotice, sources: []Source{
		{Name: clipartPictures.Name, Version: clipartVersion, Licence: "CC-PDDC", By: "Open Clip Art Library and its contributors"},
		{Name: clipartDrawings.Name, Version: clipartVersion, Licence: "CC-PDDC", By: "Open Clip Art Library and its contributors"}}}
	lost := map[string]int{}
	seen := map[[32]byte]bool{}
	for _, p := range pieces {
		if p.lost == "" {
			key, blank := fingerprint(p.img)
			if blank || seen[key] {
				p.lost = "equal or empty"
			}
			seen[key] = true
		}
		if p.lost != "" {
			lost[p.lost]++
			continue
		}
		if b.opts.Limit == 0 || len(h.pairs) < b.opts.Limit {
			h.pairs, h.imgs = append(h.pairs, p.pair), append(h.imgs, p.img)
		}
	}
	b.tellLost(len(names), lost)
	return h, nil
}

// tellLost says how many pictures were left out, and why.
func (b *debBuilder) tellLost(of int, lost map[string]int) {
	var parts []string
	for _, why := range sortedKeys(lost) {
		parts = append(parts, fmt.Sprintf("%d %s", lost[why], why))
	}
	if len(parts) > 0 {
		b.sink.Emit(event.Event{Kind: event.Notice, Message: fmt.Sprintf("of %d pictures are left out: %s", of, strings.Join(parts, ", "))})
	}
}

// readPiece reads one picture and what is written about it.
func readPiece(dirs []string, name string, size int) clipartPiece {
	lost := func(why string) clipartPiece { return clipartPiece{lost: why} }
	svg, err := readSmall(filepath.Join(dirs[1], filepath.FromSlash(clipartSVG+"/"+name+".svg")))
	if err != nil {
		return lost("without a drawing")
	}
	about := readAbout(svg)
	if !about.publicDomain() {
		return lost("without a licence")
	}
	label, tags := about.words()
	if label == "" {
		return lost("without an English name")
	}
	file, err := readSmall(filepath.Join(dirs[0], filepath.FromSlash(clipartPNG+"/"+name+".png")))
	if err != nil {
		return lost("unreadable")
	}
	img, err := cutOut(file, size, clipartShape)
	switch {
	case errors.Is(err, errEmptyPicture), errors.Is(err, errShapeOfItself):
		return lost("empty, tiny or long")
	case err != nil:
		return lost("unreadable")
	case greyish(img):
		return lost("black and white")
	}
	return clipartPiece{img: img, pair: Pair{File: clipartStyle + "/" + name + ".png", Style: clipartStyle, Licence: "CC-PDDC",
		Label: label, Tags: tags, Group: clipartGroup(name), Concept: label}}
}

// readSmall reads a file of at most maxClipartBytes.
func readSmall(p string) ([]byte, error) {
	st, err := os.Lstat(p)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxClipartBytes {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", p, maxClipartBytes)
	}
	return os.ReadFile(p)
}

// clipartGroups are folders whose pictures behave as a group of the emoji does: see groupWeight and Sprite.measurePaint.
var clipartGroups = map[string]string{"people": "people & body", "signs_and_symbols": "symbols", "shapes": "symbols"}

// clipartGroup is the group of a picture, by its folder.
func clipartGroup(name string) string {
	top, _, _ := strings.Cut(name, "/")
	if strings.HasPrefix(name, "people/clothing/") {
		return "clothing"
	}
	if path.Base(path.Dir(name)) == "roadsigns" {
		return "symbols"
	}
	if g, ok := clipartGroups[top]; ok {
		return g
	}
	return top
}

var clipartNotice = "The pictures in images.zip come from the Open Clip Art Library, whose contributors gave them to the public domain\n" +
	"(Creative Commons Public Domain Dedication and Certification, SPDX CC-PDDC): each drawing's metadata say so, and those\n" +
	"that do not are left out. Debian packages openclipart-png and openclipart-svg " + clipartVersion + ".\n" +
	"Changes: cropped, scaled to one size, white grounds made transparent; names and keywords cleaned.\n" +
	"https://creativecommons.org/licenses/publicdomain/\n"
