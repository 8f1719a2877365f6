package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/store/hub"
	"github.com/smalti/smalti/ui"
)

// pullOptions are the flags of models pull.
type pullOptions struct {
	what, name, sum, licence string
	accept, replace          bool
	offline, dryRun          bool
}

func (a *app) newModelsPull() *cobra.Command {
	var o pullOptions
	cmd := &cobra.Command{
		Use: "pull hf:OWNER/NAME[@REVISION][:FILE]|ADDRESS|NAME", Short: "Fetch a model from a hub, an address or the gallery",
		Long: `Fetch a model and import it. It is named by the hub's short form, by an https address together with the sha256 that its
publisher states, or by a name of "smalti models gallery". Size and licence are shown first; a licence that is unknown or
not one of the common free ones has to be accepted. A transfer that was interrupted goes on where it stopped. Every file is
checked by its hash, and the model tensor by tensor, before anything is stored; the code in checkpoints is never run.

HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE mean what they mean to the hub's other clients.`,
		Example: `  smalti models pull openai/vit-b-32
  smalti models pull hf:laion/CLIP-ViT-B-32-laion2B-s34B-b79K --name laion/b32
  smalti models pull https://example.org/last.ckpt --sha256 c0ffee... --name my/vqgan --licence mit`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.what = args[0]
			return a.runModelsPull(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "name to keep the model under; the repository's or the gallery's if left out")
	f.StringVar(&o.sum, "sha256", "", "hash that the weight file must have; an address needs it")
	f.StringVar(&o.licence, "licence", "", "its licence, where the source does not state one")
	f.BoolVar(&o.accept, "accept-licence", false, "accept the licence without being asked")
	f.BoolVar(&o.replace, "replace", false, "replace an existing model of that name")
	f.BoolVar(&o.offline, "offline", false, "use only what is on this machine, as HF_HUB_OFFLINE=1 does")
	f.BoolVar(&o.dryRun, "dry-run", false, "show size and licence, and fetch nothing")
	return cmd
}

func (a *app) runModelsPull(ctx context.Context, o pullOptions) error {
	ref, err := o.resolve()
	if err != nil {
		return err
	}
	s := a.openStore()
	if s.Root() == "" {
		return spec.Refuse("there is no folder for models", "set SMALTI_MODELS or HOME")
	}
	if err := o.checkName(s); err != nil {
		return err
	}
	client := hub.New(filepath.Join(s.Root(), "downloads"), a.env)
	client.Offline = client.Offline || o.offline
	plan, err := client.Plan(ctx, ref, o.sum)
	if err != nil {
		return explainPull(err)
	}
	if plan.Licence == "" {
		plan.Licence = o.licence
	}
	sink, done := a.openSink(false)
	defer done()
	sink.Emit(planEvent(o.name, plan))
	if o.dryRun {
		return nil
	}
	if err := a.acceptLicence(o, plan); err != nil {
		return err
	}
	return a.fetchAndImport(ctx, o, client, plan, sink)
}

// resolve turns what was asked for into a place, with the gallery's hash and licence if it is a name of the gallery.
func (o *pullOptions) resolve() (hub.Ref, error) {
	if !strings.Contains(o.what, ":") {
		e, ok := hub.Find(o.what)
		if !ok {
			return hub.Ref{}, spec.Refusef("run: smalti models gallery; anything else on a hub is hf:OWNER/NAME", "the gallery has no model %q", o.what)
		}
		if e.Unpack != "" {
			return hub.Ref{}, spec.Refusef(fmt.Sprintf("fetch %s by hand, unpack it and run: smalti models import %s --name %s", e.Source, e.Unpack, e.Name),
				"%s comes in an archive, which smalti does not unpack", e.Name)
		}
		o.what = e.Source
		o.name = first(o.name, e.Name)
		o.sum = first(o.sum, e.SHA256)
		o.licence = first(o.licence, e.Licence)
	}
	ref, err := hub.ParseRef(o.what)
	var bad *hub.RefError
	switch {
	case errors.As(err, &bad):
		return ref, spec.Refuse(bad.Error(), bad.Hint())
	case err != nil:
		return ref, err
	case ref.URL != "" && o.sum == "":
		return ref, spec.Refusef("add --sha256 with the hash that its publisher states; without one nobody can tell whether the file is the right one",
			"the hash of %s is not known", ref)
	}
	o.name = first(o.name, ref.Repo)
	return ref, nil
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// checkName refuses a name before anything is fetched for it.
func (o *pullOptions) checkName(s *store.Store) error {
	if o.name == "" {
		return spec.Refuse("--name is missing", "give the model a name, for example --name openai/vit-b-32")
	}
	if err := store.CheckName(o.name); err != nil || strings.HasPrefix(o.name, store.BuiltinPrefix) {
		return spec.Refusef("use letters, digits, dots, dashes and slashes, for example openai/vit-b-32", "%q cannot be the name of a model that is fetched", o.name)
	}
	if _, err := s.Get(o.name); err == nil && !o.replace {
		return spec.Refusef("choose another --name, or add --replace", "there is a model %q already", o.name)
	}
	return nil
}

// explainPull adds hints, and makes refusals of what was asked for wrongly.
func explainPull(err error) error {
	var choice *hub.ChoiceError
	var wrong *hub.HashError
	switch {
	case errors.Is(err, hub.ErrOffline):
		return hinted(err, "run it once without --offline and HF_HUB_OFFLINE")
	case errors.As(err, &choice):
		return spec.Refuse(choice.Error(), choice.Hint())
	case errors.As(err, &wrong) && wrong.Got == "":
		return spec.Refuse(wrong.Error(), wrong.Hint())
	case errors.Is(err, context.Canceled):
		return hinted(fmt.Errorf("stopped: %w", err), "run the same command again: it goes on where it stopped")
	case errors.Is(err, store.ErrBusy):
		return hinted(errors.New("another fetch is under way"), "try again when it is done")
	}
	return err
}

// planEvent says what would be fetched.
func planEvent(name string, p hub.Plan) event.Event {
	all, missing := p.Bytes()
	size := ui.Bytes(missing) + " to fetch"
	switch {
	case slices.ContainsFunc(p.Files, func(f hub.File) bool { return f.Size < 0 }):
		size = "of unknown size"
	case missing == 0:
		size = ui.Bytes(all) + ", all of it on this machine"
	case missing < all:
		size = fmt.Sprintf("%s of %s to fetch", ui.Bytes(missing), ui.Bytes(all))
	}
	text := map[string]string{"name": name, "source": p.Source(), "licence": first(p.Licence, "unknown")}
	for i, f := range p.Files {
		text[fmt.Sprintf("file.%d", i)] = f.Name
	}
	message := fmt.Sprintf("%s from %s: %s, licence %s", name, p.Source(), size, first(p.Licence, "unknown"))
	if p.Terms != "" {
		message += " (" + p.Terms + ")"
		text["terms"] = p.Terms
	}
	return event.Event{Kind: event.Notice, Message: message, Text: text, Values: map[string]float64{"bytes": float64(all), "missing": float64(missing)}}
}

// acceptLicence asks at a terminal, and otherwise refuses what was not accepted by a flag.
func (a *app) acceptLicence(o pullOptions, p hub.Plan) error {
	if o.accept || !hub.NeedsAcceptance(p.Licence) {
		return nil
	}
	refusal := spec.Refusef("read its terms, then add --accept-licence", "the licence of %s is %s", o.name, first(p.Licence, "unknown"))
	if f, ok := a.in.(*os.File); !ok || a.json || a.quiet || !isTerminal(f) {
		return refusal
	}
	fmt.Fprintf(a.err, "the licence is %s. Fetch the model under it? [y/N] ", first(p.Licence, "unknown"))
	answer, err := bufio.NewReader(io.LimitReader(a.in, 100)).ReadString('\n')
	if err == nil && slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return nil
	}
	return refusal
}

// isTerminal reports a device that somebody may type at; the null device is none.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(null, info)
}

