package clip

import (
	"context"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/weights"
	"github.com/smalti/smalti/weights/weightstest"
)

// TestLargeFile writes a random ViT-B/32 as OpenAI's TorchScript archive holds it, 350 MB, and measures what checking it
// (which is what an import does), loading and using it cost. It needs the disk space, so it runs only when SMALTI_LARGE
// is set; memory is read where /proc has it.
func TestLargeFile(t *testing.T) {
	if os.Getenv("SMALTI_LARGE") == "" {
		t.Skip("set SMALTI_LARGE to write and load a file of 350 MB")
	}
	e := testEngine(t)
	path := filepath.Join(t.TempDir(), "ViT-B-32.pt")
	size := writeLarge(t, ViTB32(), path)
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	start := time.Now()
	c, err := Check(e, f, nil)
	if err != nil || fmt.Sprint(c) != fmt.Sprint(ViTB32()) {
		t.Fatalf("Check = %+v, %v", c, err)
	}
	peak := peakBytes()
	t.Logf("check: %v, peak %d MB of a file of %d MB", time.Since(start), peak>>20, size>>20)
	if peak > size/4 {
		t.Errorf("checking names and shapes took %d MB", peak>>20)
	}
	start = time.Now()
	m, err := Open(e, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	peak = peakBytes()
	t.Logf("open: %v, peak %d MB", time.Since(start), peak>>20)
	// The weights in float32 are 1.7 times the file; the rest is the mapped file and the largest tensor in two layouts.
	if peak > size*13/4 {
		t.Errorf("loading took %d MB for a file of %d MB", peak>>20, size>>20)
	}
	start = time.Now()
	if _, err := m.Score(context.Background(), image.NewNRGBA(image.Rect(0, 0, 300, 200)), "a red apple"); err != nil {
		t.Fatal(err)
	}
	t.Logf("one picture and one text: %v", time.Since(start))
}

func writeLarge(t *testing.T, c Config, path string) int64 {
	t.Helper()
	names, err := c.FileTensors(testEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	var list []weightstest.Tensor
	for i, x := range names {
		if x.DType == weights.I64 {
			list = append(list, weightstest.Tensor{Name: x.Name, DType: x.DType, Shape: x.Shape, Fill: weightstest.Int64s(int64(i))})
			continue
		}
		list = append(list, weightstest.Random(x.Name, x.DType, x.Shape, uint64(i), 0.05))
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := weightstest.WriteTorchZip(f, list, weightstest.Options{Layout: weightstest.TorchScript}); err != nil {
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
