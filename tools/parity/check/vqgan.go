package check

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
	"github.com/smalti/smalti/vqgan"
)

// Tolerances of the VQGAN fixtures. The encoder and decoder are some twenty convolutions and norms deep; float32 in
// another order of summation than torch's lies about 1e-6 of the values away after that (fp64_check), so ten times
// that and more is allowed for the depth, and for gradients two in ten thousand of the largest.
var (
	vqValues = golden.Tolerance{Abs: 5e-5, Rel: 2e-4}
	vqGrads  = golden.Tolerance{OfMax: 2e-4}
	// taming forms z + (code - z), which rounds at the size of z (below 4); ours are the codes to the last bit.
	vqCodes = golden.Tolerance{Abs: 5e-7}
)

// vqganModel compares taming's VQModel, read from the checkpoint of PyTorch-Lightning and from diffusers' file.
func vqganModel(f *golden.Fixture, r *golden.Report) error {
	for _, file := range []string{"model.ckpt", "diffusion_pytorch_model.safetensors"} {
		m, err := openVQ(f, r, file)
		if err != nil {
			return err
		}
		if err := m.forward(); err != nil {
			return err
		}
		for _, legacy := range []bool{true, false} {
			if err := m.loss(legacy); err != nil {
				return err
			}
		}
		if err := m.pictureGradient(); err != nil {
			return err
		}
	}
	return nil
}

// vqModel is a model with the fixture that it is held against.
type vqModel struct {
	vqgan.Config
	f      *golden.Fixture
	r      *golden.Report
	e      *engine.Engine
	w      engine.Tensors
	prefix string // of the names in the report
}

func openVQ(f *golden.Fixture, r *golden.Report, file string) (*vqModel, error) {
	e, err := startEngine()
	if err != nil {
		return nil, err
	}
	wf, err := f.Weights(file)
	if err != nil {
		return nil, err
	}
	defer wf.Close()
	c, w, err := vqgan.Read(e, wf, nil)
	if err != nil {
		return nil, err
	}
	m := &vqModel{Config: c, f: f, r: r, e: e, w: w, prefix: file + ":"}
	return m, m.checkConfig()
}

// checkConfig holds the architecture that was read off the file against the one in config.json.
func (m *vqModel) checkConfig() error {
	var want struct {
		Model struct {
			Ch              int   `json:"ch"`
			ChMult          []int `json:"ch_mult"`
			NumResBlocks    int   `json:"num_res_blocks"`
			AttnResolutions []int `json:"attn_resolutions"`
			ZChannels       int   `json:"z_channels"`
			NEmbed          int   `json:"n_embed"`
			EmbedDim        int   `json:"embed_dim"`
			Resolution      int   `json:"resolution"`
		} `json:"model"`
	}
	if err := m.f.Config(&want); err != nil {
		return err
	}
	w := want.Model
	attn := make([]bool, len(w.ChMult))
	for i := range attn {
		for _, side := range w.AttnResolutions {
			attn[i] = attn[i] || side == w.Resolution>>i
		}
	}
	got := fmt.Sprint(m.Ch, m.ChMult, m.NumResBlocks, m.Attn, m.ZChannels, m.NEmbed, m.EmbedDim, m.MidAttn)
	if need := fmt.Sprint(w.Ch, w.ChMult, w.NumResBlocks, attn, w.ZChannels, w.NEmbed, w.EmbedDim, true); got != need {
		return fmt.Errorf("%s inferred %s, want %s", m.prefix, got, need)
	}
	return nil
}

// floats is a tensor of the fixture for the graph, in the file's axis order.
func (m *vqModel) floats(name string) *tensors.Tensor {
	return engine.FromFloats(m.f.Floats(name), m.f.Shape(name)...)
}

// codes is a tensor of codes for the graph.
func (m *vqModel) codes(name string) *tensors.Tensor {
	ids := m.f.Ints(name)
	out := make([]int32, len(ids))
	for i, v := range ids {
		out[i] = int32(v)
	}
	return tensors.FromFlatDataAndDimensions(out, m.f.Shape(name)...)
}

