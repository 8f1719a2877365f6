package dataset

import (
	"context"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"runtime"

	"github.com/smalti/smalti/event"
)

// PackOptions says where and how large a pack is built. The zero value with Dir set builds the default pack.
type PackOptions struct {
	Dir       string // folder of the pack
	Size      int    // side of the pictures in pixels, 16..256; 0 means 64
	Limit     int    // at most this many pictures; 0 means all
	Workers   int    // pictures read or rendered at once; 0 means one per CPU
	Cache     string // folder for packages and renderings; empty means Dir/.cache
	KeepCache bool   // keep that folder when the pack is finished

	run  runner       // nil means execCommand; tests inject
	debs []debPackage // nil means the pinned ones; tests inject
}

// debPack is a pack that comes out of Debian packages.
type debPack struct {
	name    string
	version int // of the rules; another number makes another pack
	debs    []debPackage
	keep    func(path string) bool // which files of the packages are wanted
	read    func(ctx context.Context, b *debBuilder, dirs []string) (*haul, error)
}

// haul is what a pack is written from.
type haul struct {
	pairs   []Pair
	imgs    []*image.NRGBA
	sources []Source
	notice  string
}

// debBuilder is a pack in the making.
type debBuilder struct {
	opts PackOptions
	sink event.Sink
}

// build fetches the packages of d, reads them and writes the pack. It can be stopped at any moment and called again:
// packages that are there are used, and the folder is a pack only when all of it was written. A finished pack of the same
// recipe is left as it is.
func (d debPack) build(ctx context.Context, opts PackOptions, sink event.Sink) (Manifest, error) {
	if err := opts.fill(); err != nil {
		return Manifest{}, fmt.Errorf("build %s pack: %w", d.name, err)
	}
	if opts.debs == nil {
		opts.debs = d.debs
	}
	recipe := fmt.Sprintf("%s/%d size=%d limit=%d", d.name, d.version, opts.Size, opts.Limit)
	if m, err := readManifest(opts.Dir); err == nil && m.Recipe == recipe {
		sink.Emit(event.Event{Kind: event.Notice, Path: opts.Dir, Message: "the pack is there already"})
		return m, nil
	}
	b := &debBuilder{opts: opts, sink: sink}
	h, err := d.gather(ctx, b)
	if err != nil {
		return Manifest{}, fmt.Errorf("build %s pack: %w", d.name, err)
	}
	m := Manifest{Name: d.name, Size: opts.Size, Recipe: recipe, Sources: h.sources}
	if m, err = writePack(opts.Dir, m, h.pairs, h.imgs, h.notice); err != nil {
		return Manifest{}, fmt.Errorf("build %s pack: %w", d.name, err)
	}
	if !opts.KeepCache {
		if err := os.RemoveAll(opts.Cache); err != nil {
			return m, fmt.Errorf("remove the cache: %w", err)
		}
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: opts.Dir, Values: map[string]float64{"pictures": float64(m.Count)}})
	return m, nil
}

// gather fetches and reads.
func (d debPack) gather(ctx context.Context, b *debBuilder) (*haul, error) {
	var dirs []string
	for i, p := range b.opts.debs {
		b.sink.Emit(event.Event{Kind: event.Step, Step: i + 1, Steps: len(b.opts.debs), Message: "fetching " + p.Name})
		dir, err := fetchDeb(ctx, b.opts.run, p, filepath.Join(b.opts.Cache, "deb"), d.keep)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
	}
	h, err := d.read(ctx, b, dirs)
	if err == nil && len(h.pairs) == 0 {
		err = fmt.Errorf("no picture of it can be used")
	}
	return h, err
}

func (o *PackOptions) fill() error {
	if o.Dir == "" {
		return fmt.Errorf("no folder given")
	}
	if o.Size == 0 {
		o.Size = 64
	}
	if o.Size < 16 || o.Size > 256 {
		return fmt.Errorf("size %d is outside 16..256", o.Size)
	}
	if o.Limit < 0 {
		return fmt.Errorf("limit %d is negative", o.Limit)
	}
	if o.Workers < 1 {
		o.Workers = runtime.NumCPU()
	}
	if o.Cache == "" {
		o.Cache = filepath.Join(o.Dir, ".cache")
	}
	if o.run == nil {
		o.run = execCommand
	}
	return nil
}

// readAll calls read(0..n-1), several at once, and reports how far it is.
func (b *debBuilder) readAll(ctx context.Context, n int, read func(i int)) error {
	const stride = 64
	for at := 0; at < n; at += stride {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := min(at+stride, n)
		parallel(end-at, b.opts.Workers, func(i int) { read(at + i) })
		b.sink.Emit(event.Event{Kind: event.Step, Step: end, Steps: n, Message: "reading pictures"})
	}
	return nil
}
