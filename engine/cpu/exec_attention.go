package cpu

import (
	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/kernel"
)

// Attention and its gradient, one head of one picture or text at a time: scores never leave the cache of the core that
// makes them. Nothing of a head depends on the other heads or on the batch.

// attention is how one head is computed: in blocks of queries, whose scores against all keys are together.
type attention struct {
	ir.Attention
	block int  // queries
	wide  bool // see exec_attention_wide.go
}

func newAttention(a ir.Attention) *attention {
	const scores = 32 << 10 // of a block: 128 KiB
	if a.Keys >= wideKeys {
		return &attention{Attention: a, block: min(a.Queries, wideBlock), wide: true}
	}
	return &attention{Attention: a, block: min(a.Queries, max(8, scores/a.Keys/8*8))}
}

// headSpace is the memory of a worker.
type headSpace struct {
	mem                     []byte
	p, dp                   []float32 // scores of a block, then probabilities; their gradient
	kT, vT, k, v, qs, douts []float32 // packed operands
}

// space takes memory for the forward pass, or for the gradient too.
func (a *attention) space(f *frame, gradient bool) *headSpace {
	set, w := f.b.set, &headSpace{}
	sizes := []int{a.block * a.Keys, set.PackedSize(a.Width, a.Keys), set.PackedSize(a.Keys, a.Width)}
	if gradient {
		sizes = append(sizes, a.block*a.Keys, set.PackedSize(a.Width, a.Keys), set.PackedSize(a.block, a.Width), set.PackedSize(a.block, a.Width))
	}
	total := 0
	for i := range sizes {
		sizes[i] = (sizes[i] + 15) &^ 15
		total += sizes[i]
	}
	w.mem = f.b.memory.get(4 * total)
	rest := view[float32](w.mem)
	next := func(i int) []float32 {
		x := rest[:sizes[i]]
		rest = rest[sizes[i]:]
		return x
	}
	w.p, w.kT, w.v = next(0), next(1), next(2)
	if gradient {
		w.k = w.v // the gradient multiplies with v transposed only
		w.dp, w.vT, w.qs, w.douts = next(3), next(4), next(5), next(6)
	}
	return w
}

// at is the offset of the rows of a head.
func at(r ir.HeadRows, batch, head int) int { return r.Offset + batch*r.Batch + head*r.Head }

// columns is how many keys queries below end see at all.
func (a *attention) columns(end int) int {
	if a.Causal {
		return end
	}
	return a.Keys
}

// probabilities computes those of queries r0 <= i < r1 of a head to w.p [r1-r0][Keys]. mask is nil or begins at the head.
func (a *attention) probabilities(set *kernel.Set, w *headSpace, q, mask []float32, r0, r1 int) {
	cols := a.columns(r1)
	set.Gemm(w.p, a.Keys, q[r0*a.Q.Token:], a.Q.Token, w.kT, r1-r0, a.Width, cols, false)
	for i := r0; i < r1; i++ {
		row := w.p[(i-r0)*a.Keys:][:a.Keys]
		if a.Causal {
			cols = i + 1
		}
		s := row[:cols]
		set.BinaryScalar(kernel.Mul, s, s, a.Scale, false)
		if mask != nil {
			a.addMask(set, s, mask[i*a.Mask[2]:])
		}
		set.SoftmaxRows(s, s, 1, cols)
		clear(row[cols:])
	}
}

func (a *attention) addMask(set *kernel.Set, s, mask []float32) {
	if a.Mask[3] == 0 {
		set.BinaryScalar(kernel.Add, s, s, mask[0], false)
		return
	}
	set.Binary(kernel.Add, s, s, mask)
}

// maskOf is the part of the mask that belongs to a head, or nil.
func (a *attention) maskOf(mask []float32, batch, head int) []float32 {
	if mask == nil {
		return nil
	}
	return mask[batch*a.Mask[0]+head*a.Mask[1]:]
}

// attentionSlots are the slots of the operands; mask is -1 where there is none.
type attentionSlots struct{ dst, q, k, v, adjoint, mask int }

func (c *compiler) attentionSlots(n *ir.Node) attentionSlots {
	s := attentionSlots{dst: c.slot(n), q: c.slot(n.In[0]), k: c.slot(n.In[1]), v: c.slot(n.In[2]), mask: -1, adjoint: -1}
	rest := n.In[3:]
	if n.Op == ir.OpAttentionGrad {
		s.adjoint = c.slot(rest[0])
		rest = rest[1:]
	}
	if len(rest) > 0 {
		s.mask = c.slot(rest[0])
	}
	return s
}

// heads is one run's arrays.
type heads struct{ dst, q, k, v, adjoint, mask []float32 }

func (s attentionSlots) of(f *frame) heads {
	get := func(slot int) []float32 {
		if slot < 0 {
			return nil
		}
		return view[float32](f.slots[slot])
	}
	return heads{get(s.dst), get(s.q), get(s.k), get(s.v), get(s.adjoint), get(s.mask)}
}

