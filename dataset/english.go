package dataset

import (
	"cmp"
	"iter"
	"strings"
)

// number is how a noun phrase counts.
type number int

const (
	countable  number = iota // "a key", "two keys"
	massNoun                 // "broccoli": no article, no plural
	pluralNoun               // "grapes": no article, no number
)

// irregularPlurals are plurals no rule gives.
var irregularPlurals = map[string]string{
	"man": "men", "woman": "women", "person": "people", "child": "children", "mouse": "mice",
	"goose": "geese", "tooth": "teeth", "foot": "feet", "ox": "oxen", "louse": "lice", "die": "dice",
	"fish": "fish", "sheep": "sheep", "deer": "deer", "moose": "moose", "bison": "bison", "squid": "squid",
	"shrimp": "shrimp", "salmon": "salmon", "aircraft": "aircraft", "wolf": "wolves", "leaf": "leaves",
	"knife": "knives", "loaf": "loaves", "elf": "elves", "shelf": "shelves", "scarf": "scarves", "half": "halves",
	"wife": "wives", "thief": "thieves", "calf": "calves", "potato": "potatoes", "tomato": "tomatoes",
	"mosquito": "mosquitoes", "volcano": "volcanoes", "hero": "heroes", "superhero": "superheroes",
	"buffalo": "buffaloes", "sheaf": "sheaves", "mango": "mangoes", "tornado": "tornadoes", "torpedo": "torpedoes", "echo": "echoes", "cactus": "cacti",
	"octopus": "octopuses", "lotus": "lotuses", "bus": "buses", "merman": "mermen", "mermaid": "mermaids",
	"snowman": "snowmen", "fireman": "firemen", "policeman": "policemen", "businessman": "businessmen",
	"human": "humans", "axe": "axes", "sushi": "sushi", "dango": "dango", "yen": "yen", "ninja": "ninjas",
	"swiss": "swiss", "blowfish": "blowfish", "jellyfish": "jellyfish", "penny": "pennies",
	"matryoshka": "matryoshkas", "microfiche": "microfiches", "criterion": "criteria", "quiz": "quizzes",
}

// vowelSound and consonantSound are words whose first sound differs from their first letter.
var (
	vowelSound     = wordSet("hour honest honor heir hourglass suv x-ray mri mp3")
	consonantSound = wordSet("unicorn uniform university european euro one ufo ukulele unicycle union united used user usb utensil urinal utensils eucalyptus ewe u-turn one-thirty one-piece")
)

// massNouns are heads and whole labels without a plural.
var massNouns = wordSet(`broccoli garlic bread flatbread butter salt rice spaghetti sushi sashimi popcorn bacon meat cheese sake ice
	honey water wood fog rain snow lightning fire smoke coral money lacrosse badminton hockey cricket fencing
	racing climbing boxing yarn thread graffiti camping corn mate oden curry candy
	luggage garlic ginger cash blood air wind custard falafel chocolate music knitting clothes underwear food
	foggy fishing surfing skating equipment furniture arts liquid tea coffee milk sugar bamboo hair massage construction headphone
	cityscape sunrise sunset beach traffic pong football volleyball baseball softball basketball desert`)

// countAnyway are labels whose last word is a mass noun but that count.
var countAnyway = wordSet("candy volleyball baseball softball basketball football desert beach sunrise sunset cityscape coral lipstick soap candy")

// uniqueLabels are names and set phrases that take no article and no plural.
var uniqueLabels = map[string]bool{
	"santa claus": true, "mrs. claus": true, "mount fuji": true, "thumbs up": true, "thumbs down": true,
	"palms up together": true, "ping pong": true, "milky way": true, "hundred points": true,
}

// pluralLabels are labels that are plural as they stand.
var pluralLabels = wordSet(`grapes cherries blueberries beans peanuts pancakes glasses sunglasses goggles scissors
	jeans shorts briefs gloves socks skis maracas chopsticks dice fireworks sparkles headphones binoculars
	pants trousers chains clothes eyes lungs footprints bubbles houses books fries stairs springs knobs shoes
	paperclips notes bags swords dolls lights tickets pins suits news tabs hands boys girls men women people
	busts dividers tongs mountains skates hearts prints mugs dominoes dancers rings frames ears`)

