package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/recall"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// CLIP returns the model of a reference, loaded. A reference with a sha256 is refused when the model of that name
// holds other weights.
func (r *Runner) CLIP(ref spec.ModelRef) (*clip.Model, spec.ModelRef, error) {
	return load(r, r.clips, ref, store.KindCLIP, func(f *weights.File, config json.RawMessage) (*clip.Model, error) {
		cfg, err := decodeConfig[clip.Config](config)
		if err != nil {
			return nil, err
		}
		return clip.Open(r.engine, f, cfg)
	})
}

// guide is CLIP for a model that pictures are made to please. It refuses a judge.
func (r *Runner) guide(ref spec.ModelRef) (*clip.Model, spec.ModelRef, error) {
	m, ref, err := r.CLIP(ref)
	if err == nil && m.Config().Role == clip.Judge {
		return nil, ref, spec.Refusef("guide with another: --clip builtin/clip",
			"the model %s is a judge: it measures pictures, and a picture painted to please it would be measured by its own goal", ref.Name)
	}
	return m, ref, err
}

// VQGAN is CLIP for the other family.
func (r *Runner) VQGAN(ref spec.ModelRef) (*vqgan.Model, spec.ModelRef, error) {
	return load(r, r.vqgans, ref, store.KindVQGAN, func(f *weights.File, config json.RawMessage) (*vqgan.Model, error) {
		cfg, err := decodeConfig[vqgan.Config](config)
		if err != nil {
			return nil, err
		}
		return vqgan.Open(r.engine, f, cfg)
	})
}

// GAN returns the generator of a reference, loaded.
func (r *Runner) GAN(ref spec.ModelRef) (*gan.Model, spec.ModelRef, error) {
	return load(r, r.gans, ref, store.KindGAN, func(f *weights.File, config json.RawMessage) (*gan.Model, error) {
		cfg, err := decodeConfig[gan.Config](config)
		if err != nil {
			return nil, err
		}
		return gan.Open(r.engine, f, cfg)
	})
}

// load finds a model by name, checks its pin and opens it once.
func load[M any](r *Runner, loaded map[string]M, ref spec.ModelRef, kind string, open func(*weights.File, json.RawMessage) (M, error)) (M, spec.ModelRef, error) {
	var none M
	m, err := find(r.store, ref, kind)
	if err != nil {
		return none, ref, err
	}
	pinned := spec.ModelRef{Name: m.Name, Version: m.Version, SHA256: m.SHA256(), Weight: ref.Weight}
	r.mu.Lock()
	defer r.mu.Unlock()
	if model, ok := loaded[pinned.SHA256]; ok {
		return model, pinned, nil
	}
	f, err := openWeights(m)
	if err != nil {
		return none, ref, fmt.Errorf("run: open model %s: %w", m.Name, err)
	}
	defer f.Close()
	model, err := open(f, m.Config)
	if err != nil {
		return none, ref, fmt.Errorf("run: load model %s: %w", m.Name, err)
	}
	loaded[pinned.SHA256] = model
	return model, pinned, nil
}

// OpenModel opens the weight file of a model by its name, and says the sha256 of the file. It refuses an unknown name and
// another kind.
func OpenModel(s *store.Store, kind, name string) (*weights.File, string, error) {
	m, err := find(s, spec.ModelRef{Name: name}, kind)
	if err != nil {
		return nil, "", err
	}
	f, err := openWeights(m)
	if err != nil {
		return nil, "", fmt.Errorf("run: open model %s: %w", name, err)
	}
	return f, m.SHA256(), nil
}

// find looks a model up and refuses what cannot serve: an unknown name, another kind, other weights than pinned.
func find(s *store.Store, ref spec.ModelRef, kind string) (store.Model, error) {
	m, err := s.Get(ref.Name)
	var missing *store.NotFoundError
	var bad *store.NameError
	switch {
	case errors.As(err, &missing):
		hint := "run: smalti models list"
		if near := missing.Similar(3); len(near) > 0 {
			hint = "did you mean " + strings.Join(near, " or ") + "? run: smalti models list"
		}
		return m, spec.Refusef(hint, "there is no model %q", ref.Name)
	case errors.As(err, &bad):
		return m, spec.Refusef("run: smalti models list", "%q cannot be a model's name", ref.Name)
	case err != nil:
		return m, fmt.Errorf("run: %w", err)
	case m.Kind != kind:
		return m, spec.Refusef("run: smalti models list", "model %q is a %s, not a %s", ref.Name, m.Kind, kind)
	case ref.SHA256 != "" && ref.SHA256 != m.SHA256():
		return m, spec.Refusef("use the smalti version that the recipe names, or import those weights under that name",
			"the recipe needs model %s %s with weights sha256:%s; this build has sha256:%s", ref.Name, ref.Version, short(ref.SHA256), short(m.SHA256()))
	}
	return m, nil
}

func short(sum string) string { return sum[:min(16, len(sum))] }

