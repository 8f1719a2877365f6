package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Schema is the version of the job's JSON form. A job of another schema is refused by name.
const Schema = 1

// Names that jobs may carry. The first of each is the default.
var (
	Schemes    = []string{"updated", "original", "pooled", "overview"}
	Optimisers = []string{"adam", "adamw", "adagrad", "adamax", "radam", "rmsprop", "sgd", "diffgrad", "adamp"}
	Starts     = []string{"codes", "pixels", "gradient", "fractal", "prior", "pca", "retrieval", "image"}
	Precisions = []string{"f32", "mixed"}
)

// Limits of what a job may ask for. They are generous: they catch slips (--size 51200x512), not ambition.
const (
	MaxSide  = 8192
	MaxSteps = 1_000_000
	MaxCuts  = 4096
)

// Job is everything that decides the pixels of a painted picture, and nothing else: no time, path, host, thread
// count or chunk size. Two equal jobs on the same build and CPU class give the same bytes.
type Job struct {
	Schema  int      `json:"schema"`
	Prompts []Prompt `json:"prompts"`
	Width   int      `json:"width"`  // pixels, a multiple of the VQGAN's factor
	Height  int      `json:"height"` // pixels
	Seed    uint64   `json:"seed"`
	// Steps is where the picture ends. Length is the number of steps that the schedules were laid out for: the first
	// run's; `continue` raises Steps and leaves Length, so that a picture painted in two sittings equals one painted in one.
	Steps  int `json:"steps"`
	Length int `json:"length"`

	VQGAN ModelRef   `json:"vqgan"`
	CLIP  []ModelRef `json:"clip"`

	Cuts      Cuts      `json:"cuts"`
	Optimiser Optimiser `json:"optimiser"`
	Start     Start     `json:"start"`
	Losses    Losses    `json:"losses"`
	Filters   []Filter  `json:"filters,omitempty"`
	// Mask keeps a part of the picture that the job starts from.
	Mask *Mask `json:"mask,omitempty"`
	// Tile names the axes along which the picture continues at its opposite side: x, y or xy.
	Tile string `json:"tile,omitempty"`
	// Ladder lists the sizes, from the smallest, that the picture is painted at before its own.
	Ladder []Rung `json:"ladder,omitempty"`
	// EMA is the decay of the running mean of the latent that is shown and saved; 0 shows the latent itself.
	EMA float64 `json:"ema,omitempty"`

	Precision string `json:"precision"`
	Build     Build  `json:"build"`
	// Edits are changes that were made while the picture was painted.
	Edits []Edit `json:"edits,omitempty"`
}

// ModelRef names a model and pins its weights.
type ModelRef struct {
	Name    string  `json:"name"`
	Version string  `json:"version,omitempty"`
	SHA256  string  `json:"sha256,omitempty"`
	Weight  float64 `json:"weight,omitempty"` // of a CLIP model's part in the loss; 0 means 1
}

// Cuts says how the picture is cut before CLIP looks at it.
type Cuts struct {
	Scheme string  `json:"scheme"`
	Count  int     `json:"count"`
	Power  float64 `json:"power"` // of the uniform draw of a crop's size: > 1 favours small crops
	// EdgeFair lets crops run over the picture's edge by this share of their side before they are moved back, so that
	// edges are seen as often as the middle; 0 is the original behaviour, 0.5 is fair.
	EdgeFair float64 `json:"edge_fair,omitempty"`
	// Average is the share of the loss taken on the mean embedding of all cuts instead of on each cut (0..1).
	Average float64 `json:"average,omitempty"`
}

// Optimiser moves the latent.
type Optimiser struct {
	Name string  `json:"name"`
	LR   float64 `json:"lr"`
	// FinalLR is the share of LR that is left at step Length of a cosine schedule; 1 keeps the rate constant.
	FinalLR float64 `json:"final_lr"`
	// Restarts repeats the cosine in so many equal parts of Length; below 2 there is one.
	Restarts int `json:"restarts,omitempty"`
	// Drops lower the rate from a step on, in the place of the cosine.
	Drops []Drop `json:"drops,omitempty"`
	// Plateau lowers the rate by PlateauFactor after so many steps without a better score; 0 never does.
	Plateau       int     `json:"plateau,omitempty"`
	PlateauFactor float64 `json:"plateau_factor,omitempty"`
}

