package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Sample is everything that decides the pixels of a picture drawn from a prior. How it was chosen among others is no part of
// it: the number of the picture is.
type Sample struct {
	Kind   string `json:"kind"` // KindSample
	Schema int    `json:"schema"`
	Prompt string `json:"prompt,omitempty"` // of a prior for captions; empty draws without a caption
	Class  *int   `json:"class,omitempty"`  // of a prior for classes
	Width  int    `json:"width"`            // pixels, a multiple of the VQGAN's factor
	Height int    `json:"height"`           // pixels
	Seed   uint64 `json:"seed"`
	Number int    `json:"number"` // of the picture among those of its seed, from 0

	Temperature float64 `json:"temperature"` // of the choice of codes; 0 takes the likeliest
	TopK        int     `json:"top_k"`       // likeliest codes to choose among; 0 for all
	TopP        float64 `json:"top_p"`       // share of the probability to choose among; 0 or 1 for all
	Guidance    float64 `json:"guidance"`    // how far to go from no caption to the caption; 1 is there

	// Complete is the sha256 of a picture whose upper Keep rows of codes stay.
	Complete string `json:"complete,omitempty"`
	Keep     int    `json:"keep,omitempty"`

	Prior ModelRef `json:"prior"`
	VQGAN ModelRef `json:"vqgan"`
	Build Build    `json:"build"`
}

// MaxSampleSide bounds a drawn picture: a window slides over every code of it.
const MaxSampleSide = 4096

// DefaultSample returns a sample with every default but the prompt. Sizes of 0 are the prior's own.
func DefaultSample() Sample {
	return Sample{Temperature: 1, TopK: 100, Guidance: 2, Prior: ModelRef{Name: "builtin/prior"}}
}

// Validate checks every range that can be checked without a model.
func (s *Sample) Validate() error {
	for _, err := range []error{
		between("the width of --size", s.Width, 0, MaxSampleSide), between("the height of --size", s.Height, 0, MaxSampleSide),
		within("--temperature", s.Temperature, 0, 100), between("--top-k", s.TopK, 0, 1<<20), within("--top-p", s.TopP, 0, 1),
		within("--guidance", s.Guidance, 0, 100), between("the number of the picture", s.Number, 0, 1<<30), between("the rows of --keep", s.Keep, 0, MaxSampleSide),
	} {
		if err != nil {
			return err
		}
	}
	switch {
	case s.Class != nil && (*s.Class < 0 || *s.Class > 1<<20):
		return Refusef("use a class from 0 on", "--class is %d", *s.Class)
	case s.Class != nil && s.Prompt != "":
		return Refuse("a picture has a prompt or a class", "leave out one of them")
	case s.Prior.Name == "":
		return Refuse("--prior names no model", "run: smalti models list")
	case (s.Width == 0) != (s.Height == 0):
		return Refusef("give both, or neither for the prior's own", "the size is %dx%d", s.Width, s.Height)
	case s.Complete == "" && s.Keep > 0:
		return Refuse("there is no picture to keep rows of", "name one with --complete")
	}
	return nil
}

// Encode returns the canonical JSON.
func (s *Sample) Encode() ([]byte, error) {
	s.Kind, s.Schema = KindSample, Schema
	return Canonical(s)
}

// DecodeSample reads what Encode wrote, refusing unknown fields, other schemas and values out of range.
func DecodeSample(data []byte) (*Sample, error) {
	var s Sample
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("spec: read the recipe of a sample: %w", err)
	}
	if s.Kind != KindSample || s.Schema != Schema {
		return nil, fmt.Errorf("spec: a recipe of kind %q and schema %d; this build reads %q, %d", s.Kind, s.Schema, KindSample, Schema)
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("spec: the recipe is out of range: %w", err)
	}
	return &s, nil
}
