package dataset

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/smalti/smalti/event"
)

// FacesOptions say what BuildFaces builds. The zero value with Dir set builds the default pack.
type FacesOptions struct {
	Dir     string // folder of the pack
	Size    int    // side of the pictures in pixels, 16..256; 0 means 64
	Count   int    // number of faces, up to 100,000; 0 means 20,000
	Seed    uint64 // of the choices
	Whole   bool   // the whole drawing, with shoulders, instead of the head
	Workers int    // parallel renderings; 0 means one per CPU
	Cache   string // folder for packages; empty means Dir/.cache
	Keep    bool   // keep that folder when the pack is finished

	run      runner // nil means execCommand; tests inject
	unpinned bool   // tests: packages may have any digest
}

// The packages, pinned. The drawings are CC BY 4.0, the code is MIT.
var (
	faceCore  = npmPackage{"@dicebear/core", "9.4.3", "6ca7dae651c74ad547e548fbe7c41f49aaa377cf4617259277518389bf6b1a3d"}
	faceStyle = npmPackage{"@dicebear/toon-head", "9.4.3", "b9cd3b5def9fb2c37a9acba2e4b9bd00268b6eaff705d596756e8d921a4580c8"}
)

//go:embed faces.mjs
var faceScript []byte

const (
	faceBy   = "ToonHead by Johan Melin, remixed; drawn by DiceBear"
	sheetRow = 8                   // faces on a side of a sheet that is rendered at once
	perSheet = sheetRow * sheetRow // process starts cost more than faces
	perCall  = 16 * perSheet       // faces of one call of node
)

// The parts of the drawing of 768 x 768 units that are rendered.
const (
	headBox  = `viewBox="104 84 560 560"`
	wholeBox = `viewBox="0 0 768 768"`
)

// BuildFaces builds a pack of drawn faces with captions and attributes in opts.Dir: a stand-in for CelebA that can be made
// anywhere. It needs npm, node and rsvg-convert (a *ToolError says which is missing). A finished pack of the same recipe is
// left as it is. The pictures are opaque; a pair's group is the expression, its tags are the attributes.
func BuildFaces(ctx context.Context, opts FacesOptions, sink event.Sink) (Manifest, error) {
	if err := opts.fill(); err != nil {
		return Manifest{}, fmt.Errorf("build faces: %w", err)
	}
	if m, err := readManifest(opts.Dir); err == nil && m.Recipe == opts.recipe() {
		sink.Emit(event.Event{Kind: event.Notice, Path: opts.Dir, Message: "the pack is there already"})
		return m, nil
	}
	b := faceBuilder{opts: opts, sink: sink}
	m, err := b.build(ctx)
	if err != nil {
		return Manifest{}, fmt.Errorf("build faces: %w", err)
	}
	if !opts.Keep {
		if err := os.RemoveAll(opts.Cache); err != nil {
			return m, fmt.Errorf("remove the cache: %w", err)
		}
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: opts.Dir, Values: map[string]float64{"pictures": float64(m.Count)}})
	return m, nil
}

func (o *FacesOptions) fill() error {
	if o.Dir == "" {
		return fmt.Errorf("no folder given")
	}
	if o.Size == 0 {
		o.Size = 64
	}
	if o.Size < 16 || o.Size > 256 {
		return fmt.Errorf("size %d is outside 16..256", o.Size)
	}
	if o.Count == 0 {
		o.Count = 20_000
	}
	if o.Count < 1 || o.Count > 100_000 {
		return fmt.Errorf("%d faces are outside 1..100000", o.Count)
	}
	if o.Workers < 1 {
		o.Workers = runtime.NumCPU()
	}
	if o.Cache == "" {
		o.Cache = filepath.Join(o.Dir, ".cache")
	}
	if o.run == nil {
		if err := needTools("npm", "node", "rsvg-convert"); err != nil {
			return err
		}
		o.run = execCommand
	}
	return nil
}

// recipe names everything that decides the content of the pack.
func (o *FacesOptions) recipe() string {
	return fmt.Sprintf("faces/1 size=%d count=%d seed=%d whole=%t", o.Size, o.Count, o.Seed, o.Whole)
}

type faceBuilder struct {
	opts FacesOptions
	sink event.Sink
	work string // folder with the script and its packages
}

func (b *faceBuilder) build(ctx context.Context) (Manifest, error) {
	if err := b.fetch(ctx); err != nil {
		return Manifest{}, err
	}
	faces := b.choose()
	imgs := make([]*image.NRGBA, len(faces))
	for at := 0; at < len(faces); at += perCall {
		end := min(at+perCall, len(faces))
		if err := b.render(ctx, faces[at:end], imgs[at:end]); err != nil {
			return Manifest{}, err
		}
		b.sink.Emit(event.Event{Kind: event.Step, Step: end, Steps: len(faces), Message: "drawing faces"})
	}
	pairs := make([]Pair, len(faces))
	for i, f := range faces {
		pairs[i] = Pair{File: fmt.Sprintf("faces/%06d.png", i), Style: "toon-head", Licence: "CC-BY-4.0", Label: f.label, Tags: f.tags, Group: f.mouth, Concept: f.label}
	}
	m := Manifest{Name: "faces", Size: b.opts.Size, Recipe: b.opts.recipe(), Sources: []Source{
		{Name: faceStyle.Name, Version: faceStyle.Version, Licence: "CC-BY-4.0", By: faceBy}, {Name: faceCore.Name, Version: faceCore.Version, Licence: "MIT", By: "DiceBear, Florian Körner"}}}
	return writePack(b.opts.Dir, m, pairs, imgs, faceNotice)
}

