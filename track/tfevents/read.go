package tfevents

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/smalti/smalti/event"
)

// ErrCorrupt says that a frame or message is not what its checksum or its format demands.
var ErrCorrupt = errors.New("corrupt event file")

// maxFrame bounds the memory that a hostile length can ask for.
const maxFrame = 256 << 20

// Event is what Reader returns: a scalar, a picture, a histogram, a version or a session start; Tag is empty for the
// last two.
type Event struct {
	WallTime  float64 // seconds since 1970
	Step      int64
	Version   string
	Restart   bool
	Tag       string
	Scalar    float32
	HasScalar bool
	PNG       []byte // of a picture
	W, H      int
	Histogram *event.Histogram
}

// Reader reads an event file. It reads what this package writes; messages and fields it does not know are skipped.
type Reader struct{ r *bufio.Reader }

// NewReader returns a Reader of a file's bytes.
func NewReader(r io.Reader) *Reader { return &Reader{bufio.NewReader(r)} }

// Next returns the values of the next event, or io.EOF at the end of the file. A file that ends within a frame, as
// after a crash, gives io.ErrUnexpectedEOF; a wrong checksum gives an error that wraps ErrCorrupt.
func (r *Reader) Next() ([]Event, error) {
	data, err := r.frame()
	if err != nil {
		return nil, err
	}
	return parse(data)
}

func (r *Reader) frame() ([]byte, error) {
	var head [12]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return nil, err
	}
	if masked(head[:8]) != binary.LittleEndian.Uint32(head[8:]) {
		return nil, fmt.Errorf("checksum of a length: %w", ErrCorrupt)
	}
	n := binary.LittleEndian.Uint64(head[:8])
	if n > maxFrame {
		return nil, fmt.Errorf("frame of %d bytes: %w", n, ErrCorrupt)
	}
	// Grow with what is there rather than trust the length.
	data, err := io.ReadAll(io.LimitReader(r.r, int64(n)+4))
	if err != nil {
		return nil, err
	}
	if uint64(len(data)) < n+4 {
		return nil, io.ErrUnexpectedEOF
	}
	if masked(data[:n]) != binary.LittleEndian.Uint32(data[n:]) {
		return nil, fmt.Errorf("checksum of a frame: %w", ErrCorrupt)
	}
	return data[:n], nil
}

// field is one field of a message: num for numbers of any width, bytes for the rest.
type field struct {
	id    protowire.Number
	typ   protowire.Type
	num   uint64
	bytes []byte
}

func (f field) float() float64 {
	if f.typ == protowire.Fixed32Type {
		return float64(math.Float32frombits(uint32(f.num)))
	}
	return math.Float64frombits(f.num)
}

// fields splits a message.
func fields(b []byte) ([]field, error) {
	var out []field
	for len(b) > 0 {
		id, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, fmt.Errorf("tag: %w", ErrCorrupt)
		}
		b = b[n:]
		f := field{id: id, typ: typ}
		switch typ {
		case protowire.VarintType:
			f.num, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			f.num, n = protowire.ConsumeFixed64(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			f.num = uint64(v)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(id, typ, b)
		}
		if n < 0 {
			return nil, fmt.Errorf("field %d: %w", id, ErrCorrupt)
		}
		b = b[n:]
		out = append(out, f)
	}
	return out, nil
}

func parse(data []byte) ([]Event, error) {
	all, err := fields(data)
	if err != nil {
		return nil, err
	}
	var common Event
	var summary []byte
	for _, f := range all {
		switch f.id {
		case eventWallTime:
			common.WallTime = f.float()
		case eventStep:
			common.Step = int64(f.num)
		case eventFileVersion:
			common.Version = string(f.bytes)
		case eventSession:
			common.Restart = true
		case eventSummary:
			summary = f.bytes
		}
	}
	if summary == nil {
		return []Event{common}, nil
	}
	values, err := fields(summary)
	if err != nil {
		return nil, err
	}
	var out []Event
	for _, v := range values {
		if v.id != summaryValue {
			continue
		}
		e := common
		if err := e.value(v.bytes); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (e *Event) value(b []byte) error {
	all, err := fields(b)
	if err != nil {
		return err
	}
	for _, f := range all {
		switch f.id {
		case valueTag:
			e.Tag = string(f.bytes)
		case valueSimple:
			e.Scalar, e.HasScalar = float32(f.float()), true
		case valueImage:
			err = e.image(f.bytes)
		case valueHisto:
			err = e.histogram(f.bytes)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", e.Tag, err)
		}
	}
	return nil
}

func (e *Event) image(b []byte) error {
	all, err := fields(b)
	for _, f := range all {
		switch f.id {
		case imageHeight:
			e.H = int(int32(f.num))
		case imageWidth:
			e.W = int(int32(f.num))
		case imagePNG:
			e.PNG = f.bytes
		}
	}
	return err
}

func (e *Event) histogram(b []byte) error {
	all, err := fields(b)
	if err != nil {
		return err
	}
	h := &event.Histogram{Edges: []float64{0}}
	for _, f := range all {
		switch f.id {
		case histoMin:
			h.Edges[0] = f.float()
		case histoLimit:
			h.Edges = append(h.Edges[:1], doubles(f.bytes)...)
		case histoBucket:
			h.Counts = doubles(f.bytes)
		}
	}
	if !h.Valid() {
		return fmt.Errorf("histogram: %w", ErrCorrupt)
	}
	e.Histogram = h
	return nil
}

// doubles reads packed float64s; a rest of fewer than 8 bytes is left out.
func doubles(b []byte) []float64 {
	out := make([]float64, len(b)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return out
}
