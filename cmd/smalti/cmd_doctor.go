package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/ui"
	"github.com/smalti/smalti/vqgan"
)

func (a *app) newDoctor() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Say what this machine and this program have, and test them briefly", Args: exactly(0),
		Example: `  smalti doctor
  smalti doctor --json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDoctor(cmd.Context()) },
	}
}

// finding is one line of the doctor's report.
type finding struct {
	what, value string
	bad         bool
}

func (a *app) runDoctor(ctx context.Context) error {
	findings := []finding{
		{what: "smalti", value: release},
		{what: "built with", value: runtime.Version() + " for " + runtime.GOOS + "/" + runtime.GOARCH},
		{what: "processors", value: fmt.Sprint(runtime.NumCPU())},
		memory(),
	}
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	findings = append(findings,
		finding{what: "CPU features", value: features(r.Engine().Features())},
		finding{what: "CPU class", value: r.Build().CPU},
		finding{what: "kernels", value: r.Engine().Kernels()},
		finding{what: "backend", value: r.Build().Backend},
		finding{what: "threads", value: fmt.Sprint(r.Engine().Threads())})
	s := a.openStore()
	findings = append(findings, modelFindings(s)...)
	findings = append(findings, a.selfTest(ctx, r), fallbacks(r))
	bad := 0
	t := ui.NewTable()
	for _, f := range findings {
		value := f.value
		if f.bad {
			bad++
			value = "PROBLEM: " + value
		}
		if a.json {
			a.sink().Emit(event.Event{Kind: event.Result, Text: map[string]string{"what": f.what, "value": value}})
		}
		t.Row(f.what, value)
	}
	if !a.json {
		if err := t.Write(a.out); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d problem(s) found", bad)
	}
	return nil
}

// features joins the names of CPU extensions.
func features(names []string) string {
	if len(names) == 0 {
		return "none that kernels are made for"
	}
	return strings.Join(names, " ")
}

func modelFindings(s *store.Store) []finding {
	root := s.Root()
	if root == "" {
		root = "none (set SMALTI_MODELS or HOME): only built-in models"
	}
	out := []finding{{what: "model folder", value: root}}
	models, err := s.List()
	for _, m := range models {
		out = append(out, finding{what: "model", value: fmt.Sprintf("%s %s (%s, %s)", m.Name, m.Version, m.Kind, ui.Bytes(m.Size()))})
	}
	if err != nil {
		out = append(out, finding{what: "models", value: oneLine(err.Error()), bad: true})
	}
	return out
}

// fallbacks says which operations of the self-test ran on GoMLX's slow backend.
func fallbacks(r *run.Runner) finding {
	counts := r.Engine().Fallbacks()
	if len(counts) == 0 {
		return finding{what: "fallbacks", value: "none: every operation runs on smalti's own kernels"}
	}
	return finding{what: "fallbacks", value: fmt.Sprint(counts)}
}

// testCodes is a small grid with many different codes.
func testCodes(n int) vqgan.Codes {
	c := vqgan.Codes{H: 8, W: 8, Idx: make([]int32, 64)}
	for i := range c.Idx {
		c.Idx[i] = int32(i * 7 % n)
	}
	return c
}

// selfTest decodes a picture twice and looks at it with CLIP: the whole way but the optimiser, in about two seconds.
func (a *app) selfTest(ctx context.Context, r *run.Runner) finding {
	began := a.now()
	f := finding{what: "self-test"}
	fail := func(err error) finding { f.value, f.bad = oneLine(err.Error()), true; return f }
	j := spec.Default()
	v, _, err := r.VQGAN(j.VQGAN)
	if err != nil {
		return fail(err)
	}
	c, _, err := r.CLIP(j.CLIP[0])
	if err != nil {
		return fail(err)
	}
	first, err := v.Decode(testCodes(v.Config().NEmbed))
	if err != nil {
		return fail(err)
	}
	second, err := v.Decode(testCodes(v.Config().NEmbed))
	if err != nil {
		return fail(err)
	}
	for i := range first.Pix {
		if first.Pix[i] != second.Pix[i] {
			return fail(fmt.Errorf("the same codes gave two pictures"))
		}
	}
	if _, err := c.Score(ctx, first.ToImage(), "a red apple"); err != nil {
		return fail(err)
	}
	f.value = fmt.Sprintf("ok: decoded a picture twice, equal, and looked at it with CLIP in %s", a.now().Sub(began).Round(10*time.Millisecond))
	return f
}
