package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/smalti/smalti/quality"
	"github.com/smalti/smalti/ui"
)

// qualityRow is what is reported of a setting. Missing figures are null: no ceiling without a pack, no likelihood without a
// prior, no error of a single number.
type qualityRow struct {
	Setting    string                  `json:"setting"`
	Prompts    int                     `json:"prompts"`
	R1         *float64                `json:"r1"`
	R1SE       *float64                `json:"r1_se"`
	R5         *float64                `json:"r5"`
	R5SE       *float64                `json:"r5_se"`
	Diversity  *float64                `json:"diversity"`
	Repetition *float64                `json:"repetition"`
	NLL        *float64                `json:"nll"`
	Seconds    *float64                `json:"seconds_per_picture"`
	Classes    map[string]qualityClass `json:"classes,omitempty"`
}

// qualityClass is a row of one class of prompts.
type qualityClass struct {
	Prompts int      `json:"prompts"`
	R1      *float64 `json:"r1"`
	R5      *float64 `json:"r5"`
}

// comparisonRow is how b does against a: means of b - a over prompts.
type comparisonRow struct {
	Compare [2]string `json:"compare"`
	R1      *float64  `json:"r1"`
	R1SE    *float64  `json:"r1_se"`
	R5      *float64  `json:"r5"`
	R5SE    *float64  `json:"r5_se"`
	NLL     *float64  `json:"nll"`
	NLLSE   *float64  `json:"nll_se"`
}

// qualitySummary is the last line: the first setting's figures beside the ceiling.
type qualitySummary struct {
	R1         float64  `json:"r1"`
	R5         float64  `json:"r5"`
	Ceiling1   *float64 `json:"ceiling_r1"`
	Ceiling5   *float64 `json:"ceiling_r5"`
	Prompts    int      `json:"prompts"`
	Seconds    float64  `json:"seconds"` // of painting, all pictures of the setting together
	PerPicture float64  `json:"seconds_per_picture"`
	NLL        *float64 `json:"nll"`
	RealNLL    *float64 `json:"real_nll"`
}

// knownFigure is a figure, or nil where there is none.
func knownFigure(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

func (b *qualityBench) report() error {
	rows := make([]qualityRow, 0, len(b.settings)+1)
	for _, s := range b.settings {
		r := b.rowOf(s.name, b.which, s.Measurement, s.nll)
		r.Seconds = knownFigure(quality.Mean(s.seconds))
		rows = append(rows, r)
	}
	if b.real != nil {
		r := b.rowOf("real pictures", b.real.which, b.real.Measurement, b.real.nll)
		// Pictures of one prompt are no independent draws: the error would look too small.
		r.R1SE, r.R5SE = nil, nil
		rows = append(rows, r)
	}
	differences := b.differences()
	if b.json {
		return b.reportJSON(rows, differences)
	}
	return b.reportText(rows, differences)
}

func (b *qualityBench) rowOf(name string, which []int, m quality.Measurement, nll []float64) qualityRow {
	r := qualityRow{Setting: name, Prompts: len(distinctInts(which)), R1: knownFigure(m.R1), R5: knownFigure(m.R5), Diversity: knownFigure(m.Diversity),
		Repetition: knownFigure(m.Repetition), NLL: knownFigure(quality.Mean(nll)), Classes: map[string]qualityClass{},
		R1SE: knownFigure(quality.SE(quality.Hits(m.Ranks, 1))), R5SE: knownFigure(quality.SE(quality.Hits(m.Ranks, 5)))}
	byClass := map[string][]int{}
	prompts := map[string][]int{}
	for i, p := range which {
		if c := b.all[p].Class; c != "" {
			byClass[c], prompts[c] = append(byClass[c], m.Ranks[i]), append(prompts[c], p)
		}
	}
	for c, ranks := range byClass {
		r.Classes[c] = qualityClass{len(distinctInts(prompts[c])), knownFigure(quality.Share(ranks, 1)), knownFigure(quality.Share(ranks, 5))}
	}
	return r
}

func distinctInts(x []int) map[int]bool {
	out := map[int]bool{}
	for _, v := range x {
		out[v] = true
	}
	return out
}

// differences compares each setting with the first, prompt by prompt.
func (b *qualityBench) differences() []comparisonRow {
	var out []comparisonRow
	first := b.settings[0]
	for _, s := range b.settings[1:] {
		one := quality.Compare(quality.Hits(first.Ranks, 1), quality.Hits(s.Ranks, 1))
		five := quality.Compare(quality.Hits(first.Ranks, 5), quality.Hits(s.Ranks, 5))
		nll := quality.Compare(first.nll, s.nll)
		out = append(out, comparisonRow{[2]string{first.name, s.name}, knownFigure(one.Mean), knownFigure(one.SE), knownFigure(five.Mean), knownFigure(five.SE), knownFigure(nll.Mean), knownFigure(nll.SE)})
	}
	return out
}

func (b *qualityBench) reportJSON(rows []qualityRow, differences []comparisonRow) error {
	for _, r := range rows {
		if err := b.row(r); err != nil {
			return err
		}
	}
	for _, d := range differences {
		if err := b.row(d); err != nil {
			return err
		}
	}
	return b.row(b.summary())
}

func (b *qualityBench) summary() qualitySummary {
	s := b.settings[0]
	mean := quality.Mean(s.seconds)
	out := qualitySummary{R1: s.R1, R5: s.R5, Prompts: len(b.which), Seconds: mean * float64(len(s.seconds)), PerPicture: mean, NLL: knownFigure(quality.Mean(s.nll))}
	if b.real != nil {
		out.Ceiling1, out.Ceiling5, out.RealNLL = knownFigure(b.real.R1), knownFigure(b.real.R5), knownFigure(quality.Mean(b.real.nll))
	}
	return out
}

func (b *qualityBench) reportText(rows []qualityRow, differences []comparisonRow) error {
	t := ui.NewTable("setting", ">prompts", ">R@1", ">+-", ">R@5", ">+-", ">seen", ">colour", ">two", ">diversity", ">repetition", ">NLL", ">s a picture")
	for _, r := range rows {
		t.Row(r.Setting, strconv.Itoa(r.Prompts), figure(r.R1), figure(r.R1SE), figure(r.R5), figure(r.R5SE), figure(r.Classes[quality.Seen].R1),
			figure(r.Classes[quality.Colour].R1), figure(r.Classes[quality.Two].R1), figure(r.Diversity), figure(r.Repetition), figure(r.NLL), figure(r.Seconds))
	}
	if err := t.Write(b.out); err != nil {
		return err
	}
	for _, d := range differences {
		fmt.Fprintf(b.out, "%s against %s: R@1 %s +- %s, R@5 %s +- %s, NLL %s +- %s\n", d.Compare[1], d.Compare[0],
			figure(d.R1), figure(d.R1SE), figure(d.R5), figure(d.R5SE), figure(d.NLL), figure(d.NLLSE))
	}
	_, err := fmt.Fprintf(b.out, "for blind naming: %s in each folder of %s; then open %s\n", blindFile, b.o.out, keyFile)
	return err
}

// figure writes a number, or a stroke where there is none.
func figure(x *float64) string {
	if x == nil {
		return "-"
	}
	return strconv.FormatFloat(*x, 'f', 3, 64)
}
