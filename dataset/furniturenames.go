package dataset

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// furnitureNames replaces names that are misspelt, turned around or not what a person would type; without digits, lower-case.
var furnitureNames = map[string]string{
	"hashtray": "ashtray", "trunck": "trunk", "gaz water heater": "gas water heater", "teck chair": "teak chair", "mocassin": "moccasin",
	"lip stick": "lipstick", "female": "woman", "male": "man", "holding female": "woman holding something", "holding male": "man holding something",
	"lying down boy": "lying boy", "lying down female": "lying woman", "lying down male": "lying man", "sitting female": "sitting woman",
	"sitting male": "sitting man", "mannequin female": "female mannequin", "mannequin male": "male mannequin", "short": "pair of shorts",
	"barnum": "party tent", "puff": "pouf", "flacon": "perfume bottle", "extinguisher": "fire extinguisher", "toilets unit": "toilet",
	"wood bank": "wooden bench", "little bank": "little bench", "frame hoi an": "picture frame", "frame chambord": "picture frame",
	"table tennis": "table tennis table", "cup cake": "cupcake", "flipper": "pinball machine", "bended coconut tree": "bent coconut tree",
	"letters box": "letter box", "penbox": "pencil box", "woman shoes": "shoes", "wire coathanger": "wire coat hanger", "hood": "cooker hood",
	"convertible sofa bz": "sofa bed", "opened convertible sofa bz": "open sofa bed", "apple ibook": "laptop", "bill": "banknote",
	"chevrolet": "chevrolet car", "ford focus": "ford car", "peugeot cc": "peugeot car", "renault scenic": "renault car", "seat leon": "seat car",
	"vw new beetle": "beetle car", "yamaha yzr r6": "racing motorbike", "tv": "television", "wall flat tv": "flat television", "contemporary living room": "living room",
	"reflex camera": "camera", "double vanity": "double washbasin", "vanity": "washstand", "surveillance camera": "security camera",
	"apple imac": "computer", "apple iphone": "phone", "children chair": "child chair", "children table": "child table", "children game": "toy", "basketball net": "basketball hoop", "rigged fan": "fan",
	"cctv": "security camera", "tatami": "tatami mat", "velux": "roof window", "text marker": "highlighter pen", "wall lamp artwork": "wall lamp", "entry bell ring": "door bell",
}

// furnitureNoise are tags that say nothing about the picture.
var furnitureNoise = map[string]bool{"blend swap": true, "scpts": true, "adjustable": true, "haussmann": true, "miscellaneous": true,
	"four": true, "three": true, "lights": true, "characters": true, "exterior": true, "staircases": true, "front": true, "nitendo": true}

// measures are numbers of parts in names: "Sofa 3 seats", "Double window 4 panes".
var measures = regexp.MustCompile(`\b\d+ (panes|seats|zones|doors)\b`)

var plainLetters = strings.NewReplacer("ô", "o", "é", "e", "è", "e", "à", "a", "ç", "c", "ü", "u", " - ", " ", ",", "", "_", " ")

// furnitureLabel turns a name of a catalogue into a lower-case noun phrase without an article: words that begin with a
// digit are left out.
func furnitureLabel(name string) string {
	s := measures.ReplaceAllString(plainLetters.Replace(strings.ToLower(name)), "")
	var out []string
	for _, w := range strings.Fields(s) {
		if w[0] >= '0' && w[0] <= '9' {
			continue
		}
		if strings.ContainsFunc(w, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '\'' && r != '-'
		}) {
			continue
		}
		out = append(out, w)
	}
	s = strings.Join(out, " ")
	if n, ok := furnitureNames[s]; ok {
		return n
	}
	return s
}

var errProperties = errors.New("broken escape")

// parseProperties reads a Java properties file (java.util.Properties.load): Latin-1, key=value, # and ! comments, lines
// continued by a backslash, \uXXXX escapes. Of equal keys the last one counts.
func parseProperties(b []byte) (map[string]string, error) {
	text := make([]rune, len(b))
	for i, c := range b {
		text[i] = rune(c)
	}
	lines := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' })
	out := map[string]string{}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continued(line) {
			line = line[:len(line)-1]
			if i++; i == len(lines) {
				break
			}
			line += strings.TrimLeft(lines[i], " \t\f")
		}
		key, value := splitProperty(line)
		k, err := unescapeProperty(key)
		if err != nil {
			return nil, err
		}
		if out[k], err = unescapeProperty(value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// continued reports an odd number of backslashes at the end.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// splitProperty cuts a line at its first separator that is not escaped: = or : or white space.
func splitProperty(line string) (key, value string) {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
		} else if strings.IndexByte("=: \t\f", line[i]) >= 0 {
			end = i
			break
		}
	}
	value = strings.TrimLeft(line[end:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return line[:end], value
}

func unescapeProperty(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var units []uint16 // \u escapes are halves of UTF-16
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if i += n; r != '\\' {
			units = utf16.AppendRune(units, r)
			continue
		}
		if i == len(s) {
			break
		}
		r, n = utf8.DecodeRuneInString(s[i:])
		i += n
		switch r {
		case 'u':
			if i+4 > len(s) {
				return "", errProperties
			}
			v, err := strconv.ParseUint(s[i:i+4], 16, 16)
			if err != nil {
				return "", errProperties
			}
			units, i = append(units, uint16(v)), i+4
		case 'n', 'r', 't', 'f':
			units = append(units, ' ')
		default:
			units = utf16.AppendRune(units, r)
		}
	}
	return string(utf16.Decode(units)), nil
}
