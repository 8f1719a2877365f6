package pixel

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"time"
)

// EncodeAPNG writes a film as an animated PNG (PNG specification, third edition, section 11.3.4): every frame exact and
// in full colour. Programs that know no animation show the first frame. The chunks given stand behind the header.
func EncodeAPNG(w io.Writer, f Film, chunks ...Chunk) error {
	out := apngWriter{w: w, film: f, extra: chunks}
	if err := f.each(out.frame); err != nil {
		return fmt.Errorf("write apng: %w", err)
	}
	out.chunk("IEND", nil)
	if out.err != nil {
		return fmt.Errorf("write apng: %w", out.err)
	}
	return nil
}

type apngWriter struct {
	w        io.Writer
	film     Film
	extra    []Chunk
	sequence uint32 // number of the next fcTL or fdAT
	err      error  // the first of writing
}

func (a *apngWriter) bytes(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
}

func (a *apngWriter) chunk(kind string, data []byte) {
	var b bytes.Buffer
	Chunk{kind, data}.writeTo(&b)
	a.bytes(b.Bytes())
}

// frame writes one picture: an fcTL and its pixels, which are IDAT for the first and fdAT for the others.
func (a *apngWriter) frame(i int, r raster) error {
	if i == 0 {
		if err := a.header(r); err != nil {
			return err
		}
	}
	num, den := a.film.Delay.Round(100*time.Microsecond)/(100*time.Microsecond), uint16(10_000)
	if num > 0xffff {
		num, den = a.film.Delay.Round(time.Millisecond)/time.Millisecond, 1000
	}
	control := binary.BigEndian.AppendUint32(nil, a.next())
	for _, v := range []int{r.w, r.h, 0, 0} {
		control = binary.BigEndian.AppendUint32(control, uint32(v))
	}
	control = binary.BigEndian.AppendUint16(control, uint16(num))
	control = binary.BigEndian.AppendUint16(control, den)
	a.chunk("fcTL", append(control, 0, 0)) // leave the frame, put the next in its place
	data, err := r.deflated()
	if err != nil {
		return err
	}
	if i == 0 {
		a.chunk("IDAT", data)
	} else {
		a.chunk("fdAT", append(binary.BigEndian.AppendUint32(nil, a.next()), data...))
	}
	return a.err
}

func (a *apngWriter) next() uint32 {
	a.sequence++
	return a.sequence - 1
}

func (a *apngWriter) header(r raster) error {
	a.bytes([]byte(pngMagic))
	a.chunk("IHDR", append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(r.w)), uint32(r.h)), 8, 2, 0, 0, 0))
	for _, c := range a.extra {
		if err := c.check(); err != nil {
			return err
		}
		a.chunk(c.Type, c.Data)
	}
	plays := uint32(0) // for ever
	if a.film.Once {
		plays = 1
	}
	a.chunk("acTL", binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(a.film.Frames)), plays))
	return a.err
}

// deflated is a picture as PNG stores it: every row as its difference from the row above (filter 2) or from the pixel
// to the left (filter 1), whichever is smaller in sum, compressed.
func (r raster) deflated() ([]byte, error) {
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
	if err != nil {
		return nil, err
	}
	n := r.w * 3
	above, left, up := make([]uint8, n), make([]uint8, n+1), make([]uint8, n+1)
	for y := range r.h {
		row := r.pix[y*n : (y+1)*n]
		left[0], up[0] = 1, 2
		var sums [2]int
		for i, v := range row {
			left[i+1], up[i+1] = v, v-above[i]
			if i >= 3 {
				left[i+1] -= row[i-3]
			}
			sums[0] += magnitude(left[i+1])
			sums[1] += magnitude(up[i+1])
		}
		line := left
		if sums[1] < sums[0] {
			line = up
		}
		if _, err := z.Write(line); err != nil {
			return nil, err
		}
		above = row
	}
	err = z.Close()
	return b.Bytes(), err
}

// magnitude of a difference modulo 256.
func magnitude(v uint8) int { return min(int(v), 256-int(v)) }

