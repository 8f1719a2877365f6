package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// Inputs finds the files, pictures mostly, that a job names by sha256.
type Inputs struct {
	Paths  map[string]string // by sha256
	folder *Folder           // where earlier sittings kept theirs
}

// AddInput reads a file and returns its sha256, by which the job names it.
func (in *Inputs) AddInput(path string) (string, error) {
	data, err := readCapped(path, maxInput)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	name := hex.EncodeToString(sum[:])
	if in.Paths == nil {
		in.Paths = map[string]string{}
	}
	in.Paths[name] = path
	return name, nil
}

// read returns the bytes of an input.
func (in *Inputs) read(sum string) ([]byte, error) {
	data, err := []byte(nil), os.ErrNotExist
	if path, ok := in.Paths[sum]; ok {
		data, err = readCapped(path, maxInput)
	} else if in.folder != nil {
		data, err = in.folder.input(sum)
	}
	if err != nil {
		return nil, &MissingInputError{SHA256: sum, err: err}
	}
	if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
		return nil, &MissingInputError{SHA256: sum, err: fmt.Errorf("the file changed: its sha256 is %x", got)}
	}
	return data, nil
}

// MissingInputError says that a file which the job needs is not there.
type MissingInputError struct {
	SHA256 string
	err    error
}

func (e *MissingInputError) Error() string {
	return fmt.Sprintf("the job needs the file with sha256 %s: %v", short(e.SHA256), e.err)
}
func (e *MissingInputError) Unwrap() error { return e.err }

// Hint says what to try.
func (e *MissingInputError) Hint() string { return "give the file again with --input FILE" }

// eye is a CLIP model with its part in the job.
type eye struct {
	model  *clip.Model
	name   string
	weight float64
}

// prepare loads the models, pins them in the job, and makes a painter whose targets are those of the job's first step.
// It is for the size of the picture after so many steps.
func (r *Runner) prepare(ctx context.Context, req *Painting, steps int, sink event.Sink) (*session, error) {
	job := req.Job
	r, err := r.at(job.Precision)
	if err != nil {
		return nil, err
	}
	s := &session{Runner: r, req: req, sink: sink, job: &job, used: map[string][]byte{}}
	decoder, ref, err := r.VQGAN(job.VQGAN)
	if err != nil {
		return nil, err
	}
	job.VQGAN = ref
	if decoder, err = tiled(decoder, &job); err != nil {
		return nil, err
	}
	s.decoder = decoder
	job.CLIP = append([]spec.ModelRef(nil), job.CLIP...)
	for i, c := range job.CLIP {
		m, ref, err := r.guide(c)
		if err != nil {
			return nil, err
		}
		job.CLIP[i] = ref
		weight := ref.Weight
		if weight == 0 {
			weight = 1
		}
		s.eyes = append(s.eyes, &eye{m, ref.Name, weight})
	}
	s.checkBuild()
	job.Build = r.Build()
	s.width, s.height = job.SizeAt(steps)
	return s, s.makePainter(ctx)
}

// makePainter makes a painter of the session's size.
func (s *session) makePainter(ctx context.Context) error {
	cfg, err := s.config(ctx)
	if err != nil {
		return err
	}
	var canvas paint.Decoder = s.decoder
	if list, err := filters(s.job); err != nil {
		return err
	} else if len(list) > 0 {
		canvas = paint.Filtered{Decoder: s.decoder, Filters: list}
	}
	if s.job.Losses.Prior != nil {
		l, err := s.likelihood()
		if err != nil {
			return err
		}
		cfg.Latent = append(cfg.Latent, l)
	}
	if s.job.Losses.PCA != nil {
		u, err := s.usual()
		if err != nil {
			return err
		}
		cfg.Latent = append(cfg.Latent, u)
	}
	encoders := make([]paint.ImageEncoder, len(s.eyes))
	for i, e := range s.eyes {
		encoders[i] = e.model
	}
	if s.painter, err = paint.New(s.engine, canvas, encoders, cfg); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	// Prompts of all steps are embedded now: picture prompts are cut as in step 0, whenever the run is resumed.
	return s.embedAll(ctx)
}

