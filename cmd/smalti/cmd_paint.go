package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
)

// paintOptions are the flags of paint. Their defaults are those of spec.Default.
type paintOptions struct {
	out, dir, size, preset string
	fit                    string
	images, noises         []string
	init, initNoise        string
	clips                  []string
	job                    spec.Job
	draw                   spec.Draw // of --init-noise prior
	spread                 spec.Spread
	memory                 spec.Memory
	bestOf                 int
	likely, usual          float64
	stopAt                 int
	losses, filters, drops []string
	regions                []string
	mask, outpaint         string
	maskWords              string
	maskThreshold          float64
	maskInvert             bool
	feather, seam          float64
	plateau                string
	autoStop, coarse       int
	sitting                sittingOptions
	given                  func(flag string) bool
}

// sittingOptions are flags that change how a picture is painted, not which one.
type sittingOptions struct {
	chunk, saveEvery, previewEvery, frameEvery int
	preview                                    bool
}

func (o *sittingOptions) addFlags(f *pflag.FlagSet) {
	f.IntVar(&o.chunk, "chunk", 8, "cuts to look at together; more is faster and takes more memory, the picture is the same")
	f.IntVar(&o.saveEvery, "save-every", 25, "steps between saves of the state")
	f.IntVar(&o.frameEvery, "frames-every", 0, "steps between pictures kept in the run folder; 0 keeps none")
	f.BoolVar(&o.preview, "preview", false, "show the picture in the terminal while it is painted")
	f.IntVar(&o.previewEvery, "preview-every", 10, "steps between previews")
}

func (o *sittingOptions) apply(req *run.Painting) error {
	for name, v := range map[string]int{"--chunk": o.chunk, "--save-every": o.saveEvery, "--preview-every": o.previewEvery} {
		if v < 1 {
			return spec.Refusef("use 1 or more", "%s is %d", name, v)
		}
	}
	if o.frameEvery < 0 {
		return spec.Refusef("use 0 or more", "--frames-every is %d", o.frameEvery)
	}
	req.Chunk, req.SaveEvery, req.PreviewEvery, req.FrameEvery = o.chunk, o.saveEvery, o.previewEvery, o.frameEvery
	return nil
}

// defaultPaint are the options of somebody who gives none.
func defaultPaint() paintOptions {
	return paintOptions{job: spec.Default(), draw: spec.DefaultDraw(), spread: spec.DefaultSpread(), memory: spec.DefaultMemory()}
}

