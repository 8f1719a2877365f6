package weights

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"sync"
)

// Limits on what a zip archive may make us do.
const (
	maxDirectory     = 64 << 20 // bytes of the central directory
	maxInflated      = 256 << 20
	maxInflatedTotal = 1 << 30
	maxInflation     = 1032 // the best ratio that deflate can reach
)

// zipEntry is one file of an archive. Its content is read when it is asked for, and kept.
type zipEntry struct {
	name   string
	method uint16
	crc    uint32
	raw    []byte // as stored, perhaps deflated
	size   int    // when inflated

	once sync.Once
	data []byte
	err  error
}

// content returns the entry's bytes: a view of the archive when they are stored as they are. The checksum is verified
// once; a checksum of 0 counts as none, which is what writers that leave it out put there.
func (e *zipEntry) content() ([]byte, error) {
	e.once.Do(func() {
		e.data = e.raw
		if e.method != 0 {
			if e.data, e.err = e.inflate(); e.err != nil {
				return
			}
		}
		if e.crc != 0 && crc32.ChecksumIEEE(e.data) != e.crc {
			e.data, e.err = nil, formatf("archive entry %q is damaged: its checksum is wrong", e.name)
		}
	})
	return e.data, e.err
}

func (e *zipEntry) inflate() ([]byte, error) {
	r := flate.NewReader(bytes.NewReader(e.raw))
	out := make([]byte, e.size) // bounded by checkInflation
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, formatf("archive entry %q is damaged: %w", e.name, err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, formatf("archive entry %q inflates to more than the %d bytes it claims", e.name, e.size)
	}
	return out, nil
}

// readZip reads the directory of an archive: entries by name. Entries must not overlap, names must differ, and what
// directory and local headers say must agree. Encrypted archives and those in several parts are refused.
func readZip(data []byte) (map[string]*zipEntry, error) {
	dir, end, err := findDirectory(data)
	if err != nil {
		return nil, err
	}
	entries := make(map[string]*zipEntry)
	var spans [][2]int
	total := 0
	for len(dir) > 0 {
		h, n, err := parseDirectoryHeader(dir)
		if err != nil {
			return nil, err
		}
		dir = dir[n:]
		e, span, err := h.entry(data[:end])
		if err != nil {
			return nil, err
		}
		if _, ok := entries[e.name]; ok {
			return nil, formatf("archive entry %q is there twice", e.name)
		}
		if e.method != 0 {
			total += e.size
		}
		if total > maxInflatedTotal {
			return nil, formatf("archive inflates to more than %d bytes", maxInflatedTotal)
		}
		entries[e.name] = e
		spans = append(spans, span)
	}
	slices.SortFunc(spans, func(a, b [2]int) int { return a[0] - b[0] })
	for i := 1; i < len(spans); i++ {
		if spans[i][0] < spans[i-1][1] {
			return nil, formatf("archive entries overlap at byte %d", spans[i][0])
		}
	}
	return entries, nil
}

// findDirectory returns the central directory and the offset where it begins.
func findDirectory(data []byte) ([]byte, int, error) {
	const size, maxComment = 22, 1<<16 - 1
	tail := data[max(0, len(data)-size-maxComment):]
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || len(tail)-at < size {
		return nil, 0, formatf("archive without a directory (file cut short?)")
	}
	eocd := tail[at:]
	pos := len(data) - len(tail) + at
	le := binary.LittleEndian
	count, dirSize, dirAt := uint64(le.Uint16(eocd[10:])), uint64(le.Uint32(eocd[12:])), uint64(le.Uint32(eocd[16:]))
	if count == 0xffff || dirSize == 0xffffffff || dirAt == 0xffffffff {
		z, err := findZip64(data[:pos])
		if err != nil {
			return nil, 0, err
		}
		count, dirSize, dirAt = le.Uint64(z[32:]), le.Uint64(z[40:]), le.Uint64(z[48:])
	}
	if dirSize > maxDirectory {
		return nil, 0, formatf("archive directory of %d bytes is over the limit of %d", dirSize, maxDirectory)
	}
	if dirAt > uint64(pos) || dirSize > uint64(pos)-dirAt || count > dirSize/46 {
		return nil, 0, formatf("archive directory lies outside the file (file cut short?)")
	}
	return data[dirAt : dirAt+dirSize], int(dirAt), nil
}

