package vqgan_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// toy is a model small enough for every test, with attention in one level and f = 4.
func toy() vqgan.Config {
	return vqgan.Config{Ch: 4, ChMult: []int{1, 2, 1}, NumResBlocks: 1, Attn: []bool{false, false, true}, MidAttn: true, Groups: 2,
		ZChannels: 5, EmbedDim: 3, NEmbed: 7, Quantiser: vqgan.Nearest}
}

var startEngine = sync.OnceValues(func() (*engine.Engine, error) { return engine.New(engine.Options{Threads: 1}) })

func newEngine(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := startEngine()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// start returns a model with starting weights.
func start(t *testing.T, c vqgan.Config) *vqgan.Model {
	t.Helper()
	e := newEngine(t)
	decls, err := c.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	values, err := engine.Upload(decls, gx.Materialise(decls, 5))
	if err != nil {
		t.Fatal(err)
	}
	m, err := vqgan.New(e, c, values)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func picture(w, h int) pixel.Image {
	img := pixel.New(w, h)
	rng.New(1, "picture").FillUniform(img.Pix, 0, 1)
	return img
}

// saved returns a model's file as the writer makes it.
func saved(t *testing.T, m *vqgan.Model, dtype weights.DType) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := vqgan.SaveAs(&b, m.Config(), m.Weights(), dtype); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t *testing.T, data []byte) *weights.File {
	t.Helper()
	f, err := weights.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestSaveAndOpen(t *testing.T) {
	gumbel, l2 := toy(), toy()
	gumbel.Quantiser, gumbel.MidAttn = vqgan.Gumbel, false
	l2.L2, l2.Resolution, l2.Attn = true, 32, nil
	for _, c := range []vqgan.Config{toy(), gumbel, l2, vqgan.BuiltinV0()} {
		m := start(t, c)
		again, err := vqgan.Open(newEngine(t), open(t, saved(t, m, weights.F32)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := again.Config(), m.Config(); a.Quantiser != b.Quantiser || a.L2 != b.L2 || a.Groups != b.Groups || !slices.Equal(a.ChMult, b.ChMult) {
			t.Errorf("config came back as %+v, was %+v", a, b)
		}
		for name, x := range m.Weights() {
			if y := again.Weights()[name]; y == nil || !slices.Equal(engine.Floats(x), engine.Floats(y)) {
				t.Errorf("variable %q changed on the way through a file", name)
			}
		}
		if n := len(again.Weights()); n != len(m.Weights()) {
			t.Errorf("%d variables came back, want %d", n, len(m.Weights()))
		}
		half, err := vqgan.Open(newEngine(t), open(t, saved(t, m, weights.F16)), nil)
		if err != nil {
			t.Fatal(err)
		}
		a, b := engine.Floats(m.Weights()["encoder.conv_in.weight"]), engine.Floats(half.Weights()["encoder.conv_in.weight"])
		for i := range a {
			if math.Abs(float64(a[i]-b[i])) > math.Abs(float64(a[i]))/2048+1e-7 { // half the last of 11 bits
				t.Fatalf("half precision moved %g to %g", a[i], b[i])
			}
		}
	}
}

// rewrite is a file with its tensors changed by edit, and without metadata.
func rewrite(t *testing.T, data []byte, edit func(map[string]*weights.Out)) *weights.File {
	t.Helper()
	f := open(t, data)
	outs := map[string]*weights.Out{}
	for _, n := range f.Names() {
		x, _ := f.Tensor(n)
		v, err := x.Float32()
		if err != nil {
			t.Fatal(err)
		}
		outs[n] = &weights.Out{Name: n, DType: weights.F32, Shape: slices.Clone(x.Shape), Floats: v}
	}
	edit(outs)
	var list []weights.Out
	for _, o := range outs {
		list = append(list, *o)
	}
	var b bytes.Buffer
	if err := weights.WriteSafetensors(&b, nil, list); err != nil {
		t.Fatal(err)
	}
	return open(t, b.Bytes())
}

func TestInfer(t *testing.T) {
	c := toy()
	c.Ch, c.Groups = 32, 32
	noMid, gumbel := c, c
	noMid.MidAttn, noMid.Attn = false, []bool{true, false, false}
	gumbel.Quantiser = vqgan.Gumbel
	for _, c := range []vqgan.Config{c, noMid, gumbel} {
		f := rewrite(t, saved(t, start(t, c), weights.F32), func(outs map[string]*weights.Out) {
			outs["loss.logvar"] = &weights.Out{Name: "loss.logvar", DType: weights.F32, Shape: []int{1}, Floats: []float32{0}}
		})
		got, err := vqgan.Check(newEngine(t), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Ch != c.Ch || !slices.Equal(got.ChMult, c.ChMult) || got.NumResBlocks != c.NumResBlocks || !slices.Equal(got.Attn, c.Attn) || got.MidAttn != c.MidAttn ||
			got.ZChannels != c.ZChannels || got.EmbedDim != c.EmbedDim || got.NEmbed != c.NEmbed || got.Quantiser != c.Quantiser || got.Groups != 32 {
			t.Errorf("inferred %+v, want %+v", got, c)
		}
	}
}

// TestRefusals: nothing runs half-loaded, and the error says what is wrong.
func TestRefusals(t *testing.T) {
	c := toy()
	c.Ch, c.Groups = 32, 32
	data := saved(t, start(t, c), weights.F32)
	for name, tc := range map[string]struct {
		edit func(map[string]*weights.Out)
		want string
		is   error
	}{
		"missing": {func(o map[string]*weights.Out) { delete(o, "decoder.up.1.block.0.conv2.bias") }, "decoder.up.1.block.0.conv2.bias", weights.ErrMissing},
		"left over": {func(o map[string]*weights.Out) {
			x := *o["quant_conv.bias"]
			x.Name = "quant_conv.scale"
			o[x.Name] = &x
		}, "quant_conv.scale", nil},
		"shape": {func(o map[string]*weights.Out) {
			o["quant_conv.bias"].Shape = []int{1, 3}
		}, "quant_conv.bias", weights.ErrShape},
		"no codebook": {func(o map[string]*weights.Out) { delete(o, "quantize.embedding.weight") }, "no codebook", vqgan.ErrNotVQGAN},
		"rank":        {func(o map[string]*weights.Out) { o["quantize.embedding.weight"].Shape = []int{21} }, "quantize.embedding.weight", vqgan.ErrNotVQGAN},
		"multiple": {func(o map[string]*weights.Out) {
			x := o["encoder.down.1.block.0.conv1.weight"]
			x.Shape[0], x.Floats = 65, append(slices.Clone(x.Floats), make([]float32, 32*9)...)
		}, "not a multiple", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := rewrite(t, data, tc.edit)
			m, err := vqgan.Open(newEngine(t), f, nil)
			if err == nil || m != nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Open = %v, %v; want an error about %q", m, err, tc.want)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error %v does not wrap %v", err, tc.is)
			}
		})
	}
	bad := c
	bad.Groups = 5
	if _, err := vqgan.Open(newEngine(t), open(t, data), &bad); err == nil || !strings.Contains(err.Error(), "groups") {
		t.Errorf("a config whose groups do not divide gives %v", err)
	}
}

func TestPictures(t *testing.T) {
	m := start(t, toy())
	for _, size := range [][2]int{{8, 8}, {12, 4}} {
		img := picture(size[0], size[1])
		codes, err := m.EncodePixels(img)
		if err != nil {
			t.Fatal(err)
		}
		if codes.W != img.W/4 || codes.H != img.H/4 || len(codes.Idx) != codes.W*codes.H {
			t.Fatalf("%dx%d gives %d codes of %dx%d", img.W, img.H, len(codes.Idx), codes.W, codes.H)
		}
		a, err := m.Decode(codes)
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.ReconstructPixels(img)
		if err != nil {
			t.Fatal(err)
		}
		if a.W != img.W || a.H != img.H || !slices.Equal(a.Pix, b.Pix) {
			t.Errorf("%dx%d: decoding the codes and reconstructing differ", img.W, img.H)
		}
		if lo, hi := slices.Min(a.Pix), slices.Max(a.Pix); lo < 0 || hi > 1 || lo == hi {
			t.Errorf("pixels from %g to %g", lo, hi)
		}
	}
	if _, err := m.EncodePixels(picture(9, 15)); !errors.Is(err, vqgan.ErrSize) || !strings.Contains(err.Error(), "8x16") {
		t.Errorf("9x15 gives %v, want the offer of 8x16", err)
	}
	odd, err := m.ReconstructPixels(picture(9, 5))
	if err != nil || odd.W != 9 || odd.H != 5 || odd.Valid() != nil {
		t.Errorf("9x5 came back as %dx%d, %v", odd.W, odd.H, err)
	}
	if _, err := m.Decode(vqgan.Codes{W: 2, H: 1, Idx: []int32{0, 7}}); err == nil || !strings.Contains(err.Error(), "code 7") {
		t.Errorf("a code outside the codebook gives %v", err)
	}
	if _, err := m.Decode(vqgan.Codes{W: 2, H: 1, Idx: []int32{0}}); !errors.Is(err, vqgan.ErrSize) {
		t.Errorf("a grid with holes gives %v", err)
	}
	grey := image.NewGray(image.Rect(0, 0, 8, 4))
	grey.SetGray(3, 2, color.Gray{200})
	if codes, err := m.Encode(grey); err != nil || codes.W != 2 || codes.H != 1 {
		t.Errorf("image.Image gives %+v, %v", codes, err)
	}
}

// TestL2 checks the codes of unit length: they are those of the largest cosine, and the gradient has no part along z,
// because a longer z means the same.
func TestL2(t *testing.T) {
	c := toy()
	c.L2 = true
	m := start(t, c)
	z := make([]float32, 2*3*c.EmbedDim)
	rng.New(2, "z").FillNormal(z)
	p := newEngine(t).Program("l2", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		zq, codes := m.QuantiseGraph(v, in[0])
		g := graph.Gradient(graph.ReduceAllSum(graph.Mul(zq, graph.AddScalar(graph.Iota(zq.Graph(), zq.Shape(), 3), 1))), in[0])[0]
		again, same := m.QuantiseGraph(v, zq)
		return []*graph.Node{zq, codes, m.LookupGraph(v, codes), g, again, same}
	})
	outs, err := p.Run(m.Weights(), engine.FromFloats(z, 1, 2, 3, c.EmbedDim))
	if err != nil {
		t.Fatal(err)
	}
	zq, codes, g := engine.Floats(outs[0]), engine.Ints(outs[1]), engine.Floats(outs[3])
	table := engine.Floats(m.Weights()["quantize.embedding.weight"])
	for i := range codes {
		best, at := math.Inf(-1), -1
		for k := range c.NEmbed {
			dot, norm := 0.0, 0.0
			for j := range c.EmbedDim {
				e := float64(table[k*c.EmbedDim+j])
				dot, norm = dot+e*float64(z[i*c.EmbedDim+j]), norm+e*e
			}
			if s := dot / math.Sqrt(norm); s > best {
				best, at = s, k
			}
		}
		if int(codes[i]) != at {
			t.Errorf("vector %d got code %d, the largest cosine has %d", i, codes[i], at)
		}
		norm, along, size := 0.0, 0.0, 0.0
		for j := range c.EmbedDim {
			k := i*c.EmbedDim + j
			norm += float64(zq[k]) * float64(zq[k])
			along += float64(g[k]) * float64(z[k])
			size += float64(g[k]) * float64(g[k])
		}
		if math.Abs(norm-1) > 1e-6 || math.Abs(along) > 1e-5 || size < 1e-6 {
			t.Errorf("vector %d: |zq|^2 = %g, g.z = %g, |g|^2 = %g", i, norm, along, size)
		}
	}
	if !slices.Equal(zq, engine.Floats(outs[2])) {
		t.Error("quantised vectors differ from the codes looked up")
	}
	if !slices.Equal(codes, engine.Ints(outs[5])) {
		t.Error("quantising twice changes codes")
	}
	lo, hi := m.CodebookRange()
	for i, x := range zq {
		if j := i % c.EmbedDim; x < lo[j]-1e-6 || x > hi[j]+1e-6 {
			t.Errorf("channel %d: %g is outside the codebook's range %g..%g", j, x, lo[j], hi[j])
		}
	}
}

// TestGumbelStart: the latent of a Gumbel model must lead QuantiseGraph back to the codes of the picture.
func TestGumbelStart(t *testing.T) {
	c := toy()
	c.Quantiser = vqgan.Gumbel
	m := start(t, c)
	p := newEngine(t).Program("gumbel", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		_, codes := m.QuantiseGraph(v, m.EncodeGraph(v, in[0]))
		return []*graph.Node{codes, c.CodesGraph(v, c.EncodeGraph(v, in[0]))}
	})
	x := picture(16, 16)
	for i := range x.Pix {
		x.Pix[i] = x.Pix[i]*2 - 1
	}
	outs, err := p.Run(m.Weights(), engine.FromFloats(x.Pix, 1, 16, 16, 3))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := engine.Ints(outs[0]), engine.Ints(outs[1]); !slices.Equal(a, b) {
		t.Errorf("codes %v, want %v", a, b)
	}
}

