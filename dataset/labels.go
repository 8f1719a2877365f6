package dataset

import (
	"slices"
	"strings"
	"unicode"
)

// labelNames replaces emojibase labels that are not what a person would type.
var labelNames = map[string]string{
	"automobile": "car", "oncoming automobile": "oncoming car", "sport utility vehicle": "suv",
	"articulated lorry": "truck", "fire engine": "fire truck", "couch and lamp": "sofa",
	"deciduous tree": "tree", "evergreen tree": "pine tree", "hot beverage": "cup of coffee",
	"wrapped gift": "gift", "honeybee": "bee", "lady beetle": "ladybug", "spiral shell": "shell",
	"ear of corn": "corn", "fork and knife with plate": "plate with fork and knife",
	"spouting whale": "whale", "soft ice cream": "ice cream cone", "bullseye": "target",
	"1st place medal": "gold medal", "2nd place medal": "silver medal", "3rd place medal": "bronze medal",
	"pool 8 ball": "billiard ball", "piñata": "pinata", "t-rex": "dinosaur", "sauropod": "long-necked dinosaur",
	"dna": "dna helix", "dvd": "dvd disc", "e-mail": "email letter", "camera with flash": "camera with flash",
	"tear-off calendar": "calendar", "spiral calendar": "calendar", "spiral notepad": "notepad",
	"kick scooter": "scooter", "two-hump camel": "camel with two humps", "studio microphone": "studio microphone",
	"index pointing at the viewer": "finger pointing at the viewer", "high voltage": "lightning bolt",
	"shallow pan of food": "pan of food", "hourglass not done": "hourglass", "hourglass done": "empty hourglass",
	"light rail": "light rail train", "woman dancing": "dancing woman", "man dancing": "dancing man",
	"airplane departure": "departing airplane", "airplane arrival": "landing airplane", "sun with face": "sun with a face", "full moon face": "full moon with a face", "new moon face": "new moon with a face",
	"first quarter moon face": "first quarter moon with a face", "last quarter moon face": "last quarter moon with a face",
	"wind face": "blowing wind", "locked": "padlock", "unlocked": "open padlock", "tennis": "tennis ball", "bowling": "bowling ball and pins",
	"american football": "american football", "mate": "mate drink", "diya lamp": "oil lamp",
	"clinking beer mugs": "two beer mugs", "camping": "tent at a campsite", "cooking": "frying pan with an egg",
	"flower playing cards": "playing cards", "building construction": "construction site", "construction": "construction barrier",
	"locked with key": "padlock with key", "locked with pen": "padlock with pen", "performing arts": "theater masks",
	"rolling on the floor laughing": "rolling laughing face", "headphone": "headphones", "dizzy": "dizzy stars",
	"dashing away": "puff of dust", "breast-feeding": "woman nursing baby", "foggy": "foggy city", "black nib": "fountain pen nib",
	"night with stars": "city at night with stars", "mx claus": "santa claus", "collision": "explosion",
	"light blue heart": "blue heart", "dotted line face": "face with dotted outline", "men wrestling": "men wrestling",
	"speaker high volume": "speaker at high volume", "speaker medium volume": "speaker at medium volume", "speaker low volume": "speaker at low volume",
	"globe showing europe-africa": "globe", "globe showing americas": "globe", "globe showing asia-australia": "globe",
}

// animalFaces are the animals whose head alone is the usual picture: "dog face" is a dog.
var animalFaces = []string{"monkey", "dog", "cat", "tiger", "horse", "cow", "pig", "mouse", "rabbit", "dragon"}

// cleanLabel turns an emojibase label into a lower-case noun phrase without an article.
func cleanLabel(label string) string {
	s := strings.ToLower(strings.NewReplacer("’", "'", "“", "", "”", "", "‘", "'").Replace(label))
	if name, ok := labelNames[s]; ok {
		return name
	}
	if animal, ok := strings.CutSuffix(s, " face"); ok && slices.Contains(animalFaces, animal) {
		return animal
	}
	s = strings.TrimPrefix(s, "oncoming ")
	if strings.HasSuffix(s, " o'clock") || strings.HasSuffix(s, "-thirty") {
		return "clock showing " + strings.ReplaceAll(s, "-", " ")
	}
	head, tail, ok := strings.Cut(s, ": ")
	if !ok {
		return s
	}
	switch {
	case head == "flag":
		return "flag of " + tail
	case head == "keycap":
		return "keycap " + tail
	case head == "family", head == "kiss", head == "couple with heart":
		return head
	case strings.HasPrefix(tail, "facing "):
		return head + " " + tail
	case tail == "bald":
		return "bald " + head
	default:
		return head + " with " + strings.ReplaceAll(tail, ", ", " and ")
	}
}

// tagStop are chat slang and words that describe the set, not the picture.
var tagStop = wordSet(`ily adorbs lol rofl lmao omg wtf bff yolo smh fyi brb jk ty np gg ffs nsfw tfw xoxo
	af bae imo dm ikr hmu gtfo idk ngl tbh rn ttyl tgif hbd obv def totes legit lit dope swag bruh yikes welp
	meh ugh duh nah yeah yay yass slay savage stoked psych tmi thx pls sup yo aka rip woah whoa wow awesome
	fml fosho ttfn wtv zzz litaf roflcopter roflmao haha hahaha hehe hehehe jel omw gtg dunno huh hmm nooo nope muah mwah tbt
	woohoo whoops whew voip uhh uproar oops ooo eek ehh hey yum yummy yup twinsies tada sucks stinks shh rawr rad phew pga oof nosey
	nooo meow litty kk jeez hbu gotta gotcha geez fleek eyeroll ding dah cya congrats boo bff bday bah awww aww argh absolutely aced
	whatever where when what who why yes you not out over this there these things thing everyone always again
	emoji symbol sign button face hundred tears joy lmfao bestie sus vibe vibes salty deets fam`)

func wordSet(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// cleanTags drops tags with digits or odd signs, slang, colour names, repetitions and words the label holds.
func cleanTags(tags []string, label string) []string {
	inLabel := wordSet(label)
	seen := map[string]bool{}
	out := []string{}
	for _, t := range tags {
		t = strings.ToLower(strings.ReplaceAll(t, "’", "'"))
		if len(t) < 3 && t != "ox" || len(t) > 24 || seen[t] || inLabel[t] || tagStop[t] || colourIndex(t) >= 0 {
			continue
		}
		if strings.ContainsFunc(t, func(r rune) bool {
			return r > unicode.MaxASCII || !unicode.IsLetter(r) && r != ' ' && r != '-' && r != '\''
		}) {
			continue
		}
		if hasSlang(t) {
			continue
		}
		seen[t] = true
		out = append(out, t)
	}
	return out
}

func hasSlang(tag string) bool {
	return slices.ContainsFunc(strings.Fields(tag), func(w string) bool { return tagStop[w] })
}
