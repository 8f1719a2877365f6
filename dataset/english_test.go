package dataset

import (
	"slices"
	"testing"
)

func TestPlural(t *testing.T) {
	for phrase, want := range map[string]string{
		"key": "keys", "box": "boxes", "bus": "buses", "church": "churches", "dish": "dishes", "baby": "babies", "boy": "boys",
		"mouse": "mice", "computer mouse": "computer mice", "wolf": "wolves", "goose": "geese", "sheep": "sheep", "fish": "fish",
		"tomato": "tomatoes", "piano": "pianos", "leaf": "leaves", "maple leaf": "maple leaves", "snowman": "snowmen",
		"bowl with spoon": "bowls with spoon", "glass of milk": "glasses of milk", "man": "men", "woman farmer": "women farmers",
		"person running": "people running", "person with beard": "people with beard", "clock showing two o'clock": "clocks showing two o'clock",
		"cactus": "cacti", "octopus": "octopuses", "compass": "compasses", "wine glass": "wine glasses", "game die": "game dice",
		"sun behind cloud": "suns behind cloud", "snowman without snow": "snowmen without snow", "rice ball": "rice balls",
		"broccoli": "broccoli", "grapes": "grapes", "sweat droplets": "sweat droplets", "scissors": "scissors",
		"men wrestling": "men wrestling", "arrow pointing up": "arrows pointing up", "half circle": "half circles", "cross": "crosses",
	} {
		if got := Plural(phrase); got != want {
			t.Errorf("Plural(%q) = %q, want %q", phrase, got, want)
		}
	}
}

func TestArticle(t *testing.T) {
	for phrase, want := range map[string]string{
		"apple": "an apple", "key": "a key", "unicorn": "a unicorn", "umbrella": "an umbrella", "hourglass": "an hourglass",
		"euro banknote": "a euro banknote", "ewe": "a ewe", "x-ray": "an x-ray", "grapes": "grapes", "broccoli": "broccoli",
		"hammer and wrench": "hammer and wrench", "plate with fork and knife": "a plate with fork and knife",
		"santa claus": "santa claus", "bus": "a bus", "octopus": "an octopus", "rhinoceros": "a rhinoceros", "glasses": "glasses",
	} {
		if got := article(phrase); got != want {
			t.Errorf("article(%q) = %q, want %q", phrase, got, want)
		}
	}
}

func TestCleanLabel(t *testing.T) {
	for label, want := range map[string]string{
		"red apple": "red apple", "dog face": "dog", "clown face": "clown face", "automobile": "car", "T-Rex": "dinosaur",
		"person: beard": "person with beard", "man: bald": "bald man", "family: man, woman, boy": "family",
		"woman walking: facing right": "woman walking facing right", "flag: Japan": "flag of japan", "man’s shoe": "man's shoe",
		"oncoming bus": "bus", "two-thirty": "clock showing two thirty", "four o’clock": "clock showing four o'clock",
		"waving hand: light skin tone": "waving hand with light skin tone",
	} {
		if got := cleanLabel(label); got != want {
			t.Errorf("cleanLabel(%q) = %q, want %q", label, got, want)
		}
	}
}

func TestCleanTags(t *testing.T) {
	got := cleanTags([]string{"143", "ily", "apple", "Fruit", "fruit", "red", "ripe", "what ever lol", "naïve", "x", "ox", "sea-food"}, "red apple")
	if want := []string{"fruit", "ripe", "ox", "sea-food"}; !slices.Equal(got, want) {
		t.Errorf("cleanTags = %q, want %q", got, want)
	}
}

func TestSingularUndoesPlural(t *testing.T) {
	labels := []string{"red apple", "green apple", "cactus", "woman farmer", "glass of milk", "scissors", "wolf", "hearts"}
	for plural, want := range map[string]string{"apples": "apple", "red apples": "red apple", "cacti": "cactus", "women farmers": "woman farmer",
		"glasses of milk": "glass of milk", "scissors": "scissors", "wolves": "wolf", "zebras": "zebras", "farmers": "farmer"} {
		if got := Singular(plural, slices.Values(labels)); got != want {
			t.Errorf("%q is the plural of %q, want %q", plural, got, want)
		}
	}
}
