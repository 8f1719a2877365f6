package wandb

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/smalti/smalti/event"
)

// Number is a value as W&B's JSON has it, which knows NaN, Infinity and -Infinity.
func Number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	b, err := json.Marshal(v)
	if err != nil { // no finite number fails
		panic(fmt.Sprintf("wandb: %g as JSON: %v", v, err))
	}
	return string(b)
}

// String is a string as JSON.
func String(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // no string fails
		panic(fmt.Sprintf("wandb: %q as JSON: %v", s, err))
	}
	return string(b)
}

// ImageFile is a picture of the run's folder "files" as a value of a row.
func ImageFile(path, sha256 string, size, w, h int) string {
	return fmt.Sprintf(`{"_type":"image-file","format":"png","height":%d,"path":%s,"sha256":%s,"size":%d,"width":%d}`,
		h, String(path), String(sha256), size, w)
}

// maxBins is the most that W&B draws of a histogram.
const maxBins = 512

// Histogram is a spread of values as a value of a row. Neighbouring bins are joined while there are more than 512.
func Histogram(h event.Histogram) string {
	for len(h.Counts) > maxBins {
		var j event.Histogram
		for i := 0; i < len(h.Counts); i += 2 {
			c := h.Counts[i]
			if i+1 < len(h.Counts) {
				c += h.Counts[i+1]
			}
			j.Edges, j.Counts = append(j.Edges, h.Edges[i]), append(j.Counts, c)
		}
		j.Edges = append(j.Edges, h.Edges[len(h.Edges)-1])
		h = j
	}
	list := func(v []float64) string {
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = Number(x)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return `{"_type":"histogram","bins":` + list(h.Edges) + `,"values":` + list(h.Counts) + "}"
}

// Line is a row as one line of JSON, keys sorted.
func Line(row map[string]string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, k := range slices.Sorted(maps.Keys(row)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(String(k))
		b.WriteByte(':')
		b.WriteString(row[k])
	}
	b.WriteByte('}')
	return b.String()
}

// ConfigJSON is a configuration as GraphQL and config.yaml want it: {"key":{"value":...}}, with the mark of a run that
// has started. JSON that strict readers refuse (NaN) becomes a string.
func ConfigJSON(config map[string]string) string {
	row := map[string]string{"_wandb": `{"value":{"cli_version":` + String(Version) + `,"t":{"5":` + String(Version) + `,"13":"smalti"}}}`}
	for k, v := range config {
		if !json.Valid([]byte(v)) {
			v = String(v)
		}
		row[k] = `{"value":` + v + "}"
	}
	return Line(row)
}