func (a *app) newPaint() *cobra.Command {
	o := defaultPaint()
	cmd := &cobra.Command{
		Use:   "paint PROMPT...",
		Short: "Paint a picture from words",
		Long: `Paint a picture from words. Prompts may be joined with "|", weighted with ":number" (negative pushes away), and
stopped with a second number: "a lighthouse:1 | fog:-0.3 | watercolour:0.5:0.9". "a seed ^ a tree" tells a story.

With the built-in models words start from the training drawing that fits them, which is said; --init-noise codes starts from nothing.

The picture is a PNG that carries its recipe: smalti rerun paints it again, byte for byte. Beside it stands a run folder
(apple.run for apple.png) from which smalti continue goes on.`,
		Example: `  smalti paint "a red apple"
  smalti paint "a lighthouse at night | fog:-0.5" -o lighthouse.png --size 192x128 --seed 7 --preset fine
  smalti paint "in the style of a mosaic" --init photo.jpg --init-weight 0.5
  smalti paint "a window" --init house.png --mask rect:40,40,32,32 -o house-window.png
  smalti paint "a thatched roof" --init house.png --mask-words "the roof" -o house-thatched.png
  smalti paint "pebbles" --tile xy
  smalti paint "a meadow" --region-prompt "circle:64,80,30=a red apple"
  smalti paint "a snowflake" --filter mirror:square --loss palette:2:ffffff,3366cc`,
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.given = func(flag string) bool { return cmd.Flags().Changed(flag) }
			return a.runPaint(cmd.Context(), &o, args)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *paintOptions) addFlags(f *pflag.FlagSet) {
	j := &o.job
	f.StringVarP(&o.out, "out", "o", "", "picture to write to `FILE`; default: named after the prompt")
	f.StringVar(&o.size, "size", fmt.Sprintf("%dx%d", j.Width, j.Height), "width and height in pixels, `WxH`")
	f.IntVar(&o.coarse, "coarse", 0, "paint at so many smaller sizes first, each half of the next: 2 paints 256x256 at 64x64, 128x128, 256x256")
	f.StringVar(&o.preset, "preset", "normal", "steps and cuts together: "+presetNames())
	f.IntVar(&j.Steps, "steps", j.Steps, "steps to paint")
	f.IntVar(&o.stopAt, "stop-at", 0, "stop at this step; smalti continue paints the rest")
	f.Uint64Var(&j.Seed, "seed", 0, "seed of every random draw; default: a random one, kept in the picture")
	f.IntVar(&j.Cuts.Count, "cuts", j.Cuts.Count, "cuts that CLIP looks at in each step")
	f.StringVar(&j.Cuts.Scheme, "scheme", j.Cuts.Scheme, "how cuts are made: "+strings.Join(spec.Schemes, ", "))
	f.Float64Var(&j.Cuts.Power, "cut-power", j.Cuts.Power, "above 1 favours small cuts, below 1 large ones")
	f.Float64Var(&j.Cuts.EdgeFair, "edge-fair", j.Cuts.EdgeFair, "0.5 shows the edges as often as the middle; 0 is the classic way")
	f.Float64Var(&j.Cuts.Average, "average", j.Cuts.Average, "share of the loss on the mean of all cuts (0..1): one scene instead of repeated objects")
	f.StringVar(&j.VQGAN.Name, "vqgan", j.VQGAN.Name, "model that paints")
	f.StringArrayVar(&o.clips, "clip", nil, "model that judges, `NAME[=WEIGHT]`; may be given again for several (default "+j.CLIP[0].Name+")")
	f.StringVar(&o.init, "init", "", "start from the picture in `FILE`")
	f.StringVar(&o.initNoise, "init-noise", autoStart, "start from random codes, pixels, gradient, fractal; prior: a picture that a prior draws; pca: one that lies where pictures lie; retrieval: the training picture that fits best; auto: retrieval where it can be, else codes")
	f.Float64Var(&j.Start.Weight, "init-weight", 0, fmt.Sprintf("pull towards the start; %g with --init-noise prior, %g with retrieval", drawnPull, foundPull))
	f.Float64Var(&j.Start.Fade, "init-fade", 0, "share of that pull which is gone at the end")
	f.StringVar(&o.draw.Prior.Name, "prior", o.draw.Prior.Name, "model that draws the start of --init-noise prior and judges for --prior-weight")
	f.Float64Var(&o.likely, "prior-weight", 0, "weight of how unlikely the prior finds the picture's codes, in nats a code")
	f.Float64Var(&o.draw.Guidance, "guidance", o.draw.Guidance, "how much that start exaggerates the words; 1 is their own way")
	f.StringVar(&o.memory.Index.Name, "index", o.memory.Index.Name, "index of training pictures of --init-noise retrieval")
	f.StringVar(&o.spread.PCA.Name, "pca", o.spread.PCA.Name, "model of --init-noise pca and --pca-weight")
	f.Float64Var(&o.spread.Spread, "spread", o.spread.Spread, "how different from the mean picture --init-noise pca starts: 0 is the mean, 1 as pictures are")
	f.Float64Var(&o.usual, "pca-weight", 0, "weight of how far the latent lies from where pictures lie")
	f.IntVar(&o.bestOf, "best-of", run.DefaultBestOf, "starts drawn from the prior, of which CLIP chooses one")
	f.StringArrayVar(&o.images, "image-prompt", nil, "look like the picture in `FILE[:weight[:stop]]`; may be given again")
	f.StringArrayVar(&o.noises, "noise-prompt", nil, "a random direction, `SEED[:weight]`; may be given again")
	f.StringArrayVar(&o.regions, "region-prompt", nil, "a prompt for a part of the picture, `REGION=PROMPT`: circle:X,Y,R[,FEATHER] or rect:X,Y,W,H[,FEATHER]; may be given again")
	f.StringVar(&o.mask, "mask", "", "keep the picture of --init and paint only where `FILE` is light, or in a REGION")
	f.StringVar(&o.maskWords, "mask-words", "", "keep the picture of --init and paint only over what the `WORDS` say, where CLIP finds it")
	f.Float64Var(&o.maskThreshold, "mask-threshold", spec.MaskThreshold, "heat from which on --mask-words counts, in shares of the way from the median to the most")
	f.BoolVar(&o.maskInvert, "mask-invert", false, "paint where the mask is dark, or what it finds is not")
	f.StringVar(&o.outpaint, "outpaint", "", "paint beyond the picture of --init: `LEFT,TOP,RIGHT,BOTTOM` pixels")
	f.Float64Var(&o.feather, "feather", 8, "pixels inside the mask over which new and old are mixed")
	f.Float64Var(&o.seam, "seam", 1, "weight of the loss that makes new and old meet there")
	f.StringVar(&j.Tile, "tile", "", "make sides fit their opposite ones, for patterns without a seam: "+strings.Join(spec.Tiles, ", "))
	f.StringVar(&j.Optimiser.Name, "opt", j.Optimiser.Name, "optimiser: "+strings.Join(spec.Optimisers, ", "))
	f.Float64Var(&j.Optimiser.LR, "lr", j.Optimiser.LR, "learning rate")
	f.StringArrayVar(&o.drops, "lr-drop", nil, "lower the learning rate, `STEP:FACTOR`, for example 75:0.1, in the place of its cosine; may be given again")
	f.IntVar(&j.Optimiser.Restarts, "restarts", 0, "let the learning rate fall so many times, starting anew each time")
	f.StringVar(&o.plateau, "plateau", "", "lower the learning rate after `STEPS[:FACTOR]` without a better score (factor 0.5)")
	f.IntVar(&o.autoStop, "auto-stop", 0, "end the picture after so many steps without a better score; 0 never does")
	f.Float64Var(&j.Losses.TV, "tv", 0, "weight of the total variation, which smooths")
	f.StringArrayVar(&o.losses, "loss", nil, "loss on the look, `NAME:WEIGHT`: "+strings.Join(spec.LookLosses, ", ")+"; palette:W:COLOURS, edge:W:COLOUR:WIDTH, aesthetic:W:FILE (see smalti clip head); may be given again")
	f.StringArrayVar(&o.filters, "filter", nil, "change what is seen: `pixelart:SIDE`, mirror:KIND ("+strings.Join(spec.Mirrors, ", ")+"), posterise:COLOURS; may be given again")
	f.Float64Var(&j.Losses.MSEDecay, "mse-decay", 0, "pull to zero that fades, as VQGAN-CLIP has it")
	f.Float64Var(&j.EMA, "ema", j.EMA, "show the running mean of the latent with this decay; 0 shows the latent")
	f.StringVar(&j.Precision, "precision", j.Precision, "number format of the work: "+strings.Join(spec.Precisions, ", "))
	f.StringVar(&o.fit, "fit", "", "find out memory and time before painting, choose a way that fits into the free memory, or into `SIZE` (--fit=4GB), or refuse")
	f.Lookup("fit").NoOptDefVal = fitFree
	f.StringVar(&o.dir, "run", "", "run folder; default: beside the picture")
	o.sitting.addFlags(f)
}

func presetNames() string {
	names := make([]string, 0, len(spec.Presets))
	for n := range spec.Presets {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return spec.Presets[a].Steps - spec.Presets[b].Steps })
	return strings.Join(names, ", ")
}