func makeAttention(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	a, slots := newAttention(n.Attr.(ir.Attention)), c.attentionSlots(n)
	pairs := float64(a.Batch * a.Heads * a.Queries * a.Keys)
	return func(f *frame) {
		h := slots.of(f)
		if a.wide {
			for i := range a.Batch * a.Heads {
				a.forwardWide(f, h, i/a.Heads, i%a.Heads)
			}
			return
		}
		f.b.pool.Run(a.Batch*a.Heads, a.grain(2), func(lo, hi int) {
			w := a.space(f, false)
			for i := lo; i < hi; i++ {
				a.forward(f.b.set, w, h, i/a.Heads, i%a.Heads)
			}
			f.b.memory.put(w.mem)
		})
	}, 4 * pairs * float64(a.Width), nil
}

// grain is how many heads make a piece of work worth handing to a worker.
func (a *attention) grain(products int) int {
	return max(1, (1<<18)/(2*products*a.Queries*a.Keys*a.Width+1))
}

func (a *attention) forward(set *kernel.Set, w *headSpace, h heads, batch, head int) {
	q, k, v := h.q[at(a.Q, batch, head):], h.k[at(a.K, batch, head):], h.v[at(a.V, batch, head):]
	a.packHead(set, w, k, v, false)
	for r0 := 0; r0 < a.Queries; r0 += a.block {
		a.attend(set, w, h, q, batch, head, r0)
	}
}

// attend computes the results of a block of queries of a head, whose queries are q, from r0 on.
func (a *attention) attend(set *kernel.Set, w *headSpace, h heads, q []float32, batch, head, r0 int) {
	step := a.Heads * a.Width
	out := h.dst[(batch*a.Queries*a.Heads+head)*a.Width:]
	r1 := min(r0+a.block, a.Queries)
	a.probabilities(set, w, q, a.maskOf(h.mask, batch, head), r0, r1)
	set.Gemm(out[r0*step:], step, w.p, a.Keys, w.v, r1-r0, a.Keys, a.Width, false)
}

func makeAttentionGrad(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	a, slots := newAttention(n.Attr.(ir.Attention)), c.attentionSlots(n)
	pairs := float64(a.Batch * a.Heads * a.Queries * a.Keys)
	return func(f *frame) {
		h := slots.of(f)
		if a.wide {
			for i := range a.Batch * a.Heads {
				a.backwardWide(f, h, i/a.Heads, i%a.Heads)
			}
			return
		}
		f.b.pool.Run(a.Batch*a.Heads, a.grain(5), func(lo, hi int) {
			w := a.space(f, true)
			for i := lo; i < hi; i++ {
				a.backward(f.b.set, w, h, i/a.Heads, i%a.Heads)
			}
			f.b.memory.put(w.mem)
		})
	}, 10 * pairs * float64(a.Width), nil
}

// gradients are the places of a head's gradients, and the step from token to token in all of them.
func (a *attention) gradients(dst []float32, batch, head int) (dq, dk, dv []float32, step int) {
	size := a.Heads * a.Width
	at := batch*(a.Queries+2*a.Keys)*size + head*a.Width
	if a.Queries == a.Keys { // side by side
		return dst[at:], dst[at+size:], dst[at+2*size:], 3 * size
	}
	return dst[at:], dst[at+a.Queries*size:], dst[at+(a.Queries+a.Keys)*size:], size
}

// backward computes, with P the probabilities and D the adjoint of the result,
//
//	dV = P^T D,  dS = P * (D V^T - rowsum(P * D V^T)) * scale,  dQ = dS K,  dK = dS^T Q.
//
// Sums over queries are made block by block in ascending order.
func (a *attention) backward(set *kernel.Set, w *headSpace, h heads, batch, head int) {
	q, k, v := h.q[at(a.Q, batch, head):], h.k[at(a.K, batch, head):], h.v[at(a.V, batch, head):]
	d, mask := h.adjoint[at(a.Adjoint, batch, head):], a.maskOf(h.mask, batch, head)
	dq, dk, dv, step := a.gradients(h.dst, batch, head)
	a.packHead(set, w, k, v, true)
	for r0 := 0; r0 < a.Queries; r0 += a.block {
		r1 := min(r0+a.block, a.Queries)
		rows := r1 - r0
		a.packBlock(set, w, q, d, r0, rows)
		a.probabilities(set, w, q, mask, r0, r1)
		a.scoreGradients(set, w, d, r0, r1)
		set.Gemm(dq[r0*step:], step, w.dp, a.Keys, w.k, rows, a.Keys, a.Width, false)
		a.keyGradients(set, w, dk, dv, step, [2]int{0, a.Keys}, rows, r0 > 0)
	}
}

// scoreGradients computes dS of queries r0 <= i < r1 to w.dp [r1-r0][Keys].
func (a *attention) scoreGradients(set *kernel.Set, w *headSpace, d []float32, r0, r1 int) {
	cols := a.columns(r1)
	set.Gemm(w.dp, a.Keys, d[r0*a.Adjoint.Token:], a.Adjoint.Token, w.vT, r1-r0, a.Width, cols, false)
	for i := r0; i < r1; i++ {
		if a.Causal {
			cols = i + 1
		}
		p, row := w.p[(i-r0)*a.Keys:][:cols], w.dp[(i-r0)*a.Keys:][:a.Keys]
		g := row[:cols]
		set.Affine(g, g, a.Scale, -a.Scale*set.Dot(p, g))
		set.Binary(kernel.Mul, g, g, p)
		clear(row[cols:])
	}
}
