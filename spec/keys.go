package spec

import (
	"strconv"
	"strings"
)

// Key is a value at a frame.
type Key struct {
	Frame int     `json:"frame"`
	Value float64 `json:"value"`
}

// Keys are values over the frames of a film: straight lines between keys, the first before them, the last after them.
type Keys []Key

// ParseKeys reads "1.02" or "0:1, 30:1.05, 60:1".
func ParseKeys(s string) (Keys, error) {
	const hint = `write a number, or keys such as "0:1, 30:1.05, 60:1"`
	if v, ok := number(s); ok {
		return Keys{{0, v}}, nil
	}
	var out Keys
	for _, part := range strings.Split(s, ",") {
		frame, value, found := strings.Cut(strings.TrimSpace(part), ":")
		n, err := strconv.Atoi(strings.TrimSpace(frame))
		v, ok := number(value)
		if !found || err != nil || !ok || n < 0 || len(out) > 0 && n <= out[len(out)-1].Frame {
			return nil, Refusef(hint, "%q is no list of keys", s)
		}
		out = append(out, Key{n, v})
	}
	return out, nil
}

// At returns the value at a frame; none without keys.
func (k Keys) At(frame int, none float64) float64 {
	if len(k) == 0 {
		return none
	}
	for i, key := range k {
		if frame < key.Frame {
			if i == 0 {
				return key.Value
			}
			last := k[i-1]
			t := float64(frame-last.Frame) / float64(key.Frame-last.Frame)
			return last.Value + t*(key.Value-last.Value)
		}
	}
	return k[len(k)-1].Value
}

// Within refuses keys outside of a range.
func (k Keys) Within(name string, lo, hi float64) error {
	for _, key := range k {
		if err := within(name, key.Value, lo, hi); err != nil {
			return err
		}
	}
	return nil
}