// DecodeAPNG reads what EncodeAPNG writes: frames of full size that replace each other. An ordinary PNG is one frame.
// Animations with smaller or blended frames, which other programs write, are refused.
func DecodeAPNG(r io.Reader) ([]image.Image, time.Duration, error) {
	magic := make([]byte, len(pngMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != pngMagic {
		return nil, 0, fmt.Errorf("read apng: %w", errNotPNG)
	}
	d := apngReader{}
	for {
		kind, data, err := readChunk(r)
		if err == nil {
			err = d.chunk(kind, data)
		}
		if err == nil && kind == "IEND" {
			err = d.finish()
			if err == nil {
				return d.frames, d.delay, nil
			}
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read apng: %w", err)
		}
	}
}

// readChunk reads a chunk of any kind and verifies its checksum.
func readChunk(r io.Reader) (string, []byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", nil, fmt.Errorf("cut off: %w", err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxFile {
		return "", nil, fmt.Errorf("chunk %q of %d bytes", head[4:], size)
	}
	var body bytes.Buffer // grows with what is there, not with what is announced
	if _, err := io.CopyN(&body, r, int64(size)+4); err != nil {
		return "", nil, fmt.Errorf("chunk %q: cut off: %w", head[4:], err)
	}
	data, sum := body.Bytes()[:size], binary.BigEndian.Uint32(body.Bytes()[size:])
	if sum != crc32.Update(crc32.ChecksumIEEE(head[4:]), crc32.IEEETable, data) {
		return "", nil, fmt.Errorf("chunk %q: checksum does not match", head[4:])
	}
	return string(head[4:]), data, nil
}

// apngReader rebuilds a still PNG for each frame and lets the standard library decode it.
type apngReader struct {
	header   []byte
	animated uint32 // frames that acTL announces
	sequence uint32
	pixels   bytes.Buffer // of the current frame, compressed
	frames   []image.Image
	delay    time.Duration
	total    int // pixels of all frames
}

func (d *apngReader) chunk(kind string, data []byte) error {
	if d.header == nil && kind != "IHDR" {
		return errNotPNG
	}
	switch kind {
	case "IHDR":
		if len(data) != 13 {
			return errors.New("broken header")
		}
		d.header = data
		return checkCaps(int(binary.BigEndian.Uint32(data)), int(binary.BigEndian.Uint32(data[4:])))
	case "acTL":
		if len(data) != 8 {
			return errors.New("broken acTL")
		}
		d.animated = binary.BigEndian.Uint32(data)
		if d.animated < 1 || d.animated > MaxFrames {
			return fmt.Errorf("animation of %d frames", d.animated)
		}
	case "fcTL":
		return d.control(data)
	case "IDAT":
		d.pixels.Write(data)
	case "fdAT":
		if err := d.number(data, 4); err != nil {
			return err
		}
		d.pixels.Write(data[4:])
	}
	return nil
}

// number checks the sequence number that fcTL and fdAT begin with.
func (d *apngReader) number(data []byte, least int) error {
	if len(data) < least || binary.BigEndian.Uint32(data) != d.sequence {
		return errors.New("frames are not in order")
	}
	d.sequence++
	return nil
}

func (d *apngReader) control(data []byte) error {
	if err := d.number(data, 26); err != nil {
		return err
	}
	if d.pixels.Len() > 0 {
		if err := d.flush(); err != nil {
			return err
		}
	}
	if !bytes.Equal(data[4:12], d.header[:8]) || !bytes.Equal(data[12:20], make([]byte, 8)) || data[25] != 0 {
		return errors.New("frames that are smaller than the picture or blended are not read")
	}
	num, den := binary.BigEndian.Uint16(data[20:]), binary.BigEndian.Uint16(data[22:])
	if den == 0 {
		den = 100 // says the specification
	}
	if len(d.frames) == 0 {
		d.delay = time.Duration(num) * time.Second / time.Duration(den)
	}
	return nil
}

// flush decodes the frame whose pixels were collected.
func (d *apngReader) flush() error {
	d.total += int(binary.BigEndian.Uint32(d.header)) * int(binary.BigEndian.Uint32(d.header[4:]))
	if d.total > 4*MaxGIFPixels {
		return fmt.Errorf("animation of more than %d pixels", 4*MaxGIFPixels)
	}
	var still bytes.Buffer
	still.WriteString(pngMagic)
	Chunk{"IHDR", d.header}.writeTo(&still)
	Chunk{"IDAT", d.pixels.Bytes()}.writeTo(&still)
	Chunk{"IEND", nil}.writeTo(&still)
	img, err := png.Decode(&still)
	if err != nil {
		return fmt.Errorf("frame %d: %w", len(d.frames), err)
	}
	d.frames = append(d.frames, img)
	d.pixels.Reset()
	return nil
}

func (d *apngReader) finish() error {
	if err := d.flush(); err != nil {
		return err
	}
	if d.animated > 0 && int(d.animated) != len(d.frames) {
		return fmt.Errorf("%d frames where %d were announced", len(d.frames), d.animated)
	}
	return nil
}
