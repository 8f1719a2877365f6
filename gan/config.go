package gan

import "fmt"

// Kind is an architecture.
type Kind string

// The architectures.
const (
	MLP    Kind = "mlp"    // fully connected layers
	DCGAN  Kind = "dcgan"  // convolutions of stride 2
	ResNet Kind = "resnet" // residual blocks
)

// Norm is what follows a layer.
type Norm string

// The norms. A critic under a gradient penalty must not use Batch: the penalty is a matter of single pictures, and a
// batch norm mixes them (Gulrajani et al. 2017, section 4).
const (
	NoNorm   Norm = "none"
	Batch    Norm = "batch"    // Ioffe and Szegedy 2015, with running statistics
	Instance Norm = "instance" // each channel of a picture (Ulyanov et al. 2016)
	Layer    Norm = "layer"    // a whole picture, with a scale and a shift for each channel
)

// Net is what the two networks choose for themselves.
type Net struct {
	Width int  `json:"width"` // channels at the finest level; MLP: units of the narrowest layer
	Norm  Norm `json:"norm"`  // after hidden layers
	Bias  bool `json:"bias"`  // whether DCGAN's convolutions have biases, as critics have and PyTorch's example has not
}

// Config is the architecture of both networks. The JSON form travels in the metadata of the files that Save writes.
type Config struct {
	Kind     Kind `json:"kind"`
	Size     int  `json:"size"`     // S
	Channels int  `json:"channels"` // C: 1 grey, 3 RGB
	Levels   int  `json:"levels"`   // DCGAN, ResNet: how often the side doubles on its way to S; MLP: hidden layers
	MaxMult  int  `json:"max_mult"` // DCGAN, ResNet: channels grow up to MaxMult*Width; MLP: 1
	Latent   int  `json:"latent"`   // k
	Labels   int  `json:"labels"`   // number of classes that condition both networks; 0 for none

	Generator     Net `json:"generator"`
	Discriminator Net `json:"discriminator"`
}

// MNISTBasic is the fully connected GAN of the classic course on digits: four hidden layers of 128 to 1024 units with
// batch norms against three of 512 to 128 without.
func MNISTBasic() Config {
	return Config{Kind: MLP, Size: 28, Channels: 1, Levels: 4, MaxMult: 1, Latent: 64,
		Generator: Net{Width: 128, Norm: Batch, Bias: true}, Discriminator: Net{Width: 128, Norm: NoNorm, Bias: true}}
}

// MNISTConv is a small DCGAN for 28 x 28 pixels: 7, 14, 28. Its generator is twice as wide as its discriminator, which
// learns digits more easily than they are drawn.
func MNISTConv() Config {
	return Config{Kind: DCGAN, Size: 28, Channels: 1, Levels: 2, MaxMult: 8, Latent: 64,
		Generator: Net{Width: 64, Norm: Batch}, Discriminator: Net{Width: 32, Norm: Batch}}
}

// Critic returns the configuration with a critic instead of the discriminator: biases and the given norm.
func (c Config) Critic(n Norm) Config {
	c.Discriminator.Norm, c.Discriminator.Bias = n, true
	return c
}

// Faces64 is DCGAN at 64 x 64 with a critic under instance norms. The critic, which takes five turns for one of the
// generator, is the narrower one.
func Faces64() Config {
	return Config{Kind: DCGAN, Size: 64, Channels: 3, Levels: 4, MaxMult: 8, Latent: 128,
		Generator: Net{Width: 32, Norm: Batch}, Discriminator: Net{Width: 24, Norm: Instance, Bias: true}}
}

// Faces128 is Faces64 with one level more.
func Faces128() Config {
	c := Faces64()
	c.Size, c.Levels = 128, 5
	return c
}

// Paper64 is the residual network of the WGAN-GP paper for 64 x 64 pixels (gan_64x64.py, GoodGenerator and
// GoodDiscriminator): Width is 64 there.
func Paper64(width int) Config {
	return Config{Kind: ResNet, Size: 64, Channels: 3, Levels: 4, MaxMult: 8, Latent: 128,
		Generator: Net{Width: width, Norm: Batch}, Discriminator: Net{Width: width, Norm: Layer}}
}

// Base is the side of the coarsest level.
func (c Config) Base() int { return c.Size >> c.Levels }

// Validate says what is wrong with a configuration, nil when it can be built.
func (c Config) Validate() error {
	for _, p := range []struct {
		name      string
		v, lo, hi int
	}{{"size", c.Size, 4, 1024}, {"levels", c.Levels, 1, 8}, {"max_mult", c.MaxMult, 1, 64}, {"latent", c.Latent, 1, 4096}, {"labels", c.Labels, 0, 1000},
		{"generator.width", c.Generator.Width, 1, 4096}, {"discriminator.width", c.Discriminator.Width, 1, 4096}} {
		if p.v < p.lo || p.v > p.hi {
			return fmt.Errorf("gan config: %s is %d, out of %d..%d", p.name, p.v, p.lo, p.hi)
		}
	}
	if c.Channels != 1 && c.Channels != 3 {
		return fmt.Errorf("gan config: %d channels, want 1 or 3", c.Channels)
	}
	switch c.Kind {
	case MLP:
	case DCGAN, ResNet:
		if c.Size%(1<<c.Levels) != 0 || c.Base() < 2 {
			return fmt.Errorf("gan config: a side of %d does not halve %d times down to 2 or more", c.Size, c.Levels)
		}
	default:
		return fmt.Errorf("gan config: unknown kind %q (there are %q, %q and %q)", c.Kind, MLP, DCGAN, ResNet)
	}
	for name, n := range map[string]Norm{"generator": c.Generator.Norm, "discriminator": c.Discriminator.Norm} {
		switch n {
		case NoNorm, Batch, Layer:
		case Instance:
			if c.Kind == MLP {
				return fmt.Errorf("gan config: %s: instance norm needs pictures, not the vectors of an mlp", name)
			}
		default:
			return fmt.Errorf("gan config: %s: unknown norm %q", name, n)
		}
	}
	return nil
}

// mult is the factor of Width at a level, counted from the finest.
func (c Config) mult(level int) int { return min(1<<level, c.MaxMult) }
