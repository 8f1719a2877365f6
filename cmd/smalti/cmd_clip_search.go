package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/clip/search"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/ui"
)

// searchOptions are the flags of clip search.
type searchOptions struct {
	clip, dir, text string
	images          []string
	n               int
	sheet           string
	here, rebuild   bool
}

func (a *app) newCLIPSearch(name *string) *cobra.Command {
	var o searchOptions
	cmd := &cobra.Command{
		Use: "search DIR [QUERY]", Short: "Find pictures of a folder by words or by other pictures",
		Long: `Find the pictures of a folder, and of the folders in it, that fit best. QUERY is words, or a sum: terms joined by " + " and
" - ", each with an optional factor ("2:dog"); a term that ends like a picture's name is a picture. Features of the pictures are kept in
an index in your cache folder, so that only new and changed pictures are looked at again; the index may be deleted at any time.`,
		Example: `  smalti clip search ~/Pictures "a dog on a beach" -n 20
  smalti clip search ~/Pictures "2:dog + pool.jpg - leash" --sheet found.png
  smalti clip search ~/Pictures --image like-this.jpg --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 2 {
				return spec.Refuse("the query is more than one argument", `put it in quotes: smalti clip search DIR "a red apple"`)
			}
			return atLeast(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.clip, o.dir, o.text = *name, args[0], ""
			if len(args) == 2 {
				o.text = args[1]
			}
			return a.runCLIPSearch(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.images, "image", nil, "picture `FILE` to add to the query; may be given again")
	f.IntVarP(&o.n, "number", "n", 10, "how many pictures to show")
	f.StringVar(&o.sheet, "sheet", "", "write the pictures found to a sheet, a PNG `FILE`")
	f.BoolVar(&o.here, "index-here", false, "keep the index in DIR/.smalti-index instead of the cache folder")
	f.BoolVar(&o.rebuild, "rebuild", false, "look at every picture again")
	return cmd
}

func (a *app) runCLIPSearch(ctx context.Context, o searchOptions) error {
	query, err := o.query()
	if err != nil {
		return err
	}
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	m, ref, err := r.CLIP(spec.ModelRef{Name: o.clip})
	if err != nil {
		return err
	}
	direction, err := query.Vector(ctx, m, decodePicture) // before the work of indexing
	if errors.Is(err, search.ErrNoDirection) {
		return spec.Refuse(err.Error(), "change a weight, or leave a term out")
	}
	if err != nil {
		return err
	}
	file, err := a.indexFile(o, ref.SHA256)
	if err != nil {
		return err
	}
	sink, done := a.openSink(false)
	defer done()
	ix, skipped, err := search.Update(ctx, m, search.Options{Dir: o.dir, File: file, Model: ref.SHA256, Rebuild: o.rebuild}, sink)
	if err != nil {
		return err
	}
	for _, t := range query {
		if t.File == "" {
			a.noticeCut(m, []string{t.Text})
		}
	}
	if skipped > 0 {
		sink.Emit(event.Event{Kind: event.Notice, Message: fmt.Sprintf("%d file(s) that cannot be read were skipped", skipped), Values: map[string]float64{"skipped": float64(skipped)}})
	}
	if ix.Pictures() == 0 {
		return hinted(fmt.Errorf("there is no picture in %s", o.dir), "PNG, JPEG, GIF, WebP, BMP and TIFF files are looked for")
	}
	return a.showHits(o, ix.Nearest(direction, o.n), sink)
}

// query reads what is looked for.
func (o searchOptions) query() (search.Query, error) {
	if o.n < 1 {
		return nil, spec.Refusef("the default is 10", "--number is %d", o.n)
	}
	if info, err := os.Stat(o.dir); err != nil || !info.IsDir() {
		return nil, spec.Refusef("the first argument is the folder of pictures", "%s is not a folder", o.dir)
	}
	var q search.Query
	if o.text != "" {
		var err error
		if q, err = search.ParseQuery(o.text); err != nil {
			return nil, spec.Refuse(err.Error(), `write for example "dog - leash"`)
		}
	}
	for _, p := range o.images {
		q = append(q, search.Term{File: p, Weight: 1})
	}
	if len(q) == 0 {
		return nil, spec.Refuse("there is nothing to look for", `add words, or --image FILE`)
	}
	for _, t := range q {
		if t.File != "" && !exists(t.File) {
			return nil, spec.Refusef("check the path", "the picture %s does not exist", t.File)
		}
	}
	return q, nil
}

// indexFile is where the index of a folder for a model lies.
func (a *app) indexFile(o searchOptions, model string) (string, error) {
	if o.here {
		return filepath.Join(o.dir, ".smalti-index", model[:16]+".safetensors"), nil
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	cache, err := a.cacheRoot()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(cache, "index", hex.EncodeToString(sum[:8])+"-"+model[:16]+".safetensors"), nil
}

// cacheRoot is the folder for what may be deleted at any time.
func (a *app) cacheRoot() (string, error) {
	if p := a.env("XDG_CACHE_HOME"); filepath.IsAbs(p) {
		return filepath.Join(p, "smalti"), nil
	}
	if p := a.env("HOME"); p != "" {
		return filepath.Join(p, ".cache", "smalti"), nil
	}
	if p := a.env("LOCALAPPDATA"); p != "" {
		return filepath.Join(p, "smalti", "cache"), nil
	}
	return "", spec.Refuse("there is no cache folder for the index", "set HOME, or add --index-here")
}

// showHits prints what was found, and draws it where that was asked for.
func (a *app) showHits(o searchOptions, hits []search.Hit, sink event.Sink) error {
	t := ui.NewTable(">COSINE", "PICTURE")
	var cells []pixel.Cell
	for i, h := range hits {
		p := filepath.Join(o.dir, filepath.FromSlash(h.Name))
		if a.json {
			sink.Emit(event.Event{Kind: event.Result, Path: p, Values: map[string]float64{"rank": float64(i + 1), "cosine": h.Cosine}})
		}
		t.Row(fmt.Sprintf("%.4f", h.Cosine), p)
		if o.sheet == "" {
			continue
		}
		img, err := pixel.DecodeFile(p)
		if err != nil {
			return err
		}
		const side = 192
		cells = append(cells, pixel.Cell{Picture: pixel.Fit(img, side), Caption: fmt.Sprintf("%.3f %s", h.Cosine, filepath.Base(p))})
	}
	if !a.json {
		if err := t.Write(a.out); err != nil {
			return err
		}
	}
	if o.sheet == "" {
		return nil
	}
	if err := writePNG(o.sheet, pixel.Sheet{Gap: 8}.Draw(cells)); err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: o.sheet})
	return nil
}
