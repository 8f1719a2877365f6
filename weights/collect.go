package weights

// Limits on walking a pickle's value, which may contain itself.
const (
	maxWalkDepth = 64
	maxWalkSteps = 1 << 20
)

// collector finds the named tensors in the value of a pickle.
type collector struct {
	tensors []*Tensor
	steps   int
	names   int // bytes of all names so far
}

// collect returns the tensors under root and the plain values beside them. A dictionary "state_dict" at the root, which
// is how PyTorch-Lightning and many training scripts save, is taken alone and without that prefix; otherwise nested
// dictionaries and modules give dotted names. Everything that is not a tensor under string keys is left out.
func collect(root any) ([]*Tensor, map[string]string, error) {
	meta := make(map[string]string)
	at := root
	if d, ok := root.(*dict); ok {
		for i, k := range d.keys {
			name, isString := k.(string)
			if text, ok := scalarText(d.vals[i]); ok && isString {
				meta[name] = text
			}
		}
		if inner, ok := d.get("state_dict"); ok {
			switch inner.(type) {
			case *dict, *object:
				at = inner
			}
		}
	}
	var c collector
	name := ""
	switch at.(type) {
	case *tensorView, *badTensor:
		name = "tensor" // torch.save of a lone tensor
	}
	if err := c.walk(name, at, 0); err != nil {
		return nil, nil, err
	}
	if len(c.tensors) == 0 {
		return nil, nil, formatf("no tensors found: the pickle holds %s, and no code of it is run", describe(at))
	}
	return c.tensors, meta, nil
}

func (c *collector) walk(name string, v any, depth int) error {
	if c.steps++; c.steps > maxWalkSteps {
		return formatf("more than %d values", maxWalkSteps)
	}
	if depth > maxWalkDepth {
		return formatf("values nested more than %d deep", maxWalkDepth)
	}
	switch v := v.(type) {
	case *tensorView:
		t, err := newTensor(name, v.src, v.offset, v.shape, v.strides)
		if err != nil {
			return err
		}
		if c.names += len(name); c.names > maxHeader {
			return formatf("names of more than %d bytes", maxHeader)
		}
		c.tensors = append(c.tensors, t)
	case *badTensor:
		return formatf("tensor %q cannot be read: %s", name, v.reason)
	case *dict:
		return c.walkDict(name, v, depth)
	case *object:
		return c.walkObject(name, v, depth)
	}
	return nil
}

func (c *collector) walkDict(prefix string, d *dict, depth int) error {
	if d.repeated != "" {
		return formatf("key %q is there twice", d.repeated)
	}
	for i, k := range d.keys {
		name, ok := k.(string)
		if !ok {
			continue
		}
		if len(prefix)+len(name) > maxName {
			return formatf("a name of more than %d bytes", maxName)
		}
		if prefix != "" {
			name = prefix + "." + name
		}
		if err := c.walk(name, d.vals[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// walkObject finds the tensors of a module. A whole module that was pickled keeps them in three dictionaries; a
// TorchScript module, or a dictionary of some class, has them as attributes or items.
func (c *collector) walkObject(prefix string, o *object, depth int) error {
	state, ok := o.state.(*dict)
	if !ok {
		return c.walkDict(prefix, &o.items, depth)
	}
	if modules, ok := state.get("_modules"); ok {
		for _, part := range []string{"_parameters", "_buffers"} {
			v, _ := state.get(part)
			if err := c.walk(prefix, v, depth); err != nil {
				return err
			}
		}
		return c.walk(prefix, modules, depth)
	}
	if err := c.walkDict(prefix, &o.items, depth); err != nil {
		return err
	}
	return c.walkDict(prefix, state, depth)
}
