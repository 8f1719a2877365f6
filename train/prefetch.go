package train

import (
	"context"
	"fmt"
)

// batches prepares the micro-batches of a run ahead of their use, in order, lookahead of them at a time.
type batches struct {
	queue chan chan prepared
	stop  context.CancelFunc
}

type prepared struct {
	arrays []Array
	err    error
}

// batcher is the part of a Recipe that prefetch needs.
type batcher interface {
	Batch(step, micro int) ([]Array, error)
}

// prefetch starts preparing the micro-batches of steps from..to-1. close ends it.
func prefetch(ctx context.Context, r batcher, from, to, micros, lookahead int) *batches {
	ctx, stop := context.WithCancel(ctx)
	b := &batches{queue: make(chan chan prepared, lookahead), stop: stop}
	go func() {
		defer close(b.queue)
		for step := from; step < to; step++ {
			for micro := range micros {
				slot := make(chan prepared, 1)
				select {
				case b.queue <- slot: // blocks while lookahead batches wait
				case <-ctx.Done():
					return
				}
				arrays, err := r.Batch(step, micro)
				if err != nil {
					err = fmt.Errorf("train: batch %d.%d: %w", step, micro, err)
				}
				slot <- prepared{arrays, err}
			}
		}
	}()
	return b
}

// next returns the following micro-batch.
func (b *batches) next() ([]Array, error) {
	slot, ok := <-b.queue
	if !ok {
		return nil, context.Canceled
	}
	p := <-slot
	return p.arrays, p.err
}

func (b *batches) close() { b.stop() }
