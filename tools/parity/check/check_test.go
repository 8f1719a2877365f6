package check

import (
	"os"
	"path/filepath"
	"testing"
)

// unchecked are the kinds of fixtures that are here for another reason than their model.
var unchecked = map[string]string{
	"discriminator": "the weight readers need its file from before PyTorch 1.6; the model comes with its training",
}

// TestFixtures runs every fixture of the repository and fails on any tensor that is off, and on a kind of fixture that
// nothing checks.
func TestFixtures(t *testing.T) {
	const root = "../../../testdata/golden"
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		ran++
		t.Run(e.Name(), func(t *testing.T) {
			kind, known, err := Kind(filepath.Join(root, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if why, ok := unchecked[kind]; ok {
				if known {
					t.Errorf("there is a checker for %s now: take it off the list", kind)
				}
				t.Skip(why)
			}
			results, err := Run(filepath.Join(root, e.Name()))
			if err != nil {
				t.Error(err)
			}
			for _, r := range results {
				if !r.OK {
					t.Errorf("%s: %s", r, r.Why)
				}
			}
		})
	}
	if ran == 0 {
		t.Fatal("no fixtures")
	}
}

func TestUnknownFolders(t *testing.T) {
	dir := t.TempDir()
	if _, err := Run(dir); err == nil {
		t.Error("a folder without a fixture went unnoticed")
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"kind":"astrology"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if kind, known, err := Kind(dir); kind != "astrology" || known || err != nil {
		t.Errorf("Kind = %q, %v, %v", kind, known, err)
	}
}
