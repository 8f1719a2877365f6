package cpu

import (
	"os"
	"testing"

	"github.com/gomlx/compute/support/backendtest"
)

// TestCompliance runs the suite that the compute package has for backends.
func TestCompliance(t *testing.T) {
	b, err := New(Options{Threads: 2, Class: os.Getenv("SMALTI_CPU")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Finalize()
	backendtest.RunAll(t, b, nil)
	t.Logf("fallbacks: %v", b.Fallbacks())
}
