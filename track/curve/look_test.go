package curve

import (
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/smalti/smalti/rng"
)

// noisy is a loss as trainings have it.
func noisy(seed uint64, n int, rate float64) (x, y []float64) {
	s := rng.New(seed, "noisy")
	for i := range n {
		x = append(x, float64(i*50))
		y = append(y, 2.5*math.Exp(-float64(i)*rate)+0.08+0.06*s.Normal()*math.Exp(-float64(i)*rate/3))
	}
	return x, y
}

func TestLook(t *testing.T) {
	dir := os.Getenv("LOOK")
	if dir == "" {
		t.Skip()
	}
	var ss []Series
	for i, panel := range []string{"loss", "loss/gradient penalty", "score/fid", "lr"} {
		for k, name := range []string{"wgan-gp baseline", "wgan-gp lr 4e-4", "dcgan"} {
			if i == 3 && k > 0 {
				continue
			}
			x, y := noisy(uint64(i*10+k), 800, 0.004+0.003*float64(k))
			if i == 3 {
				for j := range y {
					y[j] = 1e-4 * (1 + math.Cos(float64(j)/800*math.Pi)) / 2
				}
			}
			if k == 2 {
				for j := 300; j < 330; j++ {
					y[j] = math.NaN()
				}
			}
			ss = append(ss, Series{name, panel, x, y})
		}
	}
	for name, o := range map[string]Options{"light": {Title: "WGAN-GP on faces, 64x64", Smooth: 0.9}, "dark": {Title: "dark", Dark: true, LogY: true, Smooth: 0.8}} {
		f, err := Plot(ss, o)
		if err != nil {
			t.Fatal(err)
		}
		w, _ := os.Create(fmt.Sprintf("%s/%s.png", dir, name))
		f.PNG(w)
		w.Close()
		w, _ = os.Create(fmt.Sprintf("%s/%s.svg", dir, name))
		f.SVG(w)
		w.Close()
	}
	f, _ := Plot(ss[:1], Options{Smooth: 0.6, Time: true})
	w, _ := os.Create(dir + "/one.png")
	f.PNG(w)
	w.Close()
	fmt.Println(Chart(ss[:4], ChartOptions{Width: 90, Height: 14, Smooth: 0.9}))
	fmt.Println(Chart(ss[9:], ChartOptions{Width: 60, Height: 8, LogY: true}))
}