// linkWords end the part of a phrase that carries its number: "bowl with spoon" -> "bowls with spoon".
var linkWords = wordSet(`with of in on at without from to showing behind over under for wearing holding getting
	riding walking running standing kneeling feeding lifting playing rowing bouncing taking climbing biking
	swimming surfing golfing juggling bowing frowning pouting shrugging gesturing facepalming raising tipping
	pointing facing cartwheeling mountain levitating blowing crossed
	tilted fluttering hugging wrestling exhaling vomiting screaming shaking savoring increasing decreasing fencing nursing`)

// split finds the head word of a noun phrase: words before it, the head, and the rest.
func splitHead(phrase string) (before, head, after string) {
	words := strings.Fields(phrase)
	end := len(words)
	for i := 1; i < len(words); i++ {
		if linkWords[words[i]] && !(words[i] == "mountain" && i == len(words)-1) {
			end = i
			break
		}
	}
	if end == 0 {
		return "", "", ""
	}
	return strings.Join(words[:end-1], " "), words[end-1], strings.Join(words[end:], " ")
}

// numberOf says how a label counts.
func numberOf(label string) number {
	_, head, _ := splitHead(label)
	first, _, _ := strings.Cut(label, " ")
	switch {
	case uniqueLabels[label]:
		return massNoun
	case first == "people" || first == "men" || first == "women" || pluralLabels[head] || pluralLabels[label]:
		return pluralNoun
	case strings.Contains(label, " and ") && !strings.Contains(label, " with "):
		return massNoun // "nut and bolt": two things at once do not count
	case strings.HasSuffix(head, "s") && !singularInS(head):
		return pluralNoun
	case countAnyway[head]:
		return countable
	case massNouns[head], massNouns[label]:
		return massNoun
	}
	return countable
}

// singularInS reports words that end in s and mean one thing: "bus", "glass", "compass".
func singularInS(w string) bool {
	return hasAnySuffix(w, "ss", "us", "is") || singularS[w]
}

var singularS = wordSet("claus rhinoceros gas lens atlas canvas christmas swiss hindus")

// pluralWord is the English plural of one word.
func pluralWord(w string) string {
	if p, ok := irregularPlurals[w]; ok {
		return p
	}
	if i := strings.LastIndexByte(w, '-'); i > 0 {
		if p, ok := irregularPlurals[w[i+1:]]; ok {
			return w[:i+1] + p
		}
	}
	switch {
	case w == "":
		return ""
	case hasAnySuffix(w, "s", "x", "z", "ch", "sh"):
		return w + "es"
	case strings.HasSuffix(w, "y") && len(w) > 1 && !strings.ContainsRune("aeiou", rune(w[len(w)-2])):
		return w[:len(w)-1] + "ies"
	}
	return w + "s"
}

// Plural is the plural of a noun phrase: its head word changes, what follows "with", "of", ... stays.
// The words man and woman before a head change as well: "woman farmer", "women farmers".
func Plural(phrase string) string {
	before, head, after := splitHead(phrase)
	if numberOf(phrase) != countable {
		return phrase
	}
	if before == "man" || before == "woman" {
		before = irregularPlurals[before]
	}
	return joinWords(before, pluralWord(head), after)
}

// Singular is the name of a thing whose plural a noun phrase is, when it is a label or the end of one: "apples" is "apple" where
// there is a "red apple". Other phrases are left as they are.
func Singular(plural string, labels iter.Seq[string]) string {
	best, n := "", len(strings.Fields(plural))
	for label := range labels {
		words := strings.Fields(label)
		if len(words) < n {
			continue
		}
		end := strings.Join(words[len(words)-n:], " ")
		if Plural(end) == plural && (best == "" || end < best) {
			best = end
		}
	}
	return cmp.Or(best, plural)
}

// article puts "a" or "an" before a countable phrase and nothing before others.
func article(phrase string) string {
	if numberOf(phrase) != countable {
		return phrase
	}
	return indefinite(phrase)
}

// indefinite puts "a" or "an" before any phrase.
func indefinite(phrase string) string {
	first, _, _ := strings.Cut(phrase, " ")
	if first == "" {
		return phrase
	}
	vowel := strings.ContainsRune("aeiou", rune(first[0]))
	if vowelSound[first] {
		vowel = true
	} else if consonantSound[first] {
		vowel = false
	}
	if vowel {
		return "an " + phrase
	}
	return "a " + phrase
}

func joinWords(words ...string) string {
	out := words[:0:0]
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

func hasAnySuffix(s string, suffixes ...string) bool {
	for _, x := range suffixes {
		if strings.HasSuffix(s, x) {
			return true
		}
	}
	return false
}
