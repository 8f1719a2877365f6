package clip

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cp1252 is what the bytes 0x80 to 0x9f are in Windows-1252; the five that it leaves open stay control characters.
var cp1252 = [32]rune{
	'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8d, 'Ž', 0x8f,
	0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9d, 'ž', 'Ÿ',
}

func fromCP1252(c byte) rune {
	if 0x80 <= c && c <= 0x9f {
		return cp1252[c-0x80]
	}
	return rune(c)
}

// toByte returns the byte that r was read from if the reader took it for Latin-1 or, with windows, Windows-1252.
func toByte(r rune, windows bool) (byte, bool) {
	if r < 256 {
		return byte(r), true
	}
	if windows {
		for i, w := range cp1252 {
			if r == w {
				return byte(0x80 + i), true
			}
		}
	}
	return 0, false
}

// fixMojibake undoes one reading of UTF-8 as Latin-1 or Windows-1252 where a text looks as if that had happened: all of
// it at once, else the sequences that are bad on their own.
func fixMojibake(s string) string {
	if isASCII(s) || !looksBad(s) {
		return s
	}
	for _, windows := range []bool{false, true} {
		if r, ok := reread(s, windows); ok {
			return r
		}
	}
	return rereadParts(s)
}

// reread encodes s and decodes the bytes as UTF-8; false when s has other characters or the bytes are no UTF-8.
func reread(s string, windows bool) (string, bool) {
	buf := make([]byte, 0, len(s))
	for _, r := range s {
		c, ok := toByte(r, windows)
		if !ok {
			return "", false
		}
		buf = append(buf, c)
	}
	return string(buf), utf8.Valid(buf)
}

