package pixel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"unicode/utf8"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

// maxChunks bounds the bytes of all chunks kept from one PNG, and of one decompressed text.
const maxChunks = 16 << 20

// Names of what smalti writes into its pictures.
const (
	RecipeKey     = "smalti"     // iTXt keyword: the canonical JSON of the job
	ParametersKey = "parameters" // text keyword: settings in the form that other programs' viewers show
	CodesType     = "smCd"       // private chunk: the final codes, see EncodeCodes
)

// Chunk is one ancillary PNG chunk: a four-letter type and its bytes (PNG specification, section 5).
type Chunk struct {
	Type string
	Data []byte
}

// EncodePNG writes img with the chunks given right after the header, where readers find them without reading the
// pixels. Chunk types must be ancillary (lower-case first letter). The same arguments give the same bytes.
func EncodePNG(w io.Writer, img image.Image, chunks ...Chunk) error {
	var extra bytes.Buffer
	for _, c := range chunks {
		if err := c.check(); err != nil {
			return err
		}
		c.writeTo(&extra)
	}
	in := &inserter{w: w, after: len(pngMagic) + 12 + 13, extra: extra.Bytes()}
	if err := png.Encode(in, img); err != nil {
		return fmt.Errorf("write png: %w", err)
	}
	return nil
}

func (c Chunk) check() error {
	if len(c.Type) != 4 {
		return fmt.Errorf("png chunk type %q: want four letters", c.Type)
	}
	for i := range 4 {
		if l := c.Type[i] | 0x20; l < 'a' || l > 'z' {
			return fmt.Errorf("png chunk type %q: want four letters", c.Type)
		}
	}
	if c.Type[0]&0x20 == 0 {
		return fmt.Errorf("png chunk type %q is critical", c.Type)
	}
	if len(c.Data) > maxChunks {
		return fmt.Errorf("png chunk %s of %d bytes is larger than %d", c.Type, len(c.Data), maxChunks)
	}
	return nil
}

func (c Chunk) writeTo(b *bytes.Buffer) {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(c.Data)))
	b.Write(n[:])
	b.WriteString(c.Type)
	b.Write(c.Data)
	sum := crc32.Update(crc32.ChecksumIEEE([]byte(c.Type)), crc32.IEEETable, c.Data)
	binary.BigEndian.PutUint32(n[:], sum)
	b.Write(n[:])
}

// inserter passes bytes through and puts extra in after the first so many.
type inserter struct {
	w     io.Writer
	after int // bytes still to pass before extra
	extra []byte
}

func (in *inserter) Write(p []byte) (int, error) {
	n := 0
	if in.extra != nil {
		head := p[:min(len(p), in.after)]
		k, err := in.w.Write(head)
		n += k
		in.after -= k
		if err != nil || in.after > 0 {
			return n, err
		}
		if _, err := in.w.Write(in.extra); err != nil {
			return n, err
		}
		in.extra = nil
	}
	k, err := in.w.Write(p[n:])
	return n + k, err
}

// ReadChunks returns the ancillary chunks of a PNG in file order, up to and without IEND. Pixels are skipped, not
// decoded. Every checksum is verified, and chunks of more than 16 MiB in all are refused.
func ReadChunks(r io.Reader) ([]Chunk, error) {
	magic := make([]byte, len(pngMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != pngMagic {
		return nil, fmt.Errorf("read png chunks: %w", errNotPNG)
	}
	var out []Chunk
	kept := 0
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, fmt.Errorf("read png chunks: cut off: %w", err)
		}
		size, kind := binary.BigEndian.Uint32(head[:]), string(head[4:])
		sum := crc32.NewIEEE()
		sum.Write(head[4:])
		var data bytes.Buffer
		dst := io.Writer(sum)
		ancillary := kind[0]&0x20 != 0
		if ancillary {
			if kept += int(size); size > maxChunks || kept > maxChunks {
				return nil, fmt.Errorf("read png chunks: more than %d bytes of them", maxChunks)
			}
			dst = io.MultiWriter(sum, &data)
		}
		if _, err := io.CopyN(dst, r, int64(size)); err != nil {
			return nil, fmt.Errorf("read png chunk %q: cut off: %w", kind, err)
		}
		var want [4]byte
		if _, err := io.ReadFull(r, want[:]); err != nil {
			return nil, fmt.Errorf("read png chunk %q: cut off: %w", kind, err)
		}
		if binary.BigEndian.Uint32(want[:]) != sum.Sum32() {
			return nil, fmt.Errorf("read png chunk %q: checksum does not match", kind)
		}
		if kind == "IEND" {
			return out, nil
		}
		if ancillary {
			out = append(out, Chunk{kind, data.Bytes()})
		}
	}
}

var errNotPNG = errors.New("not a PNG")

// TextChunk makes a chunk of text under a keyword: tEXt if the text is Latin-1, else iTXt. Keywords have 1 to 79
// characters of ASCII; the text must be valid UTF-8 without zero bytes.
func TextChunk(keyword, text string) (Chunk, error) {
	if err := checkText(keyword, text); err != nil {
		return Chunk{}, err
	}
	latin := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return ITXtChunk(keyword, text)
		}
		latin = append(latin, byte(r))
	}
	return Chunk{"tEXt", append([]byte(keyword+"\x00"), latin...)}, nil
}

// ITXtChunk makes an uncompressed iTXt chunk: UTF-8 text under a keyword, with the rules of TextChunk.
func ITXtChunk(keyword, text string) (Chunk, error) {
	if err := checkText(keyword, text); err != nil {
		return Chunk{}, err
	}
	// keyword, 0, compression flag, compression method, language, 0, translated keyword, 0, text
	return Chunk{"iTXt", []byte(keyword + "\x00\x00\x00\x00\x00" + text)}, nil
}

func checkText(keyword, text string) error {
	if len(keyword) < 1 || len(keyword) > 79 {
		return fmt.Errorf("png text keyword %q: want 1 to 79 characters", keyword)
	}
	for _, r := range keyword {
		if r < 0x20 || r > 0x7e {
			return fmt.Errorf("png text keyword %q: want printable ASCII", keyword)
		}
	}
	if !utf8.ValidString(text) || bytes.IndexByte([]byte(text), 0) >= 0 {
		return fmt.Errorf("png text %s: not UTF-8 or has a zero byte", keyword)
	}
	return nil
}
