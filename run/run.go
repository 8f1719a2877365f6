// Package run turns a description of work into its result: a spec.Job into a picture with a run folder, a weight file
// into a model of the store. It joins what does not know each other: store and weights find the models, clip and
// vqgan are the models, paint is the loop, pixel writes the picture. Whoever asks - terminal, page, worker - gets the
// same events.
//
// Start with Runner and Runner.Paint; models.go finds models by name, folder.go is the run folder, recipe.go what
// travels inside a picture.
package run

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/recall"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/vqgan"
)

// Options make a Runner.
type Options struct {
	Store   *store.Store
	Threads int    // workers inside an operation; 0 means one for each processor
	Class   string // of kernels; empty means the best that this machine has
	Version string // of smalti, for recipes
	// LowMemory computes things again instead of keeping them: slower, the same bytes, so recipes do not record it.
	LowMemory bool
	// Bands computes large maps in bands of about so many bytes; 0 computes them whole. Recipes do not record it either.
	Bands int
	Now   func() time.Time // the clock that speeds and times are taken with
}

// Runner runs jobs. Models stay loaded between jobs. It is safe for concurrent use.
type Runner struct {
	engine  *engine.Engine
	options Options
	store   *store.Store
	now     func() time.Time
	version string

	mu      sync.Mutex
	clips   map[string]*clip.Model   // by sha256
	vqgans  map[string]*vqgan.Model  // by sha256
	gans    map[string]*gan.Model    // by sha256
	priors  map[string]*prior.Model  // by sha256
	pcas    map[string]*prior.PCA    // by sha256
	indices map[string]*recall.Index // by sha256
	mixed   *Runner                  // with bfloat16 products; nil before a job asks for them, see at
}

// New starts an engine. Jobs of another precision than float32 get an engine of their own when they come.
func New(o Options) (*Runner, error) { return newRunner(o, engine.F32) }

func newRunner(o Options, precision string) (*Runner, error) {
	e, err := engine.New(engine.Options{Threads: o.Threads, Class: o.Class, Precision: precision, LowMemory: o.LowMemory, Bands: o.Bands})
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	return &Runner{engine: e, options: o, store: o.Store, now: o.Now, version: o.Version,
		clips: map[string]*clip.Model{}, vqgans: map[string]*vqgan.Model{}, gans: map[string]*gan.Model{}, priors: map[string]*prior.Model{}, pcas: map[string]*prior.PCA{},
		indices: map[string]*recall.Index{}}, nil
}

// at returns the Runner whose engine and models compute with a precision: r itself for float32. It refuses a precision
// that the CPU lacks.
func (r *Runner) at(precision string) (*Runner, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case precision == r.engine.Precision():
		return r, nil
	case r.mixed != nil:
		return r.mixed, nil
	}
	m, err := newRunner(r.options, precision)
	if errors.Is(err, engine.ErrPrecision) {
		return nil, spec.Refusef("use --precision f32", "--precision %s needs a CPU that multiplies bfloat16; class %s does not", precision, r.engine.Class())
	}
	if err != nil {
		return nil, err
	}
	r.mixed = m
	return m, nil
}

// Engine returns the engine that graphs run on.
func (r *Runner) Engine() *engine.Engine { return r.engine }

// Close ends the engines. Nothing of the Runner may be used afterwards.
func (r *Runner) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.engine.Close()
	if r.mixed != nil {
		r.mixed.Close()
	}
}

// Build says what this program is, as recipes record it.
func (r *Runner) Build() spec.Build {
	return spec.Build{Smalti: r.version, Backend: r.engine.Name(), CPU: r.engine.Class()}
}
