package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/ui"
	"github.com/smalti/smalti/vqgan"
)

func (a *app) newVQGAN() *cobra.Command {
	var name string
	cmd := group("vqgan", "Turn pictures into codes and back, and look inside",
		a.newVQGANEncode(&name), a.newVQGANDecode(&name), a.newVQGANReconstruct(&name), a.newVQGANStats(&name), a.newVQGANInspect(&name))
	cmd.PersistentFlags().StringVar(&name, "vqgan", spec.Default().VQGAN.Name, "model to use")
	return cmd
}

// codesFile is a grid of codes as JSON.
type codesFile struct {
	Rows    int     `json:"rows"`
	Columns int     `json:"columns"`
	Codes   []int32 `json:"codes"` // row by row
}

func (a *app) openVQGAN(name string) (*vqgan.Model, error) {
	r, err := a.openRunner()
	if err != nil {
		return nil, err
	}
	m, _, err := r.VQGAN(spec.ModelRef{Name: name})
	return m, err
}

func (a *app) newVQGANEncode(name *string) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "encode PICTURE", Short: "Write the codes of a picture as JSON", Args: exactly(1),
		Example: `  smalti vqgan encode cat.png -o cat.json
  smalti vqgan encode cat.png | jq '.codes | unique | length'`,
		RunE: func(_ *cobra.Command, args []string) error { return a.runVQGANEncode(*name, args[0], out) },
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write to `FILE` instead of standard output")
	return cmd
}

func (a *app) runVQGANEncode(name, path, out string) error {
	m, err := a.openVQGAN(name)
	if err != nil {
		return err
	}
	img, err := decodePicture(path)
	if err != nil {
		return err
	}
	c, err := m.Encode(img)
	if errors.Is(err, vqgan.ErrSize) {
		return hinted(err, "resize the picture to that size, or use `smalti vqgan reconstruct`, which takes any size")
	}
	if err != nil {
		return err
	}
	data, err := json.Marshal(codesFile{Rows: c.H, Columns: c.W, Codes: c.Idx})
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if out == "" {
		_, err := a.out.Write(data)
		return err
	}
	return a.save(out, data)
}

func (a *app) newVQGANDecode(name *string) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "decode CODES -o PNG", Short: "Paint the picture that codes stand for", Args: exactly(1),
		Long: "Paint the picture that codes stand for. CODES is JSON as `encode` writes it, or a picture made by smalti, which carries its own.",
		Example: `  smalti vqgan decode cat.json -o cat.png
  smalti vqgan decode apple.png -o apple-decoded.png`,
		RunE: func(_ *cobra.Command, args []string) error { return a.runVQGANDecode(*name, args[0], out) },
	}
	cmd.Flags().StringVarP(&out, "out", "o", "decoded.png", "picture to write to `FILE`")
	return cmd
}

func (a *app) runVQGANDecode(name, path, out string) error {
	codes, err := readCodes(path)
	if err != nil {
		return err
	}
	m, err := a.openVQGAN(name)
	if err != nil {
		return err
	}
	img, err := m.Decode(codes)
	if err != nil {
		return hinted(err, "codes belong to one model: name it with --vqgan")
	}
	return a.savePicture(out, img.ToImage())
}

// readCodes reads codes from JSON or from a picture made by smalti.
func readCodes(path string) (vqgan.Codes, error) {
	f, err := os.Open(path)
	if err != nil {
		return vqgan.Codes{}, err
	}
	defer f.Close()
	if strings.HasSuffix(strings.ToLower(path), ".png") {
		chunks, err := pixel.ReadChunks(f)
		if err != nil {
			return vqgan.Codes{}, fmt.Errorf("read %s: %w", path, err)
		}
		c, err := pixel.DecodeCodes(chunks)
		if err != nil {
			return vqgan.Codes{}, fmt.Errorf("read %s: %w", path, err)
		}
		idx := make([]int32, len(c.Index))
		for i, k := range c.Index {
			idx[i] = int32(k)
		}
		return vqgan.Codes{H: c.Rows, W: c.Cols, Idx: idx}, nil
	}
	var c codesFile
	d := json.NewDecoder(&capped{r: f, left: 64 << 20})
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return vqgan.Codes{}, hinted(fmt.Errorf("read the codes of %s: %w", path, err), "CODES is the JSON that `smalti vqgan encode` writes, or a PNG made by smalti")
	}
	return vqgan.Codes{H: c.Rows, W: c.Columns, Idx: c.Codes}, nil
}

