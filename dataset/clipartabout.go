package dataset

import (
	"bytes"
	"encoding/xml"
	"html"
	"io"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

// about is what a drawing's metadata say: the Dublin Core elements of cc:Work.
type about struct {
	title, creator, licence string
	keywords                []string
}

// Caps on metadata.
const (
	maxKeywords  = 64
	maxTextBytes = 1 << 10
	maxXMLDepth  = 256
)

// readAbout reads the metadata of an SVG document up to where it is broken. No entity is expanded and nothing is fetched.
func readAbout(svg []byte) about {
	var a about
	d := xml.NewDecoder(bytes.NewReader(svg))
	d.Strict = false
	d.CharsetReader = func(label string, r io.Reader) (io.Reader, error) {
		if l := strings.ToLower(label); l == "iso-8859-1" || l == "windows-1252" {
			return charmap.Windows1252.NewDecoder().Reader(r), nil
		}
		return r, nil
	}
	var stack []string
	var text strings.Builder
	for len(stack) <= maxXMLDepth {
		tok, err := d.RawToken()
		if err != nil {
			break
		}
		switch t := tok.(type) {
		case xml.StartElement:
			stack = append(stack, t.Name.Local)
			text.Reset()
			if t.Name.Local == "license" && a.licence == "" {
				a.licence = attribute(t, "resource")
			}
		case xml.CharData:
			if text.Len() < maxTextBytes {
				text.Write(t)
			}
		case xml.EndElement:
			if len(stack) > 0 && stack[len(stack)-1] == t.Name.Local {
				a.take(stack, strings.Join(strings.Fields(text.String()), " "))
				stack = stack[:len(stack)-1]
			}
			text.Reset()
			if t.Name.Local == "metadata" {
				return a
			}
		}
	}
	return a
}

func attribute(t xml.StartElement, name string) string {
	for _, at := range t.Attr {
		if at.Name.Local == name {
			return at.Value
		}
	}
	return ""
}

// take stores the text of the element at the top of the stack.
func (a *about) take(stack []string, text string) {
	ends := func(names ...string) bool {
		return len(stack) >= len(names) && slices.Equal(stack[len(stack)-len(names):], names)
	}
	switch {
	case text == "":
	case ends("Work", "title") && a.title == "":
		a.title = text
	case ends("creator", "Agent", "title") && a.creator == "":
		a.creator = text
	case ends("subject", "Bag", "li") && len(a.keywords) < maxKeywords:
		a.keywords = append(a.keywords, text)
	}
}

// publicDomain reports whether the licence is that of the public domain.
func (a about) publicDomain() bool {
	return strings.HasSuffix(strings.ToLower(strings.TrimRight(a.licence, "/")), "/publicdomain")
}

var (
	// setTitles are titles that name a collection or nothing.
	setTitles = regexp.MustCompile(`(?i)clip ?art|\br1[56]\b|s[iu]bmission|etiquette icons|lemon svg|part of the|aiga|map symbols|gramastar|untitled|svg road signs|signs and symbols|map symbol|boating rules|illustration|blueman|creation day|upper (left|right) corner|lower (left|right) corner|aj svg|^image\d*|^drawing|^icon|\bicon$|\btemplate\b`)
	// asides end the part of a title that names the thing.
	asides = regexp.MustCompile(`\s*(\s-\s|[(\[,;:/|]).*$`)
	// foreignAuthors name their drawings in Italian and French.
	foreignAuthors = regexp.MustCompile(`(?i)rollandin|yves guillou`)
)

const maxLabelWords = 6

// words are the name of what a drawing shows and further words, in English; the name is empty if there is none.
func (a about) words() (label string, tags []string) {
	var specific, broad, all []string
	for _, k := range a.keywords {
		k = plainWords(k)
		switch {
		case k == "" || clipartNoise[k] || strings.HasPrefix(k, "hash") || setTitles.MatchString(k) || foreignAuthors.MatchString(k):
			continue
		case clipartBroad[k] != "":
			broad = append(broad, clipartBroad[k])
			k = clipartBroad[k]
		default:
			specific = append(specific, k)
		}
		all = append(all, k)
	}
	if !setTitles.MatchString(a.title) && !foreignAuthors.MatchString(a.creator) {
		label = plainWords(asides.ReplaceAllString(unescape(a.title), ""))
	}
	if n := len(strings.Fields(label)); n > maxLabelWords || clipartNoise[label] {
		label = ""
	}
	if candidates := append(specific, broad...); label == "" && len(candidates) > 0 {
		label = candidates[0]
	}
	return label, cleanTags(all, label)
}

// unescape undoes entities, which some of the metadata have twice.
func unescape(s string) string { return html.UnescapeString(html.UnescapeString(s)) }

// plainWords is a text in lower-case ASCII words without digits, articles and signs; a text in other letters is none.
func plainWords(s string) string {
	var out []string
	for i, w := range strings.FieldsFunc(strings.ToLower(unescape(s)), func(r rune) bool { return strings.ContainsRune(" _-.\"!?*#&+", r) }) {
		switch {
		case strings.ContainsAny(w, "0123456789"), i == 0 && (w == "a" || w == "an" || w == "the"):
			continue
		case strings.ContainsFunc(w, func(r rune) bool { return (r < 'a' || r > 'z') && r != '\'' }):
			return ""
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}

// clipartNoise are titles and keywords that say nothing about the picture.
var clipartNoise = wordSet(`hash image media png svg externalsource unsorted theme icon icons computer contour colour color bw work symbol symbols sign
	signs mapsym protein recreation study education office party holiday festive menu equipment musicstuff object transport transportation
	roadtravel people science shape shapes decoration decorations design general special mr misc miscellaneous clip art picture drawing
	silhouette cartoon outline traditional living place object objects unknown none test thing things atmosphere various new old logo glace airtravel points ms m py oh easter air valentines commercial software`)

// clipartBroad are keywords that name a kind of things, with the word for one of them: names of last resort.
var clipartBroad = map[string]string{
	"animal": "animal", "animals": "animal", "mammal": "animal", "bird": "bird", "fish": "fish", "insect": "insect", "food": "food",
	"fruit": "fruit", "vegetable": "vegetable", "beverage": "drink", "dessert": "dessert", "plant": "plant", "plants": "plant",
	"flower": "flower", "tree": "tree", "tool": "tool", "tools": "tool", "building": "building", "vehicle": "vehicle", "clothing": "clothes",
	"toy": "toy", "smiley": "smiley", "roadsign": "road sign", "person": "person", "weapon": "weapon", "hat": "hat", "electronic": "electronic part",
	"electronics": "electronic part", "container": "container", "bodypart": "body part", "astronomy": "astronomy",
}
