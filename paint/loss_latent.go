package paint

// LatentLoss is a loss over the latents.
type LatentLoss interface {
	Name() string
	// Add returns the loss at a step and adds its gradient for z to grad. init is z at step 0. All have one length.
	Add(step int, z, init, grad []float32) float64
	// Restarts says whether the optimiser forgets its moments before a step, because the loss changes there.
	Restarts(step int) bool
}

// failing is a LatentLoss that computes with more than arithmetic and may fail; Err is asked after each Add.
type failing interface{ Err() error }

// Pull holds z near the latents of the start: weight/2 times the mean squared difference (Crowson 2021).
type Pull struct{ Weight Schedule }

func (Pull) Name() string      { return "init" }
func (Pull) Restarts(int) bool { return false }
func (l Pull) Add(step int, z, init, grad []float32) float64 {
	w := l.Weight.At(step)
	scale := float32(w / float64(len(z)))
	var sum float64
	for i := range z {
		d := z[i] - init[i]
		sum += float64(d) * float64(d)
		grad[i] += scale * d
	}
	return w / 2 * sum / float64(len(z))
}

// Shrink pulls z to zero: weight/2 times the mean square (the "MSE regularised" method, with a weight that falls in
// stages). With Hyperbolic the weight is divided by 2*step+1, which is what VQGAN-CLIP calls init weight.
type Shrink struct {
	Weight     Schedule
	Hyperbolic bool
	// Restart makes the optimiser forget its moments at every point of the weight's schedule but the first.
	Restart bool
}

func (Shrink) Name() string { return "mse" }

func (l Shrink) Restarts(step int) bool {
	if !l.Restart {
		return false
	}
	for i, p := range l.Weight.Points {
		if i > 0 && p.Step == step {
			return true
		}
	}
	return false
}

func (l Shrink) Add(step int, z, _, grad []float32) float64 {
	w := l.Weight.At(step)
	if l.Hyperbolic {
		w /= float64(2*step + 1)
	}
	scale := float32(w / float64(len(z)))
	var sum float64
	for i, v := range z {
		sum += float64(v) * float64(v)
		grad[i] += scale * v
	}
	return w / 2 * sum / float64(len(z))
}
