package spec

import (
	"reflect"
	"testing"
)

func TestLooksAndFilters(t *testing.T) {
	for s, want := range map[string]Look{
		"symmetry:1":               {Name: "symmetry", Weight: 1},
		"saturation:-0.5":          {Name: "saturation", Weight: -0.5},
		"palette:2:ff0000,#00ff7f": {Name: "palette", Weight: 2, Colours: []string{"ff0000", "#00ff7f"}},
		"edge:1":                   {Name: "edge", Weight: 1, Colours: []string{"ffffff"}, Width: 0.08},
		"edge:1:000000:0.2":        {Name: "edge", Weight: 1, Colours: []string{"000000"}, Width: 0.2},
	} {
		if got, err := ParseLook(s); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "symmetry", "symmetry:x", "beauty:1", "symmetry:1:2", "palette:1", "palette:1:red", "edge:1:ffffff:0.7", "edge:1:ffffff:x", "saturation:NaN"} {
		if _, err := ParseLook(bad); !IsRefusal(err) {
			t.Errorf("loss %q: %v", bad, err)
		}
	}
	for s, want := range map[string]Filter{
		"pixelart:4":              {Name: "pixelart", Side: 4},
		"mirror:both":             {Name: "mirror", Kind: "both"},
		"posterise:000000,ffffff": {Name: "posterise", Colours: []string{"000000", "ffffff"}},
	} {
		if got, err := ParseFilter(s); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "blur", "pixelart", "pixelart:0", "mirror:upside", "posterise:000000", "posterise:000,fff"} {
		if _, err := ParseFilter(bad); !IsRefusal(err) {
			t.Errorf("filter %q: %v", bad, err)
		}
	}
	if c, err := Colour("#ff8000"); err != nil || c != [3]float64{1, 128.0 / 255, 0} {
		t.Errorf("colour %v, %v", c, err)
	}
}
