// Command smalti makes pictures from words on the user's own machine.
//
// main.go holds what all verbs share: flags and their environment twins, exit codes and hints, where events go. Each
// verb has a file of its own with the same anatomy: newVerb builds the command, verbOptions.addFlags its flags, and
// runVerb does the work through packages run, store, dataset and train.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/smalti/smalti/spec"
)

// Exit codes of the contract.
const (
	exitOK        = 0
	exitFailed    = 1 // failed at work: a corrupt file, a full disk, a loss that is not a number
	exitRefused   = 2 // refused before any work: an unknown verb, flag or name, a value out of range
	exitCancelled = 130
)

// app is what a verb may touch of the outside world.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
	now      func() time.Time

	json, quiet bool
	threads     int
	lowMemory   bool
	bands       bandsFlag
	profile     string
	pprof       string
}

func main() { os.Exit(realMain()) }

func realMain() int {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, now: time.Now}
	boundGarbage(a.env)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once: the first restores the default behaviour.
	context.AfterFunc(ctx, stop)
	return a.run(ctx, os.Args[1:])
}

// run parses and executes one command line and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.newRoot()
	root.SetArgs(args)
	var profiles *profiles
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.applyEnv(cmd.Flags()); err != nil {
			return err
		}
		if a.threads < 0 {
			return spec.Refusef("leave it out to use every processor", "--threads is %d", a.threads)
		}
		var err error
		profiles, err = startProfiles(a.profile, a.pprof, a.now)
		return err
	}
	err := root.ExecuteContext(ctx)
	if perr := profiles.stop(); err == nil {
		err = perr
	}
	return a.report(ctx, err)
}

func (a *app) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "smalti",
		Short: "Make pictures from words on your own machine",
		Long: `smalti makes pictures from words on your own machine: CLIP says how well a picture fits the words,
a VQGAN paints it out of small pieces, and the two work on it step by step.

Start with:  smalti paint "a red apple"`,
		Version: version(),

		SuggestionsMinimumDistance: 2,
		SilenceErrors:              true,
		SilenceUsage:               true,
		Args:                       cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return spec.Refusef(suggest(cmd, args[0]), "there is no verb %q", args[0])
			}
			return cmd.Help()
		},
	}
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, "one JSON event per line on standard output")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "say nothing but errors")
	f.IntVar(&a.threads, "threads", 0, "processors to use; 0 means all")
	f.BoolVar(&a.lowMemory, "low-memory", false, "compute again instead of keeping: less memory, slower, the same pictures")
	f.Var(&a.bands, "bands", "compute large pictures band by band: less memory, the same pictures; in bands of 16 MB, or of about `SIZE` (--bands=4MB)")
	f.Lookup("bands").NoOptDefVal = bandsUsual
	f.StringVar(&a.profile, "profile", "", "write the time of every operation to `FILE` (for chrome://tracing) and FILE.txt (a table)")
	f.StringVar(&a.pprof, "pprof", "", "write a CPU profile of the program to `FILE`, for go tool pprof")
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return spec.Refusef("run: "+cmd.CommandPath()+" --help", "%v", err)
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		a.newPaint(), a.newSample(), a.newContinue(), a.newRerun(), a.newShow(), a.newDiff(), a.newMorph(), a.newLab(), a.newStory(),
		a.newCLIP(), a.newVQGAN(), a.newModels(), a.newData(), a.newTrain(), a.newGAN(), a.newRuns(), a.newBench(), a.newDoctor(),
	)
	return root
}

func suggest(cmd *cobra.Command, verb string) string {
	if s := cmd.SuggestionsFor(verb); len(s) > 0 {
		return "did you mean: smalti " + s[0]
	}
	return "run: smalti --help"
}

// applyEnv gives every flag that was not set on the command line the value of its environment twin: --init-noise has
// SMALTI_INIT_NOISE. SMALTI_DATA is not the twin of --data: it names the folder of all packs (dataRoot).
func (a *app) applyEnv(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		name := envName(f.Name)
		v := a.env(name)
		if f.Changed || v == "" || err != nil || slices.Contains([]string{"help", "version", "data"}, f.Name) {
			return
		}
		if e := flags.Set(f.Name, v); e != nil {
			err = spec.Refusef("unset it or give it a value that --"+f.Name+" takes", "%s=%q: %v", name, v, e)
		}
	})
	return err
}

func envName(flag string) string {
	return "SMALTI_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// report prints an error in at most three lines and returns the exit code.
func (a *app) report(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	what, hint := explain(err)
	code := exitFailed
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		code = exitCancelled
	case spec.IsRefusal(err):
		code = exitRefused
	}
	if a.json {
		a.emitFailed(what, hint)
	}
	if code == exitCancelled && a.quiet {
		return code
	}
	fmt.Fprintf(a.err, "smalti: %s\n", oneLine(what))
	if hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", oneLine(hint))
	}
	return code
}

// oneLine keeps an error message within a line: foreign errors may carry stacks and lists.
func oneLine(s string) string {
	const most = 600
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + " ..."
	}
	return s
}

// exactly and atLeast are argument checks whose refusal shows the usage.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return spec.Refusef("run: "+cmd.UseLine(), "%s takes %d argument(s), got %d", cmd.CommandPath(), n, len(args))
		}
		return nil
	}
}

func atLeast(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return spec.Refusef("run: "+cmd.UseLine(), "%s takes at least %d argument(s), got %d", cmd.CommandPath(), n, len(args))
		}
		return nil
	}
}

// group makes a verb that only holds other verbs.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return spec.Refusef("run: "+cmd.CommandPath()+" --help", "%s has no verb %q", cmd.CommandPath(), args[0])
		}
		return cmd.Help()
	}
	cmd.AddCommand(subs...)
	return cmd
}

// version is the module's version with the revision it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return smaltiVersion(info)
}
