package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
)

func (a *app) newLab() *cobra.Command {
	cmd := group("lab", "Play with the latents and codes of pictures",
		a.newLabArith(), a.newLabMix(), a.newLabSwap(), a.newLabBrush(),
		a.newLabWalk(), a.newLabDream(), a.newLabNeighbours(), a.newLabMap())
	cmd.Long = `Play with the latents and codes of pictures. Pictures may be files made by smalti, which are taken exactly as they are, run
folders, or any other pictures, which are taken as the model reconstructs them. What is made carries its recipe: smalti
rerun makes it again, from the same pictures, byte for byte.`
	return cmd
}

// labOptions are the flags that the lab's pictures share.
type labOptions struct {
	out, size, vqgan, region string
	feather                  float64
}

func (o *labOptions) addFlags(f *pflag.FlagSet, out string, regional bool) {
	f.StringVarP(&o.out, "out", "o", out, "picture to write to `FILE`")
	f.StringVar(&o.size, "size", "", "width and height, `WxH`; default: those of the first picture made by smalti")
	f.StringVar(&o.vqgan, "vqgan", "", "model; default: that of the first picture made by smalti")
	if regional {
		f.StringVar(&o.region, "region", "", "where, in pixels: `circle:X,Y,RADIUS` or rect:X,Y,W,H")
	}
}

// work turns flags and pictures into a request.
func (o *labOptions) work(l spec.Lab, pictures []string) (*run.LabWork, error) {
	w := &run.LabWork{Lab: l, Out: o.out}
	w.Lab.VQGAN.Name = o.vqgan
	var err error
	if o.size != "" {
		if w.Lab.Width, w.Lab.Height, err = spec.ParseSize(o.size); err != nil {
			return nil, err
		}
	}
	if o.region != "" {
		if w.Lab.Region, err = spec.ParseRegion(o.region); err != nil {
			return nil, err
		}
		w.Lab.Region.Feather = o.feather
	}
	for _, p := range pictures {
		list, err := w.Inputs.Operands(p, 0)
		if err != nil {
			return nil, err
		}
		if len(list) != 1 {
			return nil, spec.Refusef("name one picture", "%s is a folder of pictures", p)
		}
		w.Lab.Pictures = append(w.Lab.Pictures, list[0])
	}
	return w, nil
}

func (a *app) runLab(ctx context.Context, w *run.LabWork) error {
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	sink, done := a.openSink(false)
	defer done()
	return r.Lab(ctx, *w, sink)
}

func (a *app) newLabArith() *cobra.Command {
	var o labOptions
	var with, without []string
	var t float64
	var seed uint64
	cmd := &cobra.Command{
		Use:   "arith PICTURE --with SIDE [--without SIDE]",
		Short: "Add the difference of two sets of pictures: z + t(mean(with) - mean(without))",
		Long: `Add the difference of two sets of pictures to a third: z + t(mean(with) - mean(without)), after Radford et al. 2015. A SIDE is a
picture, a folder of pictures, or prompt:WORDS, which are painted first; both may be given several times. Without
--without, the difference is taken from PICTURE itself, so that --t 1 leads to the mean. A negative --t takes away.`,
		Example: `  smalti lab arith face.png --with smiling/ --without serious/ --t 0.8 -o smile.png
  smalti lab arith apple.png --with "prompt:a blue door" --without "prompt:a red door" -o blue.png`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := o.work(spec.Lab{Op: "arith", T: t}, args)
			if err != nil {
				return err
			}
			for _, side := range []struct {
				args []string
				to   *[]spec.Operand
			}{{with, &w.Lab.With}, {without, &w.Lab.Without}} {
				for i, arg := range side.args {
					list, err := w.Inputs.Operands(arg, seed+uint64(i))
					if err != nil {
						return err
					}
					*side.to = append(*side.to, list...)
				}
			}
			return a.runLab(cmd.Context(), w)
		},
	}
	o.addFlags(cmd.Flags(), "arith.png", false)
	cmd.Flags().StringArrayVar(&with, "with", nil, "picture, folder or prompt:WORDS that has the property; may be given again")
	cmd.Flags().StringArrayVar(&without, "without", nil, "picture, folder or prompt:WORDS that lacks it; may be given again")
	cmd.Flags().Float64Var(&t, "t", 1, "how much of the difference")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "seed of the first prompt that is painted; the next has one more")
	return cmd
}

