package smalti

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/smalti/smalti/"

// A law says what a package must not import. Names without a dot are packages of this module, "dir/..." includes what
// is below; "gomlx" stands for everything of GoMLX, "std" in only stands for the standard library.
type law struct {
	pkg    string
	forbid []string // direct imports that are not allowed
	only   []string // if set, the only imports beside the standard library
	why    string
}

var laws = []law{
	{pkg: "spec", only: []string{"-"}, why: "jobs are plain data that every other side can read"},
	{pkg: "event", only: []string{"-"}, why: "work reports through it from everywhere"},
	{pkg: "rng", only: []string{"-"}, why: "random draws must not depend on anything but their key"},
	{pkg: "weights", forbid: []string{"gomlx", "clip", "vqgan", "engine", "gx", "nn"}, why: "readers do not know what a tensor means"},
	{pkg: "pixel", forbid: []string{"gomlx", "clip", "vqgan", "engine"}, why: "pixels are plain arrays"},
	{pkg: "pixel/vp8", only: []string{"-"}, why: "a codec is arithmetic on bytes"},
	{pkg: "store", forbid: []string{"gomlx", "clip", "vqgan", "engine", "store/builtin"}, why: "models on disk are files; what is inside belongs to the models"},
	{pkg: "store/hub", forbid: []string{"gomlx", "clip", "vqgan", "engine", "run", "ui", "weights", "spec", "store/builtin"}, why: "fetching knows files, hashes and licences; it asks nobody and shows nothing"},
	{pkg: "paint", forbid: []string{"clip", "vqgan", "run", "store", "weights", "os"}, why: "the loop works over its own interfaces and knows no model and no file"},
	{pkg: "clip", forbid: []string{"vqgan", "run", "train", "paint"}, why: "model families do not know each other"},
	{pkg: "clip/search", forbid: []string{"gomlx", "engine", "clip", "run", "store", "ui"}, why: "an index is files and unit vectors, whatever made them"},
	{pkg: "clip/head", forbid: []string{"gomlx", "engine", "clip", "run", "store", "ui", "os"}, why: "a head is numbers over features, whatever made them"},
	{pkg: "vqgan", forbid: []string{"clip", "run", "train", "paint"}, why: "model families do not know each other"},
	{pkg: "gan", forbid: []string{"clip", "vqgan", "run", "train", "paint"}, why: "model families do not know each other"},
	{pkg: "prior", forbid: []string{"clip", "vqgan", "gan", "run", "train", "paint", "pixel"}, why: "a prior knows codes and tokens; pictures and words are other families' business"},
	{pkg: "recall", forbid: []string{"gomlx", "engine", "clip", "vqgan", "prior", "run", "store", "dataset", "pixel", "os"}, why: "a memory of pictures is numbers and names, whatever made them"},
	{pkg: "course", forbid: []string{"run", "ui", "cmd/smalti", "net/http"}, why: "a comparison of trainings is shown by others"},
	{pkg: "nn", forbid: []string{"clip", "vqgan", "gan", "weights", "os"}, why: "blocks know no model and no file"},
	{pkg: "gx", forbid: []string{"clip", "vqgan", "engine", "nn"}, why: "gx is below everything that has a graph"},
	{pkg: "engine", forbid: []string{"clip", "vqgan", "nn", "paint"}, why: "the engine runs graphs of any kind"},
	{pkg: "train", forbid: []string{"run", "ui", "cmd/smalti", "net/http"}, why: "trainers report events; they know no terminal and no server"},
	{pkg: "dataset", forbid: []string{"gomlx", "engine", "clip", "vqgan", "train"}, why: "data come before graphs"},
	{pkg: "latent", forbid: []string{"gomlx", "clip", "vqgan", "gan", "engine", "paint", "run", "pixel"}, why: "arithmetic of latents knows no model and no picture"},
	{pkg: "run", forbid: []string{"ui", "cmd/smalti", "net/http"}, why: "the runner serves the terminal, the page and the worker alike"},
	{pkg: "ui", forbid: []string{"gomlx", "run", "paint", "train", "clip", "vqgan"}, why: "showing is not working"},
	{pkg: "track", forbid: []string{"gomlx", "engine", "train", "run", "ui", "clip", "vqgan"}, why: "numbers come as events; whose they are does not matter"},
	{pkg: "track/curve", forbid: []string{"os", "track", "event"}, why: "drawing knows no runs and no files"},
	{pkg: "track/wandb", forbid: []string{"os", "track"}, why: "formats and single requests; keeping and retrying is track's"},
	{pkg: "track/tfevents", forbid: []string{"os", "track"}, why: "a format; keeping and retrying is track's"},
	{pkg: "bench", forbid: []string{"run", "ui", "store", "weights", "spec", "cmd/smalti", "net/http"}, why: "measuring needs no terminal and no models on disk"},
	{pkg: "quality", forbid: []string{"run", "ui", "store", "os", "cmd/smalti", "train"}, why: "a measure does not know who paints"},
	{pkg: "golden", forbid: []string{"clip", "vqgan", "run"}, why: "the oracle does not know what it judges"},
}

