package cpu

// pack returns what make derives from the buffer, kept under a key from the second request on: the first may be the
// only one, as for weights that a training replaces in every step. It returns nil when the caller should derive it itself.
func (x *Buffer) pack(key string, make func() []float32) []float32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return nil
	}
	p, seen := x.packs[key]
	if p != nil {
		return p
	}
	if x.packs == nil {
		x.packs = map[string][]float32{}
	}
	if !seen {
		x.packs[key] = nil
		return nil
	}
	p = make()
	x.packs[key] = p
	return p
}
