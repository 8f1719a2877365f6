package main

import (
	"errors"
	"strconv"

	"github.com/smalti/smalti/engine"
)

// bandsFlag is the value of --bands: bytes of a band, 0 for whole pictures.
type bandsFlag int

// bandsUsual is --bands without a size.
const bandsUsual = "on"

func (b *bandsFlag) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.Itoa(int(*b)) + "B"
}

// Set reads on, off, or a size of memory.
func (b *bandsFlag) Set(s string) error {
	switch s {
	case bandsUsual:
		*b = engine.BandBytes
		return nil
	case "", "off":
		*b = 0
		return nil
	}
	n, err := parseBytes(s)
	if err != nil || n < leastBand || n > mostBand {
		return errors.New("write on, off, or a size from 0.1MB to 1GB")
	}
	*b = bandsFlag(n)
	return nil
}

func (b *bandsFlag) Type() string { return "size" }

// Bounds of the size of bands: smaller ones are mostly the rows around them.
const (
	leastBand = 100_000
	mostBand  = 1_000_000_000
)
