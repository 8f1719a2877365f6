package recall

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strings"
)

// Found is a picture of an index and how near it is.
type Found struct {
	Number     int
	Similarity float64 // cosine of its embedding and the query's, -1 to 1
}

// Nearest returns the pictures nearest to an embedding, the nearest first, at most n of them, among those that want says; nil wants all.
func (x *Index) Nearest(query []float32, n int, want func(Entry) bool) []Found {
	u := unit(query)
	if len(u) != x.Width {
		return nil
	}
	var all []Found
	for i, e := range x.Entries {
		if want != nil && !want(e) {
			continue
		}
		var dot float64
		for k, v := range x.vector(i) {
			dot += float64(v) * float64(u[k])
		}
		all = append(all, Found{i, dot})
	}
	slices.SortFunc(all, func(a, b Found) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), cmp.Compare(a.Number, b.Number))
	})
	return all[:min(n, len(all))]
}

// Named returns a filter for pictures of a thing by its name: those whose label is the name, else those whose label ends with it ("red
// apple" for "apple"), else those that have it among their further words. It returns nil when there are none.
func (x *Index) Named(name string) func(Entry) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return nil
	}
	for _, fits := range []func(Entry) bool{
		func(e Entry) bool { return e.Label == name },
		func(e Entry) bool { return strings.HasSuffix(e.Label, " "+name) },
		func(e Entry) bool { return slices.Contains(e.Tags, name) },
	} {
		if slices.ContainsFunc(x.Entries, fits) {
			return fits
		}
	}
	return nil
}

// Labels are the labels of all pictures, some of them several times.
func (x *Index) Labels() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, e := range x.Entries {
			if !yield(e.Label) {
				return
			}
		}
	}
}

// Labelled reports whether a text is the label of a picture, as "man and woman holding hands" is, with an article or without.
func (x *Index) Labelled(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	for _, article := range []string{"a ", "an ", "the "} {
		text = strings.TrimPrefix(text, article)
	}
	return slices.ContainsFunc(x.Entries, func(e Entry) bool { return e.Label == text })
}

// unit brings a vector to length 1; nil when it has none.
func unit(v []float32) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return out
}
