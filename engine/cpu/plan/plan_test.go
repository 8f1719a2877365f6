package plan

import (
	"math/rand/v2"
	"testing"
)

// TestPlace checks on random values that no two that live at the same time overlap, and that memory is shared at all.
func TestPlace(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var values []Value
		total := 0
		for i := range 40 {
			v := Value{Bytes: 1 + r.IntN(1000), Def: i, Last: i + r.IntN(6), Share: -1}
			for j := max(0, i-5); j < i; j++ {
				taken := false
				for _, w := range values {
					taken = taken || w.Share == j
				}
				if values[j].Last == i && values[j].Bytes >= v.Bytes && !taken && r.IntN(2) == 0 {
					v.Share = j
				}
			}
			values = append(values, v)
			total += v.Bytes
		}
		offsets, size := Place(values, 64)
		if size >= total+64*len(values) {
			t.Errorf("seed %d: %d bytes for %d: nothing is shared", seed, size, total)
		}
		for i, v := range values {
			if offsets[i]%64 != 0 || offsets[i]+v.Bytes > size {
				t.Fatalf("seed %d: value %d at %d of %d", seed, i, offsets[i], size)
			}
			for j := range i {
				w := values[j]
				together := v.Def <= w.Last && w.Def <= v.Last
				if chained(values, i, j) {
					continue
				}
				if together && offsets[i] < offsets[j]+w.Bytes && offsets[j] < offsets[i]+v.Bytes {
					t.Fatalf("seed %d: values %d and %d overlap", seed, i, j)
				}
			}
		}
	}
}

func chained(values []Value, i, j int) bool {
	for i >= 0 {
		if i == j {
			return true
		}
		i = values[i].Share
	}
	return false
}
