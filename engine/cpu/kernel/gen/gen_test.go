package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestFilesAreCurrent fails when the generator changed and `go generate` was forgotten.
func TestFilesAreCurrent(t *testing.T) {
	for _, f := range outputs() {
		got, err := os.ReadFile(filepath.Join("..", f.name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, f.text) {
			t.Errorf("%s is not what the generator writes: run go generate", f.name)
		}
	}
}

// TestEVEX compares with encodings known from the assembler: VPDPWSSD is VDPBF16PS with another mandatory prefix.
func TestEVEX(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{evexRR(pp66, 0x52, 5, 31, 30), "BYTE $0x62; BYTE $0x92; BYTE $0x05; BYTE $0x40; BYTE $0x52; BYTE $0xee"},
		{evexRR(ppF3, 0x52, 5, 31, 30), "BYTE $0x62; BYTE $0x92; BYTE $0x06; BYTE $0x40; BYTE $0x52; BYTE $0xee"},
	} {
		if c.got != c.want {
			t.Errorf("got %s want %s", c.got, c.want)
		}
	}
}
