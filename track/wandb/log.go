package wandb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A .wandb file is a seven-byte header, then a LevelDB log: blocks of 32 KiB, the first one shorter by the header, of
// chunks that never straddle a block. A chunk is CRC-32 (IEEE) of type and payload, length, type, payload.
const (
	blockSize  = 32 << 10
	chunkHead  = 7
	chunkFull  = 1
	chunkFirst = 2
	chunkMid   = 3
	chunkLast  = 4
)

// header is ":W&B", the magic number 0xBEE1 and version 0.
var header = []byte{':', 'W', '&', 'B', 0xE1, 0xBE, 0}

// ErrCorrupt says that a .wandb file is not what its checksums or its format demand.
var ErrCorrupt = errors.New("corrupt .wandb file")

// maxRecord bounds the memory that a hostile file can ask for.
const maxRecord = 256 << 20

// AppendFrame appends a record's chunks as they belong at an offset of the file; at offset 0 the file's header comes
// first.
func AppendFrame(dst []byte, offset int64, record []byte) []byte {
	if offset == 0 {
		dst = append(dst, header...)
		offset = int64(len(header))
	}
	for first := true; ; first = false {
		left := blockSize - int(offset%blockSize)
		if left < chunkHead {
			dst = append(dst, make([]byte, left)...)
			offset += int64(left)
			left = blockSize
		}
		n := min(len(record), left-chunkHead)
		last := n == len(record)
		kind := byte(chunkMid)
		switch {
		case first && last:
			kind = chunkFull
		case first:
			kind = chunkFirst
		case last:
			kind = chunkLast
		}
		sum := crc32.Update(crc32.ChecksumIEEE([]byte{kind}), crc32.IEEETable, record[:n])
		dst = binary.LittleEndian.AppendUint32(dst, sum)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
		dst = append(dst, kind)
		dst = append(dst, record[:n]...)
		record = record[n:]
		offset += int64(chunkHead + n)
		if last {
			return dst
		}
	}
}

// frames takes a log apart.
type frames struct {
	r      io.Reader
	offset int64
}

// read fills b. Nothing there is io.EOF, less than b io.ErrUnexpectedEOF.
func (f *frames) read(b []byte) error {
	n, err := io.ReadFull(f.r, b)
	f.offset += int64(n)
	return err
}

// next returns the next record, or io.EOF after the last one. A file that was cut within a record gives
// io.ErrUnexpectedEOF.
func (f *frames) next() ([]byte, error) {
	if f.offset == 0 {
		got := make([]byte, len(header))
		if err := f.read(got); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
		if string(got) != string(header) {
			return nil, fmt.Errorf("header %x: %w", got, ErrCorrupt)
		}
	}
	var record []byte
	for begun := false; ; {
		kind, payload, err := f.chunk()
		if err == io.EOF && begun {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		starts := kind == chunkFull || kind == chunkFirst
		if starts == begun || len(record)+len(payload) > maxRecord {
			return nil, fmt.Errorf("chunk of kind %d out of order: %w", kind, ErrCorrupt)
		}
		begun = true
		record = append(record, payload...)
		if kind == chunkFull || kind == chunkLast {
			return record, nil
		}
	}
}

func (f *frames) chunk() (kind byte, payload []byte, err error) {
	left := blockSize - int(f.offset%blockSize)
	if left < chunkHead {
		if err := f.read(make([]byte, left)); err != nil {
			return 0, nil, err
		}
		left = blockSize
	}
	var head [chunkHead]byte
	if err := f.read(head[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.LittleEndian.Uint16(head[4:]))
	kind = head[6]
	if kind < chunkFull || kind > chunkLast || n > left-chunkHead {
		return 0, nil, fmt.Errorf("chunk of kind %d and length %d: %w", kind, n, ErrCorrupt)
	}
	payload = make([]byte, n)
	if err := f.read(payload); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	sum := crc32.Update(crc32.ChecksumIEEE(head[6:7]), crc32.IEEETable, payload)
	if sum != binary.LittleEndian.Uint32(head[:]) {
		return 0, nil, fmt.Errorf("checksum of a chunk: %w", ErrCorrupt)
	}
	return kind, payload, nil
}
