//go:build unix

// Command fit measures how well smalti paint --fit predicts: it paints a few steps in each of six settings and prints the predicted and
// the measured memory and time beside each other.
//
//	go build -o smalti ./cmd/smalti && go run ./tools/fit ./smalti
//
// With a number as second argument it measures that setting alone, with flags one of yours, such as models of the store:
//
//	go run ./tools/fit ./smalti "--vqgan taming/imagenet-16384 --clip openai/vit-b-32 --size 256 --cuts 32"
//
// It needs a quiet machine: what the probes see is what they predict.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settings are chosen to differ in what memory goes to: kept maps, planes of cuts, plain size.
var settings = []string{
	"--size 256 --cuts 8",
	"--size 384x256 --cuts 8 --low-memory",
	"--size 512 --cuts 16",
	"--size 512 --cuts 8 --chunk 2",
	"--size 768 --cuts 8 --low-memory",
	"--size 1024 --cuts 8",
}

// The first steps are left out: they compile and pack weights.
const steps, skipped = 5, 2

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: fit SMALTI [NUMBER|FLAGS]")
		os.Exit(2)
	}
	if len(os.Args) > 2 && strings.HasPrefix(os.Args[2], "-") {
		settings, os.Args = os.Args[2:3], os.Args[:2]
	}
	for i, s := range settings {
		if len(os.Args) > 2 && os.Args[2] != strconv.Itoa(i+1) {
			continue
		}
		line, err := measure(os.Args[1], s)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(line)
	}
}

// measure paints in one setting.
func measure(smalti, setting string) (string, error) {
	dir, err := os.MkdirTemp("", "fit-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	args := append([]string{"paint", "a red apple", "--fit", "--seed", "1", "--steps", strconv.Itoa(steps), "-o", filepath.Join(dir, "a.png"), "--json"}, strings.Fields(setting)...)
	cmd := exec.Command(smalti, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	var bytes, seconds float64
	var first, last time.Time
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var e struct {
			Kind   string
			Step   int
			Values map[string]float64
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return "", err
		}
		if n, ok := e.Values["bytes"]; ok {
			bytes, seconds = n, e.Values["seconds"]/steps
		}
		if e.Kind == "step" {
			if last = time.Now(); e.Step == skipped {
				first = last
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w", setting, err)
	}
	rss := float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) * 1024
	took := last.Sub(first).Seconds() / (steps - skipped)
	return fmt.Sprintf("| `%s` | %.0f | %.0f | %+.0f %% | %.2f | %.2f | %+.0f %% |", setting,
		bytes/1e6, rss/1e6, 100*(bytes/rss-1), seconds, took, 100*(seconds/took-1)), nil
}
