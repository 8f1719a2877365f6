package vqgan_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/smalti/smalti/vqgan"
)

func TestLatents(t *testing.T) {
	c := toy()
	for name, l2 := range map[string]bool{"plain": false, "unit length": true} {
		t.Run(name, func(t *testing.T) {
			c.L2 = l2
			m := start(t, c)
			book, err := m.Book()
			if err != nil {
				t.Fatal(err)
			}
			e := m.Channels()
			if len(book) != m.NumCodes()*e {
				t.Fatalf("a codebook of %d numbers", len(book))
			}
			codes := vqgan.Codes{H: 2, W: 3, Idx: []int32{1, 0, 5, 2, 6, 3}}
			var z []float32
			for _, k := range codes.Idx {
				z = append(z, book[int(k)*e:][:e]...)
			}
			got, err := m.NearestCodes(z, 2, 3)
			if err != nil || !slices.Equal(got.Idx, codes.Idx) || got.H != 2 || got.W != 3 {
				t.Fatalf("codes %v, %v", got, err)
			}
			// At the codes themselves both ways of decoding are one; L2 normalises twice, which rounds.
			want, err := m.Decode(codes)
			if err != nil {
				t.Fatal(err)
			}
			img, err := m.DecodeLatent(z, 2, 3)
			if err != nil || img.W != want.W || img.H != want.H {
				t.Fatalf("%dx%d, %v", img.W, img.H, err)
			}
			worst := 0.0
			for i := range img.Pix {
				worst = max(worst, math.Abs(float64(img.Pix[i]-want.Pix[i])))
			}
			if worst > 1e-5 {
				t.Errorf("a latent of codes is %g off their picture", worst)
			}
			// Between them it is another picture than that of any codes.
			for i := range z {
				z[i] += 0.3 * book[(i+e)%len(book)]
			}
			mixed, err := m.DecodeLatent(z, 2, 3)
			if err != nil {
				t.Fatal(err)
			}
			near, _ := m.NearestCodes(z, 2, 3)
			if snapped, _ := m.Decode(near); slices.Equal(mixed.Pix, snapped.Pix) {
				t.Error("the latent was snapped to codes")
			}
			for _, bad := range [][2]int{{3, 3}, {0, 6}, {-2, -3}} {
				if _, err := m.NearestCodes(z, bad[0], bad[1]); !errors.Is(err, vqgan.ErrSize) {
					t.Errorf("codes of %v: %v", bad, err)
				}
				if _, err := m.DecodeLatent(z, bad[0], bad[1]); !errors.Is(err, vqgan.ErrSize) {
					t.Errorf("decoded %v: %v", bad, err)
				}
			}
		})
	}
}
