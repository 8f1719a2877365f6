package dataset

import (
	"archive/zip"
	"context"
	"fmt"
	"image"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/smalti/smalti/event"
)

var furnitureModels = debPackage{"sweethome3d-furniture", "1.8-1", "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668"}

const (
	furnitureRoot  = "usr/share/sweethome3d/furniture"
	furnitureStyle = "sweethome3d"
	catalogList    = "PluginFurnitureCatalog.properties"

	maxCatalogFiles = 20_000
	maxCatalogList  = 4 << 20
	maxCatalogItems = 10_000
	maxIconBytes    = 4 << 20
)

// furnitureShape takes every icon, which is known to be one thing: the longest is a fluorescent light.
var furnitureShape = cutShape{minSide: 2, maxAspect: 64}

var furniture = debPack{
	name: "furniture", version: 1, debs: []debPackage{furnitureModels}, read: readFurniture,
	keep: func(p string) bool { return path.Dir(p) == furnitureRoot && strings.HasSuffix(p, ".sh3f") },
}

// BuildFurniture builds a pack of rendered furniture and household things in opts.Dir from Debian's pinned package
// sweethome3d-furniture and returns its manifest: the icons of its catalogues with their names and categories. CC0 and CC BY
// 3.0; the pack's NOTICE names the maker of every picture. It needs apt-get, or the package in the cache's folder deb (a
// *ToolError says so).
func BuildFurniture(ctx context.Context, opts PackOptions, sink event.Sink) (Manifest, error) {
	return furniture.build(ctx, opts, sink)
}

// catalog is one .sh3f file, which is a zip with a list of pieces, their icons and models.
type catalog struct {
	name, by string // of the file, and whose work it is in words
	licence  string // SPDX
	zip      *zip.Reader
	items    []catalogItem
}

// catalogItem is one piece of furniture in a catalogue's list.
type catalogItem struct{ name, category, tags, icon, creator string }

