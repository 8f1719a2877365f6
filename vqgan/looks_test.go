package vqgan

import (
	"reflect"
	"testing"

	"github.com/smalti/smalti/nn"
)

// TestDecoderLooks holds the list that forecasts of time are made by against what the configurations say.
func TestDecoderLooks(t *testing.T) {
	for _, c := range []Config{BuiltinV0(), BuiltinV1(), ImageNetF16(1024)} {
		var want []nn.Looks
		switch {
		case len(c.Attn) > 0: // the middle, then a block after each of three residual ones of the lowest level
			want = []nn.Looks{{Places: 6 * 4, Width: 512, Blocks: 1}, {Places: 6 * 4, Width: 512, Blocks: 3}}
		case c.MidAttn:
			want = []nn.Looks{{Places: 6 * 4, Width: 128, Blocks: 1}}
		}
		if got := c.Codec().DecoderLooks(4, 6); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: %+v, want %+v", c, got, want)
		}
	}
	higher := BuiltinV1()
	higher.Attn = []bool{false, true, false, false}
	if got := higher.Codec().DecoderLooks(4, 6)[1]; got != (nn.Looks{Places: 24 * 16, Width: 32, Blocks: 2}) {
		t.Errorf("two levels up: %+v", got)
	}
}
