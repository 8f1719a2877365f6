package weights

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// step does one operation. The operations with data behind them are in stepData, those that build in stepBuild.
func (u *unpickler) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		v, err := u.byte()
		if err == nil && v > 5 {
			err = formatf("protocol %d is not known", v)
		}
		return err
	case 0x95: // FRAME: the frames themselves do not matter
		_, err := u.take(8)
		return err
	case '(': // MARK
		u.marks = append(u.marks, len(u.stack))
	case '0': // POP, which also takes a mark
		if len(u.marks) > 0 && u.floor() == len(u.stack) {
			u.marks = u.marks[:len(u.marks)-1]
			return nil
		}
		_, err := u.pop()
		return err
	case '1': // POP_MARK
		_, err := u.popMark()
		return err
	case '2': // DUP
		v, err := u.top()
		if err != nil {
			return err
		}
		u.push(v)
	case 'N':
		u.push(nil)
	case 0x88:
		u.push(true)
	case 0x89:
		u.push(false)
	case ')':
		u.push(tuple{})
	case ']':
		u.push(&list{})
	case '}':
		u.push(&dict{})
	case 0x8f: // EMPTY_SET
		u.push(&object{class: global{"builtins", "set"}})
	default:
		return u.stepData(op)
	}
	return nil
}

// stepData does the operations that push a value written behind them, and those on the memo.
func (u *unpickler) stepData(op byte) error {
	switch op {
	case 'K':
		return u.pushUint(1)
	case 'M':
		return u.pushUint(2)
	case 'J':
		n, err := u.uint(4)
		u.push(int64(int32(n)))
		return err
	case 0x8a, 0x8b: // LONG1, LONG4
		return u.pushLong(1 + 3*uint64(op-0x8a))
	case 'I', 'L':
		return u.pushDecimal()
	case 'F':
		s, err := u.line()
		if err != nil {
			return err
		}
		x, err := strconv.ParseFloat(s, 64)
		u.push(x)
		return err
	case 'G':
		b, err := u.take(8)
		if err == nil {
			u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
		}
		return err
	case 'X', 'T': // BINUNICODE, BINSTRING
		return u.pushString(4)
	case 0x8c, 'U': // SHORT_BINUNICODE, SHORT_BINSTRING
		return u.pushString(1)
	case 0x8d: // BINUNICODE8
		return u.pushString(8)
	case 'V':
		s, err := u.line()
		u.push(s)
		return err
	case 'S':
		s, err := u.line()
		u.push(strings.Trim(s, `"'`))
		return err
	case 'C', 'B', 0x8e, 0x96: // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8
		b, err := u.counted(map[byte]uint64{'C': 1, 'B': 4, 0x8e: 8, 0x96: 8}[op])
		u.push(bytesV(b))
		return err
	case 'p', 'q', 'r', 'g', 'h', 'j', 0x94:
		return u.stepMemo(op)
	}
	return u.stepBuild(op)
}

func (u *unpickler) stepMemo(op byte) error {
	var i uint64
	var err error
	switch op {
	case 'p', 'g':
		var s string
		if s, err = u.line(); err == nil {
			i, err = strconv.ParseUint(s, 10, 32)
		}
	case 'q', 'h':
		i, err = u.uint(1)
	case 'r', 'j':
		i, err = u.uint(4)
	case 0x94: // MEMOIZE
		i = uint64(len(u.memo))
	}
	if err != nil {
		return err
	}
	if op == 'g' || op == 'h' || op == 'j' {
		return u.get(i)
	}
	return u.put(i)
}

func (u *unpickler) pushUint(size uint64) error {
	n, err := u.uint(size)
	u.push(int64(n))
	return err
}

func (u *unpickler) pushString(size uint64) error {
	b, err := u.counted(size)
	u.push(string(b))
	return err
}

// pushLong pushes a little-endian two's complement integer of any length.
func (u *unpickler) pushLong(size uint64) error {
	b, err := u.counted(size)
	if err != nil {
		return err
	}
	if len(b) > 8 {
		u.push(bigInt(b))
		return nil
	}
	var wide [8]byte
	if len(b) > 0 && b[len(b)-1] >= 0x80 {
		binary.LittleEndian.PutUint64(wide[:], math.MaxUint64) // extend the sign
	}
	copy(wide[:], b)
	u.push(int64(binary.LittleEndian.Uint64(wide[:])))
	return nil
}

