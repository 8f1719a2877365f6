package spec

import (
	"encoding/json"
	"fmt"
)

// Kinds of work that a picture's recipe may describe. A recipe that names none is a painted picture, a Job.
const (
	KindPaint  = "paint"
	KindSample = "sample" // drawn from a prior
	KindLab    = "lab"    // made of other pictures' latents
	KindFrame  = "frame"  // of a film, whose folder says the rest
)

// Head is what recipes of every kind have in common: what they describe, and the model that their codes belong to.
type Head struct {
	Kind   string   `json:"kind"`
	Schema int      `json:"schema"`
	VQGAN  ModelRef `json:"vqgan"`
}

// ReadHead reads the head of a recipe of any kind and ignores the rest.
func ReadHead(recipe []byte) (Head, error) {
	var h Head
	if err := json.Unmarshal(recipe, &h); err != nil {
		return h, fmt.Errorf("spec: the recipe is not JSON: %w", err)
	}
	if h.Kind == "" {
		h.Kind = KindPaint
	}
	return h, nil
}
