package spec

import (
	"math"
	"strconv"
	"strings"
)

// Prompt is one thing a picture is pulled towards, or pushed away from when Weight is negative. Exactly one of Text,
// Image and Noise is set.
type Prompt struct {
	Text  string  `json:"text,omitempty"`
	Image string  `json:"image,omitempty"` // sha256 of the picture file, hex
	Noise *uint64 `json:"noise,omitempty"` // seed of a random direction in CLIP's space
	// Weight scales the prompt's part of the loss.
	Weight float64 `json:"weight"`
	// Stop is the distance below which the prompt ceases to pull; nil means never. For a negative weight it bounds
	// the signed distance, as in the reference: -1.3 stops pushing once the picture is 1.3 away.
	Stop *float64 `json:"stop,omitempty"`
	// From and Until bound the steps in which the prompt acts: From <= step < Until; Until 0 means to the end.
	From  int `json:"from,omitempty"`
	Until int `json:"until,omitempty"`
	// Region is the part of the picture that the prompt looks at; nil means all of it.
	Region *Region `json:"region,omitempty"`
}

// ParsePrompts reads prompts as users write them:
//
//	a red apple                one prompt of weight 1
//	a red apple:2 | blur:-0.5  several, with weights; a negative weight pushes away
//	a red apple:1:0.6          weight and stop
//	a seed ^ a tree ^ a house  a story: the prompts of each part act in their share of the steps
//
// Numbers are peeled off the right only as long as they read as numbers, so colons inside the text are safe
// ("Rothko: orange and red"); "\:" keeps a colon before a number as text. steps divides a story.
func ParsePrompts(args []string, steps int) ([]Prompt, error) {
	var out []Prompt
	for _, arg := range args {
		stages := strings.Split(arg, "^")
		for k, stage := range stages {
			for _, part := range strings.Split(stage, "|") {
				p, err := parsePrompt(part)
				if err != nil {
					return nil, err
				}
				if n := len(stages); n > 1 {
					p.From, p.Until = k*steps/n, (k+1)*steps/n
					if k == n-1 {
						p.Until = 0
					}
				}
				out = append(out, p)
			}
		}
	}
	if len(out) == 0 {
		return nil, Refuse("there is no prompt", `say what to paint, for example: smalti paint "a red apple"`)
	}
	return out, nil
}

// ParseRegionPrompt reads REGION=PROMPT as the --region-prompt flag takes it.
func ParseRegionPrompt(s string) (Prompt, error) {
	region, text, ok := strings.Cut(s, "=")
	if !ok {
		return Prompt{}, Refusef("write REGION=PROMPT, for example rect:0,0,64,64=a red apple", "--region-prompt %q has no prompt", s)
	}
	r, err := ParseRegion(region)
	if err != nil {
		return Prompt{}, err
	}
	p, err := parsePrompt(text)
	p.Region = r
	return p, err
}

func parsePrompt(s string) (Prompt, error) {
	text, numbers := peel(s, 2)
	p := Prompt{Text: text, Weight: 1}
	if len(numbers) > 0 {
		p.Weight = numbers[0]
	}
	if len(numbers) > 1 {
		p.Stop = &numbers[1]
	}
	if text == "" {
		return p, Refuse("a prompt is empty", `each part between "|" and "^" needs words, for example "a red apple | a blue door:0.5"`)
	}
	return p, nil
}

// peel takes up to most numbers off the right end of s, each behind a colon that is not escaped.
func peel(s string, most int) (string, []float64) {
	var numbers []float64
	rest := strings.TrimSpace(s)
	for len(numbers) < most {
		i := strings.LastIndexByte(rest, ':')
		if i < 0 || i > 0 && rest[i-1] == '\\' {
			break
		}
		v, ok := number(rest[i+1:])
		if !ok {
			break
		}
		numbers = append([]float64{v}, numbers...)
		rest = strings.TrimSpace(rest[:i])
	}
	return strings.ReplaceAll(rest, `\:`, ":"), numbers
}

// number reads a finite decimal number. Words that strconv would take (inf, nan, hexadecimal) stay text.
func number(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && !math.IsInf(v, 0)
}

// ParseImagePrompt splits FILE[:weight[:stop]] as the --image-prompt flag takes it. A Windows drive letter is safe: it
// is no number.
func ParseImagePrompt(s string) (file string, weight float64, stop *float64, err error) {
	file, numbers := peel(s, 2)
	weight = 1
	if len(numbers) > 0 {
		weight = numbers[0]
	}
	if len(numbers) > 1 {
		stop = &numbers[1]
	}
	if file == "" {
		return "", 0, nil, Refuse("--image-prompt names no file", "write --image-prompt FILE or FILE:WEIGHT")
	}
	return file, weight, stop, nil
}

// ParseNoisePrompt reads SEED[:weight] as the --noise-prompt flag takes it.
func ParseNoisePrompt(s string) (Prompt, error) {
	seed, weight, found := strings.Cut(s, ":")
	p := Prompt{Weight: 1}
	n, err := strconv.ParseUint(strings.TrimSpace(seed), 10, 64)
	ok := err == nil
	if ok && found {
		p.Weight, ok = number(weight)
	}
	if !ok {
		return p, Refuse("--noise-prompt "+strconv.Quote(s)+" is not SEED:WEIGHT", "write for example --noise-prompt 123:0.2")
	}
	p.Noise = &n
	return p, nil
}
