package pixel

import (
	"bytes"
	"compress/zlib"
	"errors"
	"image/png"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func mustChunk(t testing.TB) func(Chunk, error) Chunk {
	return func(c Chunk, err error) Chunk {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// sample is a PNG with a recipe, parameters and codes.
func sample(t testing.TB) ([]byte, []Chunk) {
	t.Helper()
	must := mustChunk(t)
	chunks := []Chunk{
		must(ITXtChunk(RecipeKey, `{"prompt":"a red apple – naïve 苹果"}`)),
		must(TextChunk(ParametersKey, "a red apple\nSteps: 50, Seed: 7")),
		must(EncodeCodes(Codes{2, 3, []uint16{0, 1, 2, 65535, 4, 5}})),
	}
	var b bytes.Buffer
	if err := EncodePNG(&b, corners(), chunks...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), chunks
}

func TestPNGCarriesItsChunks(t *testing.T) {
	raw, want := sample(t)
	again, _ := sample(t)
	if !bytes.Equal(raw, again) {
		t.Fatal("the same picture gave different bytes")
	}
	img, err := png.Decode(bytes.NewReader(raw)) // the standard library checks order and checksums
	if err != nil {
		t.Fatal(err)
	}
	mustEqual(t, flatten(img, corners().At(0, 0)).image(), corners())
	got, err := ReadChunks(iotest.OneByteReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("chunks\n%q\nwant\n%q", got, want)
	}
	if s, err := FindText(got, RecipeKey); err != nil || s != `{"prompt":"a red apple – naïve 苹果"}` {
		t.Fatalf("recipe %q, %v", s, err)
	}
	if s, err := FindText(got, ParametersKey); err != nil || s != "a red apple\nSteps: 50, Seed: 7" {
		t.Fatalf("parameters %q, %v", s, err)
	}
	if _, err := FindText(got, "other"); !errors.Is(err, ErrNoText) {
		t.Fatalf("a text that is not there: %v", err)
	}
	if c, err := DecodeCodes(got); err != nil || !reflect.DeepEqual(c, Codes{2, 3, []uint16{0, 1, 2, 65535, 4, 5}}) {
		t.Fatalf("codes %v, %v", c, err)
	}
	if _, err := DecodeCodes(got[:2]); !errors.Is(err, ErrNoCodes) {
		t.Fatalf("codes that are not there: %v", err)
	}
}

// Other programs compress their texts, and write Latin-1.
func TestFindTextReadsForeignForms(t *testing.T) {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	w.Write([]byte("na\xefve"))
	w.Close()
	chunks := []Chunk{
		{"tIME", []byte("latin")},
		{"tEXt", []byte("latin\x00na\xefve")},
		{"zTXt", append([]byte("packed\x00\x00"), z.Bytes()...)},
		{"iTXt", append([]byte("ipacked\x00\x01\x00de\x00Schl\xc3\xbcssel\x00"), z.Bytes()...)},
		{"zTXt", []byte("badmethod\x00\x07")},
		{"iTXt", []byte("short\x00\x00")},
		{"zTXt", []byte("notzlib\x00\x00hello")},
	}
	for _, key := range []string{"latin", "packed"} {
		if s, err := FindText(chunks, key); err != nil || s != "naïve" {
			t.Errorf("%s: %q, %v", key, s, err)
		}
	}
	for _, key := range []string{"ipacked", "badmethod", "short", "notzlib"} { // ipacked holds Latin-1 where UTF-8 belongs
		if s, err := FindText(chunks, key); err == nil || errors.Is(err, ErrNoText) {
			t.Errorf("%s: %q, %v", key, s, err)
		}
	}
}

func TestTextChunkRules(t *testing.T) {
	must := mustChunk(t)
	if c := must(TextChunk("k", "naïve")); c.Type != "tEXt" || string(c.Data) != "k\x00na\xefve" {
		t.Errorf("Latin-1 text became %q", c)
	}
	if c := must(TextChunk("k", "苹果")); c.Type != "iTXt" {
		t.Errorf("other text became %s", c.Type)
	}
	for _, bad := range [][2]string{{"", "x"}, {strings.Repeat("k", 80), "x"}, {"k\n", "x"}, {"ключ", "x"}, {"k", "a\x00b"}, {"k", "\xff"}} {
		if _, err := TextChunk(bad[0], bad[1]); err == nil {
			t.Errorf("keyword %q text %q was accepted", bad[0], bad[1])
		}
	}
	for _, bad := range []string{"", "abc", "abcde", "IDAT", "ab1d"} {
		if err := EncodePNG(io.Discard, corners(), Chunk{Type: bad}); err == nil {
			t.Errorf("chunk type %q was accepted", bad)
		}
	}
}

func TestReadChunksRefusesDamage(t *testing.T) {
	raw, _ := sample(t)
	for n := range raw {
		if _, err := ReadChunks(bytes.NewReader(raw[:n])); err == nil {
			t.Fatalf("a PNG cut to %d of %d bytes was accepted", n, len(raw))
		}
	}
	for i := len(pngMagic); i < len(raw); i++ {
		bent := bytes.Clone(raw)
		bent[i] ^= 0x10
		if _, err := ReadChunks(bytes.NewReader(bent)); err == nil {
			t.Fatalf("a flipped bit in byte %d went unnoticed", i)
		}
	}
	if _, err := ReadChunks(strings.NewReader("GIF89a..........")); !errors.Is(err, errNotPNG) {
		t.Fatal(err)
	}
	huge := pngMagic + "\x7f\xff\xff\xfftEXt"
	if _, err := ReadChunks(io.MultiReader(strings.NewReader(huge), zeros{})); err == nil {
		t.Fatal("a chunk of 2 GiB was read")
	}
}

// zeros is an endless stream.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBombsAreRefused(t *testing.T) {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := io.CopyN(w, zeros{}, maxChunks+1); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := FindText([]Chunk{{"zTXt", append([]byte("k\x00\x00"), z.Bytes()...)}}, "k"); err == nil {
		t.Error("a text of more than the cap was inflated")
	}
	grid := append([]byte{0, 0, 0, 2, 0, 0, 0, 3}, z.Bytes()...)
	if _, err := DecodeCodes([]Chunk{{CodesType, grid}}); err == nil {
		t.Error("a grid of 2x3 held megabytes")
	}
}

func TestCodesRefuseWrongGrids(t *testing.T) {
	for _, c := range []Codes{{}, {1, 2, []uint16{1}}, {-1, -1, []uint16{1}}, {1 << 20, 1 << 20, nil}} {
		if _, err := EncodeCodes(c); err == nil {
			t.Errorf("%d x %d with %d codes was packed", c.Rows, c.Cols, len(c.Index))
		}
	}
	good := mustChunk(t)(EncodeCodes(Codes{1, 2, []uint16{3, 4}}))
	for name, b := range map[string][]byte{
		"empty": nil, "header only": good.Data[:8], "zero rows": append([]byte{0, 0, 0, 0}, good.Data[4:]...),
		"huge": append([]byte{255, 255, 255, 255}, good.Data[4:]...), "too few": append([]byte{0, 0, 0, 2}, good.Data[4:]...),
		"cut": good.Data[:len(good.Data)-3],
	} {
		if c, err := DecodeCodes([]Chunk{{CodesType, b}}); err == nil {
			t.Errorf("%s was unpacked to %v", name, c)
		}
	}
}

func TestEncodePNGReportsAFullDisk(t *testing.T) {
	raw, chunks := sample(t)
	for n := range raw {
		if err := EncodePNG(&fullDisk{left: n}, corners(), chunks...); !errors.Is(err, errFull) {
			t.Fatalf("with room for %d of %d bytes: %v", n, len(raw), err)
		}
	}
}

var errFull = errors.New("no space left")

// fullDisk takes so many bytes and then fails.
type fullDisk struct{ left int }

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.left)
	d.left -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func FuzzReadChunks(f *testing.F) {
	raw, _ := sample(f)
	f.Add(raw)
	f.Add(raw[:60])
	f.Add([]byte(pngMagic + "\xff\xff\xff\xfftEXt"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		chunks, err := ReadChunks(bytes.NewReader(raw))
		if err != nil {
			return
		}
		for _, key := range []string{RecipeKey, ParametersKey, "k"} {
			_, _ = FindText(chunks, key)
		}
		if c, err := DecodeCodes(chunks); err == nil {
			if c.check() != nil {
				t.Fatalf("wrong grid %d x %d of %d", c.Rows, c.Cols, len(c.Index))
			}
		}
		// What was read can be written and read again.
		for _, c := range chunks {
			if c.check() != nil {
				return
			}
		}
		var b bytes.Buffer
		if err := EncodePNG(&b, corners(), chunks...); err != nil {
			t.Fatal(err)
		}
		again, err := ReadChunks(&b)
		if err != nil || len(again) != len(chunks) {
			t.Fatalf("%d chunks became %d: %v", len(chunks), len(again), err)
		}
	})
}
