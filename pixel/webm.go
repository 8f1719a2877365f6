package pixel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/smalti/smalti/pixel/vp8"
)

// Elements of WebM by their EBML identifiers (RFC 8794, RFC 9559).
const (
	ebmlHeader, ebmlDocType                          = 0x1A45DFA3, 0x4282
	ebmlVersion, ebmlReadVersion                     = 0x4286, 0x42F7
	ebmlMaxID, ebmlMaxSize                           = 0x42F2, 0x42F3
	ebmlDocVersion, ebmlDocReadVersion               = 0x4287, 0x4285
	mkvSegment                                       = 0x18538067
	mkvSeekHead, mkvSeek, mkvSeekID, mkvSeekPosition = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
	mkvInfo, mkvScale, mkvDuration                   = 0x1549A966, 0x2AD7B1, 0x4489
	mkvMuxer, mkvWriter                              = 0x4D80, 0x5741
	mkvTracks, mkvTrack, mkvTrackNumber, mkvTrackUID = 0x1654AE6B, 0xAE, 0xD7, 0x73C5
	mkvTrackType, mkvLacing, mkvCodec, mkvFrameTime  = 0x83, 0x9C, 0x86, 0x23E383
	mkvVideo, mkvWidth, mkvHeight                    = 0xE0, 0xB0, 0xBA
	mkvCluster, mkvTime, mkvBlock                    = 0x1F43B675, 0xE7, 0xA3
	mkvCues, mkvCue, mkvCueTime, mkvCueTrack         = 0x1C53BB6B, 0xBB, 0xB3, 0xF7
	mkvCuePositions, mkvCueCluster                   = 0xB7, 0xF1
)

// clusterMillis is the length of a cluster, to which players can jump.
const clusterMillis = 1000

// EncodeWebM writes a film as WebM, which browsers play: every frame is a VP8 key frame of the given quality (0 to 100,
// 85 is good). The compressed film is held in memory.
func EncodeWebM(w io.Writer, f Film, quality int) error {
	m := webmWriter{film: f}
	err := f.each(func(i int, r raster) error {
		data, err := vp8.Encode(r.w, r.h, r.pix, quality)
		if err == nil {
			m.add(i, r.w, r.h, data)
		}
		return err
	})
	if err == nil {
		_, err = w.Write(m.finish())
	}
	if err != nil {
		return fmt.Errorf("write webm: %w", err)
	}
	return nil
}

// webmWriter collects the clusters of a film.
type webmWriter struct {
	film     Film
	w, h     int
	clusters [][]byte // complete elements
	starts   []int64  // of the clusters, in milliseconds
	open     []byte   // body of the last cluster
}

// millis is when frame i begins.
func (m *webmWriter) millis(i int) int64 {
	return int64(math.Round(float64(i) * m.film.Delay.Seconds() * 1000))
}

func (m *webmWriter) add(i, w, h int, data []byte) {
	m.w, m.h = w, h
	at := m.millis(i)
	if len(m.starts) == 0 || at-m.starts[len(m.starts)-1] >= clusterMillis {
		m.close()
		m.starts = append(m.starts, at)
		m.open = number(mkvTime, uint64(at))
	}
	relative := at - m.starts[len(m.starts)-1]
	block := append([]byte{0x81, byte(relative >> 8), byte(relative), 0x80}, data...) // track 1, a key frame
	m.open = append(m.open, element(mkvBlock, block)...)
}

func (m *webmWriter) close() {
	if m.open != nil {
		m.clusters = append(m.clusters, element(mkvCluster, m.open))
		m.open = nil
	}
}

// finish returns the file.
func (m *webmWriter) finish() []byte {
	m.close()
	head := element(ebmlHeader, join(number(ebmlVersion, 1), number(ebmlReadVersion, 1), number(ebmlMaxID, 4), number(ebmlMaxSize, 8),
		element(ebmlDocType, []byte("webm")), number(ebmlDocVersion, 2), number(ebmlDocReadVersion, 2)))
	info := element(mkvInfo, join(number(mkvScale, 1_000_000), float(mkvDuration, float64(m.millis(m.film.Frames))),
		element(mkvMuxer, []byte("smalti")), element(mkvWriter, []byte("smalti"))))
	tracks := element(mkvTracks, element(mkvTrack, join(number(mkvTrackNumber, 1), number(mkvTrackUID, 1), number(mkvTrackType, 1),
		number(mkvLacing, 0), element(mkvCodec, []byte("V_VP8")), number(mkvFrameTime, uint64(m.film.Delay)),
		element(mkvVideo, join(number(mkvWidth, uint64(m.w)), number(mkvHeight, uint64(m.h)))))))
	// Positions are counted from the beginning of the segment's body. The seek head has the same size whatever is in it.
	seek := func(info, tracks, cues uint64) []byte {
		entry := func(id uint32, at uint64) []byte {
			return element(mkvSeek, join(element(mkvSeekID, binary.BigEndian.AppendUint32(nil, id)), number(mkvSeekPosition, at)))
		}
		return element(mkvSeekHead, join(entry(mkvInfo, info), entry(mkvTracks, tracks), entry(mkvCues, cues)))
	}
	infoAt := uint64(len(seek(0, 0, 0)))
	tracksAt := infoAt + uint64(len(info))
	at := tracksAt + uint64(len(tracks))
	var cues []byte
	for i, c := range m.clusters {
		cues = append(cues, element(mkvCue, join(number(mkvCueTime, uint64(m.starts[i])),
			element(mkvCuePositions, join(number(mkvCueTrack, 1), number(mkvCueCluster, at)))))...)
		at += uint64(len(c))
	}
	body := join(seek(infoAt, tracksAt, at), info, tracks, bytes.Join(m.clusters, nil), element(mkvCues, cues))
	return append(head, element(mkvSegment, body)...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// element is an identifier, the size of the body in eight bytes, and the body.
func element(id uint32, body []byte) []byte {
	var out []byte
	for shift := 24; shift >= 0; shift -= 8 {
		if b := byte(id >> shift); b != 0 || out != nil {
			out = append(out, b)
		}
	}
	out = binary.BigEndian.AppendUint64(out, 1<<56|uint64(len(body)))
	return append(out, body...)
}

// number is an element that holds an unsigned number, always in eight bytes.
func number(id uint32, v uint64) []byte { return element(id, binary.BigEndian.AppendUint64(nil, v)) }

func float(id uint32, v float64) []byte { return number(id, math.Float64bits(v)) }
