package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"
)

// metadataKey is the one name in a safetensors header that is not a tensor.
const metadataKey = "__metadata__"

// headerEntry is one tensor in a safetensors header. Offsets count from the end of the header.
type headerEntry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets []uint64 `json:"data_offsets"`
	name    string
}

// readSafetensors reads the format of https://github.com/huggingface/safetensors: a little-endian uint64 length, a JSON
// header of that length, and the tensors' bytes, which must cover the rest of the file without holes or overlaps.
func readSafetensors(m *mapping) (*File, error) {
	if len(m.data) < 8 {
		return nil, formatf("safetensors: cut short in the header length")
	}
	n := binary.LittleEndian.Uint64(m.data)
	rest := m.data[8:]
	if n > uint64(len(rest)) {
		return nil, formatf("safetensors: header of %d bytes, but only %d bytes follow (file cut short?)", n, len(rest))
	}
	if n > maxHeader {
		return nil, formatf("safetensors: header of %d bytes is over the limit of %d", n, maxHeader)
	}
	entries, meta, err := parseHeader(rest[:n])
	if err != nil {
		return nil, formatf("safetensors: %w", err)
	}
	body := rest[n:]
	if err := checkLayout(entries, uint64(len(body))); err != nil {
		return nil, formatf("safetensors: %w", err)
	}
	tensors := make([]*Tensor, len(entries))
	for i, e := range entries {
		if tensors[i], err = e.tensor(m, body); err != nil {
			return nil, formatf("safetensors: %w", err)
		}
	}
	return newFile(Safetensors, tensors, meta)
}

// parseHeader reads the header's JSON object token by token, so that a repeated name is seen.
func parseHeader(b []byte) ([]headerEntry, map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, nil, errors.New("the header is not a JSON object")
	}
	var entries []headerEntry
	var meta map[string]string
	seen := make(map[string]bool)
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, nil, formatf("broken header: %w", err)
		}
		name, _ := tok.(string) // the decoder lets nothing else stand here
		if seen[name] {
			return nil, nil, formatf("%q is in the header twice", name)
		}
		seen[name] = true
		if name == metadataKey {
			if err := dec.Decode(&meta); err != nil {
				return nil, nil, formatf("broken %s: %w", metadataKey, err)
			}
			continue
		}
		e := headerEntry{name: name}
		if err := dec.Decode(&e); err != nil {
			return nil, nil, formatf("broken header at %q: %w", name, err)
		}
		if e.Shape == nil || len(e.Offsets) != 2 {
			return nil, nil, formatf("tensor %q lacks its shape or its two offsets", name)
		}
		entries = append(entries, e)
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, formatf("broken header: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, errors.New("the header goes on after its JSON object")
	}
	return entries, meta, nil
}

// checkLayout sorts the entries by offset and checks that they cover size bytes exactly once.
func checkLayout(entries []headerEntry, size uint64) error {
	slices.SortStableFunc(entries, func(a, b headerEntry) int {
		return slices.Compare(a.Offsets, b.Offsets)
	})
	var at uint64
	for _, e := range entries {
		begin, end := e.Offsets[0], e.Offsets[1]
		switch {
		case end < begin:
			return formatf("tensor %q ends (%d) before it begins (%d)", e.name, end, begin)
		case end > size:
			return formatf("tensor %q ends at byte %d, but the file has %d bytes of data (file cut short?)", e.name, end, size)
		case begin < at:
			return formatf("tensor %q begins at byte %d, inside the tensor before it, which ends at %d", e.name, begin, at)
		case begin > at:
			return formatf("%d unused bytes before tensor %q", begin-at, e.name)
		}
		at = end
	}
	if at != size {
		return formatf("%d unused bytes at the end", size-at)
	}
	return nil
}

// tensor makes the view that an entry describes; its offsets are known to lie inside body.
func (e *headerEntry) tensor(m *mapping, body []byte) (*Tensor, error) {
	d, ok := ParseDType(e.DType)
	if !ok {
		return nil, formatf("tensor %q has the element type %q, which is not supported", e.name, e.DType)
	}
	n, ok := elements(e.Shape)
	if !ok {
		return nil, formatf("tensor %q: bad shape %v", e.name, e.Shape)
	}
	data := body[e.Offsets[0]:e.Offsets[1]]
	if n > len(data) || n*d.Size() != len(data) { // the first test keeps the product in range
		return nil, formatf("tensor %q: %v of shape %v does not fill its %d bytes", e.name, d, e.Shape, len(data))
	}
	src := &storage{dtype: d, n: n, owner: m, load: func() ([]byte, error) { return data, nil }}
	return newTensor(e.name, src, 0, e.Shape, nil)
}