func (a *app) runPaint(ctx context.Context, o *paintOptions, args []string) error {
	req, err := o.painting(args)
	if err != nil {
		return err
	}
	sink, done := a.openSink(o.sitting.preview)
	defer done()
	var r *run.Runner
	if o.fit != "" {
		r, err = a.fit(ctx, req, o.fit, sink)
	} else {
		r, err = a.openRunner()
	}
	if err != nil {
		return err
	}
	_, err = r.Paint(ctx, *req, sink)
	return err
}

// painting turns flags and prompts into a request, refusing what can be refused without a model.
func (o *paintOptions) painting(args []string) (*run.Painting, error) {
	j := o.job
	preset, ok := spec.Presets[o.preset]
	if !ok {
		return nil, spec.Refusef("use one of: "+presetNames(), "--preset %q is unknown", o.preset)
	}
	if !o.given("steps") {
		j.Steps = preset.Steps
	}
	if !o.given("cuts") {
		j.Cuts.Count = preset.Cuts
	}
	j.Length = j.Steps
	var err error
	if j.Width, j.Height, err = spec.ParseSize(o.size); err != nil {
		return nil, err
	}
	if err = o.judges(&j); err != nil {
		return nil, err
	}
	if j.Ladder, err = spec.NewLadder(o.coarse, j.Width, j.Height, j.Steps); err != nil {
		return nil, err
	}
	if o.coarse > 0 && o.autoStop > 0 {
		return nil, spec.Refuse("--auto-stop could end a picture of --coarse before it has its size", "give one of them")
	}
	if err := o.rates(&j); err != nil {
		return nil, err
	}
	if !o.given("seed") {
		j.Seed = randomSeed()
	}
	req := &run.Painting{Dir: o.dir, StopAt: o.stopAt, AutoStop: o.autoStop}
	if err := o.looks(&j, req); err != nil {
		return nil, err
	}
	if err := o.prompts(&j, req, args); err != nil {
		return nil, err
	}
	if o.autoStop < 0 {
		return nil, spec.Refusef("use 1 or more, or 0 for none", "--auto-stop is %d", o.autoStop)
	}
	if o.stopAt < 0 || o.given("stop-at") && o.stopAt == 0 {
		return nil, spec.Refusef("use a step from 1 on", "--stop-at is %d", o.stopAt)
	}
	j.Canonicalise()
	if err := j.Validate(); err != nil {
		return nil, err
	}
	if req.Out, err = outputName(o.out, args); err != nil {
		return nil, err
	}
	req.Job = j
	return req, o.sitting.apply(req)
}

