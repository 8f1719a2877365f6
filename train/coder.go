package train

import (
	"errors"
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/vqgan"
)

// coder turns pictures into the codes of a VQGAN that is not trained, on an engine of its own and always in float32: which
// code is nearest must not depend on how the model that learns them is computed.
type coder struct {
	engine  *engine.Engine
	model   *vqgan.Model
	program *engine.Program
}

// openCoder opens the VQGAN that is pinned. A pin without a sha256 gets that of the model found; a run that goes on is held
// to the one that it began with.
func openCoder(pin *ModelPin, o Options, threads int) (*coder, error) {
	if o.Lend == nil {
		return nil, errors.New("train: nobody lends models")
	}
	f, sum, err := o.Lend("vqgan", pin.Name)
	if err != nil {
		return nil, fmt.Errorf("train: vqgan: %w", err)
	}
	defer f.Close()
	if pin.SHA256 != "" && pin.SHA256 != sum {
		return nil, fmt.Errorf("train: the run began with the VQGAN %s of sha256 %.16s; that name now holds %.16s", pin.Name, pin.SHA256, sum)
	}
	pin.SHA256 = sum
	e, err := engine.New(engine.Options{Threads: threads})
	if err != nil {
		return nil, err
	}
	m, err := vqgan.Open(e, f, nil)
	if err != nil {
		e.Close()
		return nil, fmt.Errorf("train: vqgan %s: %w", pin.Name, err)
	}
	c := &coder{engine: e, model: m}
	c.program = e.Program("vqgan/codes", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{m.Config().CodesGraph(v, m.Config().EncodeGraph(v, graph.AddScalar(graph.MulScalar(in[0], 2), -1)))}
	})
	return c, nil
}

func (c *coder) close() { c.engine.Close() }

// encode returns the codes [n,h*w] of pictures [n,size,size,3] in [0,1].
func (c *coder) encode(pix []float32, n, size int) ([]int32, error) {
	in := engine.FromFloats(pix, n, size, size, 3)
	outs, err := c.program.Run(c.model.Weights(), in)
	if err != nil {
		return nil, fmt.Errorf("train: encode pictures: %w", err)
	}
	codes := engine.Ints(outs[0])
	in.MustFinalizeAll()
	outs[0].MustFinalizeAll()
	return codes, nil
}

// trainedSize is the side of the pictures that a VQGAN was trained on, in whole codes; eight of them when it does not say.
func trainedSize(m *vqgan.Model) int {
	f := m.Factor()
	if side := m.Config().Resolution / f * f; side > 0 {
		return side
	}
	return 8 * f
}
