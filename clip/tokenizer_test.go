package clip

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/rng"
)

// fixtureTexts are the strings of the tokenizer fixture.
func fixtureTexts(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile("../testdata/golden/tokenizer/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Cases []struct{ Text string } }
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range f.Cases {
		out = append(out, c.Text)
	}
	if len(out) < 100 {
		t.Fatalf("%d texts in the fixture", len(out))
	}
	return out
}

// TestClean pins what tokens do not show well. Tokens against the reference are checked in tools/parity/check.
func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"  A\t B\n":                     "a b",
		"ΟΔΥΣΣΕΥΣ Σ ΣΑ":                 "οδυσσευς σ σα",
		"İ":                             "i\u0307",
		"&lt;b&gt; &notit; &nGt;":       "<b> ¬it; ≫\u20d2",
		"&amp;amp;lt;":                  "<",
		"&#0; &#x41; &#150; &#1; &#xd;": "\ufffd a –",
		"&EACUTE;":                      "é",
		"<i>&EACUTE;":                   "<i>&eacute;",
		"Ãºnico":                        "único",
		"This â€” dash":                 "this — dash",
		"wtf Ã\u0083Â©":                 "wtf é",
		"Brontë…”":                      "brontë…\"",
		"AHÅ™, the sofa from IKEA®":     "ahå™, the sofa from ikea®",
		"I ♥ NY, 20 °C, ½ €":            "i ♥ ny, 20 °c, ½ €",
		"\x1b[36;44mblue\x1b[0m":        "blue",
		"bad \xff byte":                 "bad \ufffd byte",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	got := slices.Collect(words("it's 'tis 3dé'll!? <|endoftext|>x\u0345y"))
	want := []string{"it", "'s", "'t", "is", "3", "dé", "'ll", "!?", "<|endoftext|>", "x", "y"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// slowWord is the loop of SimpleTokenizer.bpe: join all occurrences of the first merge that is possible, until none is.
func slowWord(b *bpe, w string) []int32 {
	var out []int32
	for i := range len(w) {
		out = append(out, b.byteToken[w[i]])
	}
	out[len(out)-1] += 256
	for {
		best := int32(startToken)
		for i := range len(out) - 1 {
			if t, ok := b.merges[[2]int32{out[i], out[i+1]}]; ok {
				best = min(best, t)
			}
		}
		if best == startToken {
			return out
		}
		pair := b.parts[best-byteTokens]
		var joined []int32
		for i := 0; i < len(out); i++ {
			if i+1 < len(out) && out[i] == pair[0] && out[i+1] == pair[1] {
				joined = append(joined, best)
				i++
			} else {
				joined = append(joined, out[i])
			}
		}
		out = joined
	}
}

func TestWordIsTheSlowLoop(t *testing.T) {
	s := rng.New(1, "test words")
	for range 3000 {
		letters := "abcdefghijklmnopqrstuvwxyz"[:2+s.IntN(25)]
		w := make([]byte, 1+s.IntN(24))
		for i := range w {
			w[i] = letters[s.IntN(len(letters))]
			if s.IntN(20) == 0 {
				w[i] = byte(s.IntN(256))
			}
		}
		if got, want := openAI().word(string(w)), slowWord(openAI(), string(w)); !slices.Equal(got, want) {
			t.Fatalf("%q: %v, want %v", w, got, want)
		}
	}
}

func TestTokenize(t *testing.T) {
	tok := NewTokenizer(Vocab{})
	ids, cut := tok.Tokenize("hello world", 6)
	if want := []int32{49406, 3306, 1002, 49407, 0, 0}; !slices.Equal(ids, want) || cut {
		t.Errorf("%v %v, want %v", ids, cut, want)
	}
	ids, cut = tok.Tokenize("a photo of a cat", 4)
	if want := []int32{49406, 320, 1125, 49407}; !slices.Equal(ids, want) || !cut {
		t.Errorf("%v %v, want %v", ids, cut, want)
	}
	if ids, cut = tok.Tokenize("a photo", 4); cut || ids[3] != tok.End() {
		t.Errorf("a text that just fits: %v %v", ids, cut)
	}
	if got := tok.Decode([]int32{49406, 3306, -1, 1 << 30, 1002, 49407}); got != "<|startoftext|>hello world <|endoftext|>" {
		t.Errorf("Decode = %q", got)
	}
}

func TestTrimmedVocabulary(t *testing.T) {
	captions := []string{"a red apple", "a red apple", "a blue house on a green hill", "two turtles", "a red tree"}
	v := TrimVocab(captions, byteTokens+2+12)
	if v.Size() > byteTokens+2+12 || v.Size() < byteTokens+2+8 {
		t.Errorf("%d tokens", v.Size())
	}
	full, trimmed := NewTokenizer(Vocab{}), NewTokenizer(v)
	if a, b := full.Encode("a red apple"), trimmed.Encode("a red apple"); len(a) != len(b) {
		t.Errorf("frequent words are cut up: %d tokens, want %d", len(b), len(a))
	}
	back, err := UnpackVocab(v.Pack())
	if err != nil || !slices.Equal(back.merges, v.merges) {
		t.Errorf("UnpackVocab(Pack) = %v, %v, want %v", back, err, v)
	}
	for _, text := range append(fixtureTexts(t), captions...) {
		ids := trimmed.Encode(text)
		for _, id := range ids {
			if id < 0 || int(id) >= v.Size() {
				t.Fatalf("%q: token %d of %d", text, id, v.Size())
			}
		}
		if got, want := trimmed.Decode(ids), full.Decode(full.Encode(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		all, _ := trimmed.Tokenize(text, 400)
		if i := slices.Index(all, slices.Max(all)); all[i] != trimmed.End() {
			t.Errorf("%q: the end is not the largest token", text)
		}
	}
	all := TrimVocab(captions, fullVocabSize)
	if n := NewTokenizer(all).Encode("two turtles on a blue house"); len(n) != 6 {
		t.Errorf("with room for all, words are cut up: %v", n)
	}
}

func TestUnpackRefusesDamage(t *testing.T) {
	good := TrimVocab([]string{"a red apple"}, 600).Pack()
	for _, s := range []string{"!", "AA", good[:len(good)-1] + "*", "Af//////////AQ", "AYD/fw"} {
		if _, err := UnpackVocab(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func FuzzTokenizer(f *testing.F) {
	for _, s := range fixtureTexts(f) {
		f.Add(s)
	}
	full, small := NewTokenizer(Vocab{}), NewTokenizer(TrimVocab([]string{"a red apple"}, 600))
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 4096 {
			return
		}
		for _, tok := range []*Tokenizer{full, small} {
			ids, _ := tok.Tokenize(s, 77)
			if ids[0] != tok.Start() || slices.Max(ids) != tok.End() {
				t.Fatalf("%q: %v", s, ids)
			}
			text := tok.Decode(tok.Encode(s))
			if !isASCII(s) || strings.ContainsAny(s, "&<\x1b") { // escapes and special tokens change on the way
				continue
			}
			// Spaces move, the rest stays.
			strip := func(s string) string { return strings.Join(strings.Fields(s), "") }
			if got, want := strip(text), strip(clean(s)); got != want {
				t.Fatalf("%q: decoded %q, want %q", s, got, want)
			}
		}
	})
}
