package clip

import (
	"cmp"
	"container/heap"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Vocab is a set of OpenAI's tokens: all of them (the zero value), or the bytes, start and end and some of the merges.
// Its tokens are numbered in the order of the full vocabulary, so that the end stays the largest number. A word whose
// token is missing is written with the parts that the token was merged from, down to bytes: every text can be encoded.
type Vocab struct {
	merges []int32 // tokens of the full vocabulary, rising; nil for all
}

// full reports whether no token is missing.
func (v Vocab) full() bool { return v.merges == nil }

// Size is the number of tokens.
func (v Vocab) Size() int {
	if v.full() {
		return fullVocabSize
	}
	return byteTokens + len(v.merges) + 2
}

// index returns the number in v of a token of the full vocabulary.
func (v Vocab) index(token int32) (int32, bool) {
	switch {
	case v.full() || token < byteTokens:
		return token, true
	case token >= startToken:
		return int32(v.Size()) - (fullVocabSize - token), true
	}
	i, ok := slices.BinarySearch(v.merges, token)
	return int32(byteTokens + i), ok
}

// token is the inverse of index; id must lie within Size.
func (v Vocab) token(id int32) int32 {
	switch {
	case v.full() || id < byteTokens:
		return id
	case int(id) >= v.Size()-2:
		return fullVocabSize - (int32(v.Size()) - id)
	}
	return v.merges[id-byteTokens]
}

// Pack writes a trimmed vocabulary as text for Config.Vocab: distances between the tokens kept, as varints, in base64.
// The full vocabulary is "".
func (v Vocab) Pack() string {
	if v.full() {
		return ""
	}
	buf := []byte{vocabVersion}
	last := int32(byteTokens - 1)
	for _, t := range v.merges {
		buf = binary.AppendUvarint(buf, uint64(t-last))
		last = t
	}
	return base64.RawStdEncoding.EncodeToString(buf)
}

const vocabVersion = 1

// UnpackVocab reads what Pack wrote.
func UnpackVocab(s string) (Vocab, error) {
	if s == "" {
		return Vocab{}, nil
	}
	buf, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return Vocab{}, fmt.Errorf("clip vocabulary: %w", err)
	}
	if len(buf) == 0 || buf[0] != vocabVersion {
		return Vocab{}, errors.New("clip vocabulary: unknown version")
	}
	v := Vocab{merges: []int32{}}
	last := uint64(byteTokens - 1)
	for buf = buf[1:]; len(buf) > 0; {
		d, n := binary.Uvarint(buf)
		if n <= 0 || d == 0 || d >= startToken-last {
			return Vocab{}, errors.New("clip vocabulary: damaged list of tokens")
		}
		last += d
		v.merges = append(v.merges, int32(last))
		buf = buf[n:]
	}
	return v, nil
}

// TrimVocab chooses the vocabulary of at most size tokens (at least 514) that serves the captions best: beginning with
// every token that they use, it gives up the rarest, whose uses then count for its parts, until the rest fits. The
// result depends on how often the captions use tokens, not on their order.
func TrimVocab(captions []string, size int) Vocab {
	t := NewTokenizer(Vocab{})
	uses := tokenUses{count: make(map[int32]int)}
	for _, c := range captions {
		for _, id := range t.Encode(c) {
			if id >= byteTokens && id < startToken {
				uses.count[id]++
			}
		}
	}
	for id := range uses.count {
		uses.order = append(uses.order, id)
	}
	heap.Init(&uses)
	dropped := make(map[int32]bool)
	for uses.Len() > max(0, size-byteTokens-2) {
		id := heap.Pop(&uses).(int32)
		dropped[id] = true
		uses.giveToParts(id, uses.count[id], dropped)
	}
	v := Vocab{merges: slices.Clone(uses.order)}
	if v.merges == nil {
		v.merges = []int32{}
	}
	slices.Sort(v.merges)
	return v
}

// tokenUses is a heap of merged tokens, rarest first; of equals the later merge goes first.
type tokenUses struct {
	count map[int32]int
	order []int32
}

// giveToParts counts the uses of a token that is given up for its parts, which take its place in the heap.
func (u *tokenUses) giveToParts(id int32, n int, dropped map[int32]bool) {
	for _, part := range openAI().parts[id-byteTokens] {
		switch {
		case part < byteTokens:
		case dropped[part]:
			u.giveToParts(part, n, dropped)
		default:
			at := slices.Index(u.order, part)
			u.count[part] += n
			if at < 0 {
				heap.Push(u, part)
			} else {
				heap.Fix(u, at)
			}
		}
	}
}

func (u *tokenUses) Len() int { return len(u.order) }
func (u *tokenUses) Less(i, j int) bool {
	a, b := u.order[i], u.order[j]
	return cmp.Or(cmp.Compare(u.count[a], u.count[b]), cmp.Compare(b, a)) < 0
}
func (u *tokenUses) Swap(i, j int) { u.order[i], u.order[j] = u.order[j], u.order[i] }
func (u *tokenUses) Push(x any)    { u.order = append(u.order, x.(int32)) }
func (u *tokenUses) Pop() any {
	last := u.order[len(u.order)-1]
	u.order = u.order[:len(u.order)-1]
	return last
}
