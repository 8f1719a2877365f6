package weights

import (
	"fmt"
	"os"
	"sync/atomic"
)

// mapping is the bytes of an open file, mapped where the system can, or bytes that the program already has.
type mapping struct {
	data   []byte
	closed atomic.Bool
	unmap  func() error // nil when there is nothing to release
}

// openMapping maps a regular file. The mapping is private: a write to it would not reach the file.
func openMapping(path string) (*mapping, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, formatf("not a regular file")
	}
	if info.Size() == 0 {
		return nil, formatf("the file is empty")
	}
	if int64(int(info.Size())) != info.Size() {
		return nil, fmt.Errorf("%d bytes do not fit this machine's address space", info.Size())
	}
	data, unmap, err := mapFile(f, int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("map file: %w", err)
	}
	return &mapping{data: data, unmap: unmap}, nil
}

// Close releases the memory; slices into it must not be used afterwards.
func (m *mapping) Close() error {
	if m.closed.Swap(true) || m.unmap == nil {
		return nil
	}
	return m.unmap()
}
