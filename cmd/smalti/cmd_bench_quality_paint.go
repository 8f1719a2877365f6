package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/quality"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
)

// setting is a way to paint.
type setting struct {
	name     string
	flags    []string // of paint
	options  *paintOptions
	set      *pflag.FlagSet
	dir      string
	pictures []image.Image
	seconds  []float64 // of each picture
	quality.Measurement
	nll []float64 // nil without --prior
}

// parseSettings reads --setting and what all of them share. Without one there is a single setting, of paint's defaults.
func (o *qualityOptions) parseSettings() ([]*setting, error) {
	var shared []string
	for _, s := range o.sets {
		if name, _, ok := strings.Cut(s, "="); !ok || name == "" {
			return nil, spec.Refusef("write for example --set steps=60", "--set %q is not flag=value", s)
		}
		shared = append(shared, "--"+s)
	}
	for name, v := range map[string]string{"preset": o.preset, "init-noise": o.initNoise} {
		if v != "" {
			shared = append(shared, "--"+name+"="+v)
		}
	}
	slices.Sort(shared) // those of a map come in any order
	texts := o.settings
	if len(texts) == 0 {
		texts = []string{"default:"}
	}
	var out []*setting
	for _, text := range texts {
		name, flags, ok := strings.Cut(text, ":")
		if name = strings.TrimSpace(name); !ok || slug(name) != name {
			return nil, spec.Refusef(`write for example --setting "short: --steps 30"; names are of a-z, 0-9 and -`, "--setting %q has no usable name", text)
		}
		if slices.ContainsFunc(out, func(s *setting) bool { return s.name == name }) {
			return nil, spec.Refusef("give each its own", "two settings are named %q", name)
		}
		s := &setting{name: name, flags: append(slices.Clone(shared), strings.Fields(flags)...), dir: filepath.Join(o.out, name)}
		if err := s.parse(); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// reserved are the flags of paint that the bench decides on.
var reserved = []string{"out", "seed", "run", "stop-at", "preview"}

func (s *setting) parse() error {
	o := defaultPaint()
	s.options = &o
	s.set = pflag.NewFlagSet(s.name, pflag.ContinueOnError)
	s.set.Usage = func() {}
	s.options.addFlags(s.set)
	if err := s.set.Parse(s.flags); err != nil {
		return spec.Refusef("see smalti paint --help", "setting %s: %v", s.name, err)
	}
	if s.set.NArg() > 0 {
		return spec.Refusef("write --flag=value or --flag value", "setting %s: %q is no flag of paint", s.name, s.set.Arg(0))
	}
	for _, f := range reserved {
		if s.set.Changed(f) {
			return spec.Refusef("leave it out", "setting %s: --%s is decided by the bench", s.name, f)
		}
	}
	given := func(flag string) bool { return flag == "seed" || s.set.Changed(flag) }
	s.options.given = given
	_, err := s.painting("a cat", 1, "cat.png")
	return err
}

// painting is what the setting makes of a caption.
func (s *setting) painting(caption string, seed uint64, out string) (*run.Painting, error) {
	o := *s.options
	o.out, o.job.Seed = out, seed
	return o.painting([]string{caption})
}

// settingFile says how the pictures of a folder were painted; what is painted otherwise does not belong there.
const settingFile, secondsFile, keyFile, blindFile = "setting.json", "seconds.jsonl", "key.tsv", "blind.png"

// promptFile is the file of a prompt: the words, and what tells prompts of the same beginning apart.
func promptFile(caption string) string {
	return fmt.Sprintf("%s-%08x.png", slug(caption), rng.New(0, caption).Uint32())
}

// paintAll paints the prompts whose pictures are not there yet.
func (b *qualityBench) paintAll(ctx context.Context, s *setting) error {
	if err := b.claim(s); err != nil {
		return err
	}
	took, err := readSeconds(filepath.Join(s.dir, secondsFile))
	if err != nil {
		return err
	}
	for i, p := range b.which {
		caption := b.all[p].Caption
		name := promptFile(caption)
		if !exists(filepath.Join(s.dir, name)) {
			if took[name], err = b.paintOne(ctx, s, caption, name); err != nil {
				return fmt.Errorf("setting %s, %q: %w", s.name, caption, err)
			}
			if !b.quiet {
				fmt.Fprintf(b.err, "%s %d/%d  %5.1f s  %s\n", s.name, i+1, len(b.which), took[name], caption)
			}
		}
		img, err := pixel.DecodeFile(filepath.Join(s.dir, name))
		if err != nil {
			return err
		}
		s.pictures, s.seconds = append(s.pictures, img), append(s.seconds, took[name])
	}
	return nil
}

// claim makes the folder of a setting, or finds that it is this setting's: flags, seed, program and models are the same.
func (b *qualityBench) claim(s *setting) error {
	first, err := s.painting("a cat", b.o.seed, "cat.png")
	if err != nil {
		return err
	}
	if err := b.runner.Check(&first.Job); err != nil {
		return err
	}
	models := map[string]string{}
	_, ref, err := b.runner.VQGAN(first.Job.VQGAN)
	models[ref.Name] = ref.SHA256
	for _, c := range first.Job.CLIP {
		if err == nil {
			_, ref, err = b.runner.CLIP(c)
			models[ref.Name] = ref.SHA256
		}
	}
	if err != nil {
		return err
	}
	mine, err := json.MarshalIndent(map[string]any{"flags": s.flags, "seed": b.o.seed, "smalti": release, "models": models}, "", " ")
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, settingFile)
	switch old, err := os.ReadFile(path); {
	case err == nil && !bytes.Equal(old, mine):
		return spec.Refusef("choose another --out, or remove that folder", "the pictures in %s were painted in another way, see %s there", s.dir, settingFile)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, mine, 0o644)
}

// paintOne paints a picture under another name and gives it its own when its time is written down, so that what has a name
// is whole and has a time. All settings start a prompt from the same seed.
func (b *qualityBench) paintOne(ctx context.Context, s *setting, caption, name string) (seconds float64, err error) {
	work := filepath.Join(s.dir, "work.png")
	req, err := s.painting(caption, uint64(rng.New(b.o.seed, "quality/paint "+caption).Uint32()), work)
	if err != nil {
		return 0, err
	}
	sink := event.Func(func(e event.Event) {
		if e.Kind == event.Done {
			seconds = e.Seconds
		}
	})
	if _, err := b.runner.Paint(ctx, *req, sink); err != nil {
		return 0, err
	}
	if err := appendSeconds(filepath.Join(s.dir, secondsFile), name, seconds); err != nil {
		return 0, err
	}
	if err := os.RemoveAll(run.FolderFor(work)); err != nil {
		return 0, err
	}
	return seconds, os.Rename(work, filepath.Join(s.dir, name))
}

// took is a line of secondsFile.
type took struct {
	Picture string  `json:"picture"`
	Seconds float64 `json:"seconds"`
}

func appendSeconds(path, name string, seconds float64) error {
	line, err := json.Marshal(took{name, seconds})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// readSeconds reads what the pictures took. A last line that was cut off belongs to a picture that has no name yet.
func readSeconds(path string) (map[string]float64, error) {
	out := map[string]float64{}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var l took
		if json.Unmarshal(lines.Bytes(), &l) == nil {
			out[l.Picture] = l.Seconds
		}
	}
	return out, errors.Join(err, lines.Err())
}

// sheet writes the pictures in an order of their own with numbers under them, and beside it what they were to show.
func (b *qualityBench) sheet(s *setting) error {
	var cells []pixel.Cell
	var key strings.Builder
	for n, i := range rng.New(b.o.seed, "quality/blind").Perm(len(s.pictures)) {
		cells = append(cells, pixel.Cell{Picture: s.pictures[i], Caption: fmt.Sprint(n + 1)})
		fmt.Fprintf(&key, "%d\t%s\t%s\n", n+1, b.all[b.which[i]].Caption, b.all[b.which[i]].Class)
	}
	if err := writePNG(filepath.Join(s.dir, blindFile), pixel.Sheet{Columns: 8, CellSize: 128, Gap: 6}.Draw(cells)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, keyFile), []byte(key.String()), 0o644)
}
