package clip_test

import (
	"fmt"

	"github.com/smalti/smalti/clip"
)

func ExampleTokenizer() {
	t := clip.NewTokenizer(clip.Vocab{})
	fmt.Println(t.Encode("A red APPLE"))
	fmt.Println(t.Tokenize("A red APPLE", 8))
	fmt.Println(t.Decode([]int32{320, 736, 3055}))
	// Output:
	// [320 736 3055]
	// [49406 320 736 3055 49407 0 0 0] false
	// a red apple
}

// A trimmed vocabulary knows the words that it was chosen for and spells the others.
func ExampleTrimVocab() {
	v := clip.TrimVocab([]string{"a red apple", "a red house"}, 520)
	t := clip.NewTokenizer(v)
	fmt.Printf("%d %d %q\n", v.Size(), t.Encode("a red apple"), t.Decode(t.Encode("a blue turtle")))
	c := clip.BuiltinV0(v)
	fmt.Println(c.Validate(), c.Text.VocabSize, c.Vocab)
	// Output:
	// 517 [320 512 514] "a blue turtle "
	// <nil> 517 AeEB3AOzDg
}
