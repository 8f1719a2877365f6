package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/smalti/smalti/course"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/train"
)

func TestComparisonIsPrinted(t *testing.T) {
	r := course.Report{Sides: []course.Side{
		{Name: "gan", Title: "basic GAN", Steps: 300, Final: map[string]float64{"modes": 7}, Swing: .25},
		{Name: "wgan-gp", Title: "WGAN-GP", Steps: 100, Final: map[string]float64{"modes": 10}, Swing: .125},
	}}
	var out bytes.Buffer
	a := &app{out: &out}
	if err := a.printComparison(r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"BASIC GAN", "WGAN-GP", "classes covered at the end", "0.125"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
	out.Reset()
	a.json = true
	if err := a.printComparison(r); err != nil {
		t.Fatal(err)
	}
	var e event.Event
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines of JSON, want one a side:\n%s", len(lines), &out)
	}
	if err := json.Unmarshal([]byte(lines[1]), &e); err != nil {
		t.Fatal(err)
	}
	if e.Kind != event.Result || e.Text["name"] != "wgan-gp" || e.Scores["modes"] != 10 || e.Values["swing"] != .125 {
		t.Errorf("the second line is %+v", e)
	}
}

// Networks that are chosen by the data can be built, make its pictures, and may play the game.
func TestNetworksSuitTheData(t *testing.T) {
	for _, game := range []string{train.BasicGAN, train.WGANGP} {
		for _, form := range [][2]int{{28, 1}, {64, 3}, {8, 1}, {32, 1}, {29, 1}, {15, 3}, {48, 3}, {128, 3}} {
			c := train.DefaultGAN()
			c.Game, c.Model = game, playable(suited(form[0], form[1]), game)
			if err := c.Validate(); err != nil {
				t.Errorf("%s on %v: %v", game, form, err)
			}
			if c.Model.Size != form[0] || c.Model.Channels != form[1] {
				t.Errorf("%s on %v: networks of %d pixels in %d channels", game, form, c.Model.Size, c.Model.Channels)
			}
		}
		for _, arch := range archs {
			c := train.DefaultGAN()
			c.Game, c.Model = game, networks(arch.name, game, t.TempDir())
			if err := c.Validate(); err != nil {
				t.Errorf("%s with %s: %v", game, arch.name, err)
			}
		}
	}
	if c := networks("", train.WGANGP, t.TempDir()); c.Discriminator.Norm != gan.Instance {
		t.Errorf("the critic of faces has norm %q", c.Discriminator.Norm)
	}
}

func TestFilmsKeepTheirEnds(t *testing.T) {
	all := make([]sheet, 101)
	for i := range all {
		all[i].step = i
	}
	for _, n := range []int{2, 3, 50, 100, 101, 500} {
		got := thin(all, n)
		if len(got) != min(n, 101) || got[0].step != 0 || got[len(got)-1].step != 100 {
			t.Errorf("%d of 101 sheets: %d from %d to %d", n, len(got), got[0].step, got[len(got)-1].step)
		}
		for i := range len(got) - 1 {
			if got[i].step >= got[i+1].step {
				t.Fatalf("%d of 101 sheets: step %d before %d", n, got[i].step, got[i+1].step)
			}
		}
	}
}