func (a *app) newVQGANReconstruct(name *string) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "reconstruct PICTURE", Short: "Encode and decode a picture, to see what the codes keep", Args: exactly(1),
		Example: `  smalti vqgan reconstruct cat.jpg -o cat-codes.png
  smalti vqgan reconstruct cat.jpg --vqgan taming/imagenet-16384`,
		RunE: func(_ *cobra.Command, args []string) error { return a.runVQGANReconstruct(*name, args[0], out) },
	}
	cmd.Flags().StringVarP(&out, "out", "o", "reconstructed.png", "picture to write to `FILE`")
	return cmd
}

func (a *app) runVQGANReconstruct(name, path, out string) error {
	m, err := a.openVQGAN(name)
	if err != nil {
		return err
	}
	img, err := decodePicture(path)
	if err != nil {
		return err
	}
	rec, err := m.Reconstruct(img)
	if err != nil {
		return err
	}
	result := rec.ToImage()
	d, err := pixel.Compare(img, result)
	if err != nil {
		return err
	}
	if err := a.savePicture(out, result); err != nil {
		return err
	}
	a.sink().Emit(event.Event{Kind: event.Done, Message: fmt.Sprintf("PSNR %.2f dB, SSIM %.4f", d.PSNR, d.SSIM),
		Values: map[string]float64{"psnr": d.PSNR, "ssim": d.SSIM}})
	return nil
}

func (a *app) newVQGANStats(name *string) *cobra.Command {
	return &cobra.Command{
		Use: "stats PICTURE...", Short: "Count which codes pictures use", Args: atLeast(1),
		Example: `  smalti vqgan stats cat.png dog.png
  smalti vqgan stats photos/*.jpg --json`,
		RunE: func(_ *cobra.Command, args []string) error { return a.runVQGANStats(*name, args) },
	}
}

func (a *app) runVQGANStats(name string, paths []string) error {
	m, err := a.openVQGAN(name)
	if err != nil {
		return err
	}
	total := vqgan.NewUsage(m.Config().NEmbed)
	for _, p := range paths {
		img, err := decodePicture(p)
		if err != nil {
			return err
		}
		u, err := m.CodeUsage(pixel.FromImage(img))
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		for k, n := range u.Counts {
			total.Counts[k] += n
		}
		total.Total += u.Total
	}
	if a.json {
		a.sink().Emit(event.Event{Kind: event.Result, Values: map[string]float64{"pictures": float64(len(paths)), "positions": float64(total.Total),
			"codes": float64(len(total.Counts)), "used": float64(total.Used()), "perplexity": total.Perplexity()}})
		return nil
	}
	fmt.Fprintf(a.out, "%d of %d codes in use over %d positions of %d picture(s); perplexity %.1f\n",
		total.Used(), len(total.Counts), total.Total, len(paths), total.Perplexity())
	return nil
}

func (a *app) newVQGANInspect(name *string) *cobra.Command {
	var size string
	cmd := &cobra.Command{
		Use: "inspect", Short: "Show every block of the model with its real shapes", Args: exactly(0),
		Example: `  smalti vqgan inspect
  smalti vqgan inspect --vqgan taming/imagenet-16384 --size 512x256`,
		RunE: func(*cobra.Command, []string) error { return a.runVQGANInspect(*name, size) },
	}
	cmd.Flags().StringVar(&size, "size", "", "size of the picture, WxH; default: what the model was trained on")
	return cmd
}

func (a *app) runVQGANInspect(name, size string) error {
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	m, _, err := r.VQGAN(spec.ModelRef{Name: name})
	if err != nil {
		return err
	}
	blocks, err := m.Inspect()
	if size != "" {
		w, h, serr := spec.ParseSize(size)
		if serr != nil {
			return serr
		}
		blocks, err = m.Config().Inspect(r.Engine(), w, h)
	}
	if errors.Is(err, vqgan.ErrSize) {
		return spec.Refusef("use the nearest size", "%v", err)
	}
	if err != nil {
		return err
	}
	rows := make([]blockRow, len(blocks))
	for i, b := range blocks {
		rows[i] = blockRow{b.Name, b.Out, b.Params}
	}
	return a.printBlocks(rows)
}

// blockRow is a block of any model.
type blockRow struct {
	name   string
	out    []int
	params int
}

func (a *app) printBlocks(rows []blockRow) error {
	total := 0
	t := ui.NewTable("BLOCK", "OUTPUT", ">PARAMETERS")
	for _, b := range rows {
		shape := strings.Trim(strings.ReplaceAll(fmt.Sprint(b.out), " ", "x"), "[]")
		if a.json {
			a.sink().Emit(event.Event{Kind: event.Result, Text: map[string]string{"block": b.name, "output": shape}, Values: map[string]float64{"parameters": float64(b.params)}})
		}
		t.Row(b.name, shape, fmt.Sprint(b.params))
		total += b.params
	}
	if a.json {
		return nil
	}
	t.Row("total", "", fmt.Sprint(total))
	return t.Write(a.out)
}
