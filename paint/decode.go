package paint

import (
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// canvas turns latents z into pictures and takes gradients for pictures back to z. The decoder runs once forward for
// all cuts and all encoders, and then backward for the product with its Jacobian. What backward needs of the forward pass
// is kept meanwhile; an engine that must do with little memory repeats the forward pass instead, to the same bytes, unless it
// works in bands, when little is kept. Only this type knows.
type canvas struct {
	decoder                           Decoder
	forward, backward, encode, lookup *engine.Program
	both                              *engine.Program // forward, and backward as its second part; nil with little memory and no bands
}

func newCanvas(e *engine.Engine, d Decoder) *canvas {
	c := &canvas{decoder: d}
	if !e.LowMemory() || e.Bands() {
		c.both = e.Staged("paint: decode", "paint: decoder gradient", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			x, codes := pictureGraph(v, d, in[0])
			return []*graph.Node{x, codes, vjp(x, in[1], in[0])}
		})
	}
	c.forward = e.Program("paint: decode", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		x, codes := pictureGraph(v, d, in[0])
		return []*graph.Node{x, codes}
	})
	c.backward = e.Program("paint: decoder gradient", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		x, _ := pictureGraph(v, d, in[0])
		return []*graph.Node{vjp(x, in[1], in[0])}
	})
	c.encode = e.Program("paint: encode", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		z, _ := d.QuantiseGraph(v, d.EncodeGraph(v, graph.AddScalar(graph.MulScalar(in[0], 2), -1)))
		return []*graph.Node{z}
	})
	c.lookup = e.Program("paint: look codes up", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{d.LookupGraph(v, in[0])}
	})
	return c
}

// pictureGraph decodes z [1,h,w,C]: nearest codes with the gradient passed straight to z, then the picture [1,H,W,3] in
// [0,1], whose limits let gradients through that lead back inside.
func pictureGraph(v *gx.Vars, d Decoder, z *graph.Node) (x, codes *graph.Node) {
	zq, codes := d.QuantiseGraph(v, z)
	raw := d.DecodeGraph(v, zq)
	return gx.ClampWithGrad(graph.MulScalar(graph.AddScalar(raw, 1), 0.5), 0, 1), codes
}

// decode returns the picture [1,H,W,3] and the codes [1,h,w] of z.
func (c *canvas) decode(z *tensors.Tensor) (x *tensors.Tensor, codes []int32, err error) {
	out, err := c.forward.Run(c.decoder.Weights(), z)
	if err != nil {
		return nil, nil, err
	}
	return out[0], engine.Ints(out[1]), nil
}

// decoded is a picture whose gradient is still to come.
type decoded struct {
	c     *canvas
	z, x  *tensors.Tensor // x [1,H,W,3]
	codes []int32         // [1,h,w]
	rest  *engine.Rest    // nil when backward repeats forward
}

// begin decodes z for gradient, or drop, which must follow.
func (c *canvas) begin(z *tensors.Tensor) (*decoded, error) {
	d := &decoded{c: c, z: z}
	var err error
	if c.both == nil {
		d.x, d.codes, err = c.decode(z)
		return d, err
	}
	s, f := z.Shape().Dimensions, c.decoder.Factor()
	out, rest, err := c.both.Start(c.decoder.Weights(), []*tensors.Tensor{z}, []shapes.Shape{engine.Float32(1, s[1]*f, s[2]*f, 3)})
	if err != nil {
		return nil, err
	}
	d.x, d.codes, d.rest = out[0], engine.Ints(out[1]), rest
	return d, nil
}

// gradient returns the gradient for z from the gradient for the picture.
func (d *decoded) gradient(dx *tensors.Tensor) ([]float32, error) {
	var out []*tensors.Tensor
	var err error
	if d.rest == nil {
		out, err = d.c.backward.Run(d.c.decoder.Weights(), d.z, dx)
	} else {
		out, err = d.rest.Finish(dx)
	}
	if err != nil {
		return nil, err
	}
	return engine.Floats(out[0]), nil
}

// drop gives up a gradient that will not be asked for. It does no harm after gradient.
func (d *decoded) drop() {
	if d.rest != nil {
		d.rest.Drop()
	}
}

// fromPicture encodes a picture [1,H,W,3] in [0,1] to the latents of its codes.
func (c *canvas) fromPicture(x *tensors.Tensor) ([]float32, error) {
	out, err := c.encode.Run(c.decoder.Weights(), x)
	if err != nil {
		return nil, err
	}
	return engine.Floats(out[0]), nil
}

// fromCodes looks up the latents of codes [1,h,w].
func (c *canvas) fromCodes(codes *tensors.Tensor) ([]float32, error) {
	out, err := c.lookup.Run(c.decoder.Weights(), codes)
	if err != nil {
		return nil, err
	}
	return engine.Floats(out[0]), nil
}