// compare runs a graph and compares its outputs, which are in the file's axis order, with the fixture's tensors.
func (m *vqModel) compare(build engine.Build, in []*tensors.Tensor, want ...vqWant) error {
	outs, err := m.e.Program(m.f.Name, build).Run(m.w, in...)
	if err != nil {
		return err
	}
	for i, w := range want {
		if w.codes {
			got := make([]int64, 0, outs[i].Size())
			for _, v := range engine.Ints(outs[i]) {
				got = append(got, int64(v))
			}
			m.r.Exact(m.prefix+w.name, got, m.f.Ints(w.name))
			continue
		}
		m.r.Compare(m.prefix+w.name, engine.Floats(outs[i]), m.f.Floats(w.name), w.tol)
	}
	return nil
}

type vqWant struct {
	name  string
	tol   golden.Tolerance
	codes bool
}

// forward compares the way from the picture to the codes and back, stage by stage, and codes on a grid of another shape.
func (m *vqModel) forward() error {
	build := func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		x := vqHWC(in[0])
		enc := m.Codec().Encode(v.In("encoder"), x)
		z := m.EncodeGraph(v, x)
		zq, codes := m.QuantiseGraph(v, z)
		post := nn.Conv(v.In("post_quant_conv"), zq, m.ZChannels, 1, 1, 0, true)
		return []*graph.Node{vqCHW(enc), vqCHW(z), codes, vqCHW(zq), vqCHW(post), vqCHW(m.DecodeGraph(v, zq))}
	}
	err := m.compare(build, []*tensors.Tensor{m.floats("x")}, vqWant{name: "enc_out", tol: vqValues}, vqWant{name: "pre_quant", tol: vqValues},
		vqWant{name: "indices", codes: true}, vqWant{name: "z_q", tol: vqCodes},
		vqWant{name: "post_quant", tol: vqValues}, vqWant{name: "dec", tol: vqValues})
	if err != nil {
		return err
	}
	return m.compare(func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{vqCHW(m.DecodeGraph(v, m.LookupGraph(v, in[0])))}
	}, []*tensors.Tensor{m.codes("code")}, vqWant{name: "dec_code", tol: vqValues})
}

// loss compares the quantisation loss and its gradients at the fixture's own vectors.
func (m *vqModel) loss(legacy bool) error {
	var c struct {
		Beta float64 `json:"beta"`
	}
	if err := m.f.Config(&c); err != nil {
		return err
	}
	name := "vq_loss_fixed"
	if legacy {
		name = "vq_loss_legacy"
	}
	build := func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		z := vqHWC(in[0])
		_, codes := m.QuantiseGraph(v, z)
		loss := m.VQLoss(v, z, codes, vqgan.LossOptions{Beta: c.Beta, Legacy: legacy})
		g := graph.Gradient(loss, in[0], v.Node("quantize.embedding.weight"))
		return []*graph.Node{loss, g[0], g[1]}
	}
	return m.compare(build, []*tensors.Tensor{m.floats("pre_quant")}, vqWant{name: name, tol: golden.Tolerance{Rel: 1e-5}}, // a mean of 2048 numbers
		vqWant{name: "grad_prequant_" + name, tol: vqGrads}, vqWant{name: "grad_codebook_" + name, tol: vqGrads})
}

// pictureGradient compares the loss of a decoded picture and its gradient through decoder and straight-through codes.
func (m *vqModel) pictureGradient() error {
	build := func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		zq, _ := m.QuantiseGraph(v, vqHWC(in[0]))
		loss := gx.MSE(vqCHW(m.DecodeGraph(v, zq)), in[1])
		return []*graph.Node{loss, graph.Gradient(loss, in[0])[0]}
	}
	return m.compare(build, []*tensors.Tensor{m.floats("pre_quant"), m.floats("target")}, vqWant{name: "img_loss", tol: vqValues}, vqWant{name: "grad_z", tol: vqGrads})
}

// vqHWC brings [n,c,h,w] to the graph's order, vqCHW back to the file's.
func vqHWC(x *graph.Node) *graph.Node { return graph.TransposeAllAxes(x, 0, 2, 3, 1) }
func vqCHW(x *graph.Node) *graph.Node { return graph.TransposeAllAxes(x, 0, 3, 1, 2) }
