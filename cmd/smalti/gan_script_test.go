package main

import (
	"encoding/binary"
	"os"
	"path/filepath"

	"github.com/smalti/smalti/dataset"
)

// makeIDX writes a set in MNIST's format of 8 x 8 pictures of two classes, a bar across and a bar down: mkidx DIR.
func makeIDX(dir string) {
	fail(os.MkdirAll(dir, 0o777))
	for _, part := range []string{dataset.TrainPart, dataset.TestPart} {
		var pix, labels []byte
		for i := range 64 {
			at := 1 + i/2%5
			for y := range 8 {
				for x := range 8 {
					v := byte(0)
					if i%2 == 0 && (y == at || y == at+1) || i%2 == 1 && (x == at || x == at+1) {
						v = 255
					}
					pix = append(pix, v)
				}
			}
			labels = append(labels, byte(i%2))
		}
		for name, b := range map[string][]byte{"-images-idx3-ubyte": append(idxHead(64, 8, 8), pix...), "-labels-idx1-ubyte": append(idxHead(64), labels...)} {
			fail(os.WriteFile(filepath.Join(dir, part+name), b, 0o666))
		}
	}
}

func idxHead(dims ...int) []byte {
	out := []byte{0, 0, 8, byte(len(dims))}
	for _, d := range dims {
		out = binary.BigEndian.AppendUint32(out, uint32(d))
	}
	return out
}