func openWeights(m store.Model) (*weights.File, error) {
	if m.Builtin() {
		data, err := m.Data()
		if err != nil {
			return nil, err
		}
		return weights.OpenBytes(data)
	}
	path, err := m.Path("")
	if err != nil {
		return nil, err
	}
	return weights.Open(path)
}

func decodeConfig[C any](raw json.RawMessage) (*C, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var c C
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("read the model's configuration: %w", err)
	}
	return &c, nil
}

// Identify opens a weight file and says what model it holds and with which configuration. Nothing is loaded: names and
// shapes of all tensors are checked, so that a file that passes here loads.
func (r *Runner) Identify(f *weights.File) (kind string, config json.RawMessage, err error) {
	names := f.Names()
	has := func(part string) bool {
		for _, n := range names {
			if strings.Contains(n, part) {
				return true
			}
		}
		return false
	}
	var cfg any
	switch {
	case has("visual.") || has("vision_model."):
		kind = store.KindCLIP
		cfg, err = clip.Check(r.engine, f, nil)
	case has("transformer.tok_emb."): // a checkpoint of taming's has the VQGAN beside it
		kind = store.KindPrior
		cfg, _, err = prior.Read(r.engine, f, nil)
	case prior.IsPCA(f):
		kind = store.KindPCA
		var p *prior.PCA
		if p, err = prior.ReadPCA(f); err == nil {
			cfg = p.PCAConfig
		}
	case recall.IsIndex(f):
		kind = store.KindIndex
		var x *recall.Index
		if x, err = recall.Read(f); err == nil {
			cfg = x.Config
		}
	case has("quantize."):
		kind = store.KindVQGAN
		cfg, err = vqgan.Check(r.engine, f, nil)
	case slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "main.") || strings.HasPrefix(n, "res1.") }):
		kind = store.KindGAN
		cfg, _, err = gan.Read(r.engine, f, nil)
	default:
		return "", nil, &UnknownModelError{Tensors: len(names)}
	}
	if err != nil {
		return "", nil, err
	}
	config, err = spec.Canonical(cfg)
	return kind, config, err
}

// UnknownModelError says that a weight file is readable but holds no model that smalti knows.
type UnknownModelError struct{ Tensors int }

func (e *UnknownModelError) Error() string {
	return fmt.Sprintf("the file holds %d tensors, but neither a CLIP nor a VQGAN nor a prior nor a PCA nor an index nor a generator", e.Tensors)
}

// Hint says what to try.
func (e *UnknownModelError) Hint() string {
	return "smalti imports OpenAI and Hugging Face CLIP models, taming or diffusers VQGANs, priors of smalti train prior and of taming, what smalti train pca and smalti data index write, and the generators of smalti train gan and of PyTorch's DCGAN example"
}

// ImportRequest says what to import.
type ImportRequest struct {
	Path, Name, Source, Licence string
	Replace                     bool
}

// Import checks a weight file or a Hugging Face folder and copies it into the store. A folder becomes one file, since
// the store's files have no neighbours.
func (r *Runner) Import(ctx context.Context, req ImportRequest, sink event.Sink) (store.Model, error) {
	f, err := weights.Open(req.Path)
	if err != nil {
		return store.Model{}, fmt.Errorf("run: open %s: %w", req.Path, err)
	}
	defer f.Close()
	kind, config, err := r.Identify(f)
	if err != nil {
		return store.Model{}, fmt.Errorf("run: %s: %w", req.Path, err)
	}
	path := req.Path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		merged, err := mergeFolder(f)
		if err != nil {
			return store.Model{}, err
		}
		defer os.Remove(merged)
		path = merged
	}
	return r.store.Import(ctx, store.Request{Name: req.Name, Kind: kind, Config: config, Source: req.Source, Licence: req.Licence,
		Files: []store.Input{{Name: "model", Path: path}}, Replace: req.Replace}, sink)
}

// mergeFolder writes the tensors of a folder as one safetensors file and returns its path, which the caller removes.
func mergeFolder(f *weights.File) (path string, err error) {
	tmp, err := os.CreateTemp("", "smalti-import-*.safetensors")
	if err != nil {
		return "", fmt.Errorf("run: merge the folder: %w", err)
	}
	if err = errors.Join(copyTensors(tmp, f), tmp.Close()); err != nil {
		os.Remove(tmp.Name())
		return "", fmt.Errorf("run: merge the folder: %w", err)
	}
	return tmp.Name(), nil
}

// copyTensors writes what a weight file holds, as it is stored; the bytes come straight from the mapped file.
func copyTensors(w io.Writer, f *weights.File) error {
	var outs []weights.Out
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		raw, err := t.Bytes()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		outs = append(outs, weights.Out{Name: name, DType: t.DType, Shape: t.Shape, Raw: raw})
	}
	return weights.WriteSafetensors(w, f.Metadata(), outs)
}
