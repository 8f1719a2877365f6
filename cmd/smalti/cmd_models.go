package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/ui"
)

func (a *app) newModels() *cobra.Command {
	return group("models", "List, pull, import, check and remove models",
		a.newModelsList(), a.newModelsGallery(), a.newModelsPull(), a.newModelsImport(), a.newModelsInfo(), a.newModelsVerify(), a.newModelsRm())
}

func (a *app) newModelsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the models that are here", Args: exactly(0),
		Example: `  smalti models list
  smalti models list --json`,
		RunE: func(*cobra.Command, []string) error { return a.runModelsList() },
	}
}

func (a *app) runModelsList() error {
	models, err := a.openStore().List()
	if a.json {
		for _, m := range models {
			a.sink().Emit(modelEvent(m))
		}
		return err
	}
	t := ui.NewTable("NAME", "KIND", "VERSION", ">SIZE", "LICENCE", "SHA256")
	for _, m := range models {
		t.Row(m.Name, m.Kind, m.Version, ui.Bytes(m.Size()), m.Licence, m.SHA256()[:12])
	}
	return errors.Join(t.Write(a.out), err)
}

func modelEvent(m store.Model) event.Event {
	return event.Event{Kind: event.Result, Text: map[string]string{"name": m.Name, "kind": m.Kind, "version": m.Version,
		"sha256": m.SHA256(), "licence": m.Licence, "source": m.Source, "config": string(m.Config)},
		Values: map[string]float64{"bytes": float64(m.Size())}}
}

func (a *app) newModelsImport() *cobra.Command {
	var req run.ImportRequest
	cmd := &cobra.Command{
		Use: "import FILE --name NAME", Short: "Bring a model in from a file or a Hugging Face folder",
		Long: `Bring a CLIP, a VQGAN, a prior or the generator of a GAN in from a weight file: safetensors, PyTorch .pt, .pth and .ckpt
(their code is never run), OpenAI's TorchScript archives, or a folder as the Hugging Face hub keeps them. The file is
checked whole, tensor by tensor, before anything is stored.`,
		Example: `  smalti models import ViT-B-32.pt --name openai/vit-b-32
  smalti models import last.ckpt --name taming/imagenet-16384 --licence MIT`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Path = args[0]
			return a.runModelsImport(cmd.Context(), req)
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Name, "name", "", "name to keep the model under")
	f.StringVar(&req.Source, "source", "", "where it came from, for `models info`")
	f.StringVar(&req.Licence, "licence", "", "its licence, for `models info`")
	f.BoolVar(&req.Replace, "replace", false, "replace an existing model of that name")
	return cmd
}

func (a *app) runModelsImport(ctx context.Context, req run.ImportRequest) error {
	if req.Name == "" {
		return spec.Refuse("--name is missing", "give the model a name, for example --name openai/vit-b-32")
	}
	if err := store.CheckName(req.Name); err != nil {
		return spec.Refusef("use letters, digits, dots, dashes and slashes, for example openai/vit-b-32", "%v", err)
	}
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	sink, done := a.openSink(false)
	defer done()
	m, err := r.Import(ctx, req, sink)
	if errors.Is(err, store.ErrExists) {
		return hinted(err, "choose another --name, or add --replace")
	}
	if err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Done, Message: fmt.Sprintf("imported %s, a %s of %s", m.Name, m.Kind, ui.Bytes(m.Size()))})
	return nil
}

func (a *app) newModelsInfo() *cobra.Command {
	return &cobra.Command{
		Use: "info NAME", Short: "Say what a model is", Args: exactly(1),
		Example: `  smalti models info builtin/clip
  smalti models info builtin/vqgan --json`,
		RunE: func(_ *cobra.Command, args []string) error { return a.runModelsInfo(args[0]) },
	}
}

func (a *app) runModelsInfo(name string) error {
	m, err := a.openStore().Get(name)
	if err != nil {
		return refuseName(err)
	}
	if a.json {
		a.sink().Emit(modelEvent(m))
		return nil
	}
	t := ui.NewTable()
	for _, row := range [][2]string{{"name", m.Name}, {"kind", m.Kind}, {"version", m.Version}, {"size", ui.Bytes(m.Size())},
		{"sha256", m.SHA256()}, {"licence", m.Licence}, {"source", m.Source}, {"config", string(m.Config)}} {
		if row[1] != "" {
			t.Row(row[0], row[1])
		}
	}
	return t.Write(a.out)
}

// refuseName turns the store's complaint about a name into a refusal with a hint.
func refuseName(err error) error {
	var missing *store.NotFoundError
	var bad *store.NameError
	if errors.As(err, &missing) || errors.As(err, &bad) {
		return spec.Refusef("run: smalti models list", "%v", err)
	}
	return err
}

func (a *app) newModelsVerify() *cobra.Command {
	return &cobra.Command{
		Use: "verify [NAME...]", Short: "Read models again and compare their hashes",
		Example: `  smalti models verify
  smalti models verify openai/vit-b-32`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runModelsVerify(cmd.Context(), args) },
	}
}

func (a *app) runModelsVerify(ctx context.Context, names []string) error {
	sink, done := a.openSink(false)
	defer done()
	problems, err := a.openStore().Verify(ctx, sink, names...)
	if err != nil {
		return refuseName(err)
	}
	for _, p := range problems {
		sink.Emit(event.Event{Kind: event.Warning, Message: p.String()})
	}
	if len(problems) > 0 {
		return hinted(fmt.Errorf("%d file(s) are damaged", len(problems)), "import those models again with --replace")
	}
	sink.Emit(event.Event{Kind: event.Done, Message: "all files are as they were imported"})
	return nil
}

func (a *app) newModelsRm() *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME...", Short: "Remove models and the files nobody else uses", Args: atLeast(1),
		Example: `  smalti models rm openai/vit-b-32
  smalti models rm a/old b/older`,
		RunE: func(_ *cobra.Command, args []string) error {
			for _, name := range args {
				if err := a.openStore().Remove(name); err != nil {
					return refuseName(err)
				}
				a.sink().Emit(event.Event{Kind: event.Done, Message: "removed " + name})
			}
			return nil
		},
	}
}
