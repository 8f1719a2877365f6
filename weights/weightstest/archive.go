package weightstest

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
)

// Layout says what the pickle in an archive looks like.
type Layout int

// The layouts that WriteTorchZip knows.
const (
	StateDict   Layout = iota // an OrderedDict of tensors
	Lightning                 // a PyTorch-Lightning checkpoint with the tensors under "state_dict"
	TorchScript               // modules as torch.jit.save writes them, with code that is not code
)

// Options of WriteTorchZip.
type Options struct {
	Layout  Layout
	Deflate bool // pack entries, as a checkpoint that was zipped anew
}

// Entry is one file of an archive.
type Entry struct {
	Name string
	Fill func(w io.Writer) error
}

// WriteTorchZip writes an archive as PyTorch 1.6 and later do: entries stored as they are, their data aligned to 64 bytes.
func WriteTorchZip(w io.Writer, ts []Tensor, o Options) error {
	all, _ := storages(ts)
	pickle, err := TorchPickle(ts, o)
	if err != nil {
		return err
	}
	entries := []Entry{{"model/data.pkl", Bytes(pickle)}}
	if o.Layout == TorchScript {
		entries = append(entries, Entry{"model/constants.pkl", Bytes(NewPickle().Op(")").Bytes())},
			Entry{"model/code/__torch__.py", Bytes([]byte("not code\n"))})
	}
	for _, s := range all {
		entries = append(entries, Entry{"model/data/" + s.key, s.write})
	}
	return WriteArchive(w, append(entries, Entry{"model/version", Bytes([]byte("3\n"))}), o.Deflate)
}

// TorchPickle returns the data.pkl of the archive that WriteTorchZip would write.
func TorchPickle(ts []Tensor, o Options) ([]byte, error) {
	_, of := storages(ts)
	p := NewPickle()
	switch o.Layout {
	case Lightning:
		p.lightning(ts, of)
	case TorchScript:
		root, err := moduleTree(ts)
		if err != nil {
			return nil, err
		}
		p.script(root, "", ts, of)
	default:
		p.stateDict(ts, of, false)
	}
	return p.Bytes(), nil
}

// WriteArchive writes a zip archive of any entries, such as hostile ones.
func WriteArchive(w io.Writer, entries []Entry, deflate bool) error {
	c := &counter{w: w}
	zw := zip.NewWriter(c)
	for i, e := range entries {
		if err := zw.Flush(); err != nil {
			return err
		}
		at := int(c.n) + 30 + len(e.Name)
		if i > 0 {
			at += 16 // the descriptor that the entry before still gets
		}
		h := &zip.FileHeader{Name: e.Name, Method: zip.Store, Extra: padding(at)}
		if deflate {
			h.Method = zip.Deflate
		}
		f, err := zw.CreateHeader(h)
		if err != nil {
			return err
		}
		if err := e.Fill(f); err != nil {
			return fmt.Errorf("entry %s: %w", e.Name, err)
		}
	}
	return zw.Close()
}

// padding returns an extra field that ends at a multiple of 64, as torch writes it.
func padding(at int) []byte {
	n := (64 - (at+4)%64) % 64
	b := binary.LittleEndian.AppendUint16([]byte("FB"), uint16(n))
	return append(b, make([]byte, n)...)
}

// WriteLegacy writes a state_dict as PyTorch did before 1.6.
func WriteLegacy(w io.Writer, ts []Tensor) error {
	all, of := storages(ts)
	if err := WriteLegacyPickle(w, NewPickle().stateDict(ts, of, true).Bytes()); err != nil {
		return err
	}
	keys := NewPickle().Op("](")
	for _, s := range all {
		keys.Str(s.key)
	}
	if _, err := w.Write(keys.Op("e").Bytes()); err != nil {
		return err
	}
	for _, s := range all {
		if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(s.n))); err != nil {
			return err
		}
		if err := s.write(w); err != nil {
			return err
		}
	}
	return nil
}

// WriteLegacyPickle writes the beginning of a legacy file, up to and with the given pickle, such as a hostile one.
func WriteLegacyPickle(w io.Writer, pickle []byte) error {
	head := NewPickle().Op("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19").Bytes()
	head = append(head, NewPickle().Int(1001).Bytes()...)
	head = append(head, NewPickle().Op("}").Str("little_endian").Op("\x88s").Bytes()...)
	_, err := w.Write(append(head, pickle...))
	return err
}