func readFurniture(ctx context.Context, b *debBuilder, dirs []string) (*haul, error) {
	files, err := filepath.Glob(filepath.Join(dirs[0], filepath.FromSlash(furnitureRoot), "*.sh3f"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	h := &haul{}
	var credits strings.Builder
	lost, of := map[string]int{}, 0
	seen := map[[32]byte]bool{}
	for i, f := range files {
		n, err := addCatalog(f, b.opts, h, &credits, seen, lost)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
		of += n
		b.sink.Emit(event.Event{Kind: event.Step, Step: i + 1, Steps: len(files), Message: "reading catalogues"})
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	b.tellLost(of, lost)
	h.notice = furnitureNotice + credits.String()
	return h, nil
}

// addCatalog adds the pieces of one catalogue to h and their makers to credits, and returns how many pieces it lists.
func addCatalog(file string, opts PackOptions, h *haul, credits *strings.Builder, seen map[[32]byte]bool, lost map[string]int) (int, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	zr, err := zip.NewReader(f, st.Size())
	if err != nil {
		return 0, err
	}
	c, err := readCatalog(strings.TrimSuffix(filepath.Base(file), ".sh3f"), zr)
	if err != nil {
		return 0, err
	}
	h.sources = append(h.sources, Source{Name: furnitureModels.Name + " " + c.name, Version: furnitureModels.Version, Licence: c.licence, By: c.by})
	fmt.Fprintf(credits, "\n%s: %s, %s\n", c.name, c.by, c.licence)
	imgs, errs := make([]*image.NRGBA, len(c.items)), make([]error, len(c.items))
	parallel(len(c.items), opts.Workers, func(i int) { imgs[i], errs[i] = c.picture(c.items[i], opts.Size) })
	for i, it := range c.items {
		if errs[i] != nil {
			lost["unreadable"]++
			continue
		}
		key, blank := fingerprint(imgs[i])
		if blank || seen[key] {
			lost["equal or empty"]++
			continue
		}
		seen[key] = true
		p, ok := c.pair(it)
		if !ok {
			lost["without a name"]++
			continue
		}
		if opts.Limit == 0 || len(h.pairs) < opts.Limit {
			h.pairs, h.imgs = append(h.pairs, p), append(h.imgs, imgs[i])
			fmt.Fprintf(credits, "  %s: %q by %s\n", p.File, it.name, it.creator)
		}
	}
	return len(c.items), nil
}

// readCatalog reads the list of a catalogue.
func readCatalog(name string, zr *zip.Reader) (*catalog, error) {
	if len(zr.File) > maxCatalogFiles {
		return nil, fmt.Errorf("%d files are over the cap of %d", len(zr.File), maxCatalogFiles)
	}
	list, err := readZipped(zr, catalogList, maxCatalogList)
	if err != nil {
		return nil, err
	}
	props, err := parseProperties(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", catalogList, err)
	}
	c := &catalog{name: name, zip: zr, by: catalogMakers[name]}
	if c.by == "" {
		c.by = oneLine(props["name"])
	}
	if c.licence = catalogLicence(props["license"]); c.licence == "" {
		return nil, fmt.Errorf("unknown licence %q", props["license"])
	}
	for n := 1; props["icon#"+strconv.Itoa(n)] != ""; n++ {
		if n > maxCatalogItems {
			return nil, fmt.Errorf("more than %d pieces", maxCatalogItems)
		}
		get := func(key string) string { return oneLine(props[key+"#"+strconv.Itoa(n)]) }
		c.items = append(c.items, catalogItem{name: get("name"), category: get("category"), tags: get("tags"), icon: get("icon"), creator: get("creator")})
	}
	return c, nil
}

// catalogMakers is whose work a catalogue is, as its LICENSE.TXT asks to be named.
var catalogMakers = map[string]string{
	"BlendSwap-CC-0":  "various authors, from blendswap.com, converted by Emmanuel Puybaret / eTeks",
	"BlendSwap-CC-BY": "various authors, from blendswap.com, converted by Emmanuel Puybaret / eTeks",
	"KatorLegaz":      "Andrew Kator & Jennifer Legaz, copyright 2003-2008",
	"Reallusion":      "Reallusion (http://www.reallusion.com), copyright 2008-2016",
	"Scopia":          "Emmanuel Puybaret / eTeks and Scopia Visual Interfaces Systems, s.l. (http://www.scopia.es)",
}

// catalogLicence is the SPDX identifier of a licence in words, or none.
func catalogLicence(words string) string {
	switch {
	case words == "Public domain":
		return "CC0-1.0"
	case strings.HasPrefix(words, "Creative Commons Attribution 3.0 United States"):
		return "CC-BY-3.0-US"
	case strings.HasPrefix(words, "Creative Commons Attribution 3.0"):
		return "CC-BY-3.0"
	}
	return ""
}

// oneLine is a text without line breaks and other controls, at most 200 bytes.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	return s[:min(len(s), 200)]
}

// picture reads a piece's icon. The path is only looked up in the zip, never opened on disk.
func (c *catalog) picture(it catalogItem, size int) (*image.NRGBA, error) {
	b, err := readZipped(c.zip, strings.TrimPrefix(it.icon, "/"), maxIconBytes)
	if err != nil {
		return nil, err
	}
	return cutOut(b, size, furnitureShape)
}

// readZipped reads one file of a zip; more than most bytes are an error.
func readZipped(zr *zip.Reader, name string, most int64) ([]byte, error) {
	i := slices.IndexFunc(zr.File, func(f *zip.File) bool { return f.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%s is missing", name)
	}
	r, err := zr.File[i].Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s is over the cap of %d bytes", name, most)
	}
	return b, nil
}

// pair names a piece in words; not ok if nothing is left of its name.
func (c *catalog) pair(it catalogItem) (Pair, bool) {
	label := furnitureLabel(it.name)
	if label == "" {
		return Pair{}, false
	}
	words := strings.FieldsFunc(strings.ToLower(it.tags), func(r rune) bool { return r == ',' })
	category := strings.ToLower(it.category)
	tags := []string{category}
	people := false
	for _, w := range words {
		w = strings.TrimSpace(w)
		people = people || w == "human" || w == "people"
		tags = append(tags, w)
	}
	tags = slices.DeleteFunc(tags, func(t string) bool { return furnitureNoise[t] })
	group := category
	if people {
		group = "people & body"
	}
	file := furnitureStyle + "/" + strings.ToLower(c.name) + "/" + safeName(path.Base(it.icon))
	return Pair{File: file, Style: furnitureStyle, Licence: c.licence, Label: label, Tags: cleanTags(tags, label), Group: group, Concept: label}, true
}

// safeName keeps the letters, digits, points, dashes and underscores of a file's name.
func safeName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, s)
}

const furnitureNotice = "The pictures in images.zip are the icons of Sweet Home 3D's additional furniture catalogues, Debian package\n" +
	"sweethome3d-furniture 1.8-1. Changes: cropped, scaled to one size, white grounds made transparent; names shortened and\n" +
	"corrected, categories taken as words. Licences: CC0-1.0 https://creativecommons.org/publicdomain/zero/1.0/legalcode,\n" +
	"CC-BY-3.0 https://creativecommons.org/licenses/by/3.0/legalcode, CC-BY-3.0-US https://creativecommons.org/licenses/by/3.0/us/legalcode\n"
