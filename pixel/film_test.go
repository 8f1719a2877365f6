package pixel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/vp8"
)

// movie has n frames that differ everywhere.
func movie(n, w, h int) Film {
	var frames []image.Image
	for i := range n {
		frames = append(frames, gradient(w, h, 7*i))
	}
	return FilmOf(frames, time.Second/24)
}

func TestAPNG(t *testing.T) {
	for _, size := range []image.Point{{31, 17}, {1, 1}, {64, 64}} {
		film := movie(5, size.X, size.Y)
		note, err := ITXtChunk("smalti", "a film")
		if err != nil {
			t.Fatal(err)
		}
		var a, b bytes.Buffer
		for _, w := range []*bytes.Buffer{&a, &b} {
			if err := EncodeAPNG(w, film, note); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Fatal("the same film gave different bytes")
		}
		frames, delay, err := DecodeAPNG(bytes.NewReader(a.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if len(frames) != 5 || delay != 41700*time.Microsecond {
			t.Fatalf("%d frames, each for %v", len(frames), delay)
		}
		for i, f := range frames {
			want, _ := film.Frame(i)
			if d, err := Compare(want, f); err != nil || !d.Equal() {
				t.Errorf("frame %d: %v, %+v", i, err, d)
			}
		}
		// Programs without animation see the first frame, and the chunks of a picture.
		still, err := png.Decode(bytes.NewReader(a.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		want, _ := film.Frame(0)
		if d, err := Compare(want, still); err != nil || !d.Equal() {
			t.Errorf("the still is not the first frame: %v %+v", err, d)
		}
		chunks, err := ReadChunks(bytes.NewReader(a.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := FindText(chunks, "smalti"); err != nil || text != "a film" {
			t.Errorf("note %q, %v", text, err)
		}
	}
}

func TestAPNGPlaysAndTimes(t *testing.T) {
	film := movie(2, 4, 4)
	film.Once, film.Delay = true, 20*time.Second
	var b bytes.Buffer
	if err := EncodeAPNG(&b, film); err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b.Bytes(), []byte("acTL"))
	if frames, plays := binary.BigEndian.Uint32(b.Bytes()[at+4:]), binary.BigEndian.Uint32(b.Bytes()[at+8:]); frames != 2 || plays != 1 {
		t.Errorf("%d frames, %d plays", frames, plays)
	}
	if _, delay, err := DecodeAPNG(&b); err != nil || delay != 20*time.Second {
		t.Errorf("delay %v, %v", delay, err)
	}
	b.Reset()
	if err := EncodePNG(&b, gradient(3, 3, 0)); err != nil {
		t.Fatal(err)
	}
	if frames, _, err := DecodeAPNG(&b); err != nil || len(frames) != 1 {
		t.Errorf("an ordinary PNG: %d frames, %v", len(frames), err)
	}
}

func TestDecodeAPNGRefuses(t *testing.T) {
	var b bytes.Buffer
	if err := EncodeAPNG(&b, movie(3, 8, 8)); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	// broken returns the file with n bytes behind a mark changed, and the checksum of that chunk made right again.
	broken := func(mark string, nth, offset int, v byte) []byte {
		out := slices.Clone(whole)
		at := -1
		for range nth + 1 {
			at += 1 + bytes.Index(out[at+1:], []byte(mark))
		}
		size := int(binary.BigEndian.Uint32(out[at-4:]))
		out[at+4+offset] = v
		var c bytes.Buffer
		Chunk{mark, out[at+4 : at+4+size]}.writeTo(&c)
		copy(out[at-4:], c.Bytes())
		return out
	}
	for name, data := range map[string][]byte{
		"cut off":            whole[:len(whole)-20],
		"no magic":           whole[1:],
		"too many frames":    broken("acTL", 0, 0, 255),
		"one frame missing":  broken("acTL", 0, 3, 4),
		"wrong order":        broken("fcTL", 1, 3, 7),
		"smaller frame":      broken("fcTL", 1, 7, 4),
		"blended frame":      broken("fcTL", 1, 25, 1),
		"frame out of order": broken("fdAT", 0, 3, 0),
		"broken pixels":      broken("fdAT", 1, 5, 0),
		"enormous":           broken("IHDR", 0, 0, 127),
	} {
		if _, _, err := DecodeAPNG(bytes.NewReader(data)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// webm is what the test's own reader finds in a file.
type webm struct {
	docType, codec string
	w, h           uint64
	duration       float64
	times          []int64
	frames         [][]byte
	cues           map[uint64]uint64 // time to the position of a cluster
	clusters       map[uint64]uint64
	seeks          map[uint32]uint64
	elements       map[uint64]uint32 // in the segment, by position
}

// readWebM walks through elements by their sizes. Everything is where the sizes say, to the last byte, or it fails.
func readWebM(t *testing.T, data []byte) webm {
	t.Helper()
	out := webm{cues: map[uint64]uint64{}, clusters: map[uint64]uint64{}, seeks: map[uint32]uint64{}, elements: map[uint64]uint32{}}
	var cluster, cueTime, segment, position uint64
	var seekID uint32
	var walk func(base uint64, b []byte)
	walk = func(base uint64, b []byte) {
		for at := 0; at < len(b); {
			start := at
			n := 1
			for b[at]<<(n-1)&0x80 == 0 {
				n++
			}
			id := uint32(0)
			for range n {
				id = id<<8 | uint32(b[at])
				at++
			}
			size := binary.BigEndian.Uint64(b[at:]) & (1<<56 - 1)
			at += 8
			body := b[at : at+int(size)]
			position = base + uint64(start) - segment
			here := base + uint64(at)
			at += int(size)
			u := uint64(0)
			if size == 8 {
				u = binary.BigEndian.Uint64(body)
			}
			switch id {
			case mkvSegment:
				segment = here
				walk(here, body)
			case ebmlHeader, mkvTracks, mkvTrack, mkvVideo, mkvInfo, mkvCues, mkvCue, mkvCuePositions, mkvSeekHead, mkvSeek, mkvCluster:
				out.elements[position] = id
				if id == mkvCluster {
					cluster = position
				}
				walk(here, body)
			case ebmlDocType:
				out.docType = string(body)
			case mkvCodec:
				out.codec = string(body)
			case mkvWidth:
				out.w = u
			case mkvHeight:
				out.h = u
			case mkvDuration:
				out.duration = math.Float64frombits(u)
			case mkvTime:
				out.clusters[u] = cluster
				out.times = append(out.times, int64(u)) // replaced by the first block's
			case mkvBlock:
				if body[0] != 0x81 || body[3] != 0x80 {
					t.Fatalf("block head %x", body[:4])
				}
				if n := len(out.times); n > len(out.frames) {
					out.times = out.times[:n-1]
				}
				start := int64(0)
				for c, p := range out.clusters {
					if p == cluster {
						start = int64(c)
					}
				}
				out.times = append(out.times, start+int64(int16(binary.BigEndian.Uint16(body[1:]))))
				out.frames = append(out.frames, body[4:])
			case mkvCueTime:
				cueTime = u
			case mkvCueCluster:
				out.cues[cueTime] = u
			case mkvSeekID:
				seekID = binary.BigEndian.Uint32(body)
			case mkvSeekPosition:
				out.seeks[seekID] = u
			}
		}
	}
	walk(0, data)
	return out
}

func TestWebM(t *testing.T) {
	film := movie(60, 50, 34)
	var a, b bytes.Buffer
	for _, w := range []*bytes.Buffer{&a, &b} {
		if err := EncodeWebM(w, film, 90); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Fatal("the same film gave different bytes")
	}
	m := readWebM(t, a.Bytes())
	if m.docType != "webm" || m.codec != "V_VP8" || m.w != 50 || m.h != 34 || m.duration != 2500 || len(m.frames) != 60 {
		t.Fatalf("%s %s %dx%d, %g ms, %d frames", m.docType, m.codec, m.w, m.h, m.duration, len(m.frames))
	}
	for i, at := range m.times {
		if want := int64(math.Round(float64(i) * 1000 / 24)); at != want {
			t.Errorf("frame %d is at %d ms, want %d", i, at, want)
		}
	}
	if len(m.cues) != 3 || len(m.clusters) != 3 {
		t.Errorf("%d cues for %d clusters", len(m.cues), len(m.clusters))
	}
	for at, p := range m.clusters {
		if m.cues[at] != p {
			t.Errorf("the cue of %d ms leads to %d, its cluster is at %d", at, m.cues[at], p)
		}
	}
	for _, id := range []uint32{mkvInfo, mkvTracks, mkvCues} {
		if p, ok := m.seeks[id]; !ok || m.elements[p] != id {
			t.Errorf("the seek head leads to %x where %x should be", m.elements[p], id)
		}
	}
	for i, data := range m.frames {
		d := vp8.NewDecoder()
		d.Init(bytes.NewReader(data), len(data))
		if _, err := d.DecodeFrameHeader(); err != nil {
			t.Fatal(err)
		}
		img, err := d.DecodeFrame()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		want, _ := film.Frame(i)
		if db := narrowPSNR(want, img); db < 42 { // 43.8 or more when this was written; a frame ten away has 26.6
			t.Errorf("frame %d: %.1f dB", i, db)
		}
	}
}

// narrowPSNR compares luma in the range that video has.
func narrowPSNR(want image.Image, got *image.YCbCr) float64 {
	sum, n := 0.0, 0
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			r, g, b, _ := want.At(x, y).RGBA()
			luma := 16 + 219.0/65535*(0.299*float64(r)+0.587*float64(g)+0.114*float64(b))
			d := luma - float64(got.Y[got.YOffset(x, y)])
			sum, n = sum+d*d, n+1
		}
	}
	return 10 * math.Log10(255*255*float64(n)/sum)
}

func TestFilmsAreChecked(t *testing.T) {
	broken := errors.New("no frame")
	for name, f := range map[string]Film{
		"empty":     {Delay: time.Second},
		"too long":  {Frames: MaxFrames + 1, Delay: time.Second},
		"too fast":  {Frames: 1},
		"too slow":  {Frames: 1, Delay: time.Hour},
		"two sizes": FilmOf([]image.Image{gradient(4, 4, 0), gradient(4, 5, 0)}, time.Second),
		"no pixels": FilmOf([]image.Image{image.NewNRGBA(image.Rectangle{})}, time.Second),
		"broken":    {Frames: 1, Delay: time.Second, Frame: func(int) (image.Image, error) { return nil, broken }},
	} {
		for format, write := range map[string]func() error{
			"apng": func() error { return EncodeAPNG(&bytes.Buffer{}, f) },
			"webm": func() error { return EncodeWebM(&bytes.Buffer{}, f, 80) },
		} {
			err := write()
			if err == nil || !strings.HasPrefix(err.Error(), "write "+format) {
				t.Errorf("%s as %s: %v", name, format, err)
			}
			if name == "broken" && !errors.Is(err, broken) {
				t.Errorf("%s: the cause is lost: %v", format, err)
			}
		}
	}
	for format, err := range map[string]error{
		"apng": EncodeAPNG(&fullDisk{left: 300}, movie(3, 20, 20)),
		"webm": EncodeWebM(&fullDisk{left: 300}, movie(3, 20, 20), 80),
	} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s on a full disk: %v", format, err)
		}
	}
}

func TestMP4(t *testing.T) {
	film := movie(10, 31, 18)
	args := strings.Join(FFmpegArgs(31, 18, film, "-o.mp4"), " ")
	for _, want := range []string{"-s 31x18", "-framerate 1000000000/41666666", "pad=32:18", "file:-o.mp4"} {
		if !strings.Contains(args, want) {
			t.Errorf("arguments %s lack %s", args, want)
		}
	}
	if strings.Contains(strings.Join(FFmpegArgs(32, 18, film, "o.mp4"), " "), "pad") {
		t.Error("an even size is padded")
	}
	path := filepath.Join(t.TempDir(), "o.mp4")
	t.Run("with", func(t *testing.T) {
		if _, err := exec.LookPath("ffmpeg"); err != nil {
			t.Skip("ffmpeg is not installed")
		}
		if err := WriteMP4(t.Context(), path, film); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data[4:8]) != "ftyp" {
			t.Fatalf("%v, begins with %q", err, data[:min(len(data), 12)])
		}
		broken := film
		broken.Frame = func(i int) (image.Image, error) {
			if i == 3 {
				return nil, fmt.Errorf("no frame")
			}
			return film.Frame(i)
		}
		other := filepath.Join(t.TempDir(), "p.mp4")
		if err := WriteMP4(t.Context(), other, broken); err == nil {
			t.Error("a broken film was written")
		}
		if left, _ := filepath.Glob(other + "*"); len(left) > 0 {
			t.Errorf("%v were left behind", left)
		}
	})
	t.Run("without", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if err := WriteMP4(t.Context(), filepath.Join(t.TempDir(), "q.mp4"), film); !errors.Is(err, ErrNoFFmpeg) {
			t.Errorf("error %v", err)
		}
	})
}
