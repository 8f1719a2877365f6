package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Kinds of models that smalti knows. The store takes any other name as well.
const (
	KindCLIP  = "clip"
	KindVQGAN = "vqgan"
	KindPrior = "prior"
	KindGAN   = "gan"
	KindSD    = "sd"
	KindPCA   = "pca"
	KindIndex = "index"
)

// Schema is the version of the manifest's form.
const Schema = 1

// Manifest describes one model.
type Manifest struct {
	Schema  int             `json:"schema"`
	Name    string          `json:"name"`
	Kind    string          `json:"kind"`
	Version string          `json:"version,omitempty"`
	Config  json.RawMessage `json:"config,omitempty"` // of the model's package; the store does not look inside
	Files   []File          `json:"files"`
	Source  string          `json:"source,omitempty"` // where it came from, in words or as a URL
	Licence string          `json:"licence,omitempty"`
}

// File is one file of a model.
type File struct {
	Name   string `json:"name"`   // as the model's format calls it; slashes separate folders
	SHA256 string `json:"sha256"` // 64 hexadecimal digits
	Size   int64  `json:"size"`   // bytes
}

// Builtin is a model that is part of the program.
type Builtin struct {
	Name    string // starts with "builtin/"
	Kind    string
	Version string
	Config  json.RawMessage
	SHA256  string // of the bytes that Open returns
	Size    int64
	Source  string
	Licence string
	Open    func() ([]byte, error) // the weight file; the caller does not write to it
}

func (b *Builtin) model() Model {
	return Model{builtin: b, Manifest: Manifest{
		Schema: Schema, Name: b.Name, Kind: b.Kind, Version: b.Version, Config: b.Config, Source: b.Source, Licence: b.Licence,
		Files: []File{{Name: "model", SHA256: b.SHA256, Size: b.Size}},
	}}
}

// Model is a model that was found: its manifest, and the way to its files.
type Model struct {
	Manifest
	root    string
	builtin *Builtin
}

// Builtin reports that the model is part of the program: use Data, as Path has nothing to give.
func (m Model) Builtin() bool { return m.builtin != nil }

// Data returns the weights of a builtin model. They are read-only.
func (m Model) Data() ([]byte, error) {
	if m.builtin == nil {
		return nil, fmt.Errorf("model %s lies on disk", m.Name)
	}
	b, err := m.builtin.Open()
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", m.Name, err)
	}
	return b, nil
}

// Path returns where a file of a model on disk lies. The name may be left empty if the model has one file only. The
// blob's own name says nothing about its format, so readers must look inside.
func (m Model) Path(file string) (string, error) {
	if m.builtin != nil {
		return "", fmt.Errorf("model %s is part of the program and has no files", m.Name)
	}
	if file == "" && len(m.Files) != 1 {
		return "", fmt.Errorf("model %s has %d files: name one", m.Name, len(m.Files))
	}
	for _, f := range m.Files {
		if f.Name == file || file == "" {
			return filepath.Join(m.root, filepath.FromSlash(blobPath(f.SHA256))), nil
		}
	}
	return "", fmt.Errorf("model %s has no file %q", m.Name, file)
}

// LinkInto makes links to a model's files under their own names in a folder, for formats of several files that refer
// to each other. The folder must exist.
func (m Model) LinkInto(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("model %s: %w", m.Name, err)
	}
	defer root.Close()
	for _, f := range m.Files {
		blob, err := m.Path(f.Name)
		if err != nil {
			return err
		}
		if blob, err = filepath.Abs(blob); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
		if err := root.MkdirAll(path.Dir(f.Name), 0o755); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
		if err := root.Symlink(blob, f.Name); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
	}
	return nil
}

// SHA256 identifies the model's weights: the hash of the one file, or of the lines "sha256  name" of all.
func (m Manifest) SHA256() string {
	if len(m.Files) == 1 {
		return m.Files[0].SHA256
	}
	h := sha256.New()
	for _, f := range m.Files {
		fmt.Fprintf(h, "%s  %s\n", f.SHA256, f.Name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Size returns the bytes of all files.
func (m Manifest) Size() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

func (m Manifest) check() error {
	if m.Schema != Schema {
		return fmt.Errorf("schema %d, this program knows %d", m.Schema, Schema)
	}
	if err := CheckName(m.Name); err != nil {
		return err
	}
	if m.Kind == "" {
		return errors.New("no kind")
	}
	if len(m.Files) == 0 {
		return errors.New("no files")
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		if err := checkFileName(f.Name); err != nil {
			return err
		}
		if seen[f.Name] {
			return fmt.Errorf("file %q twice", f.Name)
		}
		seen[f.Name] = true
		if raw, err := hex.DecodeString(f.SHA256); err != nil || len(raw) != sha256.Size || f.SHA256 != strings.ToLower(f.SHA256) {
			return fmt.Errorf("file %q: %q is no sha256", f.Name, f.SHA256)
		}
		if f.Size < 0 {
			return fmt.Errorf("file %q: size %d", f.Name, f.Size)
		}
	}
	return nil
}
