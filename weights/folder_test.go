package weights_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/weights"
)

// TestFolders opens folders as the Hugging Face libraries lay them out.
func TestFolders(t *testing.T) {
	write := func(path string, names ...string) {
		var outs []weights.Out
		for _, n := range names {
			outs = append(outs, weights.Out{Name: n, DType: weights.F32, Shape: []int{1}, Floats: []float32{1}})
		}
		if err := weights.SaveFile(path, func(w io.Writer) error { return weights.WriteSafetensors(w, nil, outs) }); err != nil {
			t.Fatal(err)
		}
	}
	index := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if _, err := weights.Open(dir); !errors.Is(err, weights.ErrFormat) {
		t.Errorf("empty folder: %v", err)
	}
	write(filepath.Join(dir, "a.safetensors"), "a")
	if f, err := weights.Open(dir); err != nil || f.Path() != dir || !slices.Equal(f.Names(), []string{"a"}) {
		t.Errorf("the only file: %v, %v", f, err)
	}
	write(filepath.Join(dir, "b.safetensors"), "b", "c")
	if _, err := weights.Open(dir); !errors.Is(err, weights.ErrFormat) || !strings.Contains(err.Error(), "a.safetensors, b.safetensors") {
		t.Errorf("two files: %v", err)
	}
	path := filepath.Join(dir, "model.safetensors.index.json")
	index(path, `{"metadata":{"total_size":12},"weight_map":{"a":"a.safetensors","b":"b.safetensors","c":"b.safetensors"}}`)
	for _, p := range []string{dir, path} {
		f, err := weights.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		if f.Format() != weights.Sharded || !slices.Equal(f.Names(), []string{"a", "b", "c"}) {
			t.Errorf("shards: %s, %v", f.Format(), f.Names())
		}
		if c, _ := f.Tensor("c"); !slices.Equal(floats(t, c), []float32{1}) {
			t.Error("a shard's tensor is wrong")
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if c, _ := f.Tensor("c"); c != nil {
			if _, err := c.Float32(); !errors.Is(err, weights.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
	}
	bad := map[string]string{
		`{"weight_map":{"a":"a.safetensors","x":"b.safetensors"}}`: "does not place",
		`{"weight_map":{"a":"a.safetensors","d":"a.safetensors"}}`: "lacks tensor",
		`{"weight_map":{"a":"../a.safetensors"}}`:                  "same folder",
		`{"weight_map":{"a":"/etc/passwd"}}`:                       "same folder",
		`{"weight_map":{"a":".."}}`:                                "same folder",
		`{"weight_map":{"a":"model.safetensors.index.json"}}`:      "neither safetensors",
		`{"weight_map":{}}`:                                        "weight_map",
		`{"weight_map"`:                                            "shard index",
		`{"weight_map":{"a":"a.safetensors","b":"b.safetensors","c":"b.safetensors","absent":"absent.safetensors"}}`: "absent.safetensors",
	}
	for text, want := range bad {
		index(path, text)
		if _, err := weights.Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one that contains %q", text, err, want)
		}
	}
	write(filepath.Join(dir, "model.safetensors"), "whole")
	if f, err := weights.Open(dir); err != nil || !slices.Equal(f.Names(), []string{"whole"}) {
		t.Errorf("model.safetensors goes first: %v, %v", f, err)
	}
}