// Drop multiplies the learning rate by Factor from a step on.
type Drop struct {
	Step   int     `json:"step"`
	Factor float64 `json:"factor"`
}

func (o Optimiser) validate() error {
	last := 0
	for _, d := range o.Drops {
		if d.Step <= last || d.Step > MaxSteps {
			return Refusef("name steps in order, from 1", "a drop of --lr at step %d is out of order", d.Step)
		}
		if err := within("the factor of a drop of --lr", d.Factor, 1e-9, 1e9); err != nil {
			return err
		}
		last = d.Step
	}
	if len(o.Drops) > 0 && o.Restarts > 1 {
		return Refuse("drops and restarts of --lr exclude each other", "give one of them")
	}
	if o.Plateau > 0 {
		if err := within("the factor of --plateau", o.PlateauFactor, 1e-6, 0.999999); err != nil {
			return err
		}
	}
	return errors.Join(between("--restarts", o.Restarts, 0, 1000), between("--plateau", o.Plateau, 0, MaxSteps))
}

// Start is where the latent begins.
type Start struct {
	Kind  string `json:"kind"`
	Image string `json:"image,omitempty"` // sha256 of the picture file, hex, for kind image
	// Weight pulls the latent towards its start (mean square of the difference, halved). Fade is the share of it that is gone
	// at step Length; it goes evenly.
	Weight float64 `json:"weight,omitempty"`
	Fade   float64 `json:"fade,omitempty"`
	Draw   *Draw   `json:"draw,omitempty"`   // for kind prior
	PCA    *Spread `json:"pca,omitempty"`    // for kind pca
	Memory *Memory `json:"memory,omitempty"` // for kind retrieval
}

// Draw says how the start is drawn from a prior: as a Sample of that number is.
type Draw struct {
	Prior  ModelRef `json:"prior"`
	Prompt string   `json:"prompt"`           // what the prior reads
	Number *int     `json:"number,omitempty"` // of the picture among those of the job's seed; absent until one is chosen

	Temperature float64 `json:"temperature"`
	TopK        int     `json:"top_k"`
	TopP        float64 `json:"top_p"`
	Guidance    float64 `json:"guidance"`
}

// DefaultDraw draws as DefaultSample does.
func DefaultDraw() Draw {
	s := DefaultSample()
	return Draw{Prior: s.Prior, Temperature: s.Temperature, TopK: s.TopK, TopP: s.TopP, Guidance: s.Guidance}
}

func (s Start) validate() error {
	if err := errors.Join(within("--init-weight", s.Weight, 0, 1e6), within("--init-fade", s.Fade, 0, 1)); err != nil {
		return err
	}
	if (s.Kind == "pca") != (s.PCA != nil) {
		return Refuse("only --init-noise pca starts from a PCA, and it needs one", "use --init-noise pca with --pca NAME")
	} else if s.PCA != nil {
		return s.PCA.validate()
	}
	if (s.Kind == "retrieval") != (s.Memory != nil) {
		return Refuse("only --init-noise retrieval starts from training pictures, and it needs an index of them", "use --init-noise retrieval with --index NAME")
	} else if s.Memory != nil {
		return s.Memory.validate()
	}
	if d := s.Draw; (s.Kind == "prior") != (d != nil) {
		return Refuse("only --init-noise prior draws from a prior, and it needs one", "use --init-noise prior with --prior NAME")
	} else if d != nil {
		one := Sample{Prompt: d.Prompt, Temperature: d.Temperature, TopK: d.TopK, TopP: d.TopP, Guidance: d.Guidance, Prior: d.Prior}
		if d.Number != nil {
			one.Number = *d.Number
		}
		return one.Validate()
	}
	return nil
}

// Losses are the weights of the terms beside CLIP's.
type Losses struct {
	TV float64 `json:"tv,omitempty"` // total variation of the picture
	// MSEDecay pulls the latent to zero with a weight that falls as 1/(2 step + 1).
	MSEDecay float64 `json:"mse_decay,omitempty"`
	Look     []Look  `json:"look,omitempty"`
	Prior    *Likely `json:"prior,omitempty"`
	PCA      *Usual  `json:"pca,omitempty"`
}

