package check

import (
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/vqgan"
)

// gumbelKL is taming's kl_weight of the fixture (config.json, yaml): its kl_diff is already weighed.
const gumbelKL = 1e-8

// gumbelModel compares taming's GumbelVQ: deterministic codes, codes drawn with recorded noise, and the search for the
// nearest code that VQGAN-CLIP makes in it.
func gumbelModel(f *golden.Fixture, r *golden.Report) error {
	m, err := openVQ(f, r, "model.safetensors")
	if err != nil {
		return err
	}
	m.prefix = ""
	if err := m.deterministic(); err != nil {
		return err
	}
	if err := m.drawn(); err != nil {
		return err
	}
	return m.compare(func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		_, codes := m.QuantiseGraph(v, vqHWC(in[0]))
		return []*graph.Node{codes}
	}, []*tensors.Tensor{m.floats("vq_in")}, vqWant{name: "vq_nearest", codes: true})
}

func (m *vqModel) deterministic() error {
	build := func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		z := m.EncodeGraph(v, vqHWC(in[0]))
		codes := m.CodesGraph(v, z)
		zq := m.LookupGraph(v, codes)
		return []*graph.Node{vqCHW(z), vqCHW(m.LogitsGraph(v, z)), codes, vqCHW(zq), vqCHW(m.DecodeGraph(v, zq))}
	}
	return m.compare(build, []*tensors.Tensor{m.floats("x")}, vqWant{name: "pre_quant", tol: vqValues}, vqWant{name: "logits", tol: vqValues},
		vqWant{name: "argmax_indices", codes: true}, vqWant{name: "argmax_z_q", tol: vqCodes}, vqWant{name: "dec", tol: vqValues})
}

// drawn compares the training forms. The hard draw mixes vectors in for their gradient and takes them off again, which
// may leave a rounding of values near 3: 1e-6.
func (m *vqModel) drawn() error {
	build := func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		z, noise := m.EncodeGraph(v, vqHWC(in[0])), vqHWC(in[1])
		zq, y, kl := m.GumbelGraph(v, z, noise, vqgan.GumbelOptions{Tau: 1})
		_, soft, _ := m.GumbelGraph(v, z, noise, vqgan.GumbelOptions{Tau: 0.5, Soft: true})
		return []*graph.Node{graph.ArgMax(y, -1), vqCHW(zq), graph.MulScalar(kl, gumbelKL), vqCHW(soft)}
	}
	return m.compare(build, []*tensors.Tensor{m.floats("x"), m.floats("gumbel")}, vqWant{name: "sample_indices", codes: true},
		vqWant{name: "z_q", tol: golden.Tolerance{Abs: 1e-6}}, vqWant{name: "kl_diff", tol: golden.Tolerance{Rel: 2e-4}}, vqWant{name: "soft_onehot_tau0.5", tol: vqValues})
}
