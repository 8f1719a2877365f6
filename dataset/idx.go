package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Caps on an IDX file.
const (
	maxIDXItems = 10_000_000
	maxIDXSide  = 1024
	maxIDXBytes = 4 << 30
)

// Parts of an IDX set.
const (
	TrainPart = "train"
	TestPart  = "t10k"
)

// classesFile names the classes of an IDX folder, one a line. It may be missing.
const classesFile = "classes.txt"

// IDX is a set of grey pictures in the format of MNIST (LeCun et al. 1998), in memory.
type IDX struct {
	size   int
	pixels []uint8
	labels []uint8
	names  []string
}

// OpenIDX reads a part of a folder with files named as MNIST's are: train-images-idx3-ubyte, train-labels-idx1-ubyte and
// the same with t10k, plain or with the ending .gz, and with a dot for the dash before idx as well. Pictures must be square.
func OpenIDX(dir, part string) (*IDX, error) {
	dims, pixels, err := readIDX(dir, part+"-images", 3)
	if err != nil {
		return nil, fmt.Errorf("open idx folder: %w", err)
	}
	n, h, w := dims[0], dims[1], dims[2]
	if h != w || h < 1 || h > maxIDXSide {
		return nil, fmt.Errorf("open idx folder %s: pictures of %dx%d, want square ones up to %d", dir, w, h, maxIDXSide)
	}
	dims, labels, err := readIDX(dir, part+"-labels", 1)
	if err != nil {
		return nil, fmt.Errorf("open idx folder: %w", err)
	}
	if dims[0] != n || n == 0 {
		return nil, fmt.Errorf("open idx folder %s: %d pictures and %d labels", dir, n, dims[0])
	}
	x := &IDX{size: h, pixels: pixels, labels: labels}
	if x.names, err = classNames(dir, labels); err != nil {
		return nil, fmt.Errorf("open idx folder: %w", err)
	}
	return x, nil
}

// classNames reads classes.txt, or counts.
func classNames(dir string, labels []uint8) ([]string, error) {
	most := 0
	for _, l := range labels {
		most = max(most, int(l))
	}
	b, err := os.ReadFile(filepath.Join(dir, classesFile))
	if errors.Is(err, fs.ErrNotExist) {
		names := make([]string, most+1)
		for i := range names {
			names[i] = strconv.Itoa(i)
		}
		return names, nil
	}
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(names) <= most {
		return nil, fmt.Errorf("%s names %d classes, but there is a label %d", classesFile, len(names), most)
	}
	return names, nil
}

// readIDX reads the array of bytes of the given rank under one of the names that such files have.
func readIDX(dir, name string, rank int) (dims []int, data []byte, err error) {
	tail := fmt.Sprintf("idx%d-ubyte", rank)
	for _, n := range []string{name + "-" + tail, name + "." + tail} {
		for _, end := range []string{"", ".gz"} {
			f, err := os.Open(filepath.Join(dir, n+end))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			defer f.Close()
			dims, data, err = parseIDX(f, end != "", rank)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", filepath.Join(dir, n+end), err)
			}
			return dims, data, nil
		}
	}
	return nil, nil, fmt.Errorf("%s: no file %s-%s or %[2]s-%[3]s.gz: %w", dir, name, tail, fs.ErrNotExist)
}

// parseIDX reads the format: two zero bytes, 8 for unsigned bytes, the rank, the dimensions as big-endian 32-bit numbers,
// the data.
func parseIDX(r io.Reader, zipped bool, rank int) (dims []int, data []byte, err error) {
	r = bufio.NewReader(r)
	if zipped {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		defer z.Close()
		r = z
	}
	head := make([]byte, 4+4*rank)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, nil, fmt.Errorf("too short for an idx file: %w", err)
	}
	if head[0] != 0 || head[1] != 0 || head[2] != 8 || int(head[3]) != rank {
		return nil, nil, fmt.Errorf("begins with % x, not an idx file of bytes in %d dimensions", head[:4], rank)
	}
	size := int64(1)
	for i := range rank {
		d := binary.BigEndian.Uint32(head[4+4*i:])
		if d > maxIDXItems {
			return nil, nil, fmt.Errorf("dimension of %d is over the cap", d)
		}
		dims = append(dims, int(d))
		if size *= int64(d); size > maxIDXBytes {
			return nil, nil, fmt.Errorf("array of %v is over the cap of %d bytes", dims, int64(maxIDXBytes))
		}
	}
	// The buffer grows with what arrives: a header must not make a short file cost gigabytes.
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(r, size+1)); err != nil {
		return nil, nil, err
	}
	if int64(b.Len()) != size {
		return nil, nil, fmt.Errorf("array of %v needs %d bytes, the file has %s", dims, size, map[bool]string{true: "more", false: strconv.Itoa(b.Len())}[int64(b.Len()) > size])
	}
	return dims, b.Bytes(), nil
}

// Len is the number of pictures.
func (x *IDX) Len() int { return len(x.labels) }

// Size is the side of a picture.
func (x *IDX) Size() int { return x.size }

// Channels is 1.
func (x *IDX) Channels() int { return 1 }

// Class is the label of a picture.
func (x *IDX) Class(i int) int { return int(x.labels[i]) }

// Classes are the names of the labels.
func (x *IDX) Classes() []string { return x.names }

// Read copies a picture.
func (x *IDX) Read(i int, dst []uint8) error {
	n := x.size * x.size
	if i < 0 || i >= x.Len() || len(dst) != n {
		return fmt.Errorf("read picture %d of %d into %d bytes, want %d", i, x.Len(), len(dst), n)
	}
	copy(dst, x.pixels[i*n:(i+1)*n])
	return nil
}