// Likely makes the codes of the picture likely under a prior that reads the prompt.
type Likely struct {
	Weight float64  `json:"weight"` // of the mean of -log p of a code, in nats
	Prior  ModelRef `json:"prior"`
	Prompt string   `json:"prompt"`
}

func (l *Likely) validate() error {
	switch {
	case l == nil:
		return nil
	case l.Prior.Name == "":
		return Refuse("--prior names no model", "run: smalti models list")
	}
	return within("--prior-weight", l.Weight, 0, 1e6)
}

// Build says what painted the picture; bytes are promised within one build, backend and CPU class.
type Build struct {
	Smalti  string `json:"smalti"`
	Backend string `json:"backend"`
	CPU     string `json:"cpu"`
}

// Edit is a change applied before a step: the fields in Set replace the job's (prompts, optimiser, cuts, losses).
type Edit struct {
	Step int             `json:"step"`
	Set  json.RawMessage `json:"set"`
}

// Presets are named sets of defaults. Fields that the user sets win.
var Presets = map[string]Preset{
	"draft":   {Steps: 40, Cuts: 4},
	"normal":  {Steps: 100, Cuts: 8},
	"fine":    {Steps: 250, Cuts: 16},
	"supreme": {Steps: 500, Cuts: 32},
}

// Preset is a pair of the numbers that trade time for quality.
type Preset struct{ Steps, Cuts int }

// Default returns a job with every default but the prompts.
func Default() Job {
	p := Presets["normal"]
	return Job{
		Schema: Schema, Width: 128, Height: 128, Steps: p.Steps, Length: p.Steps,
		VQGAN: ModelRef{Name: "builtin/vqgan"}, CLIP: []ModelRef{{Name: "builtin/clip"}},
		Cuts:      Cuts{Scheme: Schemes[0], Count: p.Cuts, Power: 1},
		Optimiser: Optimiser{Name: Optimisers[0], LR: 0.1, FinalLR: 0.1},
		Start:     Start{Kind: Starts[0]},
		Precision: Precisions[0],
	}
}

// Canonicalise replaces aliases by the names they stand for.
func (j *Job) Canonicalise() {
	if j.Cuts.Scheme == "latest" {
		j.Cuts.Scheme = "pooled"
	}
}

