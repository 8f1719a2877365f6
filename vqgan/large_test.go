package vqgan_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
	"github.com/smalti/smalti/weights/weightstest"
)

// TestLargeFile writes a random checkpoint of the published size, 374 MB in Lightning's layout, and measures what
// checking it (which is what an import does) and loading it cost. It needs the disk space, so it runs only when
// SMALTI_LARGE is set; memory is read where /proc has it.
func TestLargeFile(t *testing.T) {
	if os.Getenv("SMALTI_LARGE") == "" {
		t.Skip("set SMALTI_LARGE to write and load a file of 374 MB")
	}
	e := newEngine(t)
	c := vqgan.ImageNetF16(16384)
	path := filepath.Join(t.TempDir(), "f16.ckpt")
	size := writeLarge(t, c, path)
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	start := time.Now()
	got, err := vqgan.Check(e, f, nil)
	if err != nil || got.NEmbed != c.NEmbed || got.Ch != c.Ch {
		t.Fatalf("Check = %+v, %v", got, err)
	}
	peak := peakBytes()
	t.Logf("check: %v, peak %d MB of a file of %d MB", time.Since(start), peak>>20, size>>20)
	if peak > size/4 {
		t.Errorf("checking names and shapes took %d MB", peak>>20)
	}
	start = time.Now()
	m, err := vqgan.Open(e, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	peak = peakBytes()
	t.Logf("open: %v, peak %d MB, %d variables", time.Since(start), peak>>20, len(m.Weights()))
	// The weights once (0.81 of the file, the rest is the loss), and the mapped pages that they are read from.
	if peak > size*9/5 {
		t.Errorf("loading took %d MB for a file of %d MB", peak>>20, size>>20)
	}
}

func writeLarge(t *testing.T, c vqgan.Config, path string) int64 {
	t.Helper()
	names, err := c.FileTensors(newEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	var list []weightstest.Tensor
	for i, x := range names {
		list = append(list, weightstest.Random(x.Name, weights.F32, x.Shape, uint64(i), 0.05))
	}
	list = append(list, weightstest.Random("loss.everything", weights.F32, []int{17_400_000}, 1, 0.05)) // VGG16 and discriminator
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := weightstest.WriteTorchZip(f, list, weightstest.Options{Layout: weightstest.Lightning}); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// peakBytes is the largest resident size so far, 0 where the system does not say.
func peakBytes() int64 {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}
