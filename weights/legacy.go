package weights

import (
	"bytes"
	"encoding/binary"
)

// legacyMagic is the number 0x1950a86a20f9469cfc6c with which torch.save began its files before PyTorch 1.6.
var legacyMagic = bigInt{0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19}

// readLegacy reads the format of torch.save before PyTorch 1.6: pickles of a magic number, a version, facts about the
// machine, the tensors and the storage keys in order; then for each key an int64 count and that many elements.
func readLegacy(m *mapping) (*File, error) {
	r := &legacyReader{m: m, rest: m.data, storages: make(map[string]*legacyStorage)}
	root, err := r.read()
	if err != nil {
		return nil, formatf("%s: %w", TorchLegacy, err)
	}
	tensors, meta, err := collect(root)
	if err != nil {
		return nil, formatf("%s: %w", TorchLegacy, err)
	}
	return newFile(TorchLegacy, tensors, meta)
}

type legacyReader struct {
	m        *mapping
	rest     []byte
	storages map[string]*legacyStorage
}

// legacyStorage is a storage whose place is known only after the pickles, and the views into it.
type legacyStorage struct {
	storage
	place []byte
	views map[[2]int]*storage
}

func (r *legacyReader) read() (any, error) {
	magic, err := r.pickle(nil)
	if err != nil {
		return nil, err
	}
	if b, ok := magic.(bigInt); !ok || !bytes.Equal(b, legacyMagic) {
		return nil, formatf("a Python pickle, but not one of torch.save: it holds %s", describe(magic))
	}
	version, err := r.pickle(nil)
	if err != nil {
		return nil, err
	}
	if version != any(int64(1001)) {
		return nil, formatf("unknown version of the file format")
	}
	info, err := r.pickle(nil)
	if err != nil {
		return nil, err
	}
	if d, ok := info.(*dict); ok {
		if little, ok := d.get("little_endian"); ok && little != any(true) {
			return nil, formatf("big-endian files are not supported")
		}
	}
	root, err := r.pickle(r.resolve)
	if err != nil {
		return nil, err
	}
	keys, err := r.pickle(nil)
	if err != nil {
		return nil, err
	}
	return root, r.place(keys)
}

// pickle reads the next pickle.
func (r *legacyReader) pickle(persist func(any) (any, error)) (any, error) {
	v, n, err := unpickle(r.rest, persist)
	if err != nil {
		return nil, err
	}
	r.rest = r.rest[n:]
	return v, nil
}

// resolve returns the storage, or the view of one, that a persistent id stands for. Ids of modules' sources give nothing.
func (r *legacyReader) resolve(id any) (any, error) {
	s, ok, err := parseStorageID(id)
	if err != nil || !ok {
		return nil, err
	}
	if s.dtype == InvalidDType {
		// The sizes of all storages are needed to find any of them.
		return nil, formatf("a storage is a %s, which is not supported", s.class)
	}
	if s.n > len(r.m.data)/s.dtype.Size() {
		return nil, formatf("storage %.40q claims %d elements of %v, more than the file has (file cut short?)", s.key, s.n, s.dtype)
	}
	l := r.storages[s.key]
	if l == nil {
		l = &legacyStorage{views: make(map[[2]int]*storage)}
		l.dtype, l.n, l.owner = s.dtype, s.n, r.m
		l.load = func() ([]byte, error) { return l.place, nil }
		r.storages[s.key] = l
	}
	if l.dtype != s.dtype || l.n != s.n {
		return nil, formatf("storage %.40q is described in two ways", s.key)
	}
	if s.view == nil {
		return &l.storage, nil
	}
	return l.view(s.view)
}

// view returns the part of a storage that (key, offset, elements) describes.
func (l *legacyStorage) view(v any) (any, error) {
	t, _ := v.(tuple)
	if len(t) != 3 {
		return nil, formatf("broken view of a storage")
	}
	offset, ok1 := t[1].(int64)
	n, ok2 := t[2].(int64)
	if !ok1 || !ok2 || offset < 0 || n < 0 || offset > int64(l.n) || n > int64(l.n)-offset {
		return nil, formatf("view of a storage reaches outside it")
	}
	k := [2]int{int(offset), int(n)}
	if l.views[k] == nil {
		size := l.dtype.Size()
		l.views[k] = &storage{dtype: l.dtype, n: k[1], owner: l.owner, load: func() ([]byte, error) {
			return l.place[k[0]*size : (k[0]+k[1])*size], nil
		}}
	}
	return l.views[k], nil
}

// place finds the bytes of each storage, which follow in the order of keys.
func (r *legacyReader) place(keys any) error {
	l, ok := keys.(*list)
	if !ok {
		return formatf("the list of storages is %s", describe(keys))
	}
	for _, k := range l.items {
		key, _ := k.(string)
		s := r.storages[key]
		if s == nil {
			return formatf("the list of storages names one that no tensor uses")
		}
		if s.place != nil {
			return formatf("storage %.40q is listed twice", key)
		}
		if len(r.rest) < 8 {
			return formatf("ends before storage %.40q (file cut short?)", key)
		}
		n, size := binary.LittleEndian.Uint64(r.rest), s.dtype.Size()
		r.rest = r.rest[8:]
		if n != uint64(s.n) {
			return formatf("storage %.40q has %d elements where %d are expected", key, n, s.n)
		}
		if s.n > len(r.rest)/size {
			return formatf("ends inside storage %.40q (file cut short?)", key)
		}
		s.place, r.rest = r.rest[:s.n*size:s.n*size], r.rest[s.n*size:]
	}
	for key, s := range r.storages {
		if s.place == nil {
			return formatf("storage %.40q is not in the file", key)
		}
	}
	return nil
}
