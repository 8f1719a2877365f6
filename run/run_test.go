package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// toys are tiny models with random weights, as files of the formats that users import.
func toys(t *testing.T, damage func(engine.Tensors)) (vq, cl string) {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	check(t, err)
	dir := t.TempDir()
	save := func(name string, decls []gx.Decl, write func(f *os.File, v engine.Tensors) error) string {
		values, err := engine.Upload(decls, gx.Materialise(decls, 1))
		check(t, err)
		if damage != nil {
			damage(values)
		}
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		check(t, err)
		check(t, write(f, values))
		check(t, f.Close())
		return path
	}
	vc := vqgan.BuiltinV0()
	vc.Ch, vc.Groups, vc.ChMult, vc.NEmbed = 8, 4, []int{1, 1}, 16
	vd, err := vc.Decls(e)
	check(t, err)
	vq = save("vqgan", vd, func(f *os.File, v engine.Tensors) error { return vqgan.SaveAs(f, vc, v, weights.F32) })
	cc := clip.BuiltinV0(clip.TrimVocab([]string{"a red apple on a tree"}, 600))
	cc.Vision.Widths = []int{4, 4, 4}
	cd, err := cc.Decls(e)
	check(t, err)
	cl = save("clip", cd, func(f *os.File, v engine.Tensors) error { return clip.SaveAs(f, cc, v, weights.F32) })
	return vq, cl
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runner has the toys in its store as toy/vqgan and toy/clip.
func runner(t *testing.T, damage func(engine.Tensors)) *Runner {
	t.Helper()
	return runnerIn(t, t.TempDir(), damage)
}

// runnerIn is runner with a store in a folder.
func runnerIn(t *testing.T, dir string, damage func(engine.Tensors)) *Runner {
	t.Helper()
	now := time.Unix(0, 0)
	r, err := New(Options{Store: store.New(filepath.Join(dir, "store")), Threads: 2, Version: "test", Now: func() time.Time { now = now.Add(time.Second); return now }})
	check(t, err)
	vq, cl := toys(t, damage)
	for name, path := range map[string]string{"toy/vqgan": vq, "toy/clip": cl} {
		_, err := r.Import(context.Background(), ImportRequest{Path: path, Name: name}, event.Discard)
		check(t, err)
	}
	return r
}

func job(steps int, prompts ...string) spec.Job {
	j := spec.Default()
	j.Prompts, _ = spec.ParsePrompts(prompts, steps)
	j.Width, j.Height, j.Steps, j.Length, j.Cuts.Count = 16, 12, steps, steps, 3
	j.VQGAN.Name, j.CLIP = "toy/vqgan", []spec.ModelRef{{Name: "toy/clip"}}
	return j
}

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	check(t, err)
	return data
}