// climb enlarges the picture if the coming step is taken at a larger size.
func (s *session) climb(ctx context.Context) error {
	w, h := s.job.SizeOf(s.painter.Step())
	if w == s.width && h == s.height {
		return nil
	}
	small := s.painter
	s.width, s.height, s.stage = w, h, ""
	if err := s.makePainter(ctx); err != nil {
		return err
	}
	if err := s.painter.Enlarge(small); err != nil {
		return fmt.Errorf("run: enlarge the picture to %dx%d: %w", w, h, err)
	}
	s.sink.Emit(event.Event{Kind: event.Notice, Step: s.painter.Step(), Steps: s.job.Steps, Message: fmt.Sprintf("the picture is %dx%d now", w, h)})
	return nil
}

// checkBuild warns when a recipe was painted by another build: its bytes are promised within one build only.
func (s *session) checkBuild() {
	then, now := s.job.Build, s.Build()
	if then != (spec.Build{}) && then != now {
		s.sink.Emit(event.Event{Kind: event.Warning,
			Message: fmt.Sprintf("the job was painted by smalti %s, backend %s, CPU class %s; this is %s, %s, %s: the picture may differ in details",
				then.Smalti, then.Backend, then.CPU, now.Smalti, now.Backend, now.CPU)})
	}
}

// config maps the job to the loop's terms.
func (s *session) config(ctx context.Context) (paint.Config, error) {
	j := s.job
	scheme, err := paint.SchemeByName(j.Cuts.Scheme)
	if err != nil {
		return paint.Config{}, spec.Refusef("use one of: "+strings.Join(spec.Schemes, ", "), "%v", err)
	}
	scheme.CutPower, scheme.EdgeFair = j.Cuts.Power, j.Cuts.EdgeFair
	c := paint.Config{Seed: j.Seed, Width: s.width, Height: s.height, Scheme: scheme, Chunk: s.req.Chunk,
		Cuts: paint.Const(float64(j.Cuts.Count)), Share: paint.Const(j.Cuts.Average),
		Optimiser: paint.OptimiserConfig{Kind: j.Optimiser.Name}, LR: rate(j), Average: j.EMA,
		Plateau: paint.Plateau{Patience: j.Optimiser.Plateau, Factor: j.Optimiser.PlateauFactor}}
	if j.Start.Weight > 0 {
		c.Latent = append(c.Latent, paint.Pull{Weight: pull(j)})
	}
	if j.Losses.MSEDecay > 0 {
		c.Latent = append(c.Latent, paint.Shrink{Weight: paint.Const(j.Losses.MSEDecay), Hyperbolic: true})
	}
	if j.Losses.TV > 0 {
		c.Pixel = append(c.Pixel, paint.WeightedPixelLoss{Loss: paint.TotalVariation{}, Weight: paint.Const(j.Losses.TV)})
	}
	if c.Keep, err = s.keep(ctx); err != nil {
		return paint.Config{}, err
	}
	wrap := wrapOf(j.Tile)
	c.Torus = paint.Torus{Rows: wrap.Rows, Columns: wrap.Columns}
	c.Pixel = append(c.Pixel, looks(j.Losses.Look)...)
	c.Embedding, err = s.tastes()
	return c, err
}

// rate is the learning rate in absolute steps: a cosine over the length that the job was laid out for, restarts of it, or
// drops.
func rate(j *spec.Job) paint.Schedule {
	o := j.Optimiser
	if len(o.Drops) > 0 {
		s := paint.Const(o.LR)
		for _, d := range o.Drops {
			s.Points = append(s.Points, paint.Point{Step: d.Step, Value: s.Points[len(s.Points)-1].Value * d.Factor})
		}
		return s
	}
	if o.Restarts > 1 {
		return paint.CosineRestarts(o.LR, o.LR*o.FinalLR, o.Restarts, j.Length)
	}
	if j.Optimiser.FinalLR == 1 || j.Length < 2 {
		return paint.Const(j.Optimiser.LR)
	}
	return paint.Schedule{Shape: paint.Cosine, Points: []paint.Point{
		{Step: 0, Value: j.Optimiser.LR}, {Step: j.Length - 1, Value: j.Optimiser.LR * j.Optimiser.FinalLR}}}
}

