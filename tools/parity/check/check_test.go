package check

import (
	"os"
	"path/filepath"
	"testing"
)

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
