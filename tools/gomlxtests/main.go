// Command gomlxtests runs GoMLX's own graph and layer tests on smalti's CPU backend. It copies the pinned module out of the
// module cache into a temporary folder, adds a file that registers the backend, builds its test packages and runs them.
//
// What GoMLX's Go backend fails too is listed in go-fails.txt, what this backend refuses for a reason in refused.txt; any other
// failure ends the command with status 1. `gomlxtests -reference` runs the tests on the Go backend and prints the list.
package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed go-fails.txt
var goFails string

//go:embed refused.txt
var refused string

// packages are those whose tests run graphs. Folders without tests of their own are left out.
var packages = []string{"core/graph", "core/graph/nanlogger", "core/tensors", "ml/dataset", "ml/layers", "ml/layers/activation", "ml/layers/attention",
	"ml/layers/attention/kvcache", "ml/layers/attention/pos", "ml/layers/bspline", "ml/layers/fnn", "ml/layers/kan", "ml/layers/lstm", "ml/layers/norm",
	"ml/layers/rational", "ml/layers/regularizer", "ml/layers/vnn", "ml/model", "ml/model/checkpoint", "ml/model/initializer", "ml/nn", "ml/train",
	"ml/train/loss", "ml/train/metric", "ml/train/optimizer", "ml/train/optimizer/cosineschedule", "ml/zoo/transformer",
	"ml/zoo/transformer/generate", "ml/zoo/transformer/generate/sample"}

