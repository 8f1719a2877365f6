// Package search finds pictures of a folder by words, by other pictures and by sums of both. It keeps the features of
// the pictures in an index, so that only new and changed files are looked at again. The index is one file that may be
// deleted at any time.
//
//	ix, skipped, err := search.Update(ctx, encoder, search.Options{...}, sink)
//	q, err := search.ParseQuery("dog - leash")
//	v, err := q.Vector(ctx, encoder, load)
//	hits := ix.Nearest(v, 10)
package search

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smalti/smalti/weights"
)

// Entry is one file that was looked at. A file whose size and time of change are the same is taken for the same.
type Entry struct {
	Name string `json:"name"` // below the folder, with slashes
	Size int64  `json:"size"`
	Time int64  `json:"time"`           // of the last change, nanoseconds since 1970
	Why  string `json:"skip,omitempty"` // why it has no features; "" if it has
}

// Index holds unit features of a folder's pictures.
type Index struct {
	Entries  []Entry
	features [][]float32 // of Entries, [D] each and of length 1; nil where the file was skipped
	dim      int         // D
}

const (
	schema       = "1"
	maxEntryText = 2 << 30 // bytes of the list of files
)

// ErrDamaged says that a file is no index that can be read.
var ErrDamaged = errors.New("not a readable index")

// load reads an index that was made with a model by its sha256. An index of another model or of another D is damaged
// too: its numbers say nothing here.
func load(path, model string, dim int) (*Index, error) {
	f, err := weights.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer f.Close()
	ix := &Index{dim: dim}
	list, haveList := f.Tensor("files")
	table, haveTable := f.Tensor("features")
	meta := f.Metadata()
	if !haveList || !haveTable || meta["schema"] != schema || meta["clip"] != model || list.NumBytes() > maxEntryText {
		return nil, ErrDamaged
	}
	raw, err := list.Bytes()
	if err != nil || json.Unmarshal(raw, &ix.Entries) != nil {
		return nil, ErrDamaged
	}
	rows := 0
	for _, e := range ix.Entries {
		if e.Why == "" {
			rows++
		}
	}
	flat, err := table.Float32()
	if err != nil || !slices.Equal(table.Shape, []int{rows, dim}) {
		return nil, ErrDamaged
	}
	for _, e := range ix.Entries {
		if e.Why != "" {
			ix.features = append(ix.features, nil)
			continue
		}
		row := slices.Clone(flat[:dim])
		flat = flat[dim:]
		if !unit(row) {
			return nil, ErrDamaged
		}
		ix.features = append(ix.features, row)
	}
	return ix, nil
}

// save writes the index whole or not at all.
func (ix *Index) save(path, model string) error {
	list, err := json.Marshal(ix.Entries)
	if err != nil {
		return err
	}
	var flat []float32
	rows := 0
	for _, f := range ix.features {
		if f != nil {
			flat = append(flat, f...)
			rows++
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return weights.SaveFile(path, func(w io.Writer) error {
		return weights.WriteSafetensors(w, map[string]string{"schema": schema, "clip": model}, []weights.Out{
			{Name: "files", DType: weights.U8, Shape: []int{len(list)}, Raw: list},
			{Name: "features", DType: weights.F32, Shape: []int{rows, ix.dim}, Floats: flat},
		})
	})
}

// Pictures counts the files that have features.
func (ix *Index) Pictures() int {
	n := 0
	for _, f := range ix.features {
		if f != nil {
			n++
		}
	}
	return n
}

// Hit is a picture that was found.
type Hit struct {
	Name   string  // below the folder, with slashes
	Cosine float64 // with the query, -1 to 1
}

// Nearest returns the n pictures with the largest cosine to a vector of unit length, best first, equal ones by name.
func (ix *Index) Nearest(v []float32, n int) []Hit {
	var hits []Hit
	for i, f := range ix.features {
		if f != nil {
			hits = append(hits, Hit{ix.Entries[i].Name, dot(f, v)})
		}
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		switch {
		case a.Cosine > b.Cosine:
			return -1
		case a.Cosine < b.Cosine:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return hits[:min(n, len(hits))]
}

func dot(a, b []float32) float64 {
	var s float64
	for i := range a {
		s += float64(a[i]) * float64(b[i])
	}
	return s
}

// normalise gives a vector the length 1; it reports false for one that has no direction.
func normalise(v []float32) bool {
	n := math.Sqrt(dot(v, v))
	if !(n > 0) || math.IsInf(n, 0) {
		return false
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / n)
	}
	return true
}

// unit reports a vector of length 1, as far as float32 can tell.
func unit(v []float32) bool { return math.Abs(dot(v, v)-1) < 1e-3 }
