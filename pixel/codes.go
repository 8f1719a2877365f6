package pixel

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
)

// Codes is a grid of codebook indices, row by row: the latent of a picture.
type Codes struct {
	Rows, Cols int
	Index      []uint16 // Rows*Cols of them
}

// maxCodes bounds the grid: a picture of the largest size at one code per 4x4 pixels.
const maxCodes = MaxPixels / 16

// ErrNoCodes says that a picture carries no codes.
var ErrNoCodes = errors.New("no codes in the picture")

// EncodeCodes packs codes as the private chunk smCd: rows and columns as big-endian uint32, then the zlib-compressed
// big-endian uint16 indices.
func EncodeCodes(c Codes) (Chunk, error) {
	if err := c.check(); err != nil {
		return Chunk{}, err
	}
	var b bytes.Buffer
	binary.Write(&b, binary.BigEndian, [2]uint32{uint32(c.Rows), uint32(c.Cols)})
	z := zlib.NewWriter(&b)
	if err := binary.Write(z, binary.BigEndian, c.Index); err != nil {
		return Chunk{}, fmt.Errorf("codes: %w", err)
	}
	if err := z.Close(); err != nil {
		return Chunk{}, fmt.Errorf("codes: %w", err)
	}
	return Chunk{CodesType, b.Bytes()}, nil
}

func (c Codes) check() error {
	if c.Rows < 1 || c.Cols < 1 || c.Rows > maxCodes/c.Cols {
		return fmt.Errorf("codes: grid of %dx%d", c.Rows, c.Cols)
	}
	if len(c.Index) != c.Rows*c.Cols {
		return fmt.Errorf("codes: grid of %dx%d holds %d indices", c.Rows, c.Cols, len(c.Index))
	}
	return nil
}

// DecodeCodes returns the codes among the chunks of a picture, or ErrNoCodes.
func DecodeCodes(chunks []Chunk) (Codes, error) {
	for _, c := range chunks {
		if c.Type == CodesType {
			return decodeCodes(c.Data)
		}
	}
	return Codes{}, ErrNoCodes
}

func decodeCodes(b []byte) (Codes, error) {
	if len(b) < 8 {
		return Codes{}, errors.New("codes: cut off")
	}
	rows, cols := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if rows < 1 || cols < 1 || uint64(rows)*uint64(cols) > maxCodes {
		return Codes{}, fmt.Errorf("codes: grid of %dx%d", rows, cols)
	}
	c := Codes{Rows: int(rows), Cols: int(cols)}
	raw, err := inflate(b[8:], 2*c.Rows*c.Cols)
	if err != nil {
		return Codes{}, fmt.Errorf("codes: %w", err)
	}
	if len(raw) != 2*c.Rows*c.Cols {
		return Codes{}, fmt.Errorf("codes: grid of %dx%d holds %d bytes", rows, cols, len(raw))
	}
	c.Index = make([]uint16, c.Rows*c.Cols)
	for i := range c.Index {
		c.Index[i] = binary.BigEndian.Uint16(raw[2*i:])
	}
	return c, nil
}
