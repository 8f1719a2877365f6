// Parity compares smalti's models with the reference implementations:
//
//	go run ./tools/parity DIR...
//
// Each DIR is a fixture folder (package golden). For every compared tensor it prints one line
//
//	folder tensor max_abs_err max_rel_err tolerance ok
//
// with FAIL in place of ok when the error is out of bounds, and "skip KIND folder" for kinds that have no checker.
// Models that a config.json names are the folders of that base name beside it. Arguments that are not folders are
// ignored. The exit status is 1 when anything is FAIL or could not be compared; reasons go to standard error.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/smalti/smalti/tools/parity/check"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	out := bufio.NewWriter(stdout)
	status := 0
	for _, dir := range args {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		if !folder(dir, out, stderr) {
			status = 1
		}
		if err := out.Flush(); err != nil {
			fmt.Fprintln(stderr, "parity:", err)
			return 1
		}
	}
	return status
}

// folder prints the comparisons of one folder and reports whether all was well.
func folder(dir string, out, stderr io.Writer) bool {
	results, err := check.Run(dir)
	if errors.Is(err, check.ErrNoChecker) {
		if kind, _, err := check.Kind(dir); err == nil {
			abs, _ := filepath.Abs(dir)
			fmt.Fprintf(out, "skip %s %s\n", kind, filepath.Base(abs))
			return true
		}
	}
	ok := err == nil
	for _, r := range results {
		fmt.Fprintln(out, r)
		if !r.OK {
			ok = false
			if r.Why != "" {
				fmt.Fprintf(stderr, "parity: %s %s: %s\n", r.Folder, r.Tensor, r.Why)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "parity:", err)
	}
	return ok
}