// onlyFrom names packages that nobody but the listed may import.
var onlyFrom = map[string][]string{
	"golden":                             {"tools/parity", "tools/parity/check"},
	"store/builtin":                      {"cmd/smalti"},
	"bench":                              {"cmd/smalti"},
	"engine/cpu":                         {"engine"},
	"engine/cpu/kernel":                  {"engine/cpu", "bench"},
	"engine/cpu/pool":                    {"engine/cpu", "bench"},
	"github.com/gomlx/compute/gobackend": {"engine/cpu"},
}

// light packages reach no GoMLX at all, however indirectly.
var light = []string{"ui", "track", "spec", "event", "store", "store/hub", "weights", "pixel", "clip/search", "clip/head", "latent", "dataset", "recall"}

func TestLayers(t *testing.T) {
	imports := readImports(t)
	for _, l := range laws {
		got, ok := imports[l.pkg]
		if !ok {
			t.Errorf("there is a law for package %s, which does not exist", l.pkg)
			continue
		}
		for _, imp := range got {
			if l.only != nil && strings.Contains(imp, ".") {
				t.Errorf("%s imports %s: %s", l.pkg, imp, l.why)
			}
			for _, f := range l.forbid {
				if matches(imp, f) {
					t.Errorf("%s imports %s: %s", l.pkg, imp, l.why)
				}
			}
		}
	}
	for pkg, list := range imports {
		for _, imp := range list {
			name := strings.TrimPrefix(imp, module)
			if allowed, ok := onlyFrom[name]; ok && !slices.Contains(allowed, pkg) {
				t.Errorf("%s imports %s, which only %v may", pkg, name, allowed)
			}
		}
	}
	for _, pkg := range light {
		if chain := reaches(imports, pkg, nil); chain != nil {
			t.Errorf("%s reaches GoMLX: %s", pkg, strings.Join(chain, " -> "))
		}
	}
}

func TestNoPackageIsABag(t *testing.T) {
	for pkg := range readImports(t) {
		if base := path.Base(pkg); slices.Contains([]string{"util", "utils", "common", "helpers", "misc"}, base) {
			t.Errorf("package %s: name a package by what it owns", pkg)
		}
	}
}

func matches(imp, forbidden string) bool {
	if forbidden == "gomlx" {
		return strings.HasPrefix(imp, "github.com/gomlx/")
	}
	return imp == forbidden || imp == module+forbidden
}

// reaches returns a chain of imports from pkg to GoMLX, or nil.
func reaches(imports map[string][]string, pkg string, chain []string) []string {
	if slices.Contains(chain, pkg) {
		return nil
	}
	chain = append(slices.Clip(chain), pkg)
	for _, imp := range imports[pkg] {
		if matches(imp, "gomlx") {
			return append(chain, imp)
		}
		if sub, ok := strings.CutPrefix(imp, module); ok {
			if c := reaches(imports, sub, chain); c != nil {
				return c
			}
		}
	}
	return nil
}

// readImports parses the import lines of every package. It opens the files itself, so that the test cache notices edits.
func readImports(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(p))
		out[pkg] = append(out[pkg], []string{}...)
		for _, imp := range f.Imports {
			s, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			out[pkg] = append(out[pkg], s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
