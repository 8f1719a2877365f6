package curve

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"image/color"
	"io"
	"strconv"
	"strings"
)

// SVG writes the figure as a picture of lines and words, which stays sharp at any size.
func (f *Figure) SVG(w io.Writer) error {
	b := bufio.NewWriter(w)
	s := f.scene
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" font-family="Go, Helvetica, Arial, sans-serif">`+"\n",
		short(s.w), short(s.h), short(s.w), short(s.h))
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" fill="%s"/>`+"\n", hex(s.background))
	clips := map[box]int{}
	for _, it := range s.items {
		if it.clip == nil {
			continue
		}
		if _, ok := clips[*it.clip]; !ok {
			clips[*it.clip] = len(clips)
			c := *it.clip
			fmt.Fprintf(b, `<clipPath id="c%d"><rect x="%s" y="%s" width="%s" height="%s"/></clipPath>`+"\n",
				clips[c], short(c.x), short(c.y), short(c.w), short(c.h))
		}
	}
	for _, it := range s.items {
		switch {
		case it.text != "":
			svgWord(b, it)
		case it.fill != nil:
			fmt.Fprintf(b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"%s/>`+"\n", short(it.fill.x), short(it.fill.y),
				short(it.fill.w), short(it.fill.h), hex(it.colour), opacity("fill", it.colour))
		default:
			svgLine(b, it, clips)
		}
	}
	_, _ = b.WriteString("</svg>\n")
	return b.Flush()
}

func svgLine(b *bufio.Writer, it item, clips map[box]int) {
	var d strings.Builder
	for i, p := range it.points {
		if i > 0 {
			d.WriteByte(' ')
		}
		d.WriteString(short(p.x) + "," + short(p.y))
	}
	if len(it.points) == 1 { // a point alone is a line of no length with round ends
		d.WriteString(" " + short(it.points[0].x) + "," + short(it.points[0].y))
	}
	clip := ""
	if it.clip != nil {
		clip = fmt.Sprintf(` clip-path="url(#c%d)"`, clips[*it.clip])
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="%s" stroke-linejoin="round" stroke-linecap="round"%s%s/>`+"\n",
		d.String(), hex(it.colour), short(it.width), opacity("stroke", it.colour), clip)
}

func svgWord(b *bufio.Writer, it item) {
	fmt.Fprintf(b, `<text x="%s" y="%s" font-size="%s" text-anchor="%s" fill="%s">`, short(it.at.x), short(it.at.y), short(it.size),
		[]string{"start", "middle", "end"}[it.anchor], hex(it.colour))
	_ = xml.EscapeText(b, []byte(it.text)) // b remembers its error until Flush
	_, _ = b.WriteString("</text>\n")
}

func hex(c color.NRGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func opacity(of string, c color.NRGBA) string {
	if c.A == 255 {
		return ""
	}
	return fmt.Sprintf(` %s-opacity="%s"`, of, short(float64(c.A)/255))
}

// short writes a number with at most two decimals.
func short(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
