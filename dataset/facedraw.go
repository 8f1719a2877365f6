package dataset

import (
	"fmt"

	"github.com/smalti/smalti/rng"
)

// trait is a choice that a face makes: what DiceBear calls it and what we say.
type trait struct{ key, words string }

// The choices of ToonHead, from the schema of @dicebear/toon-head 9.4.3.
var (
	faceMouths = []trait{{"laugh", "laughing"}, {"angry", "angry"}, {"agape", "surprised"}, {"smile", "smiling"}, {"sad", "sad"}}
	faceBrows  = map[string]string{"angry": "angry", "sad": "sad", "agape": "raised", "laugh": "happy", "smile": "neutral"}
	faceEyes   = []trait{{"happy", "closed happy eyes"}, {"wide", "wide open eyes"}, {"bow", "closed eyes"}, {"humble", "half-closed eyes"}, {"wink", "a wink"}}
	faceSkins  = []trait{{"f1c3a5", "light skin"}, {"c68e7a", "tan skin"}, {"a36b4f", "brown skin"}, {"5c3829", "dark skin"}}
	faceHair   = []trait{{"sideComed", "short side-parted"}, {"undercut", "short undercut"}, {"spiky", "short spiky"}, {"bun", "a bun of"}}
	faceRear   = []trait{{"longStraight", "long straight"}, {"longWavy", "long wavy"}, {"shoulderHigh", "shoulder-length"}, {"neckHigh", "neck-length"}}
	faceShades = []trait{{"2c1b18", "black hair"}, {"a55728", "red hair"}, {"b58143", "light brown hair"}, {"d6b370", "blond hair"}, {"724133", "brown hair"}}
	faceBeards = []trait{{"moustacheTwirl", "a curly moustache"}, {"fullBeard", "a full beard"}, {"chin", "a chin beard"}, {"chinMoustache", "a goatee"}, {"longBeard", "a long beard"}}
	faceWear   = []trait{{"turtleNeck", "turtleneck"}, {"openJacket", "jacket"}, {"shirt", "shirt"}, {"tShirt", "t-shirt"}, {"dress", "dress"}}
	faceDyes   = []trait{{"545454", "gray"}, {"b11f1f", "red"}, {"0b3286", "blue"}, {"147f3c", "green"}, {"eab308", "yellow"}, {"731ac3", "purple"},
		{"ec4899", "pink"}, {"f97316", "orange"}, {"151613", "black"}, {"e8e9e6", "white"}}
	faceGrounds = []trait{{"9ecbff", "blue"}, {"b7e4b0", "green"}, {"fff0a8", "yellow"}, {"ffc9de", "pink"}, {"d9d9d9", "gray"}, {"ffffff", "white"},
		{"ffd0a0", "orange"}, {"d7c4ff", "purple"}}
)

// faceOptions are the options of DiceBear's createAvatar for ToonHead: every choice is made here, none by its own seeds,
// which correlate.
type faceOptions struct {
	Seed            string   `json:"seed"`
	Background      []string `json:"backgroundColor"`
	Skin            []string `json:"skinColor"`
	HairColor       []string `json:"hairColor"`
	ClothesColor    []string `json:"clothesColor"`
	Mouth           []string `json:"mouth"`
	Hair            []string `json:"hair"`
	Eyes            []string `json:"eyes"`
	Clothes         []string `json:"clothes"`
	Eyebrows        []string `json:"eyebrows"`
	Beard           []string `json:"beard"`
	BeardChance     int      `json:"beardProbability"`
	RearHair        []string `json:"rearHair"`
	RearHairChance  int      `json:"rearHairProbability"`
	HairProbability int      `json:"hairProbability"`
}

// face is a face to be drawn and what is said of it.
type face struct {
	options faceOptions
	mouth   string // class
	label   string
	tags    []string
}

// drawFace chooses the i-th face of a seed. Clothes are worn always, and named where they are in the picture.
func drawFace(seed uint64, i int, clothed bool) face {
	s := rng.New(seed, "faces", uint64(i))
	pick := func(list []trait) trait { return list[s.IntN(len(list))] }
	ground, skin, shade, dye := pick(faceGrounds), pick(faceSkins), pick(faceShades), pick(faceDyes)
	mouth, hair, eyes := pick(faceMouths), pick(faceHair), pick(faceEyes)
	var rear, beard trait
	if s.Bernoulli(.5) {
		rear = pick(faceRear)
	} else if s.Bernoulli(.4) {
		beard = pick(faceBeards)
	}
	wear := faceWear
	if beard.key != "" {
		wear = wear[:4] // no dress
	}
	clothes := pick(wear)

	one := func(t trait) []string { return []string{t.key} }
	some := func(t trait) ([]string, int) {
		if t.key == "" {
			return []string{}, 0
		}
		return one(t), 100
	}
	o := faceOptions{Seed: "x", Background: one(ground), Skin: one(skin), HairColor: one(shade), ClothesColor: one(dye), Mouth: one(mouth), Hair: one(hair),
		Eyes: one(eyes), Clothes: one(clothes), Eyebrows: []string{faceBrows[mouth.key]}, HairProbability: 100}
	o.Beard, o.BeardChance = some(beard)
	o.RearHair, o.RearHairChance = some(rear)

	who, locks := "person", hair.words+" "+shade.words
	if rear.key != "" {
		locks = rear.words + " " + shade.words
		if hair.key == "bun" {
			locks += " and a bun"
		}
	}
	tags := []string{mouth.words, skin.words, shade.words, locks[:len(locks)-len(shade.words)] + "hair", eyes.words, ground.words + " background"}
	if rear.key != "" {
		tags[3] = rear.words + " hair"
	}
	if beard.key != "" {
		who, locks = "man", locks+" and "+beard.words
		tags = append(tags, beard.words)
	}
	label := fmt.Sprintf("%s %s with %s, %s, %s", mouth.words, who, skin.words, locks, eyes.words)
	if clothed {
		dress := dye.words + " " + clothes.words
		label, tags = label+", wearing "+indefinite(dress), append(tags, dress)
	}
	label += ", " + ground.words + " background"
	return face{options: o, mouth: mouth.words, label: label, tags: tags}
}
