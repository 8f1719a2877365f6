package clip

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"container/heap"
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

// word encodes the bytes of a word, which is not empty: of all neighbours that have a merge, those of the first merge
// are joined, from the left, and so on. Because a merge joins only tokens of earlier merges, what a join makes possible
// comes later, and a queue of the merges possible gives the same as looking at all neighbours again for each.
func (b *bpe) word(w string) []int32 {
	j := joiner{tokens: make([]int32, len(w)), next: make([]int, len(w)), prev: make([]int, len(w)), bpe: b}
	for i := range len(w) {
		j.tokens[i], j.next[i], j.prev[i] = b.byteToken[w[i]], i+1, i-1
	}
	j.tokens[len(w)-1] += 256
	for i := range len(w) {
		j.offer(i)
	}
	for j.Len() > 0 {
		j.join(heap.Pop(&j).(merge))
	}
	out := j.tokens[:0]
	for i := 0; i < len(w); i = j.next[i] {
		out = append(out, j.tokens[i]) // never overtakes i
	}
	return out
}

// joiner is a word while it is encoded: tokens in a list by position, of which some were joined to the one before.
type joiner struct {
	tokens     []int32 // -1 where joined
	next, prev []int
	possible   []merge // heap
	bpe        *bpe
}

// merge is the token that the ones at a position and after it become.
type merge struct {
	token int32
	at    int
}

// offer queues the merge of the tokens at i and after it, if there is one.
func (j *joiner) offer(i int) {
	if i < 0 || j.next[i] >= len(j.tokens) {
		return
	}
	if t, ok := j.bpe.merges[[2]int32{j.tokens[i], j.tokens[j.next[i]]}]; ok {
		heap.Push(j, merge{t, i})
	}
}

// join does a merge, unless one of its tokens has been joined otherwise since it was queued.
func (j *joiner) join(m merge) {
	pair := j.bpe.parts[m.token-byteTokens]
	i, k := m.at, j.next[m.at]
	if j.tokens[i] != pair[0] || k >= len(j.tokens) || j.tokens[k] != pair[1] {
		return
	}
	j.tokens[i], j.tokens[k] = m.token, -1
	j.next[i] = j.next[k]
	if n := j.next[k]; n < len(j.tokens) {
		j.prev[n] = i
	}
	j.offer(j.prev[i])
	j.offer(i)
}

func (j *joiner) Len() int { return len(j.possible) }
func (j *joiner) Less(a, b int) bool {
	x, y := j.possible[a], j.possible[b]
	return cmp.Or(cmp.Compare(x.token, y.token), cmp.Compare(x.at, y.at)) < 0
}
func (j *joiner) Swap(a, b int) { j.possible[a], j.possible[b] = j.possible[b], j.possible[a] }
func (j *joiner) Push(x any)    { j.possible = append(j.possible, x.(merge)) }
func (j *joiner) Pop() any {
	last := j.possible[len(j.possible)-1]
	j.possible = j.possible[:len(j.possible)-1]
	return last
}

// endsWord reports whether a token of the full vocabulary is at the end of a word.
func (b *bpe) endsWord(t int32) bool {
	for t >= byteTokens {
		t = b.parts[t-byteTokens][1]
	}
	return t >= 256
}
