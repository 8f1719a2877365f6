package pixel

import (
	"bytes"
	"errors"
	"testing"

	"github.com/smalti/smalti/pixel/filmtest"
)

// TestChromiumPlaysWebM plays a film to its end in a browser. It is skipped where there is none. A script of cmd/smalti plays
// what smalti morph writes.
func TestChromiumPlaysWebM(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	var film bytes.Buffer
	if err := EncodeWebM(&film, movie(36, 50, 34), 85); err != nil {
		t.Fatal(err)
	}
	got, err := filmtest.Play(t.Context(), film.Bytes())
	if errors.Is(err, filmtest.ErrNoBrowser) {
		t.Skip(err)
	}
	if want := "ended at 1.5 of 1.5, 50x34"; err != nil || got != want {
		t.Errorf("the browser says %q, want %q (%v)", got, want, err)
	}
}
