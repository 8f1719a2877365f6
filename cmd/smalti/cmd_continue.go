package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
)

func (a *app) newContinue() *cobra.Command {
	var out string
	var more int
	var inputs []string
	var sitting sittingOptions
	cmd := &cobra.Command{
		Use:   "continue RUN",
		Short: "Go on with a picture that was stopped, or add steps to a finished one",
		Long: `Go on with a picture. RUN is the run folder (apple.run) or the picture beside it (apple.png). A picture painted in
two sittings is byte for byte the one painted in one.`,
		Example: `  smalti continue apple.run
  smalti continue apple.png --steps 50 -o apple-longer.png`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("steps") && more < 1 {
				return spec.Refusef("use 1 or more", "--steps is %d", more)
			}
			req := run.Painting{Out: out}
			if err := sitting.apply(&req); err != nil {
				return err
			}
			if err := addInputs(&req, inputs); err != nil {
				return err
			}
			return a.runContinue(cmd.Context(), args[0], more, req, sitting.preview)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "out", "o", "", "picture to write to `FILE`; default: the picture beside the run folder")
	f.IntVar(&more, "steps", 0, "steps to add to those of the job")
	f.StringArrayVar(&inputs, "input", nil, "picture that the job needs and that the run folder lacks")
	sitting.addFlags(f)
	return cmd
}

func (a *app) runContinue(ctx context.Context, path string, more int, req run.Painting, preview bool) error {
	folder, err := run.OpenFolder(path)
	if err != nil {
		return err
	}
	if req.Out == "" {
		req.Out = strings.TrimSuffix(filepath.Clean(folder.Path()), ".run") + ".png"
	}
	if _, err := outputName(req.Out, nil); err != nil {
		return err
	}
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	sink, done := a.openSink(preview)
	defer done()
	_, err = r.Continue(ctx, path, more, req, sink)
	return err
}

func addInputs(req *run.Painting, paths []string) error {
	for _, p := range paths {
		if _, err := req.Inputs.AddInput(p); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) newRerun() *cobra.Command {
	var out, dir string
	var inputs []string
	var sitting sittingOptions
	cmd := &cobra.Command{
		Use:   "rerun PNG",
		Short: "Paint a picture again from the recipe it carries",
		Long:  "Paint a picture again from the recipe it carries. With the same version and CPU class it is the same file, byte for byte.",
		Example: `  smalti rerun apple.png -o again.png && cmp apple.png again.png
  smalti rerun portrait.png --input photo.jpg`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := run.Painting{Out: out, Dir: dir}
			if err := sitting.apply(&req); err != nil {
				return err
			}
			if err := addInputs(&req, inputs); err != nil {
				return err
			}
			return a.runRerun(cmd.Context(), args[0], req, sitting.preview)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "out", "o", "", "picture to write to `FILE`; default: PNG's name with -rerun")
	f.StringVar(&dir, "run", "", "run folder; default: beside the picture")
	f.StringArrayVar(&inputs, "input", nil, "picture that the recipe names by its sha256: the start or a picture prompt")
	sitting.addFlags(f)
	return cmd
}

func (a *app) runRerun(ctx context.Context, png string, req run.Painting, preview bool) error {
	if req.Out == "" {
		req.Out = strings.TrimSuffix(png, filepath.Ext(png)) + "-rerun.png"
	}
	if _, err := outputName(req.Out, nil); err != nil {
		return err
	}
	if filepath.Clean(req.Out) == filepath.Clean(png) {
		return spec.Refuse("the picture would be written over the one it is painted from", "choose another name with -o")
	}
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	sink, done := a.openSink(preview)
	defer done()
	_, err = r.Rerun(ctx, png, req, sink)
	return err
}
