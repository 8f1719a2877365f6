package dataset

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// emojiEntry is one emoji of emojibase-data (en/data.json).
type emojiEntry struct {
	Label   string       `json:"label"`
	Hexcode string       `json:"hexcode"`
	Tags    []string     `json:"tags"`
	Group   *int         `json:"group"`
	Skins   []emojiEntry `json:"skins"`

	base  string // code points of the emoji without skin tone: the concept
	toned bool
}

// emojiGroups are emojibase's group numbers.
var emojiGroups = []string{
	"smileys & emotion", "people & body", "component", "animals & nature", "food & drink",
	"travel & places", "activities", "objects", "symbols", "flags",
}

func (e *emojiEntry) groupName() string {
	if e.Group == nil || *e.Group < 0 || *e.Group >= len(emojiGroups) {
		return ""
	}
	return emojiGroups[*e.Group]
}

// emojiNames joins code points and names to emojibase entries.
type emojiNames struct {
	byHex map[string]*emojiEntry
	alias map[string]string // squeezed name -> code points
}

var notAlphanumeric = regexp.MustCompile(`[^a-z0-9]`)

// squeeze is a name with everything but letters and digits dropped, so that "Red apple" and
// "red-apple" are the same.
func squeeze(s string) string { return notAlphanumeric.ReplaceAllString(strings.ToLower(s), "") }

// normalHex is a sequence of code points without variation selectors and leading zeros, upper-case.
func normalHex(h string) string {
	var out []string
	for _, p := range strings.Split(strings.ToUpper(h), "-") {
		if p != "FE0F" {
			out = append(out, p)
		}
	}
	return strings.TrimLeft(strings.Join(out, "-"), "0")
}

// readJSON decodes a JSON file.
func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// loadEmojiNames reads labels and short codes from an unpacked emojibase-data package.
func loadEmojiNames(dir string) (*emojiNames, error) {
	var list []emojiEntry
	if err := readJSON(filepath.Join(dir, "en", "data.json"), &list); err != nil {
		return nil, err
	}
	n := &emojiNames{byHex: map[string]*emojiEntry{}, alias: map[string]string{}}
	for i := range list {
		n.addEntry(&list[i])
	}
	for _, h := range sortedKeys(n.byHex) {
		label := n.byHex[h].Label
		n.put(label, h)
		if country, ok := strings.CutPrefix(label, "flag: "); ok {
			n.put("flag-for-"+country, h)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "en", "shortcodes", "*.json"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	for _, f := range files {
		if err := n.addShortcodes(f); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *emojiNames) addEntry(e *emojiEntry) {
	h := normalHex(e.Hexcode)
	e.base = h
	n.byHex[h] = e
	for k := range e.Skins {
		s := &e.Skins[k]
		s.base, s.toned, s.Group = h, true, e.Group
		if len(s.Tags) == 0 {
			s.Tags = e.Tags
		}
		n.byHex[normalHex(s.Hexcode)] = s
	}
}

func (n *emojiNames) addShortcodes(file string) error {
	codes := map[string]any{}
	if err := readJSON(file, &codes); err != nil {
		return err
	}
	for _, h := range sortedKeys(codes) {
		switch t := codes[h].(type) {
		case string:
			n.put(t, normalHex(h))
		case []any:
			for _, x := range t {
				if s, ok := x.(string); ok {
					n.put(s, normalHex(h))
				}
			}
		}
	}
	return nil
}

// put makes name an alias of code points h; the first one wins.
func (n *emojiNames) put(name, h string) {
	if _, taken := n.alias[squeeze(name)]; !taken && n.byHex[h] != nil {
		n.alias[squeeze(name)] = h
	}
}

// iconSet is one unpacked iconify package: names of its icons and their code points.
type iconSet struct {
	style emojiStyle
	icons map[string]icon
	w, h  float64
	toHex map[string]string
}

// icon is the drawing of one icon: the inside of an SVG element and its view box.
type icon struct {
	Body   string  `json:"body"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
	Left   float64 `json:"left"`
	Top    float64 `json:"top"`
	Hidden bool    `json:"hidden"`
}

// learnChars reads a package's chars.json (code points -> icon name), adds the names as aliases and
// returns the inverse.
func (n *emojiNames) learnChars(dir string) (map[string]string, error) {
	chars := map[string]string{}
	if err := readJSON(filepath.Join(dir, "chars.json"), &chars); err != nil {
		return nil, err
	}
	inverse := map[string]string{}
	for _, h := range sortedKeys(chars) {
		name := chars[h]
		if n.byHex[normalHex(h)] == nil {
			continue
		}
		n.put(name, normalHex(h))
		if _, dup := inverse[name]; !dup {
			inverse[name] = normalHex(h)
		}
	}
	return inverse, nil
}

// readIcons reads icons.json of an unpacked iconify package.
func readIcons(dir string, style emojiStyle, toHex map[string]string) (*iconSet, error) {
	var file struct {
		Icons  map[string]icon `json:"icons"`
		Width  float64         `json:"width"`
		Height float64         `json:"height"`
	}
	if err := readJSON(filepath.Join(dir, "icons.json"), &file); err != nil {
		return nil, err
	}
	return &iconSet{style: style, icons: file.Icons, w: file.Width, h: file.Height, toHex: toHex}, nil
}

// svg is a whole SVG document for one icon.
func (s *iconSet) svg(ic icon) []byte {
	w, h := firstPositive(ic.Width, s.w), firstPositive(ic.Height, s.h)
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="%g %g %g %g">%s</svg>`,
		ic.Left, ic.Top, w, h, ic.Body)
}

// firstPositive is the first positive one of an icon's own size, its set's size, and iconify's 16.
func firstPositive(own, set float64) float64 {
	for _, v := range []float64{own, set} {
		if v > 0 {
			return v
		}
	}
	return 16
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
