// Package store keeps models on disk: weight files as blobs named by the sha256 of their content, and one manifest
// per model that says what it is and which blobs it consists of. Models that are part of the program are listed
// beside them. What is inside of the files is none of its business.
//
//	ROOT/blobs/sha256-HEX       contents, shared by models
//	ROOT/manifests/NAME.json    a Manifest; slashes in NAME make folders
//	ROOT/tmp/                   half-written files; never trusted, swept when nobody imports
//	ROOT/downloads/             what package store/hub fetches; not looked at here
//	ROOT/lock                   shared by imports, exclusive for removal
//
// Start with New, Store.Import and Store.Get; hf.go finds files in a Hugging Face cache.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Store is a folder of models. Its methods may be called by several goroutines and processes at once.
type Store struct {
	root     string
	builtins []Builtin
	wrap     func(io.Writer) io.Writer // for tests: what files are written through
}

// New returns the store in a folder, which need not exist before the first Import, with the models that the program
// holds itself. An empty root means that there is no folder: only builtins are found.
func New(root string, builtins ...Builtin) *Store {
	b := slices.Clone(builtins)
	slices.SortFunc(b, func(x, y Builtin) int { return strings.Compare(x.Name, y.Name) })
	return &Store{root: root, builtins: b}
}

// DefaultRoot is where models lie: $SMALTI_MODELS, else $XDG_DATA_HOME/smalti/models, else
// ~/.local/share/smalti/models; empty if even HOME is unset.
func DefaultRoot(getenv func(string) string) string {
	if p := getenv("SMALTI_MODELS"); p != "" {
		return p
	}
	if p := getenv("XDG_DATA_HOME"); filepath.IsAbs(p) {
		return filepath.Join(p, "smalti", "models")
	}
	if p := getenv("HOME"); p != "" {
		return filepath.Join(p, ".local", "share", "smalti", "models")
	}
	if p := getenv("LOCALAPPDATA"); p != "" {
		return filepath.Join(p, "smalti", "models")
	}
	return ""
}

// Root returns the folder, or "".
func (s *Store) Root() string { return s.root }

// ErrNoRoot says that there is no folder to keep models in.
var ErrNoRoot = errors.New("no folder for models: set SMALTI_MODELS or HOME")

// Get returns the model of a name, or a *NotFoundError.
func (s *Store) Get(name string) (Model, error) {
	if err := CheckName(name); err != nil {
		return Model{}, err
	}
	for i := range s.builtins {
		if s.builtins[i].Name == name {
			return s.builtins[i].model(), nil
		}
	}
	m, err := s.readManifest(name)
	if errors.Is(err, fs.ErrNotExist) {
		all, _ := s.List()
		e := &NotFoundError{Name: name}
		for _, m := range all {
			e.Known = append(e.Known, m.Name)
		}
		return Model{}, e
	}
	if err != nil {
		return Model{}, err
	}
	return Model{Manifest: m, root: s.root}, nil
}

// List returns the models, builtins first, each group by name. Manifests that cannot be read do not hide the others:
// they are reported together in the error, beside the list.
func (s *Store) List() ([]Model, error) {
	var out []Model
	for _, b := range s.builtins {
		out = append(out, b.model())
	}
	manifests, err := s.manifests()
	for _, m := range manifests {
		out = append(out, Model{Manifest: m, root: s.root})
	}
	return out, err
}

// manifests reads all of them in order of their names. Broken ones are joined in the error.
func (s *Store) manifests() ([]Manifest, error) {
	root, err := s.open()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNoRoot) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var names []string
	err = fs.WalkDir(root.FS(), manifestDir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(p, manifestDir+"/")
		if name, ok := strings.CutSuffix(rel, ".json"); ok && !d.IsDir() && CheckName(name) == nil {
			names = append(names, name)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list models: %w", err)
	}
	slices.Sort(names)
	var out []Manifest
	var broken []error
	for _, name := range names {
		m, err := s.readManifest(name)
		if errors.Is(err, fs.ErrNotExist) { // removed since
			continue
		}
		if err != nil {
			broken = append(broken, err)
			continue
		}
		out = append(out, m)
	}
	return out, errors.Join(broken...)
}

const (
	blobDir     = "blobs"
	manifestDir = "manifests"
	tmpDir      = "tmp"
	lockFile    = "lock"
	maxManifest = 4 << 20 // bytes
)

func manifestPath(name string) string { return path.Join(manifestDir, name+".json") }

func blobPath(sha256 string) string { return path.Join(blobDir, "sha256-"+sha256) }

// open opens the folder so that no name inside can lead out of it.
func (s *Store) open() (*os.Root, error) {
	if s.root == "" {
		return nil, ErrNoRoot
	}
	root, err := os.OpenRoot(s.root)
	if err != nil {
		return nil, fmt.Errorf("open model folder: %w", err)
	}
	return root, nil
}

func (s *Store) readManifest(name string) (Manifest, error) {
	root, err := s.open()
	if errors.Is(err, ErrNoRoot) {
		return Manifest{}, fs.ErrNotExist
	}
	if err != nil {
		return Manifest{}, err
	}
	defer root.Close()
	f, err := root.Open(manifestPath(name))
	if err != nil {
		return Manifest{}, fmt.Errorf("model %s: %w", name, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return Manifest{}, fmt.Errorf("model %s: %w", name, err)
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return Manifest{}, fmt.Errorf("model %s: broken manifest: %w", name, err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("model %s: broken manifest: %w", name, err)
	}
	if m.Config, err = compact(m.Config); err != nil {
		return Manifest{}, fmt.Errorf("model %s: broken manifest: %w", name, err)
	}
	if m.Name != name {
		return Manifest{}, fmt.Errorf("model %s: broken manifest: it is of %q", name, m.Name)
	}
	return m, nil
}