// judges fills in the CLIP models, when some were named.
func (o *paintOptions) judges(j *spec.Job) error {
	if len(o.clips) > 0 {
		j.CLIP = nil
	}
	for _, name := range o.clips {
		ref, err := spec.ParseModel(name)
		if err != nil {
			return err
		}
		j.CLIP = append(j.CLIP, ref)
	}
	return nil
}

// places fills in the mask, and for outpainting the size that follows from it.
func (o *paintOptions) places(j *spec.Job, req *run.Painting) (err error) {
	if o.mask == "" && o.outpaint == "" && !o.given("mask-words") {
		return nil
	}
	m := &spec.Mask{Invert: o.maskInvert, Feather: o.feather, Seam: o.seam}
	j.Mask = m
	if o.outpaint != "" {
		if m.Outpaint, err = spec.ParseOutpaint(o.outpaint); err != nil {
			return err
		}
		if !o.given("size") && o.init != "" {
			img, err := decodePicture(o.init)
			if err != nil {
				return err
			}
			j.Width, j.Height = img.Bounds().Dx()+m.Outpaint[0]+m.Outpaint[2], img.Bounds().Dy()+m.Outpaint[1]+m.Outpaint[3]
		}
	}
	if o.given("mask-words") {
		if m.Words, m.Threshold = strings.TrimSpace(o.maskWords), o.maskThreshold; m.Words == "" {
			return spec.Refuse("--mask-words is empty", `say what to paint over, for example --mask-words "the roof"`)
		}
		if o.mask != "" {
			return spec.Refuse("the mask is said twice", "give one of --mask and --mask-words")
		}
	}
	switch {
	case o.mask == "":
	case spec.IsRegion(o.mask):
		m.Region, err = spec.ParseRegion(o.mask)
	default:
		if m.Picture, err = req.Inputs.AddInput(o.mask); err != nil {
			err = fmt.Errorf("read the picture of --mask: %w", err)
		}
	}
	return err
}