func main() {
	reference := flag.Bool("reference", false, "run on GoMLX's Go backend and print what fails")
	only := flag.String("only", "", "run the packages whose path has this in it")
	limit := flag.Duration("limit", 5*time.Minute, "time for one package")
	flag.Parse()
	ok, err := run(*reference, *only, *limit)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gomlxtests:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(reference bool, only string, limit time.Duration) (ok bool, err error) {
	dir, err := os.MkdirTemp("", "gomlxtests-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	w := &workplace{dir: dir, backend: "smalti", limit: limit}
	if reference {
		w.backend = "go"
	}
	if err := w.prepare(); err != nil {
		return false, err
	}
	known, allowed := lines(goFails), lines(refused)
	total := counts{}
	for _, p := range packages {
		if !strings.Contains(p, only) {
			continue
		}
		results, err := w.test(p)
		if err != nil {
			return false, fmt.Errorf("%s: %w", p, err)
		}
		for _, r := range results {
			total.add(r, reference, known, allowed)
		}
	}
	if !reference {
		fmt.Printf("%d passed, %d skipped, %d failed as on the Go backend, %d refused, %d FAILED; %d pass that fail on the Go backend\n",
			total.passed, total.skipped, total.known, total.refused, total.failed, total.better)
	}
	return total.failed == 0, nil
}

// counts adds up results.
type counts struct{ passed, skipped, known, refused, failed, better int }

func (c *counts) add(r result, reference bool, known, allowed []string) {
	switch {
	case r.outcome == "SKIP":
		c.skipped++
	case r.outcome == "PASS":
		c.passed++
		if slices.Contains(known, r.name) {
			c.better++
		}
	case reference:
		fmt.Println(r.name)
	case slices.Contains(known, r.name):
		c.known++
	case slices.Contains(allowed, r.name):
		c.refused++
	default:
		c.failed++
		fmt.Printf("FAILED %s\n%s", r.name, brief(r.output))
	}
}

// lines are those of a list, without comments.
func lines(s string) (out []string) {
	for l := range strings.Lines(s) {
		if l, _, _ = strings.Cut(l, "#"); strings.TrimSpace(l) != "" {
			out = append(out, strings.TrimSpace(l))
		}
	}
	return out
}

// result is one test of a package, without its subtests.
type result struct{ name, outcome, output string }

// workplace is the copy of GoMLX.
type workplace struct {
	dir, backend string
	limit        time.Duration
}

// register is a package that the two places import through which tests get at backends.
const register = `package smalti

import (
	"github.com/gomlx/compute"

	"github.com/smalti/smalti/engine/cpu"
)

func init() {
	compute.Register("smalti", func(string) (compute.Backend, error) { return cpu.New(cpu.Options{}) })
}
`

// prepare copies the module and writes what is around it. GoMLX's tests ask go-xla to install a plugin, which takes cgo and a
// network: a stand-in does nothing.
func (w *workplace) prepare() error {
	from, err := goTool(".", "list", "-m", "-f", "{{.Dir}}", "github.com/gomlx/gomlx")
	if err != nil {
		return err
	}
	here, err := goTool(".", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	if err := copyTree(filepath.Join(w.dir, "gomlx"), from); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"gomlx/internal/smalti/smalti.go":  register,
		"gomlx/backends/default/smalti.go": "package _default\n\nimport _ \"github.com/gomlx/gomlx/internal/smalti\"\n",
		"gomlx/support/testutil/smalti.go": "package testutil\n\nimport _ \"github.com/gomlx/gomlx/internal/smalti\"\n",
		"xla/go.mod":                       "module github.com/gomlx/go-xla\n\ngo 1.26\n",
		"xla/compute/xla/xla.go":           "package xla\n\nfunc AutoInstall() error { return nil }\n",
		"go.work":                          "go 1.26.5\n\nuse ./gomlx\nuse ./xla\nuse " + here + "\n",
	} {
		path := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// goTool runs the go command in a folder and returns what it prints.
func goTool(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// copyTree copies files; those of the module cache are read-only, the copies are not.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
}

// test builds and runs the tests of a package. A panic ends a test binary: it is started again without the tests that ran.
func (w *workplace) test(pkg string) ([]result, error) {
	root := filepath.Join(w.dir, "gomlx")
	bin := filepath.Join(w.dir, "bin", strings.ReplaceAll(pkg, "/", "-"))
	if _, err := goTool(root, "test", "-tags", "noxla", "-c", "-o", bin, "./"+pkg); err != nil {
		return nil, err
	}
	var results []result
	for range 100 {
		args := []string{"-test.v", "-test.short", "-test.timeout", w.limit.String()}
		if len(results) > 0 {
			var done []string
			for _, r := range results {
				_, name, _ := strings.Cut(r.name, " ")
				done = append(done, name)
			}
			args = append(args, "-test.skip", "^("+strings.Join(done, "|")+")$")
		}
		cmd := exec.Command(bin, args...)
		cmd.Dir = filepath.Join(root, pkg)
		cmd.Env = append(os.Environ(), "GOMLX_BACKEND="+w.backend)
		out, err := cmd.CombinedOutput()
		more, crashed := parse(pkg, out)
		results = append(results, more...)
		if !crashed {
			return results, nil
		}
		if len(more) == 0 {
			return nil, fmt.Errorf("no test ran: %w\n%s", err, tail(out))
		}
	}
	return nil, fmt.Errorf("the tests panic again and again")
}

// parse reads the verbose output of a test binary and says whether a test took it down: such a one has failed.
func parse(pkg string, out []byte) (results []result, crashed bool) {
	at, begun, ended := "", 0, false
	s := bufio.NewScanner(bytes.NewReader(out))
	s.Buffer(nil, 64<<20)
	offset := 0
	for s.Scan() {
		line := s.Text()
		ended = ended || line == "PASS" || line == "FAIL" // what a test binary says when all tests have run
		if name, ok := strings.CutPrefix(line, "=== RUN   "); ok && !strings.Contains(name, "/") {
			at, begun = name, offset
		}
		for _, outcome := range []string{"PASS", "FAIL", "SKIP"} {
			// The mark may follow on what a test printed without ending the line.
			_, rest, ok := strings.Cut(line, "--- "+outcome+": ")
			if !ok || strings.HasPrefix(line, " ") {
				continue
			}
			name, _, _ := strings.Cut(rest, " ")
			if !strings.Contains(name, "/") && name == at {
				results = append(results, result{pkg + " " + name, outcome, tail(out[begun:min(len(out), offset+len(line))])})
				at = ""
			}
		}
		offset += len(s.Bytes()) + 1
	}
	if at != "" {
		results = append(results, result{pkg + " " + at, "FAIL", tail(out[begun:])})
	}
	return results, !ended
}

// brief keeps the lines of an output that say what is wrong.
func brief(out string) string {
	var b strings.Builder
	kept := 0
	for l := range strings.Lines(out) {
		if kept < 20 && containsAny(l, "Error:", "Error Trace:", "panic", "not implemented", "mismatch", "doesn't match", "--- FAIL", "refused", "cpu:") {
			kept++
			b.WriteString("\t" + strings.TrimSpace(l) + "\n")
		}
	}
	return b.String()
}

func containsAny(s string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}

// tail is the end of an output.
func tail(out []byte) string {
	const most = 20_000
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return string(out)
}
