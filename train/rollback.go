package train

import (
	"errors"
	"fmt"

	"github.com/smalti/smalti/event"
)

// maxRollBacks bounds how often a training is set back: numbers that are not finite at rates that small come from elsewhere.
const maxRollBacks = 4

// rollBack sets a run whose numbers are no longer finite back to its last checkpoint and goes on from there at half the rates.
// The checkpoint is saved again at once with the number of times that this has happened, so that a run that is killed and
// resumed ends with the same bytes. Without a checkpoint, or after maxRollBacks, the error stays.
func (r *run) rollBack(cause error) error {
	at := r.state.step + 1
	if !hasState(r.Dir) || r.state.rollBacks >= maxRollBacks {
		return cause
	}
	if _, _, err := r.state.load(r.Dir); err != nil {
		return errors.Join(cause, err)
	}
	r.state.rollBacks++
	if err := r.state.save(r.Dir); err != nil {
		return errors.Join(cause, err)
	}
	for _, w := range r.workers {
		w.step = -1 // upload the weights again
	}
	r.window.restart(r.now())
	r.sink.Emit(event.Event{Kind: event.Warning, Step: r.state.step, Steps: r.Config.Steps,
		Message: fmt.Sprintf("numbers stopped being finite in step %d: back to the checkpoint of step %d, on at %s of the learning rates", at, r.state.step, fraction(r.state.rollBacks))})
	return nil
}

// fraction is 1/2^n in words.
func fraction(n int) string { return fmt.Sprintf("1/%d", 1<<n) }