// rates fills in what changes the learning rate.
func (o *paintOptions) rates(j *spec.Job) error {
	for _, s := range o.drops {
		d, err := spec.ParseDrop(s)
		if err != nil {
			return err
		}
		j.Optimiser.Drops = append(j.Optimiser.Drops, d)
	}
	if o.plateau == "" {
		return nil
	}
	var err error
	j.Optimiser.Plateau, j.Optimiser.PlateauFactor, err = spec.ParsePlateau(o.plateau)
	return err
}

// looks fills in losses on the look and filters.
func (o *paintOptions) looks(j *spec.Job, req *run.Painting) error {
	for _, s := range o.losses {
		l, err := spec.ParseLook(s)
		if err != nil {
			return err
		}
		if l.Head != "" {
			if l.Head, err = req.Inputs.AddInput(l.Head); err != nil {
				return fmt.Errorf("read the head of --loss aesthetic: %w", err)
			}
		}
		j.Losses.Look = append(j.Losses.Look, l)
	}
	for _, s := range o.filters {
		f, err := spec.ParseFilter(s)
		if err != nil {
			return err
		}
		j.Filters = append(j.Filters, f)
	}
	return nil
}

// prompts fills in what the picture is pulled towards and where it starts.
func (o *paintOptions) prompts(j *spec.Job, req *run.Painting, args []string) (err error) {
	if j.Prompts, err = spec.ParsePrompts(args, j.Steps); err != nil {
		return err
	}
	for _, s := range o.images {
		file, weight, stop, err := spec.ParseImagePrompt(s)
		if err != nil {
			return err
		}
		sum, err := req.Inputs.AddInput(file)
		if err != nil {
			return fmt.Errorf("read the picture of --image-prompt: %w", err)
		}
		j.Prompts = append(j.Prompts, spec.Prompt{Image: sum, Weight: weight, Stop: stop})
	}
	for _, s := range o.noises {
		p, err := spec.ParseNoisePrompt(s)
		if err != nil {
			return err
		}
		j.Prompts = append(j.Prompts, p)
	}
	for _, s := range o.regions {
		p, err := spec.ParseRegionPrompt(s)
		if err != nil {
			return err
		}
		j.Prompts = append(j.Prompts, p)
	}
	if err := o.places(j, req); err != nil {
		return err
	}
	if j.Start.Kind = o.initNoise; j.Start.Kind == autoStart {
		j.Start.Kind = o.usualStart(j)
	}
	if err := o.drawn(j, req); err != nil {
		return err
	}
	if o.init != "" {
		if o.given("init-noise") {
			return spec.Refuse("--init and --init-noise both say where to start", "give one of them")
		}
		j.Start.Kind = "image"
		if j.Start.Image, err = req.Inputs.AddInput(o.init); err != nil {
			return fmt.Errorf("read the picture of --init: %w", err)
		}
	} else if j.Start.Kind == "image" {
		return spec.Refuse("--init-noise image needs a picture", "use --init FILE")
	}
	return nil
}

func randomSeed() uint64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // the system's source does not fail; a fixed seed in its place would go unnoticed
	}
	return uint64(binary.LittleEndian.Uint32(b[:])) // short enough to be typed again
}

// outputName is the file the picture goes to: the one given, or one named after the prompt that is not taken.
func outputName(out string, args []string) (string, error) {
	if out != "" {
		if ext := strings.ToLower(filepath.Ext(out)); ext != ".png" {
			return "", spec.Refusef("name a .png file: the recipe travels inside it", "-o %s is no PNG", out)
		}
		if dir := filepath.Dir(out); !exists(dir) {
			return "", spec.Refusef("make it first: mkdir -p "+dir, "the folder %s does not exist", dir)
		}
		return out, nil
	}
	base := slug(args[0])
	for n := 1; ; n++ {
		name := base + ".png"
		if n > 1 {
			name = fmt.Sprintf("%s-%d.png", base, n)
		}
		if !exists(name) && !exists(run.FolderFor(name)) {
			return name, nil
		}
	}
}

// slug makes a file name of words.
func slug(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 48 {
			break
		}
	}
	if name := strings.Trim(b.String(), "-"); name != "" {
		return name
	}
	return "picture"
}
