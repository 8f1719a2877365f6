package paint

import (
	"testing"
	"time"

	"github.com/smalti/smalti/engine"
)

// TestPlanIsOfWhatRuns plans and then paints: a program that had to be compiled for the step was not the one that was planned.
func TestPlanIsOfWhatRuns(t *testing.T) {
	for _, low := range []bool{false, true} {
		e, err := engine.New(engine.Options{Threads: 1, LowMemory: low})
		if err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []string{"updated", "original"} {
			d, enc := toys(t, e)
			cfg := toyConfig(t, scheme)
			p, err := New(e, d, []ImageEncoder{enc}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Begin(Start{Kind: StartCodes}); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Picture(Now); err != nil { // with little memory the step decodes with this program first
				t.Fatal(err)
			}
			plan, err := p.Plan(cfg.Chunk)
			if err != nil {
				t.Fatal(err)
			}
			if plan.Arena <= 0 || plan.Picture <= 0 || (plan.Kept > 0) == low || plan.Planes != 2*3*12*cfg.Width*cfg.Height {
				t.Errorf("%s: %+v", scheme, plan)
			}
			r := engine.Record(engine.RecordOptions{Now: time.Now})
			advance(t, p, 1)
			for _, s := range r.Take() {
				if s.Compile {
					t.Errorf("%s, low memory %v: %s was not planned", scheme, low, s.Program)
				}
			}
			r.Stop()
			one, err := p.Plan(1)
			if err != nil {
				t.Fatal(err)
			}
			if 3*one.Planes != plan.Planes {
				t.Errorf("%s: planes of one cut take %d bytes, of three %d", scheme, one.Planes, plan.Planes)
			}
		}
		e.Close()
	}
}
