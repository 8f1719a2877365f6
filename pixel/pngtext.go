package pixel

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// ErrNoText says that a picture carries no text under the keyword asked for.
var ErrNoText = errors.New("no such text in the picture")

// FindText returns the text of the first tEXt, zTXt or iTXt chunk with the keyword, or ErrNoText.
func FindText(chunks []Chunk, keyword string) (string, error) {
	for _, c := range chunks {
		key, rest, ok := bytes.Cut(c.Data, []byte{0})
		if !ok || string(key) != keyword {
			continue
		}
		var text string
		var err error
		switch c.Type {
		case "tEXt":
			text = fromLatin1(rest)
		case "zTXt":
			text, err = readZTXt(rest)
		case "iTXt":
			text, err = readITXt(rest)
		default:
			continue
		}
		if err != nil {
			return "", fmt.Errorf("png text %q: %w", keyword, err)
		}
		return text, nil
	}
	return "", fmt.Errorf("png text %q: %w", keyword, ErrNoText)
}

// readZTXt reads what follows the keyword: compression method 0, then zlib data of Latin-1.
func readZTXt(b []byte) (string, error) {
	if len(b) < 1 || b[0] != 0 {
		return "", errors.New("unknown compression")
	}
	raw, err := inflate(b[1:], maxChunks)
	return fromLatin1(raw), err
}

// readITXt reads what follows the keyword: flag, method, language, 0, translated keyword, 0, UTF-8.
func readITXt(b []byte) (string, error) {
	if len(b) < 2 || b[0] > 1 || b[1] != 0 {
		return "", errors.New("malformed header")
	}
	_, rest, ok := bytes.Cut(b[2:], []byte{0})
	_, text, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 {
		return "", errors.New("malformed header")
	}
	if b[0] == 1 {
		var err error
		if text, err = inflate(text, maxChunks); err != nil {
			return "", err
		}
	}
	if !utf8.Valid(text) {
		return "", errors.New("not UTF-8")
	}
	return string(text), nil
}

// inflate decompresses at most limit bytes of zlib data and refuses more.
func inflate(b []byte, limit int) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(z, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > limit {
		return nil, fmt.Errorf("more than %d bytes", limit)
	}
	return raw, nil
}

func fromLatin1(b []byte) string {
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = rune(c)
	}
	return string(out)
}
