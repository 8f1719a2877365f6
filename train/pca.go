package train

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/weights"
)

// PCAConfig says what a PCA is fitted to.
type PCAConfig struct {
	Data     string   // folder of a data pack or of own pictures, or ShapesData
	VQGAN    ModelPin // whose latents are described
	Pictures int      // composed for it
	Axes     int      // at most
	Size     int      // side of the pictures in pixels, a multiple of f; 0 takes the VQGAN's
	Seed     uint64
	Threads  int // 0 means one for each processor
}

// DefaultPCA is the fit of the built-in model: facts of a trial, in which 400 axes told 98 % of the variance.
func DefaultPCA() PCAConfig {
	return PCAConfig{VQGAN: ModelPin{Name: "builtin/vqgan"}, Pictures: 6144, Axes: 400, Seed: 1}
}

// Validate reports the first number that is out of its range.
func (c PCAConfig) Validate() error {
	switch {
	case c.Pictures < 2 || c.Pictures > 1<<16:
		return fmt.Errorf("train: pictures is out of range: %d", c.Pictures)
	case c.Axes < 1 || c.Axes > 4096:
		return fmt.Errorf("train: axes is out of range: %d", c.Axes)
	case c.Size < 0 || c.Size > 1024:
		return fmt.Errorf("train: size is out of range: %d", c.Size)
	}
	return nil
}

// pcaBatch is how many pictures are encoded together.
const pcaBatch = 64

// RunPCA fits a PCA to the latents of composed pictures and writes it to a file. Events count pictures.
func RunPCA(ctx context.Context, c PCAConfig, path string, sink event.Sink, o Options) (*prior.PCA, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	sink = event.Or(sink)
	coder, err := openCoder(&c.VQGAN, o, c.Threads)
	if err != nil {
		return nil, err
	}
	defer coder.close()
	f := coder.model.Factor()
	if c.Size == 0 {
		c.Size = trainedSize(coder.model)
	}
	if c.Size%f != 0 {
		return nil, fmt.Errorf("train: size is out of range: %d is not a multiple of %d, the side of a code of %s", c.Size, f, c.VQGAN.Name)
	}
	data, err := openScenes(c.Data, c.Size)
	if err != nil {
		return nil, err
	}
	data.tell(sink)
	x, err := c.latents(ctx, data, coder, sink)
	if err != nil {
		return nil, err
	}
	grid, channels := c.Size/f, coder.model.Channels()
	book := prior.Codebook{Name: c.VQGAN.Name, SHA256: c.VQGAN.SHA256, Factor: f}
	if filepath.IsAbs(book.Name) { // a file's folder is nobody else's business
		book.Name = filepath.Base(book.Name)
	}
	axes := min(c.Axes, grid*grid*channels, c.Pictures-1)
	p, err := prior.FitPCA(coder.engine, prior.PCAConfig{GridH: grid, GridW: grid, Channels: channels, Axes: axes, Codebook: book}, x, c.Seed)
	if err != nil {
		return nil, err
	}
	if err := weights.SaveFile(path, func(w io.Writer) error { return p.Save(w) }); err != nil {
		return nil, err
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: path})
	return p, nil
}

// latents are those of the codes of composed pictures, [pictures, h*w*C].
func (c PCAConfig) latents(ctx context.Context, data *scenes, coder *coder, sink event.Sink) ([]float32, error) {
	book, err := coder.model.Book()
	if err != nil {
		return nil, err
	}
	channels := coder.model.Channels()
	var x []float32
	for done := 0; done < c.Pictures; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := data.train.Batch(c.Seed, uint64(done/pcaBatch), pcaBatch, c.Size)
		codes, err := coder.encode(b.Pix, pcaBatch, c.Size)
		if err != nil {
			return nil, err
		}
		n := min(pcaBatch, c.Pictures-done)
		for _, k := range codes[:n*len(codes)/pcaBatch] {
			x = append(x, book[int(k)*channels:(int(k)+1)*channels]...)
		}
		done += n
		sink.Emit(event.Event{Kind: event.Step, Step: done, Steps: c.Pictures, Message: "encoding pictures", Text: map[string]string{"unit": "picture"}})
	}
	return x, nil
}
