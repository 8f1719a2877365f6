package weights

import "strconv"

// The values of a pickle. Beside these, a value may be nil (None), bool, int64, float64 or string. Values may refer to
// one another in circles and may be shared very often: never walk or print one without a bound.
type (
	tuple  []any
	bytesV []byte // bytes, bytearray
	bigInt []byte // an integer beyond int64: little-endian two's complement

	// global is a class or function that the pickle names. It is never looked up anywhere.
	global struct{ module, name string }

	list struct{ items []any }

	// dict is an insertion-ordered dictionary. Keys of any kind are kept; only strings (of at most maxName) can be looked up.
	dict struct {
		keys, vals []any
		index      map[string]int
		repeated   string // a string key that was set twice
	}

	// object stands for whatever calling or instantiating class with args would have given.
	object struct {
		class any // mostly a global
		args  tuple
		state any
		items dict // set as if it were a dictionary
	}

	// tensorView is a tensor without its name.
	tensorView struct {
		src            *storage
		offset         int
		shape, strides []int
	}

	// badTensor is a tensor that we cannot read; it matters only if somebody wants it.
	badTensor struct{ reason string }
)

func (g global) String() string { return g.module + "." + g.name }

// set adds an item; a string key that is there gets the new value, as in Python, and is remembered.
func (d *dict) set(key, val any) {
	if s, ok := key.(string); ok && len(s) <= maxName {
		if d.index == nil {
			d.index = make(map[string]int)
		}
		if i, ok := d.index[s]; ok {
			d.vals[i], d.repeated = val, s
			return
		}
		d.index[s] = len(d.keys)
	}
	d.keys = append(d.keys, key)
	d.vals = append(d.vals, val)
}

// get looks a string key up.
func (d *dict) get(key string) (any, bool) {
	i, ok := d.index[key]
	if !ok {
		return nil, false
	}
	return d.vals[i], true
}

// describe names a value's kind for an error message, without walking into it.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a boolean"
	case int64, bigInt:
		return "an integer"
	case float64:
		return "a float"
	case string:
		return "a string"
	case bytesV:
		return "bytes"
	case tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dictionary"
	case global:
		return "the class or function " + v.String()
	case *object:
		if g, ok := v.class.(global); ok {
			return "what " + g.String() + " would make"
		}
		return "an unknown object"
	case *tensorView, *badTensor:
		return "a tensor"
	case *storage:
		return "a storage"
	}
	return "an unknown value"
}

// scalarText formats the plain values that go into File.Metadata.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