func TestPaintRepeatsContinuesAndReruns(t *testing.T) {
	r, dir, ctx := runner(t, nil), t.TempDir(), context.Background()
	for name, change := range map[string]func(*spec.Job){
		"plain":   func(*spec.Job) {},
		"average": func(j *spec.Job) { j.Cuts.Average, j.EMA, j.Optimiser.Name = 0.5, 0.9, "radam" },
		"two judges": func(j *spec.Job) {
			j.CLIP = []spec.ModelRef{{Name: "toy/clip"}, {Name: "toy/clip", Weight: 0.5}}
			j.Cuts.Scheme = "pooled"
		},
		"steered": func(j *spec.Job) {
			j.Edits = []spec.Edit{{Step: 3, Set: json.RawMessage(`{"prompts":[{"text":"tree","weight":1}],"optimiser":{"name":"adam","lr":0.02,"final_lr":1}}`)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := job(5, "a red apple | tree:-0.5")
			change(&j)
			whole := filepath.Join(dir, name+".png")
			_, err := r.Paint(ctx, Painting{Job: j, Out: whole}, event.Discard)
			check(t, err)
			again := filepath.Join(dir, name+"-again.png")
			_, err = r.Rerun(ctx, whole, Painting{Out: again}, event.Discard)
			check(t, err)
			parts := filepath.Join(dir, name+"-parts.png")
			res, err := r.Paint(ctx, Painting{Job: j, Out: parts, StopAt: 2}, event.Discard)
			check(t, err)
			if res.Step != 2 {
				t.Errorf("stopped at step %d", res.Step)
			}
			_, err = r.Continue(ctx, res.Dir, 0, Painting{Out: parts}, event.Discard)
			check(t, err)
			for _, other := range []string{again, parts} {
				if !bytes.Equal(read(t, whole), read(t, other)) {
					t.Errorf("%s differs from the picture painted at once", filepath.Base(other))
				}
				if !bytes.Equal(read(t, FolderFor(whole), stateFile), read(t, FolderFor(other), stateFile)) {
					t.Errorf("the state of %s differs", filepath.Base(other))
				}
			}
		})
	}
}

func TestEditsChangeThePicture(t *testing.T) {
	r, dir, ctx := runner(t, nil), t.TempDir(), context.Background()
	j := job(3, "a red apple")
	_, err := r.Paint(ctx, Painting{Job: j, Out: filepath.Join(dir, "a.png")}, event.Discard)
	check(t, err)
	j.Edits = []spec.Edit{{Step: 1, Set: json.RawMessage(`{"prompts":[{"text":"tree","weight":1}]}`)}}
	_, err = r.Paint(ctx, Painting{Job: j, Out: filepath.Join(dir, "b.png")}, event.Discard)
	check(t, err)
	if bytes.Equal(read(t, dir, "a.run", stateFile), read(t, dir, "b.run", stateFile)) {
		t.Error("the edit changed nothing")
	}
}

func TestInputsTravelByHash(t *testing.T) {
	r, dir, ctx := runner(t, nil), t.TempDir(), context.Background()
	img := image.NewNRGBA(image.Rect(0, 0, 20, 20))
	for i := range 400 {
		img.SetNRGBA(i%20, i/20, color.NRGBA{uint8(i), uint8(2 * i), 99, 255})
	}
	var buf bytes.Buffer
	check(t, pixel.EncodePNG(&buf, img))
	photo := filepath.Join(dir, "photo.png")
	check(t, os.WriteFile(photo, buf.Bytes(), 0o644))
	j := job(2, "a red apple")
	req := Painting{Out: filepath.Join(dir, "a.png")}
	sum, err := req.Inputs.AddInput(photo)
	check(t, err)
	j.Start = spec.Start{Kind: "image", Image: sum, Weight: 0.1}
	j.Prompts = append(j.Prompts, spec.Prompt{Image: sum, Weight: 0.5})
	req.Job = j
	_, err = r.Paint(ctx, req, event.Discard)
	check(t, err)
	check(t, os.WriteFile(photo, []byte("changed"), 0o644))
	_, err = r.Rerun(ctx, req.Out, Painting{Out: filepath.Join(dir, "b.png")}, event.Discard) // from the run folder
	check(t, err)
	check(t, os.RemoveAll(FolderFor(req.Out)))
	bad := Painting{Out: filepath.Join(dir, "c.png"), Inputs: Inputs{Paths: map[string]string{sum: photo}}}
	_, err = r.Rerun(ctx, req.Out, bad, event.Discard)
	var missing *MissingInputError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "changed") {
		t.Errorf("a changed input: %v", err)
	}
}

// A model whose weights are not numbers must stop the painting with the last good state saved.
func TestNaNStopsAndSaves(t *testing.T) {
	r := runner(t, func(v engine.Tensors) {
		if v["logit_scale"] == nil {
			return // the VQGAN stays whole
		}
		for name, ten := range v {
			if strings.HasPrefix(name, "visual.") {
				data := engine.Floats(ten)
				data[0] = float32(math.NaN())
				v[name] = tensors.FromFlatDataAndDimensions(data, ten.Shape().Dimensions...)
			}
		}
	})
	dir := t.TempDir()
	_, err := r.Paint(context.Background(), Painting{Job: job(3, "a red apple"), Out: filepath.Join(dir, "a.png")}, event.Discard)
	var bad *DivergedError
	if !errors.As(err, &bad) || bad.Hint() == "" {
		t.Fatalf("NaN in the loss: %v", err)
	}
	f, err := OpenFolder(filepath.Join(dir, "a.run"))
	check(t, err)
	state, err := f.readState()
	check(t, err)
	for _, a := range state {
		for _, x := range a.Data {
			if math.IsNaN(float64(x)) {
				t.Fatalf("the saved state has NaN in %s", a.Name)
			}
		}
	}
}