// rereadParts rereads each run of sequences that were UTF-8, if it is bad on its own.
func rereadParts(s string) string {
	var b strings.Builder
	tail := false // the rune before could be the end of a sequence
	for i := 0; i < len(s); {
		n := 0
		if !tail {
			n = runOfSequences(s[i:])
		}
		if n > 0 {
			part := s[i : i+n]
			if fixed, ok := reread(part, true); ok && n < len(s) && looksBad(part) {
				part = fixed
			}
			b.WriteString(part)
			i, tail = i+n, true
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		c, ok := toByte(r, true)
		tail = ok && 0x80 <= c && c <= 0xbf
		b.WriteString(s[i : i+size])
		i += size
	}
	return b.String()
}

// runOfSequences returns the length of the runes at the beginning of s whose bytes are whole multi-byte UTF-8 sequences.
func runOfSequences(s string) int {
	n := 0
	for {
		m := sequence(s[n:])
		if m == 0 {
			return n
		}
		n += m
	}
}

// sequence returns the length of the runes that stand for the bytes of one multi-byte UTF-8 sequence, 0 for none.
func sequence(s string) int {
	left, n := 0, 0
	for i, r := range s {
		c, ok := toByte(r, true)
		switch {
		case !ok:
			return 0
		case i == 0 && 0xc2 <= c && c <= 0xdf:
			left = 1
		case i == 0 && 0xe0 <= c && c <= 0xef:
			left = 2
		case i == 0 && 0xf0 <= c && c <= 0xf4:
			left = 3
		case i == 0 || c < 0x80 || c > 0xbf:
			return 0
		default:
			left--
		}
		n = i + utf8.RuneLen(r)
		if left == 0 {
			return n
		}
	}
	return 0
}

// The classes of characters that tell mojibake from text: what UTF-8 read as Windows-1252 is full of, by the company that
// it keeps in honest text.
type badClass uint16

const (
	classControl    badClass = 1 << iota // C1 controls
	classBad                             // seldom anywhere: ¦ ¤ ¨ ...
	classLaw                             // § ¶
	classMoney                           // ¢ £ ¥ €
	classOpen                            // what opens: ¡ ¿ « ‘ ...
	classClose                           // what closes: » ” ...
	classNumeric                         // ² ½ ± µ ...
	classUpper                           // accented Latin capitals
	classLower                           // accented Latin small letters
	classUpperOther                      // capitals of other alphabets
	classLowerOther                      // their small letters
	classBox                             // box drawing
	classFace                            // the eyes and hands of kaomoji
)

func classOf(r rune) badClass {
	switch {
	case 0x80 <= r && r <= 0x9f:
		return classControl
	case r < 0x80:
		return 0
	case strings.ContainsRune("¦¤¨¬¯¸ƒˆˇ˘˛˜†‡‰⌐◊\ufffdªº", r):
		return classBad
	case r == '§', r == '¶':
		return classLaw
	case strings.ContainsRune("¢£¥₧€", r):
		return classMoney
	case strings.ContainsRune("¡«¿©΄΅‘‚“„•‹\uf8ff", r):
		return classOpen
	case strings.ContainsRune("®»˝”›™", r):
		return classClose
	case strings.ContainsRune("²³¹±¼½¾×µ÷⁄∂∆∏∑−√∞∩∫≈≠≡≤≥№", r):
		return classNumeric
	case 0x2500 <= r && r <= 0x259f:
		return classBox
	case r == '°':
		return classFace
	case r <= 0x24f && unicode.IsUpper(r):
		return classUpper
	case r <= 0x24f && unicode.IsLower(r):
		return classLower
	case unicode.IsUpper(r):
		return classUpperOther
	case unicode.IsLower(r):
		return classLowerOther
	}
	return 0
}

const (
	anyMark = classMoney | classOpen | classClose | classNumeric | classLaw
	accents = classUpper | classLower
)

// badPairs are neighbours that honest text does not have.
var badPairs = []struct{ left, right badClass }{
	{accents | classBox | anyMark | classBad, classBad},
	{classBad, accents | classBox | anyMark},
	{classLower | classLowerOther | classBox | classClose | classMoney | classNumeric, classUpper},
	{classBox | classClose | classMoney | classNumeric, classLower},
	{classLower | classBox | classClose, classMoney},
	{classUpper | classBox, classNumeric | classLaw},
	{classMoney | classNumeric | classBox, classOpen},
	{classBox, classFace | classClose},
	{accents | anyMark, classBox},
	{classUpper, classFace},
}

// badTriples are the same for three in a row.
var badTriples = [][3]badClass{
	{accents | classBox | classMoney | classClose, classOpen, classNumeric},
	{accents | classMoney | classNumeric | classBox | classLaw, classClose, classOpen},
}

// The first of two bytes that Latin-1 and Windows-1252 mostly make of UTF-8, and what follows them.
const (
	commonFirst  = "ÂÃÎÐ"
	commonSecond = "€œŠš¢£Ÿž\u00a0\u00ad®©°·»–—´"
)

// looksBad reports whether s has a sequence that mojibake has and text has not. The rules follow the idea of ftfy.badness.
func looksBad(s string) bool {
	rs := []rune(s)
	at := func(i int) (rune, badClass) {
		if i < 0 || i >= len(rs) {
			return 0, 0
		}
		return rs[i], classOf(rs[i])
	}
	for i := range rs {
		r0, c0 := at(i)
		if c0 == classControl {
			return true
		}
		before, _ := at(i - 1)
		r1, c1 := at(i + 1)
		_, c2 := at(i + 2)
		if badPair(c0, c1) || badTriple(c0, c1, c2) || i+1 < len(rs) && badLetters(r0, r1) {
			return true
		}
		switch {
		case c0&accents != 0 && c1&(classOpen|classClose) != 0 && i+2 < len(rs) && isWord(rs[i+2]),
			'a' <= before && before <= 'z' && c0 == classUpper && c1&(classOpen|classMoney) != 0,
			unicode.IsSpace(before) && c0 == classUpper && c1 == classMoney:
			return true
		}
	}
	return false
}

func badPair(a, b badClass) bool {
	for _, p := range badPairs {
		if a&p.left != 0 && b&p.right != 0 {
			return true
		}
	}
	return false
}

func badTriple(a, b, c badClass) bool {
	for _, t := range badTriples {
		if a&t[0] != 0 && b&t[1] != 0 && c&t[2] != 0 {
			return true
		}
	}
	return false
}

// badLetters knows some letters by name.
func badLetters(r, next rune) bool {
	switch {
	case strings.ContainsRune(commonFirst, r):
		return strings.ContainsRune(commonSecond, next) || classOf(next)&(classOpen|classClose) != 0
	case r == 'Œ' || r == 'œ':
		return !('a' <= next|0x20 && next|0x20 <= 'z')
	case r == 'à':
		return strings.ContainsRune("²µ¹¼½¾", next)
	case r == '×':
		return next == '²' || next == '³'
	}
	return false
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
