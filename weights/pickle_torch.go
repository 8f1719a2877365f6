package weights

import "strings"

// torchStorages maps the storage classes of torch and torch.cuda to element types.
var torchStorages = map[string]DType{
	"DoubleStorage": F64, "FloatStorage": F32, "HalfStorage": F16, "BFloat16Storage": BF16,
	"LongStorage": I64, "IntStorage": I32, "ShortStorage": I16, "CharStorage": I8, "ByteStorage": U8, "BoolStorage": Bool,
	"UntypedStorage": U8, "_UntypedStorage": U8,
}

// torchDTypes maps the names of torch's element types.
var torchDTypes = map[string]DType{
	"float64": F64, "double": F64, "float32": F32, "float": F32, "float16": F16, "half": F16, "bfloat16": BF16,
	"int64": I64, "long": I64, "int32": I32, "int": I32, "int16": I16, "short": I16, "int8": I8, "uint8": U8, "bool": Bool,
	"uint16": U16, "uint32": U32, "uint64": U64,
}

func torchDType(v any) DType {
	if g, ok := v.(global); ok && g.module == "torch" {
		return torchDTypes[g.name]
	}
	return InvalidDType
}

// storageID is the persistent id of a storage: ("storage", class, key, location, elements[, view]).
type storageID struct {
	key   string
	dtype DType // invalid when the class is not supported
	class string
	n     int
	view  any // legacy files: None or (key, offset, elements)
}

// parseStorageID reads a persistent id; ok is false for ids of other things.
func parseStorageID(id any) (s storageID, ok bool, err error) {
	t, _ := id.(tuple)
	if len(t) < 1 || t[0] != "storage" {
		return s, false, nil
	}
	if len(t) < 5 {
		return s, false, formatf("storage reference of %d parts", len(t))
	}
	class, ok1 := t[1].(global)
	key, ok2 := t[2].(string)
	n, ok3 := t[4].(int64)
	if !ok1 || !ok2 || !ok3 || n < 0 || n > maxElements || len(key) > maxName {
		return s, false, formatf("broken storage reference")
	}
	s = storageID{key: key, class: class.String(), n: int(n)}
	if class.module == "torch" || strings.HasPrefix(class.module, "torch.") {
		s.dtype = torchStorages[class.name]
	}
	if len(t) > 5 {
		s.view = t[5]
	}
	return s, true, nil
}

// rebuildTensor makes a view of (storage, offset, shape, strides, ...). A valid element type reinterprets the storage.
// Bounds are checked when the tensor gets its name, so that a broken one in a part that nobody reads does no harm.
func rebuildTensor(args tuple, as DType) any {
	if len(args) < 4 {
		return &badTensor{"its description is incomplete"}
	}
	src, ok := args[0].(*storage)
	if !ok {
		if b, isBad := args[0].(*badTensor); isBad {
			return b
		}
		return &badTensor{"its data are " + describe(args[0])}
	}
	offset, ok1 := args[1].(int64)
	shape, ok2 := ints(args[2])
	strides, ok3 := ints(args[3])
	if !ok1 || !ok2 || !ok3 || offset < 0 || offset > maxElements || len(shape) != len(strides) {
		return &badTensor{"its description is broken"}
	}
	if as != InvalidDType {
		src = src.as(as)
	}
	return &tensorView{src: src, offset: int(offset), shape: shape, strides: strides}
}

// as returns the storage's bytes as elements of another type.
func (s *storage) as(d DType) *storage {
	n := s.n * s.dtype.Size() / d.Size()
	return &storage{dtype: d, n: n, owner: s.owner, load: func() ([]byte, error) {
		b, err := s.bytes()
		if err != nil {
			return nil, err
		}
		return b[:n*d.Size()], nil
	}}
}

// ints converts a tuple or list of at most maxRank integers in the range of sizes.
func ints(v any) ([]int, bool) {
	items, ok := v.(tuple)
	if l, isList := v.(*list); isList {
		items, ok = l.items, true
	}
	if !ok || len(items) > maxRank {
		return nil, false
	}
	out := make([]int, len(items))
	for i, x := range items {
		n, ok := x.(int64)
		if !ok || n < 0 || n > maxElements {
			return nil, false
		}
		out[i] = int(n)
	}
	return out, true
}
