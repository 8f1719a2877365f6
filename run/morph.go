package run

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// MorphModes are the ways from one picture to another: tokens exchanges codes one at a time, lerp and slerp mix the
// latents before they become codes, clip paints every frame on from the one before towards what CLIP sees between them.
var MorphModes = []string{"tokens", "lerp", "slerp", "clip"}

// Morph says which pictures to lead through, and how. Pictures made by smalti are shown exactly as they are.
type Morph struct {
	// Pictures are files, run folders, or prompt:WORDS, which are painted first; or all of them gan:MODEL#SEED, see parseGANEnd.
	Pictures      []string
	VQGAN         string      // model; empty means that of the first picture made by smalti, or the default one
	Width, Height int         // 0 means the size of the first picture made by smalti, or of the first
	Mode          string      // of MorphModes
	Soft          bool        // paint mixtures as they are instead of their nearest codes
	CLIP          string      // model that looks on where words are painted, and in mode clip; empty means the default one
	Steps         int         // of each frame in mode clip
	LR            float64     // of those steps half-way between two pictures; it falls to 0 towards them
	Seed          uint64      // of what is painted, and of the order among exchanges of equal size
	Frames        int         // without holds
	From, To      float64     // 0 is the first picture, 1 the second; beyond the ends it extrapolates
	Loop          latent.Loop // back to the beginning
	Hold          int         // frames for which each picture stays in addition
	Ease          string      // of latent.Easings
	UniformT      bool        // spread frames by time instead of by how far pictures move
	Columns, Rows int         // of a sheet between four pictures at its corners, in the place of an animation

	Film // with .png for a sheet; the folder is FolderOfMorph(Out[0]) by default
}

// MorphResult says what a morph led to. Distances are mean absolute differences of neighbouring frames, in steps of 8
// bit; frames that are held do not count.
type MorphResult struct {
	Frames    int
	Max, Mean float64
	Dir       string
}

// Files of a morph's folder; the frames are in framesDir.
const (
	morphFile = "morph.json"        // what is made, by content: the same words mean the same frames
	planFile  = "plan.json"         // where the frames were placed
	endsDir   = "ends"              // pictures painted of words
	chaseFile = "chase.safetensors" // of mode clip: the painter's state after a frame
)

// FolderOfMorph returns the folder that belongs to an animation.
func FolderOfMorph(out string) string { return strings.TrimSuffix(out, filepath.Ext(out)) + ".morph" }

// Check refuses what cannot be made, before any work.
func (m *Morph) Check() error {
	if n := len(m.Pictures); n < 2 {
		return spec.Refuse("a morph leads from one picture to another", "name two pictures or more")
	}
	if !slices.Contains(MorphModes, m.Mode) {
		return spec.Refusef("use one of: "+strings.Join(MorphModes, ", "), "--mode %q is unknown", m.Mode)
	}
	if m.Soft && m.Mode == "tokens" {
		return spec.Refuse("--soft has nothing to do with --mode tokens, which has only codes", "use --mode slerp or lerp")
	}
	if m.Mode == "clip" && (m.Steps < 1 || m.Steps > spec.MaxSteps) {
		return spec.Refusef(fmt.Sprintf("use 1 to %d", spec.MaxSteps), "--steps is %d", m.Steps)
	}
	if m.Mode == "clip" && !(m.LR >= 1e-6 && m.LR <= 1e3) {
		return spec.Refusef("use 1e-6 to 1000", "--lr is %g", m.LR)
	}
	if len(m.Out) == 0 {
		return spec.Refuse("the morph has no output", "name one with -o")
	}
	if err := m.checkGAN(); err != nil {
		return err
	}
	check := m.checkTimeline
	if m.grid() {
		check = m.checkGrid
	}
	return check()
}

func (m *Morph) grid() bool { return m.Columns > 0 || m.Rows > 0 }

