package run

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/weights"
)

// trainedFile is the newest model in the folder of a training.
const trainedFile = "model.safetensors"

// GANAt opens a generator by its name among the models, its file, or the folder of its training.
func (r *Runner) GANAt(name string) (*gan.Model, spec.ModelRef, error) {
	info, err := os.Stat(name)
	if err != nil {
		return r.GAN(spec.ModelRef{Name: name})
	}
	path := name
	if info.IsDir() {
		path = filepath.Join(name, trainedFile)
		if _, err := os.Stat(path); err != nil {
			return nil, spec.ModelRef{}, spec.Refusef("it is written at the first checkpoint", "%s has no %s", name, trainedFile)
		}
	}
	f, err := weights.Open(path)
	if err != nil {
		return nil, spec.ModelRef{}, err
	}
	defer f.Close()
	m, err := gan.Open(r.engine, f, nil)
	if errors.Is(err, gan.ErrNotGAN) {
		return nil, spec.ModelRef{}, &NoGeneratorError{path, err}
	}
	if err != nil {
		return nil, spec.ModelRef{}, err
	}
	sum, err := fileDigest(path)
	return m, spec.ModelRef{Name: filepath.Base(name), SHA256: sum}, err
}

// NoGeneratorError says that a file holds no generator.
type NoGeneratorError struct {
	Path string
	err  error
}

func (e *NoGeneratorError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.err) }
func (e *NoGeneratorError) Unwrap() error { return e.err }

// Hint says what to try.
func (e *NoGeneratorError) Hint() string {
	return "name a generator: the model.safetensors of smalti train gan, or PyTorch's netG.pth"
}

// fileDigest is the sha256 of a file.
func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
