package run

import (
	"context"
	"image"
	"strconv"
	"strings"

	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// ganEnd is a picture of a generator: that with a number among those of a seed, as `gan sample` counts from 0.
type ganEnd struct {
	model   string
	Seed    uint64 `json:"seed"`
	Picture int    `json:"picture"`
}

const ganPrefix = "gan:"

// ofGAN reports whether the pictures are those of a generator.
func (m *Morph) ofGAN() bool { return strings.HasPrefix(m.Pictures[0], ganPrefix) }

// parseGANEnd reads gan:MODEL#SEED, or gan:MODEL#SEED/PICTURE. The model is named as for `gan sample`.
func parseGANEnd(arg string) (e ganEnd, err error) {
	refuse := func() (ganEnd, error) {
		return ganEnd{}, spec.Refusef("write gan:MODEL#SEED or gan:MODEL#SEED/PICTURE, for example gan:runs/gan#1/3", "%q is no picture of a generator", arg)
	}
	name, ok := strings.CutPrefix(arg, ganPrefix)
	at := strings.LastIndexByte(name, '#')
	if !ok || at < 1 {
		return refuse()
	}
	seed, number, numbered := strings.Cut(name[at+1:], "/")
	e.model = name[:at]
	if e.Seed, err = strconv.ParseUint(seed, 10, 64); err != nil {
		return refuse()
	}
	if numbered {
		const most = 1 << 20
		if e.Picture, err = strconv.Atoi(number); err != nil || e.Picture < 0 || e.Picture > most {
			return refuse()
		}
	}
	return e, nil
}

// checkGAN refuses what generators cannot do, and generators among other pictures.
func (m *Morph) checkGAN() error {
	some := 0
	first := ""
	for _, p := range m.Pictures {
		if !strings.HasPrefix(p, ganPrefix) {
			continue
		}
		e, err := parseGANEnd(p)
		if err != nil {
			return err
		}
		if some++; some == 1 {
			first = e.model
		}
		if e.model != first {
			return spec.Refusef("name one model", "%s and %s have no latents in common", first, e.model)
		}
	}
	switch {
	case some == 0:
		return nil
	case some < len(m.Pictures):
		return spec.Refuse("pictures of a generator and others have no latents in common", "name gan:MODEL#SEED for all of them, or for none")
	case m.Mode != "lerp" && m.Mode != "slerp":
		return spec.Refusef("use --mode slerp or lerp", "--mode %s is not for generators", m.Mode)
	case m.Soft || m.VQGAN != "" || m.CLIP != "" || m.Width != 0:
		return spec.Refuse("a generator has its own size and no codes", "leave out --soft, --vqgan, --clip and --size")
	}
	return nil
}

// ganTable is a generator whose noise lies on the table, as grids of one cell.
type ganTable struct {
	model *gan.Model
	ends  []ganEnd
	class int32
	reach latent.Range
}

// noiseReach is how far from 0 noise is taken seriously: beyond it a generator has seen one number in 16,000.
const noiseReach = 4

// layNoise puts the noise of the pictures on the table.
func (m *morpher) layNoise() error {
	g := &ganTable{}
	for _, p := range m.req.Pictures {
		e, err := parseGANEnd(p)
		if err != nil {
			return err
		}
		g.ends = append(g.ends, e)
	}
	var err error
	t := &table{}
	if g.model, t.ref, err = m.GANAt(g.ends[0].model); err != nil {
		return err
	}
	c := g.model.Config()
	t.w, t.h = c.Size, c.Size
	if err := m.req.checkMemory(t.w, t.h); err != nil {
		return err
	}
	g.reach = latent.Range{Lo: make([]float32, c.Latent), Hi: make([]float32, c.Latent)}
	for k := range c.Latent {
		g.reach.Lo[k], g.reach.Hi[k] = -noiseReach, noiseReach
	}
	for i, e := range g.ends {
		class := int32(e.Picture % max(1, c.Labels))
		if i > 0 && class != g.class {
			return spec.Refusef("choose pictures whose numbers differ by multiples of the number of classes", "%s and %s are of two classes, %d and %d",
				m.req.Pictures[0], m.req.Pictures[i], g.class, class)
		}
		g.class = class
		z := latent.Grid{H: 1, W: 1, C: c.Latent, Data: c.Noise(e.Seed, e.Picture, 1)}
		for k, v := range z.Data { // the ends lie within
			g.reach.Lo[k], g.reach.Hi[k] = min(g.reach.Lo[k], v), max(g.reach.Hi[k], v)
		}
		t.ends = append(t.ends, &end{path: m.req.Pictures[i]})
		t.grids = append(t.grids, z)
	}
	m.table, m.gan = t, g
	return nil
}

// generate is paint with a generator, which has no codes.
func (m *morpher) generate(ctx context.Context, p place) (*image.NRGBA, []int32, error) {
	var z latent.Grid
	if k := m.end(p); k >= 0 {
		z = m.grids[k]
	} else {
		z = m.gan.reach.Clamp(m.mixed(p))
	}
	var key strings.Builder
	for _, v := range z.Data {
		key.WriteString(strconv.FormatFloat(float64(v), 'b', -1, 32))
	}
	return m.remember(key.String(), nil, func() (pixel.Image, error) {
		pics, err := m.gan.model.Sample(ctx, z.Data, []int32{m.gan.class})
		if err != nil {
			return pixel.Image{}, err
		}
		return pics[0], nil
	})
}