func (m *Morph) checkGrid() error {
	const most = 64
	switch {
	case m.Columns < 2 || m.Rows < 2 || m.Columns > most || m.Rows > most:
		return spec.Refusef(fmt.Sprintf("use 2x2 to %dx%d", most, most), "--grid %dx%d is out of range", m.Columns, m.Rows)
	case m.Mode == "clip":
		return spec.Refuse("a grid has no order in which --mode clip could paint", "use --mode tokens, lerp or slerp")
	case len(m.Pictures) != 4:
		return spec.Refuse("a grid lies between four pictures", "name the top left, top right, bottom left and bottom right one")
	case m.From != 0 || m.To != 3 || m.Hold != 0 || m.Loop != latent.Once:
		return spec.Refuse("a grid has no time", "leave out --from, --to, --loop and --hold")
	}
	if err := checkExtensions(m.Out, []string{".png"}, "a grid is one picture"); err != nil {
		return err
	}
	return checkFolders(m.Out)
}

func (m *Morph) checkTimeline() error {
	last := float64(len(m.Pictures) - 1)
	if !slices.Contains(latent.Loops, m.Loop) {
		return spec.Refusef(fmt.Sprintf("use one of: %v", latent.Loops), "--loop %q is unknown", m.Loop)
	}
	if m.Mode == "tokens" && (m.From < 0 || m.To > last) {
		return spec.Refuse("exchanging codes leads no further than the pictures", "use --mode lerp or slerp to go beyond them")
	}
	const beyond = 10
	if m.From < -beyond || m.To > last+beyond {
		return spec.Refusef(fmt.Sprintf("stay within %d of the pictures", beyond), "--from %g --to %g is too far", m.From, m.To)
	}
	if m.Frames > pixel.MaxFrames || m.Hold < 0 || m.Frames+len(m.Pictures)*m.Hold*2 > pixel.MaxFrames {
		return spec.Refusef(fmt.Sprintf("an animation has at most %d frames", pixel.MaxFrames), "--frames %d --hold %d is too long", m.Frames, m.Hold)
	}
	tl, err := m.timeline()
	if err == nil {
		_, err = tl.Plan(nil)
	}
	if err != nil {
		return spec.Refusef("see: smalti morph --help", "%s", strings.TrimPrefix(err.Error(), "latent: "))
	}
	return m.Film.check()
}

// checkMemory refuses what GIF and sheets cannot hold, all of whose frames are in memory at once.
func (m *Morph) checkMemory(w, h int) error {
	frames := m.Frames + m.Hold*(len(m.Pictures)+1)
	if m.grid() {
		frames = m.Columns * m.Rows
	}
	for _, out := range m.Out {
		if ext := strings.ToLower(filepath.Ext(out)); (ext == ".gif" || ext == ".png") && frames > pixel.MaxGIFPixels/(w*h) {
			return spec.Refusef("make fewer or smaller frames, or an animation as .webm or .apng",
				"%d frames of %dx%d are too many for %s", frames, w, h, out)
		}
	}
	return nil
}

func (m *Morph) timeline() (latent.Timeline, error) {
	ease, err := latent.EasingByName(m.Ease)
	if err != nil {
		return latent.Timeline{}, fmt.Errorf("--ease %q is unknown; there are %s", m.Ease, strings.Join(latent.Easings(), ", "))
	}
	return latent.Timeline{Keys: len(m.Pictures), From: m.From, To: m.To, Loop: m.Loop, Frames: m.Frames, Hold: m.Hold, Ease: ease}, nil
}

