package run

import (
	"encoding/json"
	"fmt"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// Drawer is a prior with what surrounds it: the VQGAN whose codes it draws, and the words that it reads.
type Drawer struct {
	Prior    *prior.Model
	Ref      spec.ModelRef
	VQGAN    *vqgan.Model
	VQGANRef spec.ModelRef
	words    *clip.Tokenizer // nil of a prior that reads none
}

// Prior returns the prior of a reference, loaded. A build without the built-in one says how to get one.
func (r *Runner) Prior(ref spec.ModelRef) (*prior.Model, spec.ModelRef, error) {
	m, pinned, err := load(r, r.priors, ref, store.KindPrior, func(f *weights.File, config json.RawMessage) (*prior.Model, error) {
		cfg, err := decodeConfig[prior.Config](config)
		if err != nil {
			return nil, err
		}
		return prior.Open(r.engine, f, cfg)
	})
	if spec.IsRefusal(err) && r.lacks(ref.Name, spec.DefaultSample().Prior.Name) {
		return nil, ref, spec.Refuse("this build has no built-in prior",
			"train one: smalti train prior --out runs/prior; then smalti models import runs/prior/model.safetensors --name my/prior, and --prior my/prior")
	}
	return m, pinned, err
}

// Drawer opens a prior and the VQGAN that it belongs to. name is that VQGAN, or empty for the one that the prior was trained
// with; another one is refused.
func (r *Runner) Drawer(ref, name spec.ModelRef) (*Drawer, error) {
	m, pinned, err := r.Prior(ref)
	if err != nil {
		return nil, err
	}
	return r.drawer(m, pinned, name)
}

// drawer joins a prior and its VQGAN.
func (r *Runner) drawer(m *prior.Model, pinned, name spec.ModelRef) (_ *Drawer, err error) {
	d := &Drawer{Prior: m, Ref: pinned}
	cfg := m.Config()
	if name.Name == "" {
		if name, err = r.codebookOf(cfg, pinned.Name); err != nil {
			return nil, err
		}
	}
	if d.VQGAN, d.VQGANRef, err = r.VQGAN(name); err != nil {
		return nil, err
	}
	if b := cfg.Codebook; b != nil && b.SHA256 != d.VQGANRef.SHA256 {
		return nil, spec.Refusef(fmt.Sprintf("use --vqgan with the model of sha256:%s, or train a prior with --vqgan %s", short(b.SHA256), d.VQGANRef.Name),
			"the prior %s draws the codes of %s sha256:%s; to %s sha256:%s they are noise", pinned.Name, b.Name, short(b.SHA256), d.VQGANRef.Name, short(d.VQGANRef.SHA256))
	}
	if cfg.NumCodes() > d.VQGAN.NumCodes() {
		return nil, spec.Refusef("name the VQGAN that it was trained with: --vqgan NAME",
			"the prior %s draws %d codes, the VQGAN %s has %d", pinned.Name, cfg.NumCodes(), d.VQGANRef.Name, d.VQGAN.NumCodes())
	}
	if cfg.Condition == prior.Text {
		v, err := clip.UnpackVocab(cfg.Text.Tokens)
		if err != nil {
			return nil, fmt.Errorf("run: prior %s: %w", pinned.Name, err)
		}
		if v.Size() != cfg.Text.Vocab {
			return nil, fmt.Errorf("run: prior %s: a vocabulary of %d tokens for a table of %d", pinned.Name, v.Size(), cfg.Text.Vocab)
		}
		d.words = clip.NewTokenizer(v)
	}
	return d, nil
}

// codebookOf finds the VQGAN that a prior was trained with, whatever its name is here.
func (r *Runner) codebookOf(c prior.Config, name string) (spec.ModelRef, error) {
	if c.Codebook == nil {
		return spec.ModelRef{}, spec.Refusef("name it: --vqgan NAME", "the prior %s does not say whose codes it draws", name)
	}
	return r.bookOf(*c.Codebook, "prior", name)
}

// input is what the prior is told of a sample; cut says that the prompt has more words than it reads.
func (d *Drawer) input(prompt string, class *int) (in prior.Input, cut bool, err error) {
	switch cfg := d.Prior.Config(); {
	case cfg.Condition == prior.Text && class != nil:
		return in, false, spec.Refusef("leave out --class", "the prior %s reads captions, not classes", d.Ref.Name)
	case cfg.Condition == prior.Text:
		in.Tokens, cut = d.words.Caption(prompt, cfg.Text.Length)
		return in, cut, nil
	case prompt != "":
		return in, false, spec.Refusef("leave out the prompt", "the prior %s reads no words", d.Ref.Name)
	case cfg.Condition == prior.Class && class == nil:
		return in, false, spec.Refusef("choose one with --class", "the prior %s draws pictures of classes", d.Ref.Name)
	case cfg.Condition == prior.Unconditional && class != nil:
		return in, false, spec.Refusef("leave out --class", "the prior %s knows no classes", d.Ref.Name)
	}
	if class != nil {
		in.Class = *class
		if n := d.Prior.Config().Classes; n > 0 && *class >= n {
			return in, false, spec.Refusef(fmt.Sprintf("use 0 to %d", n-1), "--class %d is out of range", *class)
		}
	}
	return in, false, nil
}
