package spec

import "fmt"

// Rung is a size that a picture is painted at before it is enlarged: from the step at which the rung before it ends, or 0,
// to before step Until.
type Rung struct {
	Until  int `json:"until"`
	Width  int `json:"width"`
	Height int `json:"height"`
}

// MaxCoarse is the most rungs that NewLadder makes: each halves the sides.
const MaxCoarse = 6

// NewLadder lays n rungs under a picture: each has half the sides of the next, and all get an equal share of the steps,
// as the whole picture does. It refuses sides that cannot be halved so often and fewer steps than sizes.
func NewLadder(n, width, height, steps int) ([]Rung, error) {
	if err := between("--coarse", n, 0, MaxCoarse); err != nil {
		return nil, err
	}
	if n > 0 && steps <= n {
		return nil, Refusef("paint more steps", "--coarse %d paints at %d sizes, and there are %d steps", n, n+1, steps)
	}
	var out []Rung
	for i := range n {
		f := 1 << (n - i)
		if width%f != 0 || height%f != 0 {
			return nil, Refusef("choose a size that can be halved so often, or a smaller --coarse", "--coarse %d: %dx%d divided by %d leaves a part of a pixel", n, width, height, f)
		}
		out = append(out, Rung{Until: (i + 1) * steps / (n + 1), Width: width / f, Height: height / f})
	}
	return out, nil
}

// SizeAt returns the size of the picture after so many steps: that at which the last of them was taken, and the first one
// of all before any step.
func (j *Job) SizeAt(steps int) (width, height int) { return j.SizeOf(max(0, steps-1)) }

// SizeOf returns the size at which a step is taken; steps count from 0.
func (j *Job) SizeOf(step int) (width, height int) {
	for _, r := range j.Ladder {
		if step < r.Until {
			return r.Width, r.Height
		}
	}
	return j.Width, j.Height
}

// validateLadder also refuses what speaks of places on a canvas of one size.
func (j *Job) validateLadder() error {
	if len(j.Ladder) == 0 {
		return nil
	}
	last := Rung{}
	for _, r := range j.Ladder {
		if r.Until <= last.Until || r.Until > MaxSteps || r.Width < max(1, last.Width) || r.Height < max(1, last.Height) || r.Width > j.Width || r.Height > j.Height {
			return Refuse(fmt.Sprintf("the sizes of a ladder %v are out of order", j.Ladder), "sizes and steps grow from rung to rung")
		}
		last = r
	}
	regions := j.Mask != nil
	for _, p := range j.Prompts {
		regions = regions || p.Region != nil
	}
	switch {
	case regions:
		return Refuse("--coarse goes with neither masks nor region prompts", "their places are pixels of one size: leave out --coarse")
	case j.Losses.Prior != nil:
		return Refuse("--coarse does not go with --prior-weight", "a prior judges pictures of one size")
	case j.Losses.PCA != nil:
		return Refuse("--coarse does not go with --pca-weight", "a PCA judges pictures of one size")
	}
	return nil
}