// Morph makes an animation or a sheet. Frames are written to the folder one by one, each whole; the same morph started
// again goes on after those that are there. When ctx ends the error wraps ctx's.
func (r *Runner) Morph(ctx context.Context, req Morph, sink event.Sink) (MorphResult, error) {
	if err := req.Check(); err != nil {
		return MorphResult{}, err
	}
	if req.Dir == "" {
		req.Dir = FolderOfMorph(req.Out[0])
	}
	began := r.now()
	m, err := r.newMorpher(&req, sink)
	if err != nil {
		return MorphResult{}, err
	}
	if err := m.openReel(); err != nil {
		return MorphResult{}, err
	}
	if err := m.paintWords(ctx); err != nil {
		return MorphResult{}, m.stopped(err, 0, req.Frames)
	}
	plan, err := m.plan(ctx)
	if err != nil {
		return MorphResult{}, m.stopped(err, 0, req.Frames)
	}
	sink.Emit(event.Event{Kind: event.Started, Steps: len(plan), Path: req.Dir, Text: m.settings()})
	done, err := m.reel.shoot(ctx, len(plan), func(i int) (image.Image, []pixel.Chunk, error) { return m.frame(ctx, plan, i) })
	if err != nil {
		return MorphResult{}, m.stopped(err, done, len(plan))
	}
	res, err := m.distances(plan)
	if err != nil {
		return MorphResult{}, err
	}
	if err := m.reel.cut(ctx, len(plan), m.write); err != nil {
		return MorphResult{}, m.stopped(err, done, len(plan))
	}
	ratio := 0.0
	if res.Mean > 0 {
		ratio = res.Max / res.Mean
	}
	sink.Emit(event.Event{Kind: event.Done, Step: len(plan), Steps: len(plan), Path: req.Out[0], Seconds: r.now().Sub(began).Seconds(),
		Scores: map[string]float64{"distance_max": res.Max, "distance_mean": res.Mean, "distance_max_over_mean": ratio}})
	return res, nil
}

func (m *morpher) settings() map[string]string {
	out := map[string]string{"pictures": strings.Join(m.req.Pictures, " "), "mode": m.req.Mode, "size": fmt.Sprintf("%dx%d", m.w, m.h)}
	if m.gan != nil {
		out["gan"] = m.ref.Name
	} else {
		out["vqgan"] = m.ref.Name
	}
	return out
}

// StoppedMorphError says that a morph was interrupted between frames.
type StoppedMorphError struct {
	Done, Frames int
	err          error
}

func (e *StoppedMorphError) Error() string {
	return fmt.Sprintf("stopped after %d of %d frames", e.Done, e.Frames)
}
func (e *StoppedMorphError) Unwrap() error { return e.err }

// Hint says what to try.
func (e *StoppedMorphError) Hint() string {
	return "the frames that are written stay: the same command goes on from there"
}

func (m *morpher) stopped(err error, done, frames int) error {
	if errors.Is(err, context.Canceled) {
		return &StoppedMorphError{done, frames, err}
	}
	return err
}

// openReel opens the folder of the frames.
func (m *morpher) openReel() error {
	words, err := m.describe()
	if err != nil {
		return err
	}
	m.reel = &reel{Film: m.req.Film, sink: m.sink, label: morphFile, what: "morph", words: words, also: []string{planFile, endsDir, chaseFile}, w: m.w, h: m.h}
	return m.reel.open()
}

// describe says in canonical JSON what decides the frames: pictures by their sha256, by words and seed, or by their noise;
// the models, the build.
func (m *morpher) describe() ([]byte, error) {
	q := m.req
	var ends []any
	for i, e := range m.ends {
		switch {
		case m.gan != nil:
			ends = append(ends, m.gan.ends[i])
		case e.words != "":
			ends = append(ends, spec.Operand{Prompt: e.words, Seed: q.Seed})
		default:
			ends = append(ends, spec.Operand{Picture: e.sum})
		}
	}
	words, err := spec.Canonical(map[string]any{
		"build": m.Build(), "model": m.ref, "clip": m.clip, "steps": q.Steps, "lr": q.LR, "pictures": ends, "width": m.w, "height": m.h, "mode": q.Mode, "soft": q.Soft, "seed": q.Seed,
		"frames": q.Frames, "from": q.From, "to": q.To, "loop": q.Loop, "hold": q.Hold, "ease": q.Ease, "uniform_t": q.UniformT,
		"columns": q.Columns, "rows": q.Rows,
	})
	if err != nil {
		return nil, fmt.Errorf("run: describe the morph: %w", err)
	}
	return words, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// apart is the mean absolute difference of two pictures of one size, in steps of 8 bit.
func apart(a, b *image.NRGBA) float64 {
	sum := 0
	for i, v := range a.Pix {
		d := int(v) - int(b.Pix[i])
		sum += max(d, -d)
	}
	return float64(sum) / float64(len(a.Pix)/4*3) // alpha is the same
}
