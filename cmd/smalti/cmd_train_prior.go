package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/train"
	"github.com/smalti/smalti/weights"
)

func (a *app) newTrainPrior() *cobra.Command {
	var o trainOptions
	r := recipe[train.PriorConfig]{"prior", "Train a prior: captions in, codes of a VQGAN out", defaultPack, train.ShapesData, train.DefaultPrior, train.RunPrior}
	cmd := trainingCommand(a, r, &o)
	cmd.Flags().StringVar(&o.vqgan, "vqgan", "", "VQGAN whose codes are learnt: `NAME` of a model, or weight file; default: "+train.DefaultPrior().VQGAN.Name)
	return cmd
}

// pinOf names a model for train.json: by its name in the store, or by the whole path of its file.
func (a *app) pinOf(name string) (train.ModelPin, error) {
	if !isFile(name) {
		return train.ModelPin{Name: name}, nil
	}
	path, err := filepath.Abs(name)
	return train.ModelPin{Name: path}, err
}

// lend opens the model of a kind that a training uses: a weight file, or a model by name.
func (a *app) lend(kind, name string) (*weights.File, string, error) {
	if isFile(name) {
		sum, err := fileSum(name)
		if err != nil {
			return nil, "", err
		}
		f, err := weights.Open(name)
		return f, sum, err
	}
	if filepath.IsAbs(name) {
		return nil, "", spec.Refusef("bring it back, or train anew with another --vqgan", "the weight file %s is gone", name)
	}
	return run.OpenModel(a.openStore(), kind, name)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
