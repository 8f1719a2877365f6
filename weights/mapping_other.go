//go:build !unix

package weights

import (
	"io"
	"os"
)

// mapFile reads the whole file where there is no mmap in the standard library.
func mapFile(f *os.File, size int) ([]byte, func() error, error) {
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, nil, err
	}
	return data, nil, nil
}