// pull is the weight of the start in absolute steps.
func pull(j *spec.Job) paint.Schedule {
	w := j.Start.Weight
	if j.Start.Fade == 0 || j.Length < 2 {
		return paint.Const(w)
	}
	return paint.Schedule{Shape: paint.Linear, Points: []paint.Point{{Step: 0, Value: w}, {Step: j.Length - 1, Value: w * (1 - j.Start.Fade)}}}
}

// begin puts the start on the canvas.
func (s *session) begin(ctx context.Context) error {
	start := paint.Start{Kind: paint.StartKind(s.job.Start.Kind)}
	if s.job.Start.Kind == "prior" {
		var err error
		if start, err = s.drawStart(ctx); err != nil {
			return err
		}
	}
	if s.job.Start.Kind == "pca" {
		return s.beginPCA()
	}
	if s.job.Start.Kind == "retrieval" {
		return s.beginMemory(ctx)
	}
	if s.job.Start.Kind == "image" {
		img, err := s.picture(s.job.Start.Image)
		if err != nil {
			return err
		}
		whole, err := s.start(img)
		if err != nil {
			return err
		}
		if own := s.ownCodes(s.job.Start.Image); own != nil {
			start.Kind, start.Codes = paint.StartGrid, own
		} else {
			start.Kind, start.Picture = paint.StartPicture, whole.Pix
		}
	}
	return s.painter.Begin(start)
}

// ownCodes returns the codes that an input carries, when they are of the job's model and size and still stand for its
// pixels: such a picture is gone on with exactly where it was left. Those of a picture that was filtered, masked or edited
// do not; another CPU class rounds a pixel otherwise by one step at most.
func (s *session) ownCodes(sum string) []int32 {
	e, err := endOf("", s.used[sum])
	h, w, _ := s.painter.Latents()
	if err != nil || !e.exact(s.job.VQGAN) || e.own.H != h || e.own.W != w {
		return nil
	}
	shown, err := s.decoder.Decode(*e.own)
	if err != nil {
		return nil
	}
	if d, err := pixel.Compare(e.img, shown.ToImage()); err != nil || d.Max > 1 {
		return nil
	}
	return e.own.Idx
}

// input returns the bytes of an input and remembers them for the run folder.
func (s *session) input(sum string) ([]byte, error) {
	data, ok := s.used[sum]
	if !ok {
		var err error
		if data, err = s.req.Inputs.read(sum); err != nil {
			return nil, err
		}
		s.used[sum] = data
	}
	return data, nil
}

// picture decodes an input.
func (s *session) picture(sum string) (image.Image, error) {
	data, err := s.input(sum)
	if err != nil {
		return nil, err
	}
	img, err := pixel.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("run: read the picture with sha256 %s: %w", short(sum), err)
	}
	return img, nil
}

// fill resamples a picture to the canvas.
func (s *session) fill(img image.Image) []float32 { return cover(img, s.width, s.height).Pix }

// whole brings a picture that a model made to the canvas without losing any of it: scaled to fit, its edges drawn out, which goes on
// with a plain ground where cropping would cut the thing on it.
func (s *session) whole(m pixel.Image) []float32 {
	scale := min(float64(s.width)/float64(m.W), float64(s.height)/float64(m.H))
	w, h := max(1, int(math.Round(float64(m.W)*scale))), max(1, int(math.Round(float64(m.H)*scale)))
	small := cover(m.ToImage(), w, h)
	return small.Extend(-((s.width - w) / 2), -((s.height - h) / 2), s.width, s.height).Pix
}

// settings are shown when work starts.
func (s *session) settings() map[string]string {
	return map[string]string{"prompt": promptText(s.job), "size": fmt.Sprintf("%dx%d", s.job.Width, s.job.Height), "seed": strconv.FormatUint(s.job.Seed, 10),
		"vqgan": s.job.VQGAN.Name, "clip": s.job.CLIP[0].Name, "scheme": s.job.Cuts.Scheme}
}

func promptText(j *spec.Job) string {
	var texts []string
	for _, p := range j.Prompts {
		if p.Text != "" && p.Weight > 0 {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, " | ")
}

func toImage(p paint.Picture) *image.NRGBA { return pixel.Image{W: p.W, H: p.H, Pix: p.Pix}.ToImage() }
