package cpu

import (
	"reflect"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"
)

// Buffer is an array that belongs to a Backend. Its content never changes, so that what is derived from it (packed
// operands) may be kept beside it.
type Buffer struct {
	backend *Backend
	shape   shapes.Shape

	mu     sync.Mutex
	mem    []byte // nil after Finalize, or while packs hold its numbers (unuse)
	dead   bool
	pinned bool // mem was asked for as it is, and stays
	users  int  // runs that read it
	packs  map[string]*pack
	held   *holdings // of what is given back when the buffer is gone; nil if nothing is
}

var _ compute.Buffer = (*Buffer)(nil)

// BufferFromFlatData copies a slice into a new buffer.
func (b *Backend) BufferFromFlatData(device compute.DeviceNum, flat any, shape shapes.Shape) (compute.Buffer, error) {
	if b.IsFinalized() {
		return nil, errors.New("cpu: the backend is finalized")
	}
	if device != 0 {
		return nil, errors.Errorf("cpu: no device %d", device)
	}
	if err := checkShape(shape); err != nil {
		return nil, err
	}
	v := reflect.ValueOf(flat)
	if v.Kind() != reflect.Slice || dtypes.FromGoType(v.Type().Elem()) != shape.DType {
		return nil, errors.Errorf("cpu: data of type %T for a buffer of %s", flat, shape)
	}
	if v.Len() != shape.Size() {
		return nil, errors.Errorf("cpu: %d elements for a buffer of %s", v.Len(), shape)
	}
	x := b.newBuffer(shape)
	copy(x.mem, dtypes.UnsafeByteSliceFromAny(flat))
	return x, nil
}

// newBuffer returns a buffer with any content.
func (b *Backend) newBuffer(shape shapes.Shape) *Buffer {
	x := &Buffer{backend: b, shape: shape, mem: b.memory.get(int(shape.ByteSize()))}
	if len(x.mem) >= mapFrom {
		x.holds()
		x.held.mem = x.mem
	}
	return x
}

// HasSharedBuffers is false: GoMLX would write into shared memory without telling.
func (b *Backend) HasSharedBuffers() bool { return false }

// NewSharedBuffer is refused: see HasSharedBuffers.
func (b *Backend) NewSharedBuffer(compute.DeviceNum, shapes.Shape) (compute.Buffer, any, error) {
	return nil, nil, errors.Wrap(compute.ErrNotImplemented, "cpu: shared buffers")
}

// Backend implements compute.Buffer.
func (x *Buffer) Backend() compute.Backend { return x.backend }

// Finalize gives the memory back. It may be called again.
func (x *Buffer) Finalize() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return nil
	}
	h := x.held
	if h == nil {
		h = &holdings{memory: &x.backend.memory}
	}
	h.mem, h.packs = x.mem, x.packs
	h.release()
	x.dead, x.mem, x.packs = true, nil, nil
	return nil
}

// Shape implements compute.Buffer.
func (x *Buffer) Shape() (shapes.Shape, error) { return x.shape, x.alive() }

// DeviceNum implements compute.Buffer.
func (x *Buffer) DeviceNum() (compute.DeviceNum, error) { return 0, x.alive() }

// Data is refused: buffers are not shared.
func (x *Buffer) Data() (any, error) {
	return nil, errors.Wrap(compute.ErrNotImplemented, "cpu: shared buffers")
}

// ToFlatData copies the elements to a slice of the right type and length.
func (x *Buffer) ToFlatData(flat any) error {
	if err := x.alive(); err != nil {
		return err
	}
	v := reflect.ValueOf(flat)
	if v.Kind() != reflect.Slice || dtypes.FromGoType(v.Type().Elem()) != x.shape.DType || v.Len() != x.shape.Size() {
		return errors.Errorf("cpu: copy a buffer of %s to %T of length %d", x.shape, flat, v.Len())
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	gone := x.mem == nil
	x.restore()
	copy(dtypes.UnsafeByteSliceFromAny(flat), x.mem)
	if gone && x.users == 0 && x.mem != nil {
		free(x.mem)
		x.mem, x.held.mem = nil, nil
	}
	return nil
}

// CopyToDevice returns a copy.
func (x *Buffer) CopyToDevice(device compute.DeviceNum) (compute.Buffer, error) {
	if err := x.alive(); err != nil {
		return nil, err
	}
	if device != 0 {
		return nil, errors.Errorf("cpu: no device %d", device)
	}
	y := x.backend.newBuffer(x.shape)
	copy(y.mem, x.use(false))
	x.unuse()
	return y, nil
}

func (x *Buffer) alive() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return errors.New("cpu: the buffer is finalized")
	}
	return nil
}
