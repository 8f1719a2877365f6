package weights_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/weights"
	wt "github.com/smalti/smalti/weights/weightstest"
)

func TestZipRefused(t *testing.T) {
	good := torchFile(t, wt.NewPickle().Op("}").Bytes())
	entry := func(name, data string) wt.Entry { return wt.Entry{Name: name, Fill: wt.Bytes([]byte(data))} }
	archive := func(deflate bool, entries ...wt.Entry) []byte {
		var buf bytes.Buffer
		if err := wt.WriteArchive(&buf, entries, deflate); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	central := bytes.LastIndex(good, []byte("PK\x01\x02"))
	patch := func(at int, b ...byte) []byte {
		out := slices.Clone(good)
		copy(out[at:], b)
		return out
	}
	long := archive(false, wt.Entry{Name: "x/data.pkl", Fill: func(w io.Writer) error {
		_, err := w.Write(make([]byte, 65<<20))
		return err
	}})
	cases := []struct {
		want string
		data []byte
	}{
		{"no data.pkl", archive(false, entry("readme.txt", "hello"))},
		{"no data.pkl", archive(false, entry("a/b/data.pkl", "N."))},
		{"more than one", archive(false, entry("a/data.pkl", "N."), entry("b/data.pkl", "N."))},
		{"twice", archive(false, entry("a/data.pkl", "N."), entry("a/data.pkl", "N."))},
		{"byte order", archive(false, entry("a/data.pkl", "}."), entry("a/byteorder", "big"))},
		{"over the limit", long},
		{"encrypted", patch(central+8, 1)},
		{"method 99", patch(central+10, 99)},
		{"claims", patch(central+24, 0xfe)},
		{"ends outside", patch(central+20, 0xff, 0xff, 0xff, 0x7f)},
		{"zip64", patch(central+20, 0xff, 0xff, 0xff, 0xff)},
		{"begins outside", patch(central+42, 0xff, 0xff, 0xff, 0x7f)},
		{"broken header", patch(central+42, 1)},
		{"another name", patch(central+46, 'y')},
		{"directory", patch(len(good)-6, 0xff, 0xff, 0xff, 0x7f)},
		{"over the limit", patch(len(good)-10, 0xff, 0xff, 0xff, 0x7f)},
		{"zip64", patch(len(good)-10, 0xff, 0xff, 0xff, 0xff)},
		{"claims to inflate", patch(central+10, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0x10)},
	}
	for i, c := range cases {
		if err := mustRefuse(t, c.want, c.data); err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("case %d: error %q, want one that contains %q", i, err, c.want)
		}
	}
}

// zip64 rewrites the directory of an archive in the form that files of more than 4 GB need.
func zip64(data []byte) []byte {
	le := binary.LittleEndian
	eocd := data[len(data)-22:]
	count, dirAt := le.Uint16(eocd[10:]), int(le.Uint32(eocd[16:]))
	dir := data[dirAt : len(data)-22]
	out := slices.Clone(data[:dirAt])
	for len(dir) > 0 {
		name, extra := int(le.Uint16(dir[28:])), int(le.Uint16(dir[30:]))
		rec := slices.Clone(dir[:46+name+extra])
		wide := []byte{1, 0, 24, 0}
		for _, at := range []int{24, 20, 42} { // size, packed size, place
			wide = le.AppendUint64(wide, uint64(le.Uint32(rec[at:])))
			le.PutUint32(rec[at:], 0xffffffff)
		}
		le.PutUint16(rec[30:], uint16(extra+len(wide)))
		out = append(append(out, rec...), wide...)
		dir = dir[46+name+extra:]
	}
	end := len(out)
	out = append(out, "PK\x06\x06"...)
	out = append(le.AppendUint64(out, 44), make([]byte, 12)...)
	out = le.AppendUint64(le.AppendUint64(out, uint64(count)), uint64(count))
	out = le.AppendUint64(le.AppendUint64(out, uint64(end-dirAt)), uint64(dirAt))
	out = append(out, "PK\x06\x07\x00\x00\x00\x00"...)
	out = append(le.AppendUint64(out, uint64(end)), 1, 0, 0, 0)
	out = append(out, "PK\x05\x06\x00\x00\x00\x00"...)
	return append(out, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"...)
}

func TestZip64(t *testing.T) {
	ts, _ := sample()
	var buf bytes.Buffer
	if err := wt.WriteTorchZip(&buf, ts, wt.Options{}); err != nil {
		t.Fatal(err)
	}
	data := zip64(buf.Bytes())
	checkSample(t, "zip64", data, weights.TorchZip)
	for n := buf.Len() / 2; n < len(data); n++ {
		mustRefuse(t, "cut zip64 archive", data[:n])
	}
	bad := slices.Clone(data)
	binary.LittleEndian.PutUint64(bad[len(bad)-22-12:], 1<<60)
	if err := mustRefuse(t, "zip64 record outside", bad); err != nil && !strings.Contains(err.Error(), "zip64") {
		t.Error(err)
	}
}
