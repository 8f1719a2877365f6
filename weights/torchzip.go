package weights

import (
	"path"
	"strings"
)

// readTorchZip reads an archive that torch.save (PyTorch 1.6 and later) or torch.jit.save wrote: data.pkl describes the
// tensors, data/KEY holds the storages. The code of a TorchScript archive is ignored.
func readTorchZip(m *mapping) (*File, error) {
	entries, err := readZip(m.data)
	if err != nil {
		return nil, err
	}
	pkl, err := findPickle(entries)
	if err != nil {
		return nil, err
	}
	prefix := strings.TrimSuffix(pkl.name, "data.pkl")
	format := TorchZip
	if entries[prefix+"constants.pkl"] != nil {
		format = TorchScript
	}
	if e := entries[prefix+"byteorder"]; e != nil {
		order, err := e.content()
		if err != nil {
			return nil, err
		}
		if string(order) != "little" {
			return nil, formatf("%s: byte order %.20q is not supported", format, order)
		}
	}
	if pkl.size > maxHeader {
		return nil, formatf("%s: pickle of %d bytes is over the limit of %d", format, pkl.size, maxHeader)
	}
	data, err := pkl.content()
	if err != nil {
		return nil, err
	}
	s := &zipStorages{m: m, entries: entries, prefix: prefix + "data/", made: make(map[storageKey]*storage)}
	root, _, err := unpickle(data, s.resolve)
	if err != nil {
		return nil, formatf("%s: %w", format, err)
	}
	tensors, meta, err := collect(root)
	if err != nil {
		return nil, formatf("%s: %w", format, err)
	}
	return newFile(format, tensors, meta)
}

// findPickle finds the one data.pkl, in the archive's root or in its only folder.
func findPickle(entries map[string]*zipEntry) (*zipEntry, error) {
	var found *zipEntry
	for name, e := range entries {
		if path.Base(name) != "data.pkl" || strings.Count(name, "/") > 1 {
			continue
		}
		if found != nil {
			return nil, formatf("archive with more than one data.pkl")
		}
		found = e
	}
	if found == nil {
		return nil, formatf("a zip archive, but not of PyTorch: it has no data.pkl")
	}
	return found, nil
}

// storageKey tells storages apart: new files may refer to the same bytes with several element types.
type storageKey struct {
	key   string
	dtype DType
}

// zipStorages resolves the storages of a zip archive.
type zipStorages struct {
	m       *mapping
	entries map[string]*zipEntry
	prefix  string
	made    map[storageKey]*storage
}

func (z *zipStorages) resolve(id any) (any, error) {
	s, ok, err := parseStorageID(id)
	if err != nil || !ok {
		return nil, err
	}
	if s.dtype == InvalidDType {
		return &badTensor{"its storage is a " + s.class + ", which is not supported"}, nil
	}
	e := z.entries[z.prefix+s.key]
	if e == nil {
		return &badTensor{"the archive lacks its storage " + z.prefix + s.key}, nil
	}
	size := s.dtype.Size()
	if s.n > e.size/size {
		return nil, formatf("storage %s has %d bytes, too few for %d elements of %v", e.name, e.size, s.n, s.dtype)
	}
	k := storageKey{s.key, s.dtype}
	if made := z.made[k]; made != nil {
		if made.n != s.n {
			return nil, formatf("storage %s is described with %d and with %d elements", e.name, made.n, s.n)
		}
		return made, nil
	}
	z.made[k] = &storage{dtype: s.dtype, n: s.n, owner: z.m, load: func() ([]byte, error) {
		b, err := e.content()
		if err != nil {
			return nil, err
		}
		return b[: s.n*size : s.n*size], nil
	}}
	return z.made[k], nil
}
