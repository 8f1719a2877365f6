package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
)

// Limits on one pickle, beside its bytes (maxHeader). Checkpoints of a thousand tensors use some 20,000 operations, 3,000
// memo places and a stack of a few thousand values.
const (
	maxPickleOps   = 1 << 22
	maxPickleStack = 1 << 20
	maxPickleMemo  = 1 << 20
	maxName        = 4096 // bytes of a name that we look up; longer ones are nobody's
)

// errShort says that a pickle ends before its last operation.
var errShort = errors.New("ends in the middle (file cut short?)")

// unpickler runs the stack machine of a pickle (protocols 0 to 5, see Python's pickletools) over plain values. It calls
// nothing: see construct for what becomes of constructors.
type unpickler struct {
	data []byte
	pos  int

	stack []any
	marks []int // stack heights
	memo  map[uint32]any
	ops   int

	// persist resolves a persistent id, which is how torch refers to storages. Nil refuses all.
	persist func(id any) (any, error)
}

// unpickle reads one pickle from the beginning of data and returns its value and its length.
func unpickle(data []byte, persist func(any) (any, error)) (any, int, error) {
	over := len(data) > maxHeader
	if over {
		data = data[:maxHeader] // a pickle that needs more runs into the end
	}
	u := &unpickler{data: data, memo: make(map[uint32]any), persist: persist}
	v, err := u.run()
	if err != nil {
		if over && errors.Is(err, errShort) {
			err = formatf("over the limit of %d bytes", maxHeader)
		}
		return nil, 0, formatf("pickle, byte %d: %w", u.pos, err)
	}
	return v, u.pos, nil
}

func (u *unpickler) run() (any, error) {
	for {
		if u.ops++; u.ops > maxPickleOps {
			return nil, formatf("more than %d operations", maxPickleOps)
		}
		op, err := u.byte()
		if err != nil {
			return nil, err
		}
		if op == '.' {
			return u.pop()
		}
		if err := u.step(op); err != nil {
			return nil, err
		}
		if len(u.stack) > maxPickleStack {
			return nil, formatf("stack of more than %d values", maxPickleStack)
		}
	}
}

// take returns the next n bytes of the pickle.
func (u *unpickler) take(n uint64) ([]byte, error) {
	if n > uint64(len(u.data)-u.pos) {
		return nil, errShort
	}
	b := u.data[u.pos : u.pos+int(n)]
	u.pos += int(n)
	return b, nil
}

func (u *unpickler) byte() (byte, error) {
	b, err := u.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// uint reads a little-endian unsigned number of 1, 2, 4 or 8 bytes.
func (u *unpickler) uint(size uint64) (uint64, error) {
	b, err := u.take(size)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// counted reads a length of the given size and that many bytes.
func (u *unpickler) counted(size uint64) ([]byte, error) {
	n, err := u.uint(size)
	if err != nil {
		return nil, err
	}
	return u.take(n)
}

// line reads up to a line feed, which it drops.
func (u *unpickler) line() (string, error) {
	n := bytes.IndexByte(u.data[u.pos:], '\n')
	if n < 0 {
		return "", errShort
	}
	b, err := u.take(uint64(n) + 1)
	return string(bytes.TrimSuffix(b[:n], []byte("\r"))), err
}

func (u *unpickler) push(v any) { u.stack = append(u.stack, v) }

// floor is the height below which the topmost mark guards the stack.
func (u *unpickler) floor() int {
	if len(u.marks) == 0 {
		return 0
	}
	return u.marks[len(u.marks)-1]
}

func (u *unpickler) pop() (any, error) {
	n := len(u.stack) - 1
	if n < u.floor() {
		return nil, formatf("takes from an empty stack")
	}
	v := u.stack[n]
	u.stack[n] = nil
	u.stack = u.stack[:n]
	return v, nil
}

// popN pops n values and returns them in the order of their pushes.
func (u *unpickler) popN(n int) (tuple, error) {
	at := len(u.stack) - n
	if at < u.floor() {
		return nil, formatf("takes from an empty stack")
	}
	out := append(tuple(nil), u.stack[at:]...)
	clear(u.stack[at:])
	u.stack = u.stack[:at]
	return out, nil
}

// popMark pops everything above the topmost mark, and the mark.
func (u *unpickler) popMark() (tuple, error) {
	if len(u.marks) == 0 {
		return nil, formatf("takes a mark that is not there")
	}
	out, err := u.popN(len(u.stack) - u.floor())
	u.marks = u.marks[:len(u.marks)-1]
	return out, err
}

// top returns the value on top of the stack, which stays.
func (u *unpickler) top() (any, error) {
	if len(u.stack) <= u.floor() {
		return nil, formatf("takes from an empty stack")
	}
	return u.stack[len(u.stack)-1], nil
}

func (u *unpickler) put(i uint64) error {
	v, err := u.top()
	if err != nil {
		return err
	}
	if i > math.MaxUint32 {
		return formatf("memo place %d is out of range", i)
	}
	if u.memo[uint32(i)] = v; len(u.memo) > maxPickleMemo {
		return formatf("memo of more than %d values", maxPickleMemo)
	}
	return nil
}

func (u *unpickler) get(i uint64) error {
	v, ok := u.memo[uint32(i)]
	if !ok || i > math.MaxUint32 {
		return formatf("memo place %d is empty", i)
	}
	u.push(v)
	return nil
}
