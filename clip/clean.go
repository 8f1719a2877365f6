package clip

import (
	"html"
	"iter"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean is what SimpleTokenizer.encode does to a text before it is cut into words: repair (fixText), HTML escapes undone
// twice, runs of white space as one space, lower case.
func clean(s string) string {
	s = fixText(strings.ToValidUTF8(s, "\ufffd"))
	s = unescapeHTML(unescapeHTML(s))
	return lower(strings.Join(strings.FieldsFunc(s, unicode.IsSpace), " "))
}

// words cuts a clean text as the pattern of SimpleTokenizer does, in which letters and numbers are those of Unicode:
//
//	<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
func words(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(s) > 0 {
			n := wordLength(s)
			if n == 0 { // white space
				_, size := utf8.DecodeRuneInString(s)
				s = s[size:]
				continue
			}
			if !yield(s[:n]) {
				return
			}
			s = s[n:]
		}
	}
}

var fixedWords = []string{startText, endText, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}

// wordLength returns the bytes of the word that s begins with, 0 when no word begins there.
func wordLength(s string) int {
	for _, w := range fixedWords {
		if n, ok := prefixFold(s, w); ok {
			return n
		}
	}
	switch first := kindOf(s); first {
	case kindLetter, kindOther:
		return runLength(s, first)
	case kindNumber:
		_, n := utf8.DecodeRuneInString(s)
		return n
	}
	return 0
}

// prefixFold reports whether s begins with w, and its length in s. The pattern ignores case, and the long s is the one
// letter that stays one of another's cases in a text of lower case.
func prefixFold(s, w string) (int, bool) {
	n := 0
	for _, want := range w {
		r, size := utf8.DecodeRuneInString(s[n:])
		if size == 0 || r != want && (r != 'ſ' || want != 's') {
			return 0, false
		}
		n += size
	}
	return n, true
}

type charKind uint8

const (
	kindSpace charKind = iota
	kindLetter
	kindNumber
	kindOther
)

func kindOf(s string) charKind {
	r, _ := utf8.DecodeRuneInString(s)
	switch {
	case unicode.IsSpace(r):
		return kindSpace
	case unicode.Is(unicode.L, r):
		return kindLetter
	case unicode.Is(unicode.N, r):
		return kindNumber
	case r == '\u0345':
		// The combining iota subscript is a mark, but iota is one of its cases, which keeps it out of [^\p{L}] as well.
		return kindSpace
	}
	return kindOther
}

func runLength(s string, kind charKind) int {
	n := 0
	for n < len(s) && kindOf(s[n:]) == kind {
		_, size := utf8.DecodeRuneInString(s[n:])
		n += size
	}
	return n
}

// lower is Python's str.lower: the full mapping of Unicode, where the dotted capital I becomes two characters and the
// Greek sigma at the end of a word has its own shape.
func lower(s string) string {
	if !strings.ContainsAny(s, "İΣ") {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && finalSigma(s[:i], s[i+len("Σ"):]):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// finalSigma is the condition Final_Sigma of the Unicode standard, section 3.13: a cased letter before and none after,
// ignoring what has no part in case.
func finalSigma(before, after string) bool {
	cased := false
	for len(before) > 0 && !cased {
		r, n := utf8.DecodeLastRuneInString(before)
		before = before[:len(before)-n]
		if !caseIgnorable(r) {
			if !isCased(r) {
				return false
			}
			cased = true
		}
	}
	if !cased {
		return false
	}
	for _, r := range after {
		if !caseIgnorable(r) {
			return !isCased(r)
		}
	}
	return true
}

func isCased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

func caseIgnorable(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) ||
		strings.ContainsRune("'.:^`¨·՟״‘’․‧︓︰﹒﹕＇．：\u0387\u055f\u05f4", r)
}

// unescapeHTML is Python's html.unescape: references by name with or without semicolon as HTML5 has them, and numeric ones.
func unescapeHTML(s string) string {
	at := strings.IndexByte(s, '&')
	if at < 0 {
		return s
	}
	var b strings.Builder
	for at >= 0 {
		b.WriteString(s[:at])
		s = s[at:]
		n := referenceLength(s)
		if n > 1 && s[1] == '#' {
			b.WriteString(numericReference(strings.TrimSuffix(s[2:n], ";")))
		} else {
			b.WriteString(namedReference(s[:n]))
		}
		s = s[n:]
		at = strings.IndexByte(s, '&')
	}
	b.WriteString(s)
	return b.String()
}

// namedReference is html.UnescapeString with the two entities that Go's table lacks.
func namedReference(s string) string {
	switch s {
	case "&nGt;":
		return "≫\u20d2"
	case "&nLt;":
		return "≪\u20d2"
	}
	return html.UnescapeString(s)
}

// referenceLength returns the bytes of the character reference at the beginning of s, which starts with '&'; 1 when
// there is none.
func referenceLength(s string) int {
	n := 1
	number := strings.HasPrefix(s, "&#")
	hex := number && len(s) > 2 && s[2]|0x20 == 'x'
	switch {
	case hex:
		n = 3
	case number:
		n = 2
	}
	start := n
	for n < len(s) && (number || n < 33) && isDigit(s[n], hex || !number, !number) {
		n++
	}
	if n == start {
		return 1
	}
	if n < len(s) && s[n] == ';' {
		n++
	}
	return n
}

func isDigit(c byte, hex, letters bool) bool {
	l := c | 0x20
	return '0' <= c && c <= '9' || hex && 'a' <= l && l <= 'f' || letters && 'a' <= l && l <= 'z'
}

// numericReference returns the character of the digits between "&#" and ";". HTML5 reads 128 to 159 as Windows-1252;
// what is no character is U+FFFD or, for control characters and non-characters, nothing.
func numericReference(digits string) string {
	base := 10
	if digits[0]|0x20 == 'x' {
		digits, base = digits[1:], 16
	}
	v, err := strconv.ParseUint(digits, base, 32)
	r := rune(v)
	switch {
	case err != nil || v > unicode.MaxRune || v == 0 || 0xd800 <= v && v <= 0xdfff:
		return "\ufffd"
	case r == '\r':
		return "\r"
	case 0x80 <= r && r <= 0x9f:
		return string(fromCP1252(byte(r)))
	case r < ' ' && !strings.ContainsRune("\t\n\f", r), r == 0x7f, 0xfdd0 <= r && r <= 0xfdef, r&0xfffe == 0xfffe:
		return ""
	}
	return string(r)
}

// replaceInvalid puts U+FFFD for each byte that is no UTF-8.
func replaceInvalid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}