// Validate checks every range that can be checked without a model. It returns a Refusal.
func (j *Job) Validate() error {
	checks := []error{
		j.validatePrompts(),
		between("--steps", j.Steps, 1, MaxSteps),
		between("--cuts", j.Cuts.Count, 1, MaxCuts),
		between("the width of --size", j.Width, 1, MaxSide),
		between("the height of --size", j.Height, 1, MaxSide),
		oneOf("--scheme", j.Cuts.Scheme, Schemes),
		oneOf("--opt", j.Optimiser.Name, Optimisers),
		oneOf("--init-noise", j.Start.Kind, Starts),
		oneOf("--precision", j.Precision, Precisions),
		within("--lr", j.Optimiser.LR, 1e-6, 1e3),
		within("the final share of --lr", j.Optimiser.FinalLR, 0, 1),
		j.Optimiser.validate(),
		j.Start.validate(),
		j.Losses.Prior.validate(),
		j.Losses.PCA.validate(),
		within("--cut-power", j.Cuts.Power, 0.01, 100),
		within("--edge-fair", j.Cuts.EdgeFair, 0, 1),
		within("--average", j.Cuts.Average, 0, 1),
		within("--tv", j.Losses.TV, 0, 1e6),
		within("--mse-decay", j.Losses.MSEDecay, 0, 1e6),
		within("--ema", j.EMA, 0, 0.9999),
		j.validateLooks(),
		j.validatePlaces(),
		j.validateLadder(),
		j.validateModels(),
		j.validateEdits(),
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *Job) validatePrompts() error {
	if len(j.Prompts) == 0 {
		return Refuse("there is no prompt", `say what to paint, for example: smalti paint "a red apple"`)
	}
	for _, p := range j.Prompts {
		kinds := 0
		for _, set := range []bool{p.Text != "", p.Image != "", p.Noise != nil} {
			if set {
				kinds++
			}
		}
		if kinds != 1 {
			return Refuse("a prompt is empty", "a prompt needs words, a picture or a noise seed")
		}
		if err := within("a prompt's weight", p.Weight, -1e4, 1e4); err != nil {
			return err
		}
	}
	return nil
}

func (j *Job) validateModels() error {
	if j.VQGAN.Name == "" {
		return Refuse("--vqgan names no model", "run: smalti models list")
	}
	if len(j.CLIP) == 0 {
		return Refuse("--clip names no model", "run: smalti models list")
	}
	for _, c := range j.CLIP {
		if c.Name == "" {
			return Refuse("--clip names no model", "run: smalti models list")
		}
	}
	return nil
}

// validateEdits applies every edit once and checks what comes out.
func (j *Job) validateEdits() error {
	if len(j.Edits) == 0 {
		return nil
	}
	now, err := j.At(MaxSteps)
	if err != nil {
		return Refuse(err.Error(), "edits set prompts, cuts or the optimiser")
	}
	now.Edits = nil
	return now.Validate()
}

func between(name string, v, lo, hi int) error {
	if v < lo || v > hi {
		return Refusef(fmt.Sprintf("use a value from %d to %d", lo, hi), "%s is %d", name, v)
	}
	return nil
}

// within also refuses NaN, which fails every comparison.
func within(name string, v, lo, hi float64) error {
	if !(v >= lo && v <= hi) {
		return Refusef(fmt.Sprintf("use a value from %g to %g", lo, hi), "%s is %g", name, v)
	}
	return nil
}

func oneOf(name, v string, names []string) error {
	if !slices.Contains(names, v) {
		return Refusef("use one of: "+strings.Join(names, ", "), "%s %q is unknown", name, v)
	}
	return nil
}

// At returns the job as it stands at a step: with every edit of that step and of earlier ones applied.
func (j *Job) At(step int) (*Job, error) {
	now := *j
	for i, e := range j.Edits {
		if e.Step > step {
			continue
		}
		var set struct {
			Prompts   *[]Prompt  `json:"prompts"`
			Cuts      *Cuts      `json:"cuts"`
			Optimiser *Optimiser `json:"optimiser"`
		}
		d := json.NewDecoder(bytes.NewReader(e.Set))
		d.DisallowUnknownFields()
		if err := d.Decode(&set); err != nil {
			return nil, fmt.Errorf("spec: edit %d: %w", i, err)
		}
		if set.Prompts != nil {
			now.Prompts = *set.Prompts
		}
		if set.Cuts != nil {
			if set.Cuts.Scheme != j.Cuts.Scheme {
				return nil, fmt.Errorf("spec: edit %d changes the cut scheme, which a running picture cannot", i)
			}
			now.Cuts = *set.Cuts
		}
		if set.Optimiser != nil {
			if set.Optimiser.Name != j.Optimiser.Name {
				return nil, fmt.Errorf("spec: edit %d changes the optimiser, which a running picture cannot", i)
			}
			now.Optimiser = *set.Optimiser
		}
	}
	return &now, nil
}

// Encode returns the job's canonical JSON.
func (j *Job) Encode() ([]byte, error) { return Canonical(j) }

// Decode reads a job's JSON, refusing unknown fields, other schemas and values out of range.
func Decode(data []byte) (*Job, error) {
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("spec: the job is not JSON: %w", err)
	}
	if head.Schema != Schema {
		return nil, fmt.Errorf("spec: the job has schema %d; this build reads %d", head.Schema, Schema)
	}
	var j Job
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return nil, fmt.Errorf("spec: read the job: %w", err)
	}
	if err := j.Validate(); err != nil {
		return nil, fmt.Errorf("spec: the job is out of range: %w", err)
	}
	return &j, nil
}

// ParseSize reads "WxH" or one number for a square.
func ParseSize(s string) (w, h int, err error) {
	n, scanErr := fmt.Sscanf(s, "%dx%d", &w, &h)
	if n == 1 && !strings.Contains(s, "x") {
		h, scanErr = w, nil
	}
	want := fmt.Sprintf("%dx%d", w, h)
	if scanErr != nil || s != want && s != fmt.Sprint(w) {
		return 0, 0, Refusef("write WIDTHxHEIGHT in pixels, for example 128x128", "--size %q is not a size", s)
	}
	return w, h, nil
}
