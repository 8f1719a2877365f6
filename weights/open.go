package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// Format says which kind of file a File was read from.
type Format string

// The kinds of files that Open reads.
const (
	Safetensors Format = "safetensors"
	TorchZip    Format = "torch-zip"    // torch.save since PyTorch 1.6, PyTorch-Lightning
	TorchScript Format = "torchscript"  // torch.jit.save, such as OpenAI's CLIP files
	TorchLegacy Format = "torch-legacy" // torch.save before PyTorch 1.6
	Sharded     Format = "sharded"      // several files under an index
)

// maxHeader bounds safetensors headers, pickles and shard indexes, in bytes.
const maxHeader = 64 << 20

// File is an open weight file: a set of named tensors. It may be read from several goroutines at once.
type File struct {
	path    string
	format  Format
	names   []string // sorted
	tensors map[string]*Tensor
	meta    map[string]string
	closers []io.Closer
}

// Open opens a weight file, or a folder that holds one in the layout of the Hugging Face libraries. The kind is told from
// the content, never from the name. Errors about the content wrap ErrFormat; a pickle that could run code gives an
// *UnsafePickleError. The file must stay unchanged until Close.
func Open(path string) (*File, error) {
	f, err := open(path)
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) && pathErr.Path == path {
			return nil, err // already names the path
		}
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	f.path = path
	return f, nil
}

func open(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openFolder(path)
	}
	m, err := openMapping(path)
	if err != nil {
		return nil, err
	}
	if m.data[0] == '{' {
		defer m.Close()
		return openIndex(path, m.data)
	}
	return own(m)
}

// own reads a mapping, which the File, or in case of an error nobody, keeps open.
func own(m *mapping) (*File, error) {
	f, err := read(m)
	if err != nil {
		m.Close()
		return nil, err
	}
	f.closers = append(f.closers, m)
	return f, nil
}

// OpenBytes reads a weight file that is in memory, such as an embedded one. Tensors share data, which must not change.
func OpenBytes(data []byte) (*File, error) {
	m := &mapping{data: data}
	f, err := read(m)
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	f.closers = append(f.closers, m)
	return f, nil
}

// read tells the formats apart.
func read(m *mapping) (*File, error) {
	data := m.data
	switch {
	case len(data) == 0:
		return nil, formatf("the file is empty")
	case bytes.HasPrefix(data, []byte("PK\x03\x04")), bytes.HasPrefix(data, []byte("PK\x05\x06")):
		return readTorchZip(m)
	case looksLikeSafetensors(data):
		return readSafetensors(m)
	case data[0] == 0x80:
		return readLegacy(m)
	}
	return nil, formatf("not a weight file: %s", guess(data))
}

// looksLikeSafetensors reports whether data begins with a length and a JSON object.
func looksLikeSafetensors(data []byte) bool {
	if len(data) < 9 || data[8] != '{' {
		return false
	}
	// A length beyond 2^48 is some other kind of file; a smaller wrong one is a damaged safetensors file.
	return binary.LittleEndian.Uint64(data)>>48 == 0
}

// guess names what people hand in instead of weights.
func guess(data []byte) string {
	head := bytes.ToLower(bytes.TrimSpace(data[:min(len(data), 512)]))
	switch {
	case bytes.HasPrefix(head, []byte("version https://git-lfs")):
		return "it is a Git LFS pointer, the weights themselves were not downloaded"
	case bytes.HasPrefix(head, []byte("<!doctype html")), bytes.HasPrefix(head, []byte("<html")):
		return "it is a web page, probably an error page saved in place of the download"
	case bytes.HasPrefix(head, []byte("gguf")):
		return "it is a GGUF file, which is not supported"
	case bytes.HasPrefix(data, []byte("\x89HDF\r\n")):
		return "it is an HDF5 (Keras) file, which is not supported"
	case len(data) > 262 && string(data[257:262]) == "ustar":
		return "it is a tar archive (or a file of PyTorch 0.1), which is not supported"
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		return "it is gzip data; unpack it first"
	}
	return "neither safetensors nor a PyTorch file"
}

// newFile makes a File of tensors, whose names must differ.
func newFile(format Format, tensors []*Tensor, meta map[string]string) (*File, error) {
	f := &File{format: format, tensors: make(map[string]*Tensor, len(tensors)), meta: meta}
	for _, t := range tensors {
		if _, ok := f.tensors[t.Name]; ok {
			return nil, formatf("tensor %q is there twice", t.Name)
		}
		f.tensors[t.Name] = t
		f.names = append(f.names, t.Name)
	}
	slices.Sort(f.names)
	return f, nil
}

// Path returns the path given to Open, empty after OpenBytes.
func (f *File) Path() string { return f.path }

// Format returns the kind of file.
func (f *File) Format() Format { return f.format }

// Names returns the names of all tensors, sorted.
func (f *File) Names() []string { return slices.Clone(f.names) }

// Tensor returns the tensor with the given name.
func (f *File) Tensor(name string) (*Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// Metadata returns what a file says beside its tensors: the __metadata__ of safetensors, or plain values such as epoch
// and global_step of a PyTorch-Lightning checkpoint. The map is a copy.
func (f *File) Metadata() map[string]string {
	if f.meta == nil {
		return map[string]string{}
	}
	return maps.Clone(f.meta)
}

// Close releases the file. Slices that tensors shared with it must not be used afterwards.
func (f *File) Close() error {
	var errs []error
	for _, c := range f.closers {
		errs = append(errs, c.Close())
	}
	f.closers = nil
	return errors.Join(errs...)
}
