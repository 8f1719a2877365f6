package course

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smalti/smalti/train"
)

// TestReadCourse reads a journal whose numbers can be worked out by hand.
func TestReadCourse(t *testing.T) {
	var b strings.Builder
	for step := 10; step <= 1000; step += 10 {
		norm := 2.
		if step > 800 {
			norm = 1 + .1*float64(step%20)/10 // 1 and 1.1 in turn
		}
		fmt.Fprintf(&b, `{"kind":"scalars","step":%d,"values":{"critic.wasserstein":%g,"critic.norm_mixed":%g}}`+"\n", step, map[bool]float64{true: 40, false: 10}[step <= 500], norm)
		if step%50 == 0 {
			fmt.Fprintf(&b, `{"kind":"scalars","step":%d,"scores":{"distance":%d,"modes":%d}}`+"\n", step, 1100-step, step/100)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, train.EventsFile), []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	c, err := ReadCourse(dir)
	if err != nil {
		t.Fatal(err)
	}
	// From 500 on the average falls towards 10 by a tenth a report; the first of the last fifth is the 31st after.
	end := 10 + 30*math.Pow(.9, 31)
	if math.Abs(c.EstimatePeak-40) > 1e-9 || math.Abs(c.EstimateEnd-end) > .01 || math.Abs(c.MixedEnd-1.05) > 1e-9 {
		t.Errorf("estimate %g, at the end %g (want %g); norm %g", c.EstimatePeak, c.EstimateEnd, end, c.MixedEnd)
	}
	if c.DistanceEarly != 1000 || c.EarlyStep != 100 || c.DistanceEnd != 100 || c.DistanceBest != 100 || c.ModesEnd != 10 || c.ModesLeast != 5 || c.Steps != 1000 {
		t.Errorf("%+v", c)
	}
	if err := os.WriteFile(filepath.Join(dir, train.EventsFile), []byte(`{"kind":"scalars","step":3,"values":{"loss":1}}`+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if c, err := ReadCourse(dir); err != nil || c.EstimatePeak != -1 || c.MixedEnd != -1 || c.DistanceEnd != -1 || c.ModesLeast != -1 || c.Steps != 3 {
		t.Errorf("a journal without any of them: %+v, %v", c, err)
	}
}
