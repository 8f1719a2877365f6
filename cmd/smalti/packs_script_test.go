package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"github.com/smalti/smalti/dataset"
)

// makePack writes a small pack of squares: mkpack FOLDER STYLE NAME...
func makePack(dir, style string, names []string) {
	var zipped, lines bytes.Buffer
	zw := zip.NewWriter(&zipped)
	for i, name := range names {
		name = strings.ReplaceAll(name, "_", " ")
		p := dataset.Pair{File: style + "/" + name + ".png", Style: style, Licence: "CC0-1.0", Label: name, Tags: []string{"thing"}, Group: "things", Concept: name}
		fail(json.NewEncoder(&lines).Encode(p))
		w, err := zw.Create(p.File)
		fail(err)
		img := image.NewNRGBA(image.Rect(0, 0, 16, 16))
		for y := 3; y < 13; y++ {
			for x := 3; x < 13; x++ {
				img.SetNRGBA(x, y, color.NRGBA{uint8(60 + i*40), 90, 30, 255})
			}
		}
		fail(png.Encode(w, img))
	}
	fail(zw.Close())
	m := dataset.Manifest{Format: 1, Name: filepath.Base(dir), Size: 16, Count: len(names), Recipe: "test", SHA256: map[string]string{}}
	fail(os.MkdirAll(dir, 0o755))
	for name, data := range map[string][]byte{"images.zip": zipped.Bytes(), "pairs.jsonl": lines.Bytes()} {
		sum := sha256.Sum256(data)
		m.SHA256[name] = hex.EncodeToString(sum[:])
		fail(os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	b, err := json.Marshal(m)
	fail(err)
	fail(os.WriteFile(filepath.Join(dir, "pack.json"), b, 0o644))
}

// fakeAptGet stands for apt-get: what it downloads is not the package that was asked for.
func fakeAptGet(args []string) {
	name, version, _ := strings.Cut(args[len(args)-1], "=")
	fail(os.WriteFile(name+"_"+strings.ReplaceAll(version, ":", "%3a")+"_all.deb", []byte("!<arch>\nsomething else"), 0o644))
}
