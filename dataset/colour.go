package dataset

import (
	"math"
	"slices"
	"strings"
)

// colour is a named colour: how a background of it looks and how a thing of it is made.
type colour struct {
	name       string
	background [3]float32 // sRGB in [0,1], soft enough to see a thing of the same name on it
	fill       [3]float32 // full colour of a shape
	hue        float32    // turns, for chromatic ones
	satMul     float32    // HSV saturation factor of a recoloured pixel
	satMin     float32    // and its least saturation
	valMul     float32    // HSV value factor
	valAdd     float32    // and offset
}

// numBackgrounds is how many of the colours are used for backgrounds; "brown" is for things only.
const numBackgrounds = 10

// numNeutral is how many of the first colours have no hue.
const numNeutral = 3

// colours are the named colours; white is first.
var colours = []colour{
	{"white", [3]float32{1, 1, 1}, [3]float32{.98, .98, .98}, 0, .06, 0, .30, .70},
	{"black", [3]float32{.08, .08, .08}, [3]float32{.05, .05, .05}, 0, .15, 0, .28, 0},
	{"gray", [3]float32{.74, .74, .74}, [3]float32{.5, .5, .5}, 0, .03, 0, .55, .15},
	{"red", [3]float32{.90, .32, .32}, [3]float32{.87, .12, .14}, 0 / 360., 1, .72, .92, .05},
	{"orange", [3]float32{1, .70, .39}, [3]float32{.98, .55, .08}, 29 / 360., 1, .75, .46, .53},
	{"yellow", [3]float32{1, .90, .47}, [3]float32{.99, .85, .10}, 50 / 360., 1, .68, .60, .40},
	{"green", [3]float32{.51, .78, .47}, [3]float32{.15, .65, .22}, 125 / 360., 1, .60, .90, 0},
	{"blue", [3]float32{.47, .70, 1}, [3]float32{.12, .35, .90}, 218 / 360., 1, .68, .95, .05},
	{"purple", [3]float32{.70, .58, .90}, [3]float32{.52, .20, .75}, 278 / 360., 1, .58, .80, .05},
	{"pink", [3]float32{1, .74, .84}, [3]float32{.98, .52, .72}, 338 / 360., .60, .38, .45, .55},
	{"brown", [3]float32{.55, .40, .28}, [3]float32{.48, .29, .14}, 24 / 360., .90, .55, .62, 0},
}

// ColourNames are the colours captions use for things; the first ten are also backgrounds.
func ColourNames() []string {
	out := make([]string, len(colours))
	for i, c := range colours {
		out[i] = c.name
	}
	return out
}

// colourIndex is the index of a named colour, or -1.
func colourIndex(name string) int {
	if name == "grey" {
		name = "gray"
	}
	return slices.IndexFunc(colours, func(c colour) bool { return c.name == name })
}

// colourWord is the first colour in a label, as an index, or -1; noun is the label without it when it
// leads ("red apple" is an apple), else the label itself ("man with red hair").
func colourWord(label string) (c int, noun string) {
	words := strings.Fields(label)
	for i, w := range words {
		if c := colourIndex(w); c >= 0 && len(words) > 1 {
			if i == 0 {
				return c, strings.Join(words[1:], " ")
			}
			return c, label
		}
	}
	return -1, label
}

// classify names the colour of an sRGB pixel in [0,1]; -1 where people would not agree.
func classify(r, g, b float32) int {
	h, s, v := rgbToHSV(r, g, b)
	deg := h * 360
	switch {
	case v < .22:
		return 1 // black
	case s < .10 && v > .90:
		return 0 // white
	case s < .14:
		if v > .80 {
			return 0
		}
		return 2 // gray
	case s < .25:
		return -1
	case deg < 12 || deg >= 348:
		if v > .85 && s < .55 {
			return 9 // pink
		}
		if v < .5 || s < .5 {
			return -1 // maroon, brown, skin
		}
		return 3 // red
	case deg < 20 && v >= .72:
		return -1 // between red and orange
	case deg < 41:
		if v < .72 {
			return 10 // brown
		}
		if s < .5 {
			return -1 // skin
		}
		return 4 // orange
	case deg < 66:
		if v < .6 {
			return -1 // olive
		}
		return 5 // yellow
	case deg < 165:
		return 6 // green
	case deg < 190:
		return -1 // turquoise
	case deg < 250:
		return 7 // blue
	case deg < 300:
		return 8 // purple
	default:
		return 9 // pink
	}
}

// rgbToHSV converts sRGB to hue (in turns, [0,1)), saturation and value.
func rgbToHSV(r, g, b float32) (h, s, v float32) {
	v = max(r, g, b)
	d := v - min(r, g, b)
	if v <= 0 || d <= 0 {
		return 0, 0, v
	}
	switch v {
	case r:
		h = (g - b) / d
	case g:
		h = 2 + (b-r)/d
	default:
		h = 4 + (r-g)/d
	}
	h /= 6
	if h < 0 {
		h++
	}
	return h, d / v, v
}

// hsvToRGB is the inverse of rgbToHSV; any h is taken modulo one turn.
func hsvToRGB(h, s, v float32) (r, g, b float32) {
	h -= float32(math.Floor(float64(h)))
	h *= 6
	i := int(h)
	f := h - float32(i)
	p, q, t := v*(1-s), v*(1-s*f), v*(1-s*(1-f))
	switch i {
	case 0:
		return v, t, p
	case 1:
		return q, v, p
	case 2:
		return p, v, t
	case 3:
		return p, q, v
	case 4:
		return t, p, v
	default:
		return v, p, q
	}
}
