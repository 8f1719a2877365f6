package quality

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/rng"
)

// The classes of the default prompts. Prompts of somebody's own have none.
const (
	Seen   = "seen"   // things of the emoji pack as they are drawn there
	Colour = "colour" // things in a colour that no drawing of them has; trainings recolour at random, so rare, not impossible
	Two    = "two"    // two things and how they stand
)

// Prompt is a caption to paint.
type Prompt struct {
	Class   string
	Caption string
	words   []string // that say what is shown: neither colours nor articles nor places
}

//go:embed prompts.tsv
var defaults string

// Default are the prompts that figures are published for.
func Default() []Prompt {
	var out []Prompt
	for line := range strings.Lines(defaults) {
		class, caption, _ := strings.Cut(strings.TrimSpace(line), "\t")
		out = append(out, newPrompt(class, caption))
	}
	return out
}

// Read reads prompts of somebody's own, one a line; empty lines and repetitions are left out.
func Read(r io.Reader) ([]Prompt, error) {
	var out []Prompt
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		caption := strings.TrimSpace(lines.Text())
		if caption == "" || seen[caption] {
			continue
		}
		seen[caption] = true
		out = append(out, newPrompt("", caption))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("quality: read prompts: %w", err)
	}
	return out, nil
}

func newPrompt(class, caption string) Prompt {
	return Prompt{Class: class, Caption: caption, words: contentWords(caption)}
}

// hollow are words that do not say what is shown.
var hollow = strings.Fields("a an the of on in at to and or with next left right above below beside behind under over background picture " +
	"one two three four small big drawing cartoon photo render grey")

func contentWords(caption string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(strings.ToLower(caption), func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz'-", r) && r < 128 }) {
		if slices.Contains(hollow, w) || slices.Contains(dataset.ColourNames(), w) {
			continue
		}
		if len(w) > 3 && strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss") {
			w = w[:len(w)-1] // one banana and two bananas are one thing
		}
		out = append(out, w)
	}
	return out
}

// related reports whether two prompts share a thing: a word that says what is shown. Captions without such a word are
// related when they are equal.
func (p Prompt) related(q Prompt) bool {
	return p.Caption == q.Caption || slices.ContainsFunc(p.words, func(w string) bool { return slices.Contains(q.words, w) })
}

// Spread takes n prompts, evenly spread over the list, so that each class keeps its share; 0 takes all.
func Spread(all []Prompt, n int) []int {
	if n <= 0 || n > len(all) {
		n = len(all)
	}
	out := make([]int, n)
	for i := range out {
		out[i] = i * len(all) / n
	}
	return out
}

// Pools chooses for each prompt at most n others to compete with: of the same list, of other things, by the seed and the
// captions alone. The result holds indices of all; a pool is smaller than n where a list has no more.
func Pools(all []Prompt, seed uint64, n int) [][]int {
	out := make([][]int, len(all))
	for i, p := range all {
		for _, j := range rng.New(seed, "quality/pool", uint64(i)).Perm(len(all)) {
			if len(out[i]) == n {
				break
			}
			if j != i && !p.related(all[j]) {
				out[i] = append(out[i], j)
			}
		}
	}
	return out
}
