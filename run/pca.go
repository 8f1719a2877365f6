package run

import (
	"encoding/json"
	"fmt"

	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// PCA returns the PCA of a reference, loaded. A build without the built-in one says how to get one.
func (r *Runner) PCA(ref spec.ModelRef) (*prior.PCA, spec.ModelRef, error) {
	p, pinned, err := load(r, r.pcas, ref, store.KindPCA, func(f *weights.File, _ json.RawMessage) (*prior.PCA, error) { return prior.ReadPCA(f) })
	if spec.IsRefusal(err) && r.lacks(ref.Name, spec.DefaultSpread().PCA.Name) {
		return nil, ref, spec.Refuse("this build has no built-in PCA of pictures",
			"fit one, a minute's work: smalti train pca --out pca.safetensors; then smalti models import pca.safetensors --name my/pca, and --pca my/pca")
	}
	return p, pinned, err
}

// lacks reports whether a name is that of a built-in model that this build does without.
func (r *Runner) lacks(name, builtin string) bool {
	_, err := r.store.Get(name)
	return name == builtin && err != nil
}

// pcaBook pins a PCA and finds the VQGAN whose latents it describes.
func (r *Runner) pcaBook(ref *spec.ModelRef) (*prior.PCA, error) {
	p, pinned, err := r.PCA(*ref)
	if err != nil {
		return nil, err
	}
	*ref = pinned
	_, err = r.bookOf(p.Codebook, "PCA", pinned.Name)
	return p, err
}

// bookOf finds the VQGAN that something belongs to by its weights, whatever its name is here.
func (r *Runner) bookOf(b prior.Codebook, what, name string) (spec.ModelRef, error) {
	ref, err := r.withSum(store.KindVQGAN, b.SHA256)
	if err == nil && ref.Name == "" {
		err = spec.Refusef("import it: smalti models import FILE --name NAME", "the %s %s belongs to the VQGAN %s with sha256:%s, which is not here", what, name, b.Name, short(b.SHA256))
	}
	return ref, err
}

// withSum finds a model of a kind by the sha256 of its weights; no name means that there is none.
func (r *Runner) withSum(kind, sum string) (spec.ModelRef, error) {
	all, err := r.store.List()
	for _, m := range all {
		if m.Kind == kind && m.SHA256() == sum {
			return spec.ModelRef{Name: m.Name, SHA256: sum}, nil
		}
	}
	return spec.ModelRef{}, err
}

// beginPCA starts from the codes nearest to a latent that the PCA draws. The latent itself is shorter than codes are, being a mean of
// many, and steps of the usual length would throw it about.
func (s *session) beginPCA() error {
	d := *s.job.Start.PCA // the caller's job keeps its own
	s.job.Start.PCA = &d
	p, err := s.pcaBook(&d.PCA)
	if err != nil {
		return err
	}
	ref, err := s.bookOf(p.Codebook, "PCA", d.PCA.Name)
	if err != nil {
		return err
	}
	m, _, err := s.VQGAN(ref)
	if err != nil {
		return err
	}
	codes, err := m.NearestCodes(p.Draw(s.job.Seed, d.Spread), p.GridH, p.GridW)
	if err != nil {
		return err
	}
	return s.beginCodes(m, p.Codebook.SHA256, codes)
}

// beginCodes starts from codes of the VQGAN m: as they are when it paints and the canvas is theirs, else through their picture,
// resampled to the canvas.
func (s *session) beginCodes(m *vqgan.Model, sum string, codes vqgan.Codes) error {
	start := paint.Start{Kind: paint.StartGrid, Codes: codes.Idx}
	if f := m.Factor(); sum != s.job.VQGAN.SHA256 || codes.W*f != s.width || codes.H*f != s.height {
		pic, err := m.Decode(codes)
		if err != nil {
			return err
		}
		start = paint.Start{Kind: paint.StartPicture, Picture: s.whole(pic)}
	}
	return s.painter.Begin(start)
}

// usual is a PCA as a loss on the latent.
type usual struct {
	weight float64
	pca    *prior.PCA
}

func (usual) Name() string      { return "pca" }
func (usual) Restarts(int) bool { return false }

func (u usual) Add(_ int, z, _, grad []float32) float64 {
	return u.weight * u.pca.Surprise(z, u.weight, grad)
}

// checkUsual refuses a PCA that fits neither canvas nor VQGAN, and pins it.
func (r *Runner) checkUsual(j *spec.Job) (*prior.PCA, error) {
	u := j.Losses.PCA
	p, err := r.pcaBook(&u.PCA)
	if err != nil {
		return nil, err
	}
	_, ref, err := r.VQGAN(j.VQGAN)
	if err != nil {
		return nil, err
	}
	if p.Codebook.SHA256 != ref.SHA256 {
		return nil, spec.Refusef(fmt.Sprintf("fit one: smalti train pca --vqgan %s --out FILE", ref.Name),
			"the PCA %s describes the latents of %s sha256:%s, not those of %s sha256:%s", u.PCA.Name, p.Codebook.Name, short(p.Codebook.SHA256), ref.Name, short(ref.SHA256))
	}
	if w, h := p.GridW*p.Codebook.Factor, p.GridH*p.Codebook.Factor; j.Width != w || j.Height != h {
		return nil, spec.Refusef(fmt.Sprintf("use --size %dx%d", w, h), "--pca-weight judges whole pictures of %s, which are %dx%d", u.PCA.Name, w, h)
	}
	return p, nil
}

// usual builds the loss of a job.
func (s *session) usual() (usual, error) {
	u := *s.job.Losses.PCA
	s.job.Losses.PCA = &u
	p, err := s.checkUsual(s.job)
	return usual{weight: u.Weight, pca: p}, err
}