var faceNotice = fmt.Sprintf("The pictures in images.zip are %s, licence CC BY 4.0\n(https://creativecommons.org/licenses/by/4.0/legalcode), source\n"+
	"https://www.figma.com/community/file/1589627891082866389, rendered from packages %s %s and %s %s\n(code: MIT). The choices and the captions are smalti's.\n",
	faceBy, faceStyle.Name, faceStyle.Version, faceCore.Name, faceCore.Version)

// choose draws faces until there are enough different ones.
func (b *faceBuilder) choose() []face {
	seen := map[string]bool{}
	var out []face
	for i := 0; len(out) < b.opts.Count && i < 4*b.opts.Count; i++ {
		if f := drawFace(b.opts.Seed, i, b.opts.Whole); !seen[f.label+f.options.Hair[0]] {
			seen[f.label+f.options.Hair[0]] = true
			out = append(out, f)
		}
	}
	return out
}

// fetch brings the packages and lays them out as node looks for them.
func (b *faceBuilder) fetch(ctx context.Context) error {
	b.work = filepath.Join(b.opts.Cache, "faces")
	if err := os.RemoveAll(b.work); err != nil {
		return err
	}
	for _, p := range []npmPackage{faceCore, faceStyle} {
		if b.opts.unpinned {
			p.SHA256 = ""
		}
		dir, err := fetchPackage(ctx, b.opts.run, p, filepath.Join(b.opts.Cache, "npm"), func(path string) bool {
			return path == "package.json" || strings.HasPrefix(path, "lib/") && strings.HasSuffix(path, ".js")
		})
		if err != nil {
			return err
		}
		if err := os.CopyFS(filepath.Join(b.work, "node_modules", filepath.FromSlash(p.Name)), os.DirFS(dir)); err != nil {
			return err
		}
	}
	return writeAtomic(filepath.Join(b.work, "faces.mjs"), faceScript)
}

// render draws faces into imgs, sheet by sheet.
func (b *faceBuilder) render(ctx context.Context, faces []face, imgs []*image.NRGBA) error {
	svgs, err := b.documents(ctx, faces)
	if err != nil {
		return err
	}
	sheets := (len(svgs) + perSheet - 1) / perSheet
	errs := make([]error, sheets)
	var failed atomic.Bool
	parallel(sheets, b.opts.Workers, func(i int) {
		if failed.Load() || ctx.Err() != nil {
			return
		}
		lo, hi := i*perSheet, min((i+1)*perSheet, len(svgs))
		if errs[i] = b.sheet(ctx, svgs[lo:hi], imgs[lo:hi]); errs[i] != nil {
			failed.Store(true)
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// documents has node write the SVG documents.
func (b *faceBuilder) documents(ctx context.Context, faces []face) ([]string, error) {
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, f := range faces {
		if err := enc.Encode(f.options); err != nil {
			return nil, err
		}
	}
	out, err := b.opts.run(ctx, command{dir: b.work, name: "node", args: []string{"faces.mjs"}, stdin: in.Bytes()})
	if err != nil {
		return nil, err
	}
	var svgs []string
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 1<<22)
	for sc.Scan() {
		var s string
		if err := json.Unmarshal(sc.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("answer of faces.mjs: %w", err)
		}
		svgs = append(svgs, s)
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(svgs) != len(faces) {
		return nil, fmt.Errorf("faces.mjs drew %d of %d faces", len(svgs), len(faces))
	}
	return svgs, nil
}

// sheet renders documents as one picture and cuts it up.
func (b *faceBuilder) sheet(ctx context.Context, svgs []string, imgs []*image.NRGBA) error {
	n, box := b.opts.Size, headBox
	if b.opts.Whole {
		box = wholeBox
	}
	var doc strings.Builder
	fmt.Fprintf(&doc, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%[1]d">`, n*sheetRow)
	for i, s := range svgs {
		inner, ok := strings.CutPrefix(s, "<svg ")
		if !ok || !strings.Contains(inner, wholeBox) {
			return fmt.Errorf("face %d is not the SVG of 768 units that was expected", i)
		}
		inner = strings.Replace(inner, wholeBox, box, 1)
		fmt.Fprintf(&doc, `<svg x="%d" y="%d" width="%d" height="%[3]d" %s`, i%sheetRow*n, i/sheetRow*n, n, inner)
	}
	doc.WriteString("</svg>")
	out, err := b.opts.run(ctx, command{name: "rsvg-convert", stdin: []byte(doc.String())})
	if err != nil {
		return err
	}
	whole, err := png.Decode(bytes.NewReader(out))
	if err != nil {
		return err
	}
	if side := n * sheetRow; whole.Bounds().Dx() != side || whole.Bounds().Dy() != side {
		return fmt.Errorf("rsvg-convert drew %v, want %d pixels", whole.Bounds(), side)
	}
	for i := range imgs {
		img := image.NewNRGBA(image.Rect(0, 0, n, n))
		draw.Draw(img, img.Rect, whole, image.Pt(i%sheetRow*n, i/sheetRow*n), draw.Src)
		imgs[i] = img
	}
	return nil
}
