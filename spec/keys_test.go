package spec

import "testing"

func TestKeys(t *testing.T) {
	k, err := ParseKeys("10:1, 30:2")
	if err != nil {
		t.Fatal(err)
	}
	for frame, want := range map[int]float64{0: 1, 10: 1, 20: 1.5, 30: 2, 99: 2} {
		if got := k.At(frame, 7); got != want {
			t.Errorf("at %d: %v, want %v", frame, got, want)
		}
	}
	if k, err := ParseKeys("1.02"); err != nil || k.At(50, 0) != 1.02 {
		t.Errorf("a number is %v, %v", k, err)
	}
	if (Keys)(nil).At(3, 7) != 7 {
		t.Error("no keys have a value")
	}
	if k.Within("x", 0, 1.5) == nil || k.Within("x", 0, 2) != nil {
		t.Error("ranges are not checked")
	}
	for _, bad := range []string{"", "x", "1:2:3", "5:1, 3:2", "-1:2", "0:nan", "0:1,"} {
		if _, err := ParseKeys(bad); !IsRefusal(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
