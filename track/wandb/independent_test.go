package wandb_test

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
)

// The reader of this test shares no line and no number with the writer or with Reader: it follows the description of
// LevelDB's log format and the field numbers of W&B's wandb_internal.proto.

// field is one field of a protobuf message: a number, or bytes.
type field struct {
	id   uint64
	n    uint64
	data []byte
}

// message splits a protobuf message (varints, 8 and 4 bytes, bytes with a length).
func message(t *testing.T, b []byte) (out []field) {
	t.Helper()
	varint := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			t.Fatalf("a varint that does not end: %x", b)
		}
		b = b[n:]
		return v
	}
	for len(b) > 0 {
		key := varint()
		f := field{id: key >> 3}
		switch key & 7 {
		case 0:
			f.n = varint()
		case 1:
			f.n, b = binary.LittleEndian.Uint64(b), b[8:]
		case 2:
			n := varint()
			if n > uint64(len(b)) {
				t.Fatalf("field %d of %d bytes of %d", f.id, n, len(b))
			}
			f.data, b = b[:n], b[n:]
		case 5:
			f.n, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
		default:
			t.Fatalf("wire type %d", key&7)
		}
		out = append(out, f)
	}
	return out
}

func text(fs []field, id uint64) string {
	for _, f := range fs {
		if f.id == id {
			return string(f.data)
		}
	}
	return ""
}

// logRecords reads a log: seven bytes of a header, blocks of 32 KiB, chunks of checksum, length, kind and content.
func logRecords(t *testing.T, b []byte) (out [][]byte) {
	t.Helper()
	if len(b) < 7 || string(b[:4]) != ":W&B" || binary.LittleEndian.Uint16(b[4:]) != 0xBEE1 || b[6] != 0 {
		t.Fatalf("the header is %x", b[:min(7, len(b))])
	}
	var record []byte
	for at := 7; at < len(b); {
		left := 32768 - at%32768
		if left < 7 {
			at += left
			continue
		}
		n, kind := int(binary.LittleEndian.Uint16(b[at+4:])), b[at+6]
		content := b[at+7 : at+7+n]
		if got := crc32.ChecksumIEEE(b[at+6 : at+7+n]); got != binary.LittleEndian.Uint32(b[at:]) {
			t.Fatalf("chunk at %d: checksum %x", at, got)
		}
		record = append(record, content...)
		if kind == 1 || kind == 4 { // whole, or the last part
			out, record = append(out, record), nil
		}
		at += 7 + n
	}
	if record != nil {
		t.Error("the last record does not end")
	}
	return out
}

func TestGoldenFileByAnotherReader(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "whole.wandb"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[uint64]string{2: "history", 3: "summary", 5: "config", 6: "files", 7: "stats", 11: "telemetry", 13: "output", 17: "run", 18: "exit", 21: "header", 22: "footer"}
	var kinds []string
	rows, lines := []map[string]string{}, ""
	for i, r := range logRecords(t, b) {
		for _, f := range message(t, r) {
			if f.id == 1 && f.n != uint64(i+1) {
				t.Errorf("record %d has the number %d", i+1, f.n)
			}
			name, ok := names[f.id]
			if !ok {
				continue
			}
			kinds = append(kinds, name)
			body := message(t, f.data)
			switch name {
			case "history":
				row := map[string]string{}
				for _, item := range body {
					if item.id != 1 {
						continue
					}
					kv := message(t, item.data)
					key := text(kv, 1)
					if key == "" {
						key = text(kv, 2)
					}
					row[key] = text(kv, 16)
				}
				rows = append(rows, row)
			case "output":
				lines += text(body, 3)
			case "run":
				if text(body, 1) != "abc12345" || text(body, 2) != "me" || text(body, 3) != "faces" || text(body, 8) != "first try" || text(body, 13) != "box" {
					t.Errorf("run %v", body)
				}
			case "exit":
				if body[0].id != 1 || body[0].n != 3 {
					t.Errorf("exit %v", body)
				}
			}
		}
	}
	if got, want := len(kinds), 12; got != want || kinds[0] != "header" || kinds[1] != "run" || kinds[10] != "exit" || kinds[11] != "footer" {
		t.Errorf("records %v", kinds)
	}
	if len(rows) != 2 || rows[0]["loss"] != "NaN" || rows[1]["loss"] != "0.5" || rows[1]["_step"] != "7" || rows[1]["h"] != `{"_type":"histogram","bins":[0,1,2],"values":[3,4]}` {
		t.Errorf("rows %v", rows)
	}
	if lines != "hello\n" {
		t.Errorf("output %q", lines)
	}
}