func (a *app) newLabMix() *cobra.Command {
	var o labOptions
	var sigma float64
	cmd := &cobra.Command{
		Use:   "mix LAYOUT DETAIL",
		Short: "Join the layout of one picture with the detail of another",
		Long: `Join the layout of one picture with the detail of another. A VQGAN has one level of codes, so the two are told apart by size:
what is larger than about --sigma codes comes from LAYOUT, the rest from DETAIL.`,
		Example: `  smalti lab mix apple.png mosaic.png -o apple-mosaic.png
  smalti lab mix face.jpg sea.png --sigma 3 --size 256x256`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := o.work(spec.Lab{Op: "mix", Sigma: sigma}, args)
			if err != nil {
				return err
			}
			return a.runLab(cmd.Context(), w)
		},
	}
	o.addFlags(cmd.Flags(), "mix.png", false)
	cmd.Flags().Float64Var(&sigma, "sigma", 1.5, "where layout ends and detail begins, in codes")
	return cmd
}

func (a *app) newLabSwap() *cobra.Command {
	var o labOptions
	var codes []string
	cmd := &cobra.Command{
		Use:   "swap PICTURE --code K=J",
		Short: "Put other codes in the place of some",
		Long:  "Put other codes in the place of some, everywhere or in a region. --code 3=5 --code 5=3 exchanges two.",
		Example: `  smalti vqgan stats apple.png                 # which codes there are
  smalti lab swap apple.png --code 12=40 -o swapped.png
  smalti lab swap apple.png --code 12=40 --region circle:64,64,30`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l := spec.Lab{Op: "swap"}
			for _, s := range codes {
				from, to, ok := strings.Cut(s, "=")
				k, err1 := strconv.ParseInt(from, 10, 32)
				j, err2 := strconv.ParseInt(to, 10, 32)
				if !ok || err1 != nil || err2 != nil {
					return spec.Refusef("write two codes, for example 12=40", "--code %q is no pair", s)
				}
				l.Codes = append(l.Codes, [2]int32{int32(k), int32(j)})
			}
			w, err := o.work(l, args)
			if err != nil {
				return err
			}
			return a.runLab(cmd.Context(), w)
		},
	}
	o.addFlags(cmd.Flags(), "swap.png", true)
	cmd.Flags().StringArrayVar(&codes, "code", nil, "`K=J` puts code J where K was; may be given again")
	return cmd
}

func (a *app) newLabBrush() *cobra.Command {
	var o labOptions
	cmd := &cobra.Command{
		Use:   "brush GROUND SOURCE --region PLACE",
		Short: "Paint a part of one picture over another",
		Long: `Paint a part of one picture over another: the codes of SOURCE inside the region, those of GROUND outside. With --feather the
latents are mixed over that many pixels at the edge.`,
		Example: `  smalti lab brush meadow.png apple.png --region circle:64,80,30 -o both.png
  smalti lab brush meadow.png apple.png --region rect:0,64,128,64 --feather 24`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := o.work(spec.Lab{Op: "brush"}, args)
			if err != nil {
				return err
			}
			return a.runLab(cmd.Context(), w)
		},
	}
	o.addFlags(cmd.Flags(), "brush.png", true)
	cmd.Flags().Float64Var(&o.feather, "feather", 0, "width of the soft edge in pixels")
	return cmd
}

func (a *app) newLabNeighbours() *cobra.Command {
	req := run.BookSheet{}
	cmd := &cobra.Command{
		Use:   "neighbours CODE",
		Short: "Show the codes nearest to one of them, with their distances",
		Example: `  smalti lab neighbours 12
  smalti lab neighbours 12 --most 64 -o near.png --vqgan my/vqgan`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := strconv.ParseInt(args[0], 10, 32)
			if err != nil || k < 0 {
				return spec.Refusef("codes are numbers from 0", "%q is no code", args[0])
			}
			req.Code = int(k)
			return a.runBookSheet(cmd.Context(), req)
		},
	}
	bookFlags(cmd.Flags(), &req, "neighbours.png", 25)
	return cmd
}

func (a *app) newLabMap() *cobra.Command {
	req := run.BookSheet{Code: -1}
	cmd := &cobra.Command{
		Use:   "map",
		Short: "Draw the codebook as a map, similar codes near each other",
		Long: `Draw the codebook as a map: columns in the order of the codes' first principal axis, in each of them the order of the second.
Each tile is what the decoder makes of 3x3 times the same code.`,
		Example: `  smalti lab map -o codebook.png
  smalti lab map --vqgan my/vqgan --most 400`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runBookSheet(cmd.Context(), req) },
	}
	bookFlags(cmd.Flags(), &req, "codebook.png", 1024)
	return cmd
}

func bookFlags(f *pflag.FlagSet, req *run.BookSheet, out string, most int) {
	f.StringVarP(&req.Out, "out", "o", out, "picture to write to `FILE`")
	f.StringVar(&req.VQGAN, "vqgan", "", fmt.Sprintf("model (default %s)", spec.Default().VQGAN.Name))
	f.IntVar(&req.Most, "most", most, "codes to show at most")
}

func (a *app) runBookSheet(ctx context.Context, req run.BookSheet) error {
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	sink, done := a.openSink(false)
	defer done()
	return r.BookSheet(ctx, req, sink)
}
