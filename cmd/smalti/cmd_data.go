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
	return group("data", "Build and look at packs of training pictures", a.newDataList(), a.newDataBuild(), a.newDataInfo())
}

// packs are what `data build` can build.
var packs = []struct{ name, about string }{
	{"emoji", "captioned emoji in eight open styles (MIT, Apache-2.0, CC-BY)"},
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
	known := slices.ContainsFunc(packs, func(p struct{ name, about string }) bool { return p.name == name })
	if !known && exists(name) {
		return name, nil
	}
	if !known {
		return "", spec.Refusef("run: smalti data list", "there is no pack %q", name)
	}
	root, err := a.dataRoot()
	return filepath.Join(root, name), err
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
		if _, err := dataset.Info(dir); err != nil {
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
	var o dataset.EmojiOptions
	cmd := &cobra.Command{
		Use: "build PACK", Short: "Build a pack from open sources (needs a network)", Args: exactly(1),
		Long: "Build a pack from packages of the npm registry. It needs npm and rsvg-convert; what is interrupted goes on where it stopped.",
		Example: `  smalti data build emoji
  smalti data build emoji --dir ./emoji --limit 50`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runDataBuild(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", "", "folder to build in; default: the data folder")
	f.IntVar(&o.Size, "px", 64, "side of the pictures in pixels")
	f.IntVar(&o.Limit, "limit", 0, "at most so many pictures of each style; 0 means all")
	f.BoolVar(&o.ShareAlike, "share-alike", false, "also styles under CC-BY-SA")
	f.BoolVar(&o.Tones, "tones", false, "also skin-tone variants")
	f.BoolVar(&o.Symbols, "symbols", false, "also symbols and flags")
	f.StringVar(&o.Cache, "cache", "", "folder for downloads; default: inside the pack")
	f.BoolVar(&o.KeepCache, "keep-cache", false, "keep the downloads")
	return cmd
}

func (a *app) runDataBuild(ctx context.Context, pack string, o dataset.EmojiOptions) error {
	dir, err := a.packDir(pack)
	if err != nil {
		return err
	}
	if filepath.Base(pack) != "emoji" {
		return spec.Refusef("run: smalti data list", "there is no pack %q to build", pack)
	}
	if o.Dir == "" {
		o.Dir = dir
	}
	if o.Size < 16 || o.Size > 256 {
		return spec.Refusef("use a value from 16 to 256", "--px is %d", o.Size)
	}
	if o.Limit < 0 {
		return spec.Refusef("use 0 or more", "--limit is %d", o.Limit)
	}
	o.Workers = a.threads
	sink, done := a.openSink(false)
	defer done()
	_, err = dataset.BuildEmoji(ctx, o, sink)
	var tool *dataset.ToolError
	if errors.As(err, &tool) {
		return hinted(err, tool.Hint)
	}
	if err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Done, Path: o.Dir, Message: "the pack is in " + o.Dir})
	return nil
}

func (a *app) newDataInfo() *cobra.Command {
	return &cobra.Command{
		Use: "info PACK|DIR", Short: "Count what is in a pack or a folder of pictures", Args: exactly(1),
		Example: `  smalti data info emoji
  smalti data info ~/pictures --json`,
		RunE: func(_ *cobra.Command, args []string) error { return a.runDataInfo(args[0]) },
	}
}

func (a *app) runDataInfo(name string) error {
	dir, err := a.packDir(name)
	if err != nil {
		return err
	}
	info, err := dataset.Info(dir)
	if errors.Is(err, dataset.ErrNoPack) {
		if s, serr := os.Stat(dir); serr == nil && s.IsDir() {
			return a.folderInfo(dir)
		}
		return hinted(err, "build it: smalti data build emoji")
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

// folderInfo reads a folder of pictures as training would.
func (a *app) folderInfo(dir string) error {
	f, err := dataset.OpenFolder(dir, 32)
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