func TestCancelSavesAndIsReported(t *testing.T) {
	r, dir := runner(t, nil), t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	sink := event.Func(func(e event.Event) {
		if e.Kind == event.Step && e.Step == 2 {
			cancel()
		}
	})
	res, err := r.Paint(ctx, Painting{Job: job(50, "a red apple"), Out: filepath.Join(dir, "a.png")}, sink)
	if !errors.Is(err, context.Canceled) || res.Step != 2 {
		t.Fatalf("cancelled: step %d, %v", res.Step, err)
	}
	j, _, err := ReadRecipe(filepath.Join(dir, "a.png"))
	check(t, err)
	if j.Steps != 2 || j.Length != 50 {
		t.Errorf("the picture's recipe says %d of %d steps", j.Steps, j.Length)
	}
}

// A state that cannot be written ends the painting with an error, and no picture pretends to be finished.
func TestUnwritableRunFolderIsAnError(t *testing.T) {
	r, dir := runner(t, nil), t.TempDir()
	out := filepath.Join(dir, "a.png")
	sink := event.Func(func(e event.Event) {
		if e.Kind == event.Step && e.Step == 1 {
			check(t, os.RemoveAll(FolderFor(out)))
			check(t, os.WriteFile(FolderFor(out), nil, 0o644))
		}
	})
	if _, err := r.Paint(context.Background(), Painting{Job: job(2, "a red apple"), Out: out}, sink); err == nil {
		t.Error("nobody noticed")
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a picture was written")
	}
}

func TestRefusals(t *testing.T) {
	r, dir, ctx := runner(t, nil), t.TempDir(), context.Background()
	for want, change := range map[string]func(*spec.Job){
		"nearest size":    func(j *spec.Job) { j.Width = 17 },
		"models list":     func(j *spec.Job) { j.VQGAN.Name = "nope" },
		"smalti version":  func(j *spec.Job) { j.VQGAN.SHA256 = strings.Repeat("0", 64) },
		"use a value":     func(j *spec.Job) { j.Cuts.Count = 0 },
		"smalti models l": func(j *spec.Job) { j.CLIP[0].Name = "toy/vqgan" },
	} {
		j := job(2, "a red apple")
		change(&j)
		_, err := r.Paint(ctx, Painting{Job: j, Out: filepath.Join(dir, "x.png")}, event.Discard)
		var refusal *spec.Refusal
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Hint, want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("refused jobs left %v", left)
	}
}

func TestImportRefusesWhatIsNoModel(t *testing.T) {
	r := runner(t, nil)
	path := filepath.Join(t.TempDir(), "x.safetensors")
	var buf bytes.Buffer
	check(t, weights.WriteSafetensors(&buf, nil, []weights.Out{{Name: "w", DType: weights.F32, Shape: []int{1}, Floats: []float32{1}}}))
	check(t, os.WriteFile(path, buf.Bytes(), 0o644))
	_, err := r.Import(context.Background(), ImportRequest{Path: path, Name: "x"}, event.Discard)
	var unknown *UnknownModelError
	if !errors.As(err, &unknown) {
		t.Errorf("a file without a model: %v", err)
	}
	// A Hugging Face folder becomes one file.
	vq, _ := toys(t, nil)
	folder := t.TempDir()
	check(t, os.Rename(vq, filepath.Join(folder, "diffusion_pytorch_model.safetensors")))
	m, err := r.Import(context.Background(), ImportRequest{Path: folder, Name: "folder"}, event.Discard)
	check(t, err)
	if _, _, err := r.VQGAN(spec.ModelRef{Name: m.Name}); err != nil {
		t.Error(err)
	}
}