// pushDecimal reads the integers and booleans of protocol 0.
func (u *unpickler) pushDecimal() error {
	s, err := u.line()
	if err != nil {
		return err
	}
	switch s {
	case "00":
		u.push(false)
		return nil
	case "01":
		u.push(true)
		return nil
	}
	s = strings.TrimSuffix(s, "L")
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		u.push(bigInt(s)) // out of range, or not a number: nobody will use it as one
		return nil
	}
	u.push(n)
	return nil
}

// stepBuild does the operations that make values out of others.
func (u *unpickler) stepBuild(op byte) error {
	switch op {
	case 't', 'l', 'd', 0x91: // TUPLE, LIST, DICT, FROZENSET
		items, err := u.popMark()
		if err != nil {
			return err
		}
		return u.pushCollection(op, items)
	case 0x85, 0x86, 0x87: // TUPLE1 to TUPLE3
		items, err := u.popN(int(op - 0x84))
		u.push(items)
		return err
	case 'a': // APPEND
		v, err := u.pop()
		if err != nil {
			return err
		}
		return u.extend(tuple{v})
	case 'e', 0x90: // APPENDS, ADDITEMS
		items, err := u.popMark()
		if err != nil {
			return err
		}
		return u.extend(items)
	case 's': // SETITEM
		items, err := u.popN(2)
		if err != nil {
			return err
		}
		return u.setItems(items)
	case 'u': // SETITEMS
		items, err := u.popMark()
		if err != nil {
			return err
		}
		return u.setItems(items)
	case 'b': // BUILD
		return u.build()
	case 'Q', 'P': // BINPERSID, PERSID
		return u.persistent(op)
	case 'c', 0x93, 'i', 'o', 'R', 0x81, 0x92:
		return u.stepCall(op)
	case 0x82, 0x83, 0x84:
		return formatf("uses extension codes")
	case 0x97, 0x98:
		return formatf("uses out-of-band buffers")
	}
	return formatf("unknown operation %#02x", op)
}

func (u *unpickler) pushCollection(op byte, items tuple) error {
	switch op {
	case 't':
		u.push(items)
	case 'l':
		u.push(&list{items})
	case 'd':
		d := &dict{}
		if len(items)%2 != 0 {
			return formatf("dictionary with a key but no value")
		}
		for i := 0; i < len(items); i += 2 {
			d.set(items[i], items[i+1])
		}
		u.push(d)
	default:
		u.push(&object{class: global{"builtins", "frozenset"}, args: items})
	}
	return nil
}

// extend adds items to the list on top of the stack. Other things that take items are opaque.
func (u *unpickler) extend(items tuple) error {
	v, err := u.top()
	if l, ok := v.(*list); ok {
		l.items = append(l.items, items...)
	}
	return err
}

// setItems adds keys and values to the dictionary, or object, on top of the stack.
func (u *unpickler) setItems(items tuple) error {
	v, err := u.top()
	if err != nil {
		return err
	}
	if len(items)%2 != 0 {
		return formatf("sets a key without a value")
	}
	d, _ := v.(*dict)
	if o, ok := v.(*object); ok {
		d = &o.items
	}
	for i := 0; d != nil && i < len(items); i += 2 {
		d.set(items[i], items[i+1])
	}
	return nil
}

// build gives the object on top of the stack its state. Attributes of dictionaries and tensors do not matter.
func (u *unpickler) build() error {
	state, err := u.pop()
	if err != nil {
		return err
	}
	v, err := u.top()
	if o, ok := v.(*object); ok {
		o.state = state
	}
	return err
}

func (u *unpickler) persistent(op byte) error {
	var id any
	var err error
	if op == 'P' {
		id, err = u.line()
	} else {
		id, err = u.pop()
	}
	if err != nil {
		return err
	}
	if u.persist == nil {
		return formatf("refers to data outside the pickle")
	}
	v, err := u.persist(id)
	u.push(v)
	return err
}