func TestUsage(t *testing.T) {
	u := vqgan.NewUsage(4)
	if u.Perplexity() != 0 {
		t.Error("nothing counted has a perplexity")
	}
	if err := u.Add(vqgan.Codes{W: 4, H: 1, Idx: []int32{0, 1, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if p := u.Perplexity(); math.Abs(p-2) > 1e-12 || u.Used() != 2 || u.Total != 4 {
		t.Errorf("perplexity %g, used %d, total %d; want 2, 2, 4", p, u.Used(), u.Total)
	}
	if err := u.Add(vqgan.Codes{W: 2, H: 1, Idx: []int32{2, 4}}); err == nil || u.Total != 4 || u.Counts[2] != 0 {
		t.Errorf("a foreign code gives %v and leaves %+v", err, u)
	}
	m := start(t, toy())
	got, err := m.CodeUsage(picture(9, 8), picture(4, 7))
	if err != nil || got.Total != 5 {
		t.Errorf("CodeUsage = %+v, %v; want 5 codes", got, err)
	}
	if _, err := m.CodeUsage(picture(3, 8)); !errors.Is(err, vqgan.ErrSize) {
		t.Errorf("a picture smaller than a code gives %v", err)
	}
}

// TestInspect checks the table of the published ImageNet architecture: its layers, shapes and size are known.
func TestInspect(t *testing.T) {
	c := vqgan.ImageNetF16(16384)
	blocks, err := c.Inspect(newEngine(t), 384, 256)
	if err != nil {
		t.Fatal(err)
	}
	shape := map[string][]int{}
	params := 0
	for _, b := range blocks {
		shape[b.Name] = b.Out
		params += b.Params
		if b.Params == 0 {
			t.Errorf("block %s has no parameters", b.Name)
		}
	}
	for name, want := range map[string][]int{
		"encoder.conv_in": {1, 256, 384, 128}, "encoder.down.3.block.1": {1, 32, 48, 256}, "encoder.down.4.attn.1": {1, 16, 24, 512},
		"quantize": {1, 16, 24, 256}, "decoder.up.1.upsample": {1, 256, 384, 128}, "decoder.conv_out": {1, 256, 384, 3},
	} {
		if !slices.Equal(shape[name], want) {
			t.Errorf("%s is %v, want %v", name, shape[name], want)
		}
	}
	tensors, err := c.FileTensors(newEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	inFile := 0
	for _, x := range tensors {
		n := 1
		for _, d := range x.Shape {
			n *= d
		}
		inFile += n
	}
	if params != inFile {
		t.Errorf("the table has %d parameters, the file %d", params, inFile)
	}
	// A checkpoint of 374 MB holds 59 MB of the perceptual loss (VGG16's convolutions) and 11 MB of the discriminator.
	if mb := float64(inFile) * 4 / 1e6; mb < 303 || mb > 305 {
		t.Errorf("a model of %.0f MB, want about 304", mb)
	}
	if _, err := c.Inspect(newEngine(t), 250, 256); !errors.Is(err, vqgan.ErrSize) {
		t.Errorf("250 pixels give %v", err)
	}
}