func (a *app) fetchAndImport(ctx context.Context, o pullOptions, c *hub.Client, p hub.Plan, sink event.Sink) error {
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	got, err := c.Fetch(ctx, p, sink)
	if err != nil {
		return explainPull(err)
	}
	m, err := r.Import(ctx, run.ImportRequest{Path: got.Path, Name: o.name, Source: p.Source(), Licence: p.Licence, Replace: o.replace}, sink)
	if errors.Is(err, context.Canceled) || errors.Is(err, syscall.ENOSPC) {
		got.Keep() // whole and checked: the next pull need not fetch it again
		return err
	}
	got.Discard()
	if errors.Is(err, store.ErrExists) {
		return hinted(err, "choose another --name, or add --replace")
	}
	if err != nil {
		return fmt.Errorf("%s was fetched whole, but cannot be used: %w", p.Source(), err)
	}
	sink.Emit(event.Event{Kind: event.Done, Message: fmt.Sprintf("pulled %s, a %s of %s", m.Name, m.Kind, ui.Bytes(m.Size()))})
	return nil
}

func (a *app) newModelsGallery() *cobra.Command {
	return &cobra.Command{
		Use: "gallery", Short: "List well-known models that can be pulled by name", Args: exactly(0),
		Long: "List well-known models. Only what is known for certain is stated; for the rest the source is asked when the model is pulled.",
		Example: `  smalti models gallery
  smalti models gallery --json`,
		RunE: func(*cobra.Command, []string) error { return a.runModelsGallery() },
	}
}

func (a *app) runModelsGallery() error {
	t := ui.NewTable("NAME", "KIND", ">SIZE", "LICENCE", "SHA256", "ABOUT")
	for _, e := range hub.Gallery() {
		size := "unknown"
		if e.Bytes > 0 {
			size = ui.Bytes(e.Bytes)
		}
		if a.json {
			a.sink().Emit(event.Event{Kind: event.Result, Text: map[string]string{"name": e.Name, "kind": e.Kind, "source": e.Source, "sha256": e.SHA256,
				"licence": e.Licence, "basis": e.Basis, "about": e.About, "unpack": e.Unpack}, Values: map[string]float64{"bytes": float64(e.Bytes)}})
		}
		t.Row(e.Name, e.Kind, size, first(e.Licence, "unknown"), first(e.SHA256[:min(12, len(e.SHA256))], "unknown"), e.About)
	}
	if a.json {
		return nil
	}
	return t.Write(a.out)
}
