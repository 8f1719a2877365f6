package spec

import "testing"

func TestPlaces(t *testing.T) {
	p, err := ParseRegionPrompt("rect:0,0,64,32,8=a red apple:2")
	if err != nil || p.Text != "a red apple" || p.Weight != 2 || *p.Region != (Region{W: 64, H: 32, Feather: 8}) {
		t.Errorf("%+v, %v", p, err)
	}
	if x0, y0, x1, y1 := (&Region{X: 10, Y: 10, R: 5, Feather: 2}).Box(100, 12); x0 != 4 || y0 != 4 || x1 != 16 || y1 != 12 {
		t.Errorf("the box of a circle is %d,%d to %d,%d", x0, y0, x1, y1)
	}
	if o, err := ParseOutpaint("64, 0,32,0"); err != nil || *o != [4]int{64, 0, 32, 0} {
		t.Errorf("%v, %v", o, err)
	}
	for _, bad := range []string{"", "1,2,3", "a,b,c,d", "1,2,3,4,5"} {
		if _, err := ParseOutpaint(bad); !IsRefusal(err) {
			t.Errorf("outpaint %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"a red apple", "rect:0,0,64=x", "rect:0,0,6,6="} {
		if _, err := ParseRegionPrompt(bad); !IsRefusal(err) {
			t.Errorf("region prompt %q: %v", bad, err)
		}
	}
	if !IsRegion("rect:1,2,3,4") || IsRegion("rect.png") {
		t.Error("a file is a region, or a region is not")
	}
	for name, change := range map[string]func(*Job){
		"mask without a picture": func(j *Job) { j.Mask = &Mask{Region: &Region{R: 5}} },
		"two masks": func(j *Job) {
			j.Start.Kind, j.Mask = "image", &Mask{Picture: "ab", Region: &Region{R: 5}}
		},
		"no mask":             func(j *Job) { j.Start.Kind, j.Mask = "image", &Mask{} },
		"outpaint everything": func(j *Job) { j.Start.Kind, j.Mask = "image", &Mask{Outpaint: &[4]int{64, 0, 64, 0}} },
		"outpaint nothing":    func(j *Job) { j.Start.Kind, j.Mask = "image", &Mask{Outpaint: &[4]int{}} },
		"unknown tile":        func(j *Job) { j.Tile = "z" },
		"region outside":      func(j *Job) { j.Prompts[0].Region = &Region{X: 200, Y: 0, W: 10, H: 10} },
		"region of a tile":    func(j *Job) { j.Tile, j.Prompts[0].Region = "x", &Region{W: 10, H: 10} },
	} {
		j := Default()
		j.Prompts = []Prompt{{Text: "x", Weight: 1}}
		change(&j)
		if err := j.Validate(); !IsRefusal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
