package clip

import (
	"strings"
	"sync"
)

// Tokenizer turns texts into tokens as openai/CLIP's SimpleTokenizer does, token for token. It is safe for concurrent use.
type Tokenizer struct {
	vocab Vocab
	bpe   *bpe

	mu    sync.Mutex
	cache map[string][]int32 // tokens of words, in numbers of vocab
}

// maxCached bounds the words remembered, not those that can be encoded.
const maxCached = 1 << 15

// NewTokenizer returns the tokenizer of a vocabulary; the zero Vocab is OpenAI's.
func NewTokenizer(v Vocab) *Tokenizer {
	return &Tokenizer{vocab: v, bpe: openAI(), cache: make(map[string][]int32)}
}

// Start and End are the tokens around every text. End is the largest.
func (t *Tokenizer) Start() int32 { return int32(t.vocab.Size()) - 2 }

// End is the token after every text, the largest.
func (t *Tokenizer) End() int32 { return int32(t.vocab.Size()) - 1 }

// Encode returns the tokens of a text without start and end.
func (t *Tokenizer) Encode(text string) []int32 {
	var out []int32
	for word := range words(clean(text)) {
		out = append(out, t.word(word)...)
	}
	return out
}

func (t *Tokenizer) word(w string) []int32 {
	switch w {
	case startText:
		return []int32{t.Start()}
	case endText:
		return []int32{t.End()}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if ids, ok := t.cache[w]; ok {
		return ids
	}
	var ids []int32
	for _, token := range t.bpe.word(w) {
		ids = t.appendToken(ids, token)
	}
	if len(t.cache) < maxCached {
		t.cache[w] = ids
	}
	return ids
}

// appendToken appends a token of the full vocabulary, or the parts of it that the vocabulary has.
func (t *Tokenizer) appendToken(ids []int32, token int32) []int32 {
	if id, ok := t.vocab.index(token); ok {
		return append(ids, id)
	}
	parts := t.bpe.parts[token-byteTokens]
	return t.appendToken(t.appendToken(ids, parts[0]), parts[1])
}

// Decode returns the text of tokens: a space after every word, bytes that are no UTF-8 as U+FFFD. Numbers that are no
// token are left out.
func (t *Tokenizer) Decode(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		if id < 0 || int(id) >= t.vocab.Size() {
			continue
		}
		switch token := t.vocab.token(id); token {
		case startToken:
			b.WriteString(startText)
		case endToken:
			b.WriteString(endText)
		default:
			b.WriteString(t.bpe.text[token])
			if t.bpe.endsWord(token) {
				b.WriteByte(' ')
			}
		}
	}
	return replaceInvalid(b.String())
}

// Tokenize returns what the text tower takes: start, tokens, end, and zeros up to context tokens. A text that is too
// long is cut, its last token being the end, and truncated says so. It panics on a context below 2.
func (t *Tokenizer) Tokenize(text string, context int) (ids []int32, truncated bool) {
	tokens := t.Encode(text)
	if truncated = len(tokens) > context-2; truncated {
		tokens = tokens[:context-2]
	}
	ids = make([]int32, context)
	ids[0] = t.Start()
	copy(ids[1:], tokens)
	ids[1+len(tokens)] = t.End()
	return ids, truncated
}

// Caption returns what a model that is no text tower reads of a caption: its tokens without start and end, at most most of
// them; truncated says that there were more.
func (t *Tokenizer) Caption(text string, most int) (ids []int32, truncated bool) {
	ids = t.Encode(text)
	if truncated = len(ids) > most; truncated {
		ids = ids[:most]
	}
	return ids, truncated
}
