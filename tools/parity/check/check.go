// Package check runs smalti's models on fixture folders and compares every tensor with what the reference
// implementations computed. It has one file for each kind of fixture; Run chooses by the kind that config.json names.
package check

import (
	"errors"
	"fmt"
	"sync"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/golden"
)

// Checker computes what a fixture holds and reports each tensor. Its error means that the comparison could not be made.
type Checker func(f *golden.Fixture, r *golden.Report) error

// checkers maps the kind of a fixture to its checker.
var checkers = map[string]Checker{
	"clip":      clipModel,
	"nn_ops":    nnOps,
	"tokenizer": tokenizer,
	"vqgan":     vqganModel,
	"gumbelvq":  gumbelModel,
}

// ErrNoChecker marks a kind of fixture that smalti has no model for yet.
var ErrNoChecker = errors.New("no checker")

// Kind returns the kind of the fixture in a folder and whether there is a checker for it.
func Kind(dir string) (kind string, known bool, err error) {
	f, err := golden.Open(dir)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	_, known = checkers[f.Kind]
	return f.Kind, known, nil
}

// Run compares everything in a fixture folder. The error says that comparing was not possible; it wraps ErrNoChecker
// when the kind has no checker. Results obtained before an error are returned with it.
func Run(dir string) (results []golden.Result, err error) {
	f, err := golden.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, ok := checkers[f.Kind]
	if !ok {
		return nil, fmt.Errorf("%w for kind %s", ErrNoChecker, f.Kind)
	}
	r := golden.NewReport(f.Name)
	// A tensor that the fixture lacks, or misuse of a graph, panics.
	if caught := engine.Try(func() { err = c(f, r) }); caught != nil {
		err = caught
	}
	if err == nil && len(r.Results()) == 0 {
		err = errors.New("nothing was compared")
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f.Name, err)
	}
	return r.Results(), err
}

// startEngine returns the engine that all checkers share.
var startEngine = sync.OnceValues(func() (*engine.Engine, error) { return engine.New(engine.Options{}) })