// findZip64 returns the zip64 end record, whose locator is the last thing in data.
func findZip64(data []byte) ([]byte, error) {
	if len(data) < 20 || string(data[len(data)-20:len(data)-16]) != "PK\x06\x07" {
		return nil, formatf("archive lacks its zip64 record")
	}
	at := binary.LittleEndian.Uint64(data[len(data)-12:])
	if at > uint64(len(data)) || uint64(len(data))-at < 56 || string(data[at:at+4]) != "PK\x06\x06" {
		return nil, formatf("archive has a broken zip64 record")
	}
	return data[at:], nil
}

// directoryHeader is one record of the central directory.
type directoryHeader struct {
	name                   string
	flags, method          uint16
	crc                    uint32
	packed, size, headerAt uint64
}

// parseDirectoryHeader reads the first record of dir and returns its length.
func parseDirectoryHeader(dir []byte) (h directoryHeader, n int, err error) {
	const size = 46
	if len(dir) < size || string(dir[:4]) != "PK\x01\x02" {
		return h, 0, formatf("broken record in the archive directory")
	}
	le := binary.LittleEndian
	nameLen, extraLen, commentLen := int(le.Uint16(dir[28:])), int(le.Uint16(dir[30:])), int(le.Uint16(dir[32:]))
	n = size + nameLen + extraLen + commentLen
	if n > len(dir) {
		return h, 0, formatf("broken record in the archive directory")
	}
	h.flags, h.method, h.crc = le.Uint16(dir[8:]), le.Uint16(dir[10:]), le.Uint32(dir[16:])
	h.packed, h.size, h.headerAt = uint64(le.Uint32(dir[20:])), uint64(le.Uint32(dir[24:])), uint64(le.Uint32(dir[42:]))
	h.name = string(dir[size : size+nameLen])
	if !h.readZip64Extra(dir[size+nameLen : size+nameLen+extraLen]) {
		return h, 0, formatf("archive entry %q has a broken zip64 field", h.name)
	}
	return h, n, nil
}

// readZip64Extra replaces the fields that did not fit 32 bits.
func (h *directoryHeader) readZip64Extra(extra []byte) bool {
	le := binary.LittleEndian
	var wide []byte
	for len(extra) >= 4 {
		id, n := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if n > len(extra)-4 {
			break // padding that is not a record
		}
		if id == 1 {
			wide = extra[4 : 4+n]
			break
		}
		extra = extra[4+n:]
	}
	for _, field := range []*uint64{&h.size, &h.packed, &h.headerAt} {
		if *field != 0xffffffff {
			continue
		}
		if len(wide) < 8 {
			return false
		}
		*field, wide = le.Uint64(wide), wide[8:]
	}
	return true
}

// entry finds the data that a record describes. body is what lies before the directory; the returned span is the bytes
// of it that the entry covers.
func (h *directoryHeader) entry(body []byte) (*zipEntry, [2]int, error) {
	const local = 30
	var span [2]int
	if h.headerAt > uint64(len(body)) || uint64(len(body))-h.headerAt < local {
		return nil, span, formatf("archive entry %q begins outside the file", h.name)
	}
	at := int(h.headerAt)
	head := body[at:]
	le := binary.LittleEndian
	if string(head[:4]) != "PK\x03\x04" {
		return nil, span, formatf("archive entry %q has a broken header", h.name)
	}
	nameEnd := local + int(le.Uint16(head[26:]))
	dataAt := nameEnd + int(le.Uint16(head[28:]))
	if dataAt > len(head) || uint64(len(head)-dataAt) < h.packed {
		return nil, span, formatf("archive entry %q of %d bytes ends outside the file", h.name, h.packed)
	}
	if string(head[local:nameEnd]) != h.name {
		return nil, span, formatf("archive entry %q has another name in its header", h.name)
	}
	if h.flags&1 != 0 {
		return nil, span, formatf("archive entry %q is encrypted", h.name)
	}
	if err := h.checkSize(); err != nil {
		return nil, span, err
	}
	end := dataAt + int(h.packed)
	span = [2]int{at, at + end}
	return &zipEntry{name: h.name, method: h.method, crc: h.crc, raw: head[dataAt:end:end], size: int(h.size)}, span, nil
}

// checkSize refuses claims that the stored bytes cannot honour, or that cost too much memory.
func (h *directoryHeader) checkSize() error {
	switch {
	case h.method == 0 && h.size != h.packed:
		return formatf("archive entry %q is stored in %d bytes but claims %d", h.name, h.packed, h.size)
	case h.method == 8 && (h.size > maxInflated || h.size > h.packed*maxInflation+64):
		return formatf("archive entry %q claims to inflate from %d to %d bytes", h.name, h.packed, h.size)
	case h.method != 0 && h.method != 8:
		return formatf("archive entry %q is packed by method %d, which is not supported", h.name, h.method)
	}
	return nil
}
