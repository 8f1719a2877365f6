package clip

import (
	"regexp"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// fixText repairs a text as ftfy.fix_text does, which CLIP's tokenizer calls first: HTML escapes, mojibake, Latin ligatures,
// full-width forms, curly quotes, line breaks, terminal escapes, control characters, and normal form C.
// It knows Latin-1 and Windows-1252 of the encodings whose mojibake ftfy can undo.
func fixText(s string) string {
	var b strings.Builder
	escapes := true
	for line := range strings.Lines(s) {
		escapes = escapes && !strings.Contains(line, "<") // it may be HTML, where escapes mean something
		b.WriteString(fixLine(line, escapes))
	}
	return b.String()
}

// fixLine repeats the repairs until nothing changes: one may bring another's fault to light. Each step makes a text
// shorter or simpler, so a few rounds are enough; the bound is for texts made to abuse it.
func fixLine(s string, escapes bool) string {
	for range 16 {
		before := s
		if escapes {
			s = unescapeForgotten(s)
		}
		s = simplify(fixMojibake(s))
		if s == before {
			break
		}
	}
	return s
}

var (
	entity         = regexp.MustCompile(`&#?[0-9A-Za-z]{1,24};`)
	terminalEscape = regexp.MustCompile(`\x1b\[[\d;]*[a-zA-Z]`)
)

// unescapeForgotten undoes HTML escapes that end in a semicolon, and shouted ones (&EACUTE;).
func unescapeForgotten(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	return entity.ReplaceAllStringFunc(s, func(e string) string {
		if e[1] == '#' {
			if r := unescapeHTML(e); !strings.Contains(r, ";") {
				return r
			}
			return e
		}
		if r, ok := named(e); ok {
			return r
		}
		if low := strings.ToLower(e); e == strings.ToUpper(e) {
			if r, ok := named(low); ok {
				return strings.ToUpper(r)
			}
		}
		return e
	})
}

// named looks up a whole entity, "&name;".
func named(e string) (string, bool) {
	r := namedReference(e)
	return r, r != e && (e == "&semi;" || !strings.HasSuffix(r, ";")) // a shorter name leaves the semicolon
}

// simplify is the repairs that do not need to guess.
func simplify(s string) string {
	if isPlain(s) {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(fixC1, s)
	s = simpler.Replace(s)
	s = strings.Map(uncurl, fixWidth(s))
	s = terminalEscape.ReplaceAllString(s, "")
	return norm.NFC.String(strings.Map(dropControl, s))
}

// isPlain reports whether s holds only printable ASCII, spaces, tabs and line feeds.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c > '~' || c < ' ' && c != '\t' && c != '\n' {
			return false
		}
	}
	return true
}

// fixC1 reads the control characters U+0080 to U+009F, which nobody writes, as Windows-1252.
func fixC1(r rune) rune {
	if 0x80 <= r && r <= 0x9f {
		return fromCP1252(byte(r))
	}
	return r
}

// simpler takes Latin ligatures apart and makes every line break a line feed.
var simpler = strings.NewReplacer(
	"Ĳ", "IJ", "ĳ", "ij", "ŉ", "ʼn", "Ǆ", "DŽ", "ǅ", "Dž", "ǆ", "dž", "Ǉ", "LJ", "ǈ", "Lj", "ǉ", "lj", "Ǌ", "NJ", "ǋ", "Nj",
	"ǌ", "nj", "Ǳ", "DZ", "ǲ", "Dz", "ǳ", "dz",
	"ﬀ", "ff", "ﬁ", "fi", "ﬂ", "fl", "ﬃ", "ffi", "ﬄ", "ffl", "ﬅ", "ſt", "ﬆ", "st",
	"\r", "\n", "\u2028", "\n", "\u2029", "\n", "\u0085", "\n", "\u3000", " ",
)

// fixWidth gives half- and full-width forms, U+FF01 to U+FFEF, their usual width.
func fixWidth(s string) string {
	var b strings.Builder
	for _, r := range s {
		if 0xff01 <= r && r <= 0xffef {
			b.WriteString(norm.NFKC.String(string(r)))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// uncurl makes quotation marks straight.
func uncurl(r rune) rune {
	switch {
	case r == 'ʼ', '‘' <= r && r <= '‛':
		return '\''
	case '“' <= r && r <= '‟':
		return '"'
	}
	return r
}

// dropControl drops characters that steer devices and layout, and byte order marks.
func dropControl(r rune) rune {
	switch {
	case r < ' ' && r != '\t' && r != '\n' && r != '\f' && r != '\r', r == 0x7f, r == 0xfeff,
		0x206a <= r && r <= 0x206f, 0xfff9 <= r && r <= 0xfffc:
		return -1
	}
	return r
}
