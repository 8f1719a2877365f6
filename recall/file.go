package recall

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/smalti/smalti/weights"
)

// configKey is the metadata that holds the Config.
const configKey = "smalti.index"

// Names of the tensors of an index. Codes are packed bits, the lowest first; outlines and entries are deflated.
const (
	codesTensor   = "index.codes"
	masksTensor   = "index.masks"
	vectorsTensor = "index.vectors"
	entriesTensor = "index.entries"
)

// IsIndex reports whether a weight file holds an index.
func IsIndex(f *weights.File) bool {
	_, ok := f.Tensor(vectorsTensor)
	return ok
}

// Save writes an index. Embeddings are kept in half precision.
func (x *Index) Save(w io.Writer) error {
	if err := x.Validate(); err != nil {
		return err
	}
	config, err := json.Marshal(x.Config)
	if err != nil {
		return fmt.Errorf("recall: %w", err)
	}
	entries, err := json.Marshal(x.Entries)
	if err != nil {
		return fmt.Errorf("recall: %w", err)
	}
	bytesOf := func(name string, b []byte) weights.Out {
		return weights.Out{Name: name, DType: weights.U8, Shape: []int{len(b)}, Raw: b}
	}
	masks, err := deflate(x.masks)
	if err != nil {
		return err
	}
	if entries, err = deflate(entries); err != nil {
		return err
	}
	return weights.WriteSafetensors(w, map[string]string{configKey: string(config)}, []weights.Out{
		bytesOf(codesTensor, pack(x.codes, x.codeBits())), bytesOf(masksTensor, masks), bytesOf(entriesTensor, entries),
		{Name: vectorsTensor, DType: weights.F16, Shape: []int{x.Pictures, x.Width}, Floats: x.vectors},
	})
}

// Read reads what Save wrote.
func Read(f *weights.File) (*Index, error) {
	x := &Index{}
	dec := json.NewDecoder(strings.NewReader(f.Metadata()[configKey]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&x.Config); err != nil {
		return nil, fmt.Errorf("recall: metadata %q of the file: %w", configKey, err)
	}
	if err := x.Validate(); err != nil {
		return nil, err
	}
	l := weights.NewLoader(f)
	n := x.Pictures
	raw := map[string][]byte{}
	for _, name := range []string{codesTensor, masksTensor, entriesTensor} {
		t, ok := l.Peek(name)
		if !ok || len(t.Shape) != 1 || t.DType != weights.U8 {
			return nil, fmt.Errorf("recall: tensor %s is missing or has the wrong shape", name)
		}
		t, err := l.TakeTensor(name, t.Shape...)
		if err != nil {
			return nil, fmt.Errorf("recall: %w", err)
		}
		if raw[name], err = t.Bytes(); err != nil {
			return nil, fmt.Errorf("recall: %w", err)
		}
	}
	x.vectors, _ = l.Take(vectorsTensor, n, x.Width) // Done reports what is wrong
	if err := l.Done(); err != nil {
		return nil, fmt.Errorf("recall: %w", err)
	}
	var err error
	if x.codes, err = unpack(raw[codesTensor], n*x.GridH*x.GridW, x.codeBits(), x.Codes); err != nil {
		return nil, err
	}
	if x.masks, err = inflate(raw[masksTensor], n*x.maskBytes()); err != nil {
		return nil, err
	}
	if len(x.masks) != n*x.maskBytes() {
		return nil, fmt.Errorf("recall: %d bytes of outlines, want %d", len(x.masks), n*x.maskBytes())
	}
	const longEntry = 4096 // bytes of JSON on average, far more than any has
	text, err := inflate(raw[entriesTensor], min(n*longEntry, maxNumbers))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &x.Entries); err != nil {
		return nil, fmt.Errorf("recall: entries: %w", err)
	}
	if len(x.Entries) != n {
		return nil, fmt.Errorf("recall: %d entries of %d pictures", len(x.Entries), n)
	}
	return x, nil
}

// pack writes codes of a number of bits each.
func pack(codes []int32, width int) []byte {
	out := make([]byte, (len(codes)*width+7)/8)
	for i, c := range codes {
		for b := range width {
			if c>>b&1 == 1 {
				at := i*width + b
				out[at/8] |= 1 << (at % 8)
			}
		}
	}
	return out
}

func unpack(packed []byte, n, width, book int) ([]int32, error) {
	if len(packed) != (n*width+7)/8 {
		return nil, fmt.Errorf("recall: %d bytes of codes, want %d", len(packed), (n*width+7)/8)
	}
	out := make([]int32, n)
	for i := range out {
		for b := range width {
			at := i*width + b
			out[i] |= int32(packed[at/8]>>(at%8)&1) << b
		}
		if int(out[i]) >= book {
			return nil, fmt.Errorf("recall: code %d of %d", out[i], book)
		}
	}
	return out, nil
}

func deflate(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("recall: %w", err)
	}
	_, err = w.Write(b)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("recall: %w", err)
	}
	return out.Bytes(), nil
}

// inflate refuses what becomes longer than limit.
func inflate(b []byte, limit int) ([]byte, error) {
	r := flate.NewReader(bytes.NewReader(b))
	defer r.Close()
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("recall: damaged data: %w", err)
	}
	if len(out) > limit {
		return nil, fmt.Errorf("recall: data of more than %d bytes", limit)
	}
	return out, nil
}
