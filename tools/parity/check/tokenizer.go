package check

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/golden"
)

// tokenizer compares the tokens of every string, and what they decode to, with openai/CLIP's. Groups are joined so that
// one line stands for all strings; the number of tokens of each is part of what must be equal.
func tokenizer(f *golden.Fixture, r *golden.Report) error {
	data, err := os.ReadFile(f.Path("cases.json"))
	if err != nil {
		return err
	}
	var cases struct {
		Meta  struct{ N int }
		Cases []struct {
			Text      string
			Tokens    []int64
			Decoded   string
			Truncated []int64 `json:"tokenize_truncated"`
			Category  string
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		return fmt.Errorf("cases.json: %w", err)
	}
	t := clip.NewTokenizer(clip.Vocab{})
	var tokens, wantTokens, cut, wantCut, decoded, wantDecoded []int64
	for _, c := range cases.Cases {
		ids := t.Encode(c.Text)
		tokens = append(append(tokens, int64(len(ids))), widen(ids)...)
		wantTokens = append(append(wantTokens, int64(len(c.Tokens))), c.Tokens...)

		text := t.Decode(narrow(c.Tokens))
		decoded = append(append(decoded, int64(len(text))), runes(text)...)
		wantDecoded = append(append(wantDecoded, int64(len(c.Decoded))), runes(c.Decoded)...)

		padded, truncated := t.Tokenize(c.Text, clip.ContextLength)
		if (c.Truncated != nil) != truncated {
			r.Fail("tokenize", "%q: truncated is %v", c.Text, truncated)
		}
		if truncated {
			cut, wantCut = append(cut, widen(padded)...), append(wantCut, c.Truncated...)
		}
	}
	r.Exact("tokens", tokens, wantTokens)
	r.Exact("tokenize_truncated", cut, wantCut)
	r.Exact("decoded", decoded, wantDecoded)
	return nil
}

func widen(ids []int32) []int64 {
	out := make([]int64, len(ids))
	for i, id := range ids {
		out[i] = int64(id)
	}
	return out
}

func narrow(ids []int64) []int32 {
	out := make([]int32, len(ids))
	for i, id := range ids {
		out[i] = int32(id)
	}
	return out
}

func runes(s string) []int64 {
	var out []int64
	for _, r := range s {
		out = append(out, int64(r))
	}
	return out
}
