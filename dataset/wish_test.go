package dataset

import (
	"reflect"
	"testing"
)

func TestReadWish(t *testing.T) {
	for caption, want := range map[string]Wish{
		"a blue apple":                          {Things: []WishedThing{{Noun: "apple", Colour: "blue"}}},
		"A hot pepper on a white background":    {Things: []WishedThing{{Noun: "hot pepper"}}, Ground: "white"},
		"an orange on an orange background":     {Things: []WishedThing{{Noun: "orange"}}, Ground: "orange"},
		"scissors above a red car":              {Things: []WishedThing{{Noun: "scissors"}, {Noun: "car", Colour: "red"}}, Relation: "above"},
		"a cat to the right of a dog":           {Things: []WishedThing{{Noun: "dog"}, {Noun: "cat"}}, Relation: "left"},
		"a cat below a dog on a red background": {Things: []WishedThing{{Noun: "dog"}, {Noun: "cat"}}, Relation: "above", Ground: "red"},
		"two blue turtles":                      {Things: []WishedThing{{Noun: "turtles", Colour: "blue", Count: 2}}},
		"a four leaf clover":                    {Things: []WishedThing{{Noun: "four leaf clover"}}},
		"a cat and a dog":                       {Things: []WishedThing{{Noun: "cat"}, {Noun: "dog"}}},
	} {
		want.Caption = caption
		if got, ok := ReadWish(caption); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %+v, %v", caption, got, ok)
		}
	}
	for _, caption := range []string{"", "a cat on a brown background", "a cat on a shiny background"} {
		if w, ok := ReadWish(caption); ok {
			t.Errorf("%q is read as %+v", caption, w)
		}
	}
}

func TestIllustratorDrawsWhatIsWished(t *testing.T) {
	il := NewIllustrator([]*Sprite{disc("apple", "apple", heldStyle, 220, 30, 30), disc("lime", "lime", heldStyle, 40, 160, 50)})
	draw := func(caption string, index uint64) Sample {
		w, _ := ReadWish(caption)
		s, ok := il.Draw(w, 1, index, 32)
		if !ok {
			t.Fatalf("%q cannot be drawn", caption)
		}
		return s
	}
	at := func(s Sample, x, y int) int {
		i := (y*s.Size + x) * 3
		return classify(s.Pix[i], s.Pix[i+1], s.Pix[i+2])
	}
	red, green, blue := colourIndex("red"), colourIndex("green"), colourIndex("blue")
	for i := range uint64(8) { // wherever chance puts them
		if s := draw("a blue apple", i); at(s, 16, 16) != blue {
			t.Errorf("a blue apple has colour %d", at(s, 16, 16))
		}
		if s := draw("a lime to the right of an apple", i); at(s, 8, 16) != red || at(s, 23, 16) != green {
			t.Errorf("right of: %d and %d", at(s, 8, 16), at(s, 23, 16))
		}
		if s := draw("a lime above an apple", i); at(s, 16, 8) != green || at(s, 16, 23) != red {
			t.Errorf("above: %d and %d", at(s, 16, 8), at(s, 16, 23))
		}
	}
	four := draw("four blue apples", 1)
	for _, at4 := range []int{at(four, 8, 8), at(four, 23, 8), at(four, 8, 23), at(four, 23, 23)} {
		if at4 != blue {
			t.Errorf("four blue apples: one has colour %d", at4)
		}
	}
	if !reflect.DeepEqual(draw("an apple", 3), draw("an apple", 3)) || reflect.DeepEqual(draw("an apple", 3), draw("an apple", 4)) {
		t.Error("a picture is a function of its index, and another index gives another")
	}
	for thing, want := range map[WishedThing]string{{Noun: "apple", Colour: "blue"}: "a blue apple", {Noun: "scissors"}: "scissors", {Noun: "the sea"}: "the sea"} {
		if got := thing.Phrase(); got != want {
			t.Errorf("%+v is %q in words, want %q", thing, got, want)
		}
	}
	w, _ := ReadWish("a zebra")
	if _, ok := il.Draw(w, 1, 1, 32); ok {
		t.Error("a thing that is not there was drawn")
	}
}
