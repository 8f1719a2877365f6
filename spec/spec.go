// Package spec describes work: what picture to paint, from what, with which models and numbers. It holds plain
// structs, their defaults and ranges, the grammar of prompts, and the one canonical JSON form that goes into the run
// folder and into the picture. It imports the standard library only and does nothing.
//
// Start with Job in job.go; prompt.go has the grammar of prompts.
package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Refusal is bad input found before any work was done. What says what is wrong, Hint what to try. The command line
// exits with code 2 on it.
type Refusal struct {
	What, Hint string
}

func (r *Refusal) Error() string { return r.What }

// Refuse returns a Refusal.
func Refuse(what, hint string) error { return &Refusal{What: what, Hint: hint} }

// Refusef returns a Refusal with a formatted message.
func Refusef(hint, format string, args ...any) error {
	return &Refusal{What: fmt.Sprintf(format, args...), Hint: hint}
}

// IsRefusal reports whether err is, or wraps, a Refusal.
func IsRefusal(err error) bool {
	var r *Refusal
	return errors.As(err, &r)
}

// Canonical encodes v as JSON in the one form that smalti writes and hashes: keys sorted, no insignificant space, no
// HTML escapes, numbers as Go's shortest form, one newline at the end.
func Canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("spec: encode: %w", err)
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("spec: encode: %w", err)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(tree); err != nil { // maps are written with sorted keys
		return nil, fmt.Errorf("spec: encode: %w", err)
	}
	return out.Bytes(), nil
}
