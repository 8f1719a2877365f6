package search

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"strconv"
	"strings"
)

// Term is one part of a query: a text or a picture, with the weight that its direction gets in the sum.
type Term struct {
	Text   string
	File   string // of a picture; then Text is empty
	Weight float64
}

// Query is a sum of terms.
type Query []Term

// ParseQuery reads terms joined by " + " and " - ", each with an optional factor in front: "2:dog + pool.jpg - leash".
// A term that ends like a picture's name is a picture. Signs without spaces around them belong to words.
func ParseQuery(s string) (Query, error) {
	var q Query
	sign := 1.0
	var words []string
	end := func() error {
		t, err := parseTerm(strings.Join(words, " "), sign)
		q, words = append(q, t), nil
		return err
	}
	for i, w := range strings.Fields(s) {
		switch {
		case w != "+" && w != "-":
			words = append(words, w)
			continue
		case i > 0:
			if err := end(); err != nil {
				return nil, err
			}
		}
		sign = 1
		if w == "-" {
			sign = -1
		}
	}
	return q, end()
}

func parseTerm(s string, sign float64) (Term, error) {
	t := Term{Text: s, Weight: sign}
	if number, rest, ok := strings.Cut(s, ":"); ok {
		if w, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil && !math.IsInf(w, 0) && !math.IsNaN(w) {
			t.Text, t.Weight = strings.TrimSpace(rest), sign*w
		}
	}
	switch {
	case t.Text == "":
		return t, errors.New("a term of the query is empty")
	case t.Weight == 0:
		return t, fmt.Errorf("the term %q has no weight", t.Text)
	}
	if IsPicture(t.Text) && !strings.Contains(t.Text, " ") {
		t.File, t.Text = t.Text, ""
	}
	return t, nil
}

// ErrNoDirection says that the terms of a query cancel out.
var ErrNoDirection = errors.New("the terms of the query cancel out")

// Vector returns the direction of a query, [D] of length 1: the sum of the terms' unit features by weight. load reads
// pictures.
func (q Query) Vector(ctx context.Context, enc Encoder, load func(string) (image.Image, error)) ([]float32, error) {
	sum := make([]float64, enc.EmbedDim())
	for _, t := range q {
		f, err := t.features(ctx, enc, load)
		if err != nil {
			return nil, err
		}
		for i, x := range f {
			sum[i] += t.Weight * float64(x)
		}
	}
	out := make([]float32, len(sum))
	n := 0.0
	for i, x := range sum {
		out[i], n = float32(x), n+x*x
	}
	if math.Sqrt(n) < 1e-6 || !normalise(out) { // of unit vectors in float32: below that only rounding is left
		return nil, ErrNoDirection
	}
	return out, nil
}

func (t Term) features(ctx context.Context, enc Encoder, load func(string) (image.Image, error)) ([]float32, error) {
	var rows [][]float32
	var err error
	if t.File != "" {
		img, lerr := load(t.File)
		if lerr != nil {
			return nil, lerr
		}
		rows, err = enc.EncodeImage(ctx, img)
	} else {
		rows, err = enc.EncodeText(ctx, t.Text)
	}
	if err != nil {
		return nil, err
	}
	f := append([]float32(nil), rows[0]...)
	if !normalise(f) {
		return nil, ErrNoDirection
	}
	return f, nil
}
