package dataset

import (
	"context"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"

	"github.com/smalti/smalti/event"
)

// EmojiOptions says what BuildEmoji builds. The zero value with Dir set builds the default pack.
type EmojiOptions struct {
	PackOptions      // Limit counts by style
	ShareAlike  bool // also openmoji and emojione v1 (CC-BY-SA-4.0)
	Tones       bool // also skin-tone variants
	Symbols     bool // also the groups "symbols" and "flags"

	styles []emojiStyle // nil means emojiStyles; tests inject
}

// emojiStyle is one drawn set of emoji and the package it comes in.
type emojiStyle struct {
	name       string
	pkg        npmPackage
	licence    string
	by         string
	webp       bool // a folder assets of WebP files instead of iconify's icons.json
	shareAlike bool
}

// emojiLabels is the package with names, tags and groups.
var emojiLabels = npmPackage{"emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"}

// emojiStyles are the drawn sets, pinned. The order decides which of two equal pictures stays.
var emojiStyles = []emojiStyle{
	{name: "noto", licence: "Apache-2.0", by: "Noto Emoji, Google Inc.",
		pkg: npmPackage{"@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"}},
	{name: "noto1", licence: "Apache-2.0", by: "Noto Emoji (v1), Google Inc.",
		pkg: npmPackage{"@iconify-json/noto-v1", "1.2.5", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"}},
	{name: "fluent", licence: "MIT", by: "Fluent Emoji, Microsoft Corporation",
		pkg: npmPackage{"@iconify-json/fluent-emoji", "1.2.7", "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b"}},
	{name: "fluentflat", licence: "MIT", by: "Fluent Emoji Flat, Microsoft Corporation",
		pkg: npmPackage{"@iconify-json/fluent-emoji-flat", "1.2.6", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"}},
	{name: "twemoji", licence: "CC-BY-4.0", by: "Twitter Emoji, Twitter, Inc. and other contributors",
		pkg: npmPackage{"@iconify-json/twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"}},
	{name: "fxemoji", licence: "Apache-2.0", by: "Firefox OS Emoji, Mozilla",
		pkg: npmPackage{"@iconify-json/fxemoji", "1.2.2", "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"}},
	{name: "emojione2", licence: "CC-BY-4.0", by: "Emoji One (Colored), version 2, Emoji One",
		pkg: npmPackage{"@iconify-json/emojione", "1.2.3", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"}},
	{name: "openmoji", licence: "CC-BY-SA-4.0", by: "OpenMoji", shareAlike: true,
		pkg: npmPackage{"@iconify-json/openmoji", "1.2.29", "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5"}},
	{name: "emojione1", licence: "CC-BY-SA-4.0", by: "Emoji One (version 1), Emoji One", shareAlike: true,
		pkg: npmPackage{"@iconify-json/emojione-v1", "1.2.3", "6641d59d48a42823fdc2b84e7427e9f302944eb98d2c7d94d6e67c139e7b37b3"}},
	{name: "fluent3d", licence: "MIT", by: "Fluent Emoji 3D, Microsoft Corporation, packaged by LobeHub", webp: true,
		pkg: npmPackage{"@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"}},
}

// BuildEmoji builds the captioned emoji pack in opts.Dir from pinned npm packages and returns its
// manifest. It needs npm and rsvg-convert (a *ToolError says which is missing). It can be stopped
// at any moment and called again: packages and renderings that are there are used, and the folder is
// a pack only when all of it was written. A finished pack of the same recipe is left as it is.
func BuildEmoji(ctx context.Context, opts EmojiOptions, sink event.Sink) (Manifest, error) {
	if err := opts.fill(); err != nil {
		return Manifest{}, err
	}
	if m, err := readManifest(opts.Dir); err == nil && m.Recipe == opts.recipe() {
		sink.Emit(event.Event{Kind: event.Notice, Path: opts.Dir, Message: "the pack is there already"})
		return m, nil
	}
	b := &emojiBuilder{opts: opts, sink: sink}
	m, err := b.build(ctx)
	if err != nil {
		return Manifest{}, fmt.Errorf("build emoji pack: %w", err)
	}
	if !opts.KeepCache {
		if err := os.RemoveAll(opts.Cache); err != nil {
			return m, fmt.Errorf("remove the cache: %w", err)
		}
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: opts.Dir, Values: map[string]float64{"pictures": float64(m.Count)}})
	return m, nil
}

func (o *EmojiOptions) fill() error {
	if o.styles == nil {
		o.styles = emojiStyles
	}
	injected := o.run != nil
	if err := o.PackOptions.fill(); err != nil {
		return fmt.Errorf("build emoji pack: %w", err)
	}
	if injected {
		return nil
	}
	if err := needTools("npm", "rsvg-convert"); err != nil {
		return fmt.Errorf("build emoji pack: %w", err)
	}
	return nil
}

// recipe names everything that decides the content of the pack.
func (o *EmojiOptions) recipe() string {
	return fmt.Sprintf("emoji/2 size=%d limit=%d sharealike=%t tones=%t symbols=%t", o.Size, o.Limit, o.ShareAlike, o.Tones, o.Symbols)
}

type emojiBuilder struct {
	opts  EmojiOptions
	sink  event.Sink
	names *emojiNames
	dirs  map[string]string // unpacked package by style
	used  []emojiStyle
}

func (b *emojiBuilder) build(ctx context.Context) (Manifest, error) {
	if err := b.fetch(ctx); err != nil {
		return Manifest{}, err
	}
	drawings, err := b.drawings()
	if err != nil {
		return Manifest{}, err
	}
	r := &renderer{run: b.opts.run, cache: filepath.Join(b.opts.Cache, "render"), size: b.opts.Size}
	step := 0
	imgs, failed, err := r.renderAll(ctx, drawings, b.opts.Workers, func() {
		if step++; step%50 == 0 || step == len(drawings) {
			b.sink.Emit(event.Event{Kind: event.Step, Step: step, Steps: len(drawings), Message: "rendering"})
		}
	})
	if err != nil {
		return Manifest{}, err
	}
	pairs, kept, dropped := b.choose(drawings, imgs)
	b.sink.Emit(event.Event{Kind: event.Notice, Message: fmt.Sprintf("%d pictures kept, %d equal or empty ones dropped, %d could not be rendered",
		len(pairs), dropped, total(failed))})
	if len(pairs) == 0 {
		return Manifest{}, fmt.Errorf("none of %d drawings could be rendered", len(drawings))
	}
	m := Manifest{Name: "emoji", Size: b.opts.Size, Recipe: b.opts.recipe(), Sources: b.sources()}
	return writePack(b.opts.Dir, m, pairs, kept, b.notice())
}

// fetch brings the packages and reads the names.
func (b *emojiBuilder) fetch(ctx context.Context) error {
	for _, s := range b.opts.styles {
		if !s.shareAlike || b.opts.ShareAlike {
			b.used = append(b.used, s)
		}
	}
	cache := filepath.Join(b.opts.Cache, "npm")
	b.dirs = map[string]string{}
	steps := len(b.used) + 1
	labels := emojiLabels
	if b.opts.styles[0].pkg.SHA256 == "" { // injected by a test
		labels.SHA256 = ""
	}
	dir, err := fetchPackage(ctx, b.opts.run, labels, cache, func(p string) bool {
		return p == "en/data.json" || strings.HasPrefix(p, "en/shortcodes/") && strings.HasSuffix(p, ".json")
	})
	if err != nil {
		return err
	}
	if b.names, err = loadEmojiNames(dir); err != nil {
		return err
	}
	for i, s := range b.used {
		b.sink.Emit(event.Event{Kind: event.Step, Step: i + 1, Steps: steps, Message: "fetching " + s.pkg.Name})
		d, err := fetchPackage(ctx, b.opts.run, s.pkg, cache, func(p string) bool {
			return p == "icons.json" || p == "chars.json" || strings.HasPrefix(p, "assets/") && strings.HasSuffix(p, ".webp")
		})
		if err != nil {
			return err
		}
		b.dirs[s.name] = d
	}
	return nil
}

// drawings lists what is to be rendered, in a fixed order.
func (b *emojiBuilder) drawings() ([]*drawing, error) {
	toHex := map[string]map[string]string{}
	for _, s := range b.used { // all names first: one set's names are aliases for another's
		if s.webp {
			continue
		}
		inverse, err := b.names.learnChars(b.dirs[s.name])
		if err != nil {
			return nil, err
		}
		toHex[s.name] = inverse
	}
	var out []*drawing
	for _, s := range b.used {
		var ds []*drawing
		var err error
		if s.webp {
			ds, err = b.webpDrawings(s)
		} else {
			ds, err = b.iconDrawings(s, toHex[s.name])
		}
		if err != nil {
			return nil, err
		}
		if b.opts.Limit > 0 && len(ds) > b.opts.Limit {
			ds = ds[:b.opts.Limit]
		}
		out = append(out, ds...)
	}
	return out, nil
}

func (b *emojiBuilder) iconDrawings(s emojiStyle, toHex map[string]string) ([]*drawing, error) {
	set, err := readIcons(b.dirs[s.name], s, toHex)
	if err != nil {
		return nil, err
	}
	var out []*drawing
	seen := map[string]bool{}
	for _, name := range sortedKeys(set.icons) {
		ic := set.icons[name]
		h := set.toHex[name]
		if h == "" {
			h = b.names.alias[squeeze(name)]
		}
		e := b.wanted(h)
		if ic.Hidden || e == nil || seen[h] {
			continue
		}
		seen[h] = true
		out = append(out, &drawing{style: s, hex: h, entry: e, svg: set.svg(ic)})
	}
	return out, nil
}

func (b *emojiBuilder) webpDrawings(s emojiStyle) ([]*drawing, error) {
	files, err := filepath.Glob(filepath.Join(b.dirs[s.name], "assets", "*.webp")) // sorted
	if err != nil {
		return nil, err
	}
	var out []*drawing
	for _, f := range files {
		h := normalHex(strings.TrimSuffix(filepath.Base(f), ".webp"))
		if e := b.wanted(h); e != nil {
			out = append(out, &drawing{style: s, hex: h, entry: e, webp: f})
		}
	}
	return out, nil
}

// wanted is the entry of a code point sequence if the options ask for it, else nil.
func (b *emojiBuilder) wanted(hex string) *emojiEntry {
	e := b.names.byHex[hex]
	if e == nil || e.toned && !b.opts.Tones {
		return nil
	}
	switch g := e.groupName(); g {
	case "", "component":
		return nil
	case "symbols", "flags":
		if !b.opts.Symbols {
			return nil
		}
	}
	return e
}

// choose drops failures, blanks and duplicates and writes the captions' raw material.
func (b *emojiBuilder) choose(ds []*drawing, imgs []*image.NRGBA) (pairs []Pair, kept []*image.NRGBA, dropped int) {
	seen := map[[32]byte]bool{}
	for i, d := range ds {
		if imgs[i] == nil {
			continue
		}
		key, blank := fingerprint(imgs[i])
		if blank || seen[key] {
			dropped++
			continue
		}
		seen[key] = true
		label := cleanLabel(d.entry.Label)
		pairs = append(pairs, Pair{
			File:  d.style.name + "/" + d.hex + ".png",
			Style: d.style.name, Licence: d.style.licence,
			Label: label, Tags: cleanTags(d.entry.Tags, label), Group: d.entry.groupName(), Concept: cleanLabel(b.names.byHex[d.entry.base].Label),
		})
		kept = append(kept, imgs[i])
	}
	return pairs, kept, dropped
}

func (b *emojiBuilder) sources() []Source {
	out := []Source{{Name: emojiLabels.Name, Version: emojiLabels.Version, Licence: "MIT", By: "Emojibase, Miles Johnson"}}
	for _, s := range b.used {
		out = append(out, Source{Name: s.pkg.Name, Version: s.pkg.Version, Licence: s.licence, By: s.by})
	}
	return out
}

// notice is the attribution file of the pack.
func (b *emojiBuilder) notice() string {
	var sb strings.Builder
	sb.WriteString("The pictures in images.zip were rendered from the emoji sets below, scaled to one size;\n" +
		"near-equal pictures were dropped. The names and tags in pairs.jsonl come from emojibase-data,\n" +
		"shortened and cleaned. The licence of each picture is in its line of pairs.jsonl.\n\n")
	for _, s := range b.used {
		fmt.Fprintf(&sb, "style %s: %s\n  package %s %s, licence %s\n", s.name, s.by, s.pkg.Name, s.pkg.Version, s.licence)
	}
	fmt.Fprintf(&sb, "names and tags: Emojibase, Miles Johnson\n  package %s %s, licence MIT\n", emojiLabels.Name, emojiLabels.Version)
	sb.WriteString("\nLicence texts: MIT https://opensource.org/license/mit, Apache-2.0 https://www.apache.org/licenses/LICENSE-2.0,\n" +
		"CC-BY-4.0 https://creativecommons.org/licenses/by/4.0/legalcode, CC-BY-SA-4.0 https://creativecommons.org/licenses/by-sa/4.0/legalcode\n")
	return sb.String()
}

func total(m map[string]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}
