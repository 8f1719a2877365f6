package pixel

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
)

// orientation returns the EXIF orientation (1 to 8) of an encoded JPEG or PNG; 1, which is upright, where there is
// none or it is malformed.
func orientation(format string, raw []byte) int {
	var block []byte
	switch format {
	case "jpeg":
		block = jpegEXIF(raw)
	case "png":
		block = pngEXIF(raw)
	}
	return tiffOrientation(block)
}

// jpegEXIF returns the TIFF block of the first APP1 segment with the EXIF mark, or nil.
func jpegEXIF(raw []byte) []byte {
	const (
		startOfScan, endOfImage, app1 = 0xda, 0xd9, 0xe1
		mark                          = "Exif\x00\x00"
	)
	for p := 2; p+4 <= len(raw) && raw[p] == 0xff; {
		kind := raw[p+1]
		if kind == 0xff { // fill byte
			p++
			continue
		}
		if kind == startOfScan || kind == endOfImage {
			return nil
		}
		size := int(binary.BigEndian.Uint16(raw[p+2:])) // counts itself
		if size < 2 || p+2+size > len(raw) {
			return nil
		}
		body := raw[p+4 : p+2+size]
		if kind == app1 && bytes.HasPrefix(body, []byte(mark)) {
			return body[len(mark):]
		}
		p += 2 + size
	}
	return nil
}

func pngEXIF(raw []byte) []byte {
	chunks, err := ReadChunks(bytes.NewReader(raw))
	if err != nil {
		return nil
	}
	for _, c := range chunks {
		if c.Type == "eXIf" {
			return c.Data
		}
	}
	return nil
}

// tiffOrientation looks up tag 0x0112 in the first directory of a TIFF block (TIFF 6.0, section 2).
func tiffOrientation(b []byte) int {
	const (
		upright  = 1
		tag      = 0x0112
		typeU16  = 3
		entryLen = 12
	)
	if len(b) < 8 {
		return upright
	}
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return upright
	}
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return upright
	}
	entries := int(order.Uint16(b[at:]))
	for e := b[at+2:]; entries > 0 && len(e) >= entryLen; entries, e = entries-1, e[entryLen:] {
		if order.Uint16(e) != tag {
			continue
		}
		if v := int(order.Uint16(e[8:])); order.Uint16(e[2:]) == typeU16 && v >= 1 && v <= 8 {
			return v
		}
		return upright
	}
	return upright
}

// orient returns img turned upright from an EXIF orientation: the stored row 0 and column 0 are, for 1 top left,
// 2 top right, 3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
func orient(img image.Image, orientation int) image.Image {
	if orientation <= 1 || orientation > 8 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	ow, oh := w, h
	if orientation >= 5 {
		ow, oh = h, w
	}
	out := image.NewNRGBA(image.Rect(0, 0, ow, oh))
	for y := range oh {
		for x := range ow {
			var sx, sy int
			switch orientation {
			case 2:
				sx, sy = w-1-x, y
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sx, sy = x, h-1-y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, h-1-x
			case 7:
				sx, sy = w-1-y, h-1-x
			case 8:
				sx, sy = w-1-y, x
			}
			out.SetNRGBA(x, y, color.NRGBAModel.Convert(img.At(b.Min.X+sx, b.Min.Y+sy)).(color.NRGBA))
		}
	}
	return out
}
