package clip

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed vocab/bpe_simple_vocab_16e6.txt.gz
var vocabFile []byte

// The full vocabulary, in order: the 256 bytes, the 256 bytes at the end of a word, a token for each merge, start, end.
const (
	byteTokens    = 512
	mergeTokens   = 48894
	fullVocabSize = byteTokens + mergeTokens + 2

	startToken = fullVocabSize - 2 // <|startoftext|>
	endToken   = fullVocabSize - 1 // <|endoftext|>
	startText  = "<|startoftext|>"
	endText    = "<|endoftext|>"
)

// bpe is byte-pair encoding (Sennrich et al. 2016) with OpenAI's merges. Tokens are numbers of the full vocabulary.
type bpe struct {
	byteToken [256]int32         // token of a byte inside a word; +256 at its end
	merges    map[[2]int32]int32 // the token that two neighbours become; smaller numbers merge first
	parts     [][2]int32         // of the token byteTokens+i
	text      []string           // of tokens below startToken, as bytes; "</w>" of the end of words left away
}

// openAI is the one instance; the file was checked when it was embedded, so that a failure is a broken build.
var openAI = sync.OnceValue(func() *bpe {
	b, err := readBPE(vocabFile)
	if err != nil {
		panic(fmt.Errorf("clip: embedded vocabulary: %w", err))
	}
	return b
})

// readBPE reads the merges: a line for each, most frequent first, after a line with the version.
func readBPE(file []byte) (*bpe, error) {
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	b := &bpe{merges: make(map[[2]int32]int32, mergeTokens), parts: make([][2]int32, 0, mergeTokens), text: make([]string, startToken)}
	symbols := b.bytes()
	lines := bufio.NewScanner(z)
	lines.Scan()
	for len(b.parts) < mergeTokens && lines.Scan() {
		left, right, ok := strings.Cut(lines.Text(), " ")
		l, okL := symbols[left]
		r, okR := symbols[right]
		if !ok || !okL || !okR {
			return nil, fmt.Errorf("line %d is no merge of known symbols: %q", len(b.parts)+2, lines.Text())
		}
		token := int32(byteTokens + len(b.parts))
		symbols[left+right] = token
		b.merges[[2]int32{l, r}] = token
		b.parts = append(b.parts, [2]int32{l, r})
		b.text[token] = b.text[l] + b.text[r]
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(b.parts) != mergeTokens || len(b.merges) != mergeTokens {
		return nil, fmt.Errorf("%d merges, want %d", len(b.merges), mergeTokens)
	}
	return b, nil
}

// bytes fills in the tokens of single bytes and returns the symbols that the file writes for them: bytes that Latin-1
// shows stand for themselves and come first, the rest is moved to U+0100 and on (GPT-2's bytes_to_unicode).
func (b *bpe) bytes() map[string]int32 {
	visible := func(c int) bool { return '!' <= c && c <= '~' || '¡' <= c && c <= '¬' || '®' <= c && c <= 'ÿ' }
	symbols := make(map[string]int32, fullVocabSize)
	next := int32(0)
	for _, shown := range []bool{true, false} {
		moved := rune(256)
		for c := range 256 {
			if visible(c) != shown {
				continue
			}
			symbol := string(rune(c))
			if !shown {
				symbol = string(moved)
				moved++
			}
			b.byteToken[c] = next
			b.text[next], b.text[next+256] = string([]byte{byte(c)}), string([]byte{byte(c)})
			symbols[symbol], symbols[symbol+"</w>"] = next, next+256
			next++
		}
	}
	return symbols
}

// word encodes the bytes of a word, which is not empty.
func (b *bpe) word(w string) []int32 {
	out := make([]int32, len(w))
	for i := range len(w) {
		out[i] = b.byteToken[w[i]]
	}
	out[len(out)-1] += 256
	for len(out) > 1 {
		best := int32(startToken)
		for i := range len(out) - 1 {
			if t, ok := b.merges[[2]int32{out[i], out[i+1]}]; ok && t < best {
				best = t
			}
		}
		if best == startToken {
			break
		}
		pair := b.parts[best-byteTokens]
		n := 0
		for i := 0; i < len(out); i++ {
			t := out[i]
			if i+1 < len(out) && t == pair[0] && out[i+1] == pair[1] {
				t = best
				i++
			}
			out[n] = t
			n++
		}
		out = out[:n]
	}
	return out
}

// endsWord reports whether a token of the full vocabulary is at the end of a word.
func (b *bpe) endsWord(t int32) bool {
	for t >= byteTokens {
		t = b.parts[t-byteTokens][1]
	}
	return t >= 256
}
