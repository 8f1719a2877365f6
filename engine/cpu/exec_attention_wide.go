package cpu

import "github.com/smalti/smalti/engine/cpu/kernel"

// A head of a large picture's many places is computed by all cores together: its queries are shared out for the forward
// pass, and block by block queries and then keys for the gradient. Every element is the same chain of operations as when one core computes the
// head alone, so no bit differs.

const (
	wideKeys    = 4096 // from which on a head is wide: a head's scores are more than one core's work then
	wideBlock   = 64   // queries of a block; the gradients of all keys and values pass by once a block
	wideQueries = 16   // least queries, and
	wideTile    = 512  // least keys of a worker
)

// packHead packs the operands of a head that all of its blocks share.
func (a *attention) packHead(set *kernel.Set, w *headSpace, k, v []float32, gradient bool) {
	set.PackB(w.kT, k, a.Width, a.Keys, 1, a.K.Token)
	if !gradient {
		set.PackB(w.v, v, a.Keys, a.Width, a.V.Token, 1)
		return
	}
	set.PackB(w.k, k, a.Keys, a.Width, a.K.Token, 1)
	set.PackB(w.vT, v, a.Width, a.Keys, 1, a.V.Token)
}

// forwardWide is forward on all cores.
func (a *attention) forwardWide(f *frame, h heads, batch, head int) {
	set, w := f.b.set, a.space(f, false)
	defer f.b.memory.put(w.mem)
	q, k, v := h.q[at(a.Q, batch, head):], h.k[at(a.K, batch, head):], h.v[at(a.V, batch, head):]
	a.packHead(set, w, k, v, false)
	f.b.pool.Run((a.Queries+a.block-1)/a.block, 1, func(lo, hi int) {
		mem := f.b.memory.get(4 * a.block * a.Keys)
		own := *w
		own.p = view[float32](mem)
		for i := lo; i < hi; i++ {
			a.attend(set, &own, h, q, batch, head, i*a.block)
		}
		f.b.memory.put(mem)
	})
}

// backwardWide is backward on all cores: of each block first the scores and the gradients of queries, a part of the queries for each
// core, then those of keys and values, a part of the keys for each.
func (a *attention) backwardWide(f *frame, h heads, batch, head int) {
	set, w := f.b.set, a.space(f, true)
	defer f.b.memory.put(w.mem)
	q, k, v := h.q[at(a.Q, batch, head):], h.k[at(a.K, batch, head):], h.v[at(a.V, batch, head):]
	d, mask := h.adjoint[at(a.Adjoint, batch, head):], a.maskOf(h.mask, batch, head)
	dq, dk, dv, step := a.gradients(h.dst, batch, head)
	a.packHead(set, w, k, v, true)
	for r0 := 0; r0 < a.Queries; r0 += a.block {
		rows := min(a.block, a.Queries-r0)
		a.packBlock(set, w, q, d, r0, rows)
		f.b.pool.Run((rows+wideQueries-1)/wideQueries, 1, func(lo, hi int) {
			from, to := lo*wideQueries, min(hi*wideQueries, rows)
			part := *w
			part.p, part.dp = w.p[from*a.Keys:], w.dp[from*a.Keys:]
			a.probabilities(set, &part, q, mask, r0+from, r0+to)
			a.scoreGradients(set, &part, d, r0+from, r0+to)
			set.Gemm(dq[(r0+from)*step:], step, part.dp, a.Keys, w.k, to-from, a.Keys, a.Width, false)
		})
		f.b.pool.Run((a.Keys+wideTile-1)/wideTile, 1, func(lo, hi int) {
			a.keyGradients(set, w, dk, dv, step, [2]int{lo * wideTile, min(hi*wideTile, a.Keys)}, rows, r0 > 0)
		})
	}
}

// packBlock packs the queries of a block and their adjoints.
func (a *attention) packBlock(set *kernel.Set, w *headSpace, q, d []float32, r0, rows int) {
	set.PackB(w.qs, q[r0*a.Q.Token:], rows, a.Width, a.Q.Token, 1)
	set.PackB(w.douts, d[r0*a.Adjoint.Token:], rows, a.Width, a.Adjoint.Token, 1)
}

// keyGradients adds a block's part of dK = dS^T Q and dV = P^T D for some keys.
func (a *attention) keyGradients(set *kernel.Set, w *headSpace, dk, dv []float32, step int, keys [2]int, rows int, add bool) {
	t := kernel.TransGemm{C: dv[keys[0]*step:], LDC: step, A: w.p[keys[0]:], LDA: a.Keys, Runs: []int{0}, KC: rows, Packed: w.douts,
		M: keys[1] - keys[0], N: a.Width, Acc: add}
	set.GemmTrans(&t)
	t.C, t.A, t.Packed = dk[keys[0]*step:], w.dp[keys[0]:], w.qs
	set.GemmTrans(&t)
}
