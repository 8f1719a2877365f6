// Package tfevents writes and reads TensorBoard's event files: TFRecord frames around Event messages, made with the
// wire format alone. Encoders append to byte slices and do no input or output, so that whoever owns the file decides
// what happens when a write fails.
//
// Start with FileVersion, Scalar, Image and Histogram; Reader reads files back.
//
// Sources: tensorflow/core/lib/io/record_writer.h (frames), core/util/event.proto and core/framework/summary.proto.
package tfevents

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/smalti/smalti/event"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the CRC-32C of b, rotated and shifted as TFRecord wants it, so that checksums of checksums stay useful.
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// AppendFrame appends one TFRecord: length, its checksum, the data, their checksum.
func AppendFrame(dst, data []byte) []byte {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(data)))
	dst = append(dst, n[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, masked(n[:]))
	dst = append(dst, data...)
	return binary.LittleEndian.AppendUint32(dst, masked(data))
}

// Numbers of the fields used, by message.
const (
	eventWallTime, eventStep, eventFileVersion, eventSummary, eventSession = 1, 2, 3, 5, 7
	summaryValue                                                           = 1
	valueTag, valueSimple, valueImage, valueHisto                          = 1, 2, 4, 5
	imageHeight, imageWidth, imageColours, imagePNG                        = 1, 2, 3, 4
	histoMin, histoMax, histoNum, histoSum, histoSquares                   = 1, 2, 3, 4, 5
	histoLimit, histoBucket                                                = 6, 7
	sessionStatus, sessionStart                                            = 1, 1
)

// Version is the first event of a file, which says how to read the others.
const Version = "brain.Event:2"

// FileVersion appends the event that must come first in a file.
func FileVersion(dst []byte, at time.Time) []byte {
	return appendEvent(dst, at, 0, text(nil, eventFileVersion, Version))
}

// Restart appends a session start at a step: TensorBoard then forgets what files of the same folder said of this step
// and later ones. It belongs after FileVersion when a run goes on from a checkpoint.
func Restart(dst []byte, at time.Time, step int64) []byte {
	return appendEvent(dst, at, step, message(nil, eventSession, varint(nil, sessionStatus, sessionStart)))
}

// Scalar appends one number.
func Scalar(dst []byte, at time.Time, step int64, tag string, v float64) []byte {
	value := fixed32(text(nil, valueTag, tag), valueSimple, float32(v))
	return appendEvent(dst, at, step, message(nil, eventSummary, message(nil, summaryValue, value)))
}

// Image appends a picture, as the bytes of a PNG file with 8 bits of red, green and blue, and perhaps alpha.
func Image(dst []byte, at time.Time, step int64, tag string, w, h int, png []byte) []byte {
	im := varint(varint(varint(nil, imageHeight, uint64(h)), imageWidth, uint64(w)), imageColours, 3)
	value := message(text(nil, valueTag, tag), valueImage, message(im, imagePNG, png))
	return appendEvent(dst, at, step, message(nil, eventSummary, message(nil, summaryValue, value)))
}

// Histogram appends a spread of values. Its sums are estimated from the middles of the bins. TensorBoard's first bucket
// has no lower edge of its own: it reaches from min up.
func Histogram(dst []byte, at time.Time, step int64, tag string, h event.Histogram) []byte {
	var num, sum, squares float64
	var limits, counts []byte
	for i, c := range h.Counts {
		mid := h.Edges[i]/2 + h.Edges[i+1]/2
		num, sum, squares = num+c, sum+c*mid, squares+c*mid*mid
		limits = binary.LittleEndian.AppendUint64(limits, math.Float64bits(h.Edges[i+1]))
		counts = binary.LittleEndian.AppendUint64(counts, math.Float64bits(c))
	}
	b := fixed64(nil, histoMin, h.Edges[0])
	b = fixed64(b, histoMax, h.Edges[len(h.Edges)-1])
	b = fixed64(fixed64(fixed64(b, histoNum, num), histoSum, sum), histoSquares, squares)
	b = message(message(b, histoLimit, limits), histoBucket, counts)
	value := message(text(nil, valueTag, tag), valueHisto, b)
	return appendEvent(dst, at, step, message(nil, eventSummary, message(nil, summaryValue, value)))
}

func appendEvent(dst []byte, at time.Time, step int64, what []byte) []byte {
	b := fixed64(nil, eventWallTime, float64(at.UnixMicro())/1e6)
	if step != 0 {
		b = varint(b, eventStep, uint64(step))
	}
	return AppendFrame(dst, append(b, what...))
}

func text(b []byte, f protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, f, protowire.BytesType), s)
}

func message(b []byte, f protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, f, protowire.BytesType), m)
}

func varint(b []byte, f protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, f, protowire.VarintType), v)
}

func fixed64(b []byte, f protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, f, protowire.Fixed64Type), math.Float64bits(v))
}

func fixed32(b []byte, f protowire.Number, v float32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(b, f, protowire.Fixed32Type), math.Float32bits(v))
}
