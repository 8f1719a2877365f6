// Package golden compares what smalti computes with what the reference implementations computed. A fixture is a folder
// with a config.json that names its kind, tensors in io.safetensors and, where models are concerned, their weights.
// Only tests and tools/parity import it.
//
// Start with Open, then Report.Compare. The checkers that run our models on fixtures are in tools/parity/check.
package golden

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/smalti/smalti/weights"
)

// Fixture is an open fixture folder. It is safe for concurrent reading.
type Fixture struct {
	Dir  string // path of the folder
	Name string // base name of the folder
	Kind string // "kind" of config.json

	config []byte
	io     *weights.File // nil when the folder has no io.safetensors
}

// Open opens the fixture in a folder.
func Open(dir string) (*Fixture, error) {
	abs, err := filepath.Abs(dir) // "." and ".." have no base name
	if err != nil {
		return nil, fmt.Errorf("golden: %w", err)
	}
	f := &Fixture{Dir: abs, Name: filepath.Base(abs)}
	if f.config, err = os.ReadFile(filepath.Join(abs, "config.json")); err != nil {
		return nil, fmt.Errorf("golden: %w", err)
	}
	var head struct {
		Kind string `json:"kind"`
	}
	if err := f.Config(&head); err != nil {
		return nil, err
	}
	if head.Kind == "" {
		return nil, fmt.Errorf("golden: %s: config.json names no kind", f.Name)
	}
	f.Kind = head.Kind
	f.io, err = weights.Open(filepath.Join(abs, "io.safetensors"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("golden: %s: %w", f.Name, err)
	}
	return f, nil
}

// Close releases the fixture. Slices that Floats returned must not be used afterwards.
func (f *Fixture) Close() error {
	if f.io == nil {
		return nil
	}
	return f.io.Close()
}

// Config decodes config.json into v.
func (f *Fixture) Config(v any) error {
	if err := json.Unmarshal(f.config, v); err != nil {
		return fmt.Errorf("golden: %s: config.json: %w", f.Name, err)
	}
	return nil
}

// Names lists the tensors of io.safetensors, sorted.
func (f *Fixture) Names() []string {
	if f.io == nil {
		return nil
	}
	return f.io.Names()
}

// Has reports whether io.safetensors holds a tensor.
func (f *Fixture) Has(name string) bool {
	if f.io == nil {
		return false
	}
	_, ok := f.io.Tensor(name)
	return ok
}

// Floats returns a floating-point tensor of io.safetensors; it must not be written. It panics when there is none or it
// holds integers: the fixture then is not what its checker was written for, which check.Run reports as an error.
func (f *Fixture) Floats(name string) []float32 {
	v, err := f.tensor(name).Float32()
	if err != nil {
		panic(fmt.Errorf("golden: %s: %w", f.Name, err))
	}
	return v
}

// Ints returns an integer or boolean tensor. It panics as Floats does.
func (f *Fixture) Ints(name string) []int64 {
	v, err := f.tensor(name).Int64()
	if err != nil {
		panic(fmt.Errorf("golden: %s: %w", f.Name, err))
	}
	return v
}

// Shape returns the shape of a tensor, empty for a scalar. It panics when there is none.
func (f *Fixture) Shape(name string) []int { return f.tensor(name).Shape }

func (f *Fixture) tensor(name string) *weights.Tensor {
	if f.io == nil {
		panic(fmt.Errorf("golden: %s has no io.safetensors", f.Name))
	}
	t, ok := f.io.Tensor(name)
	if !ok {
		panic(fmt.Errorf("golden: %s has no tensor %q", f.Name, name))
	}
	return t
}

// Path returns the path of a file of the fixture.
func (f *Fixture) Path(file string) string { return filepath.Join(f.Dir, file) }

// Weights opens a weight file of the fixture. The caller closes it.
func (f *Fixture) Weights(file string) (*weights.File, error) { return weights.Open(f.Path(file)) }

// Sibling returns the path of the fixture folder of a base name beside this one.
func (f *Fixture) Sibling(base string) string {
	return filepath.Join(filepath.Dir(f.Dir), filepath.Base(base))
}
