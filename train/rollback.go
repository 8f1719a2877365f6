package train

import (
	"errors"
	"fmt"

	"github.com/smalti/smalti/event"
)

// maxRollBacks bounds how often a training is set back: numbers that are not finite at rates that small come from elsewhere.
const maxRollBacks = 4

// setBack sets a state whose run's numbers are no longer finite back to the last checkpoint of dir, to go on at half the rates.
// The checkpoint is saved again at once with the number of times that this has happened, so that a run that is killed and
// resumed ends with the same bytes. Without a checkpoint, or after maxRollBacks, the cause is returned.
func (s *state) setBack(dir string, cause error) error {
	if !hasState(dir) || s.rollBacks >= maxRollBacks {
		return cause
	}
	if _, _, err := s.load(dir); err != nil {
		return errors.Join(cause, err)
	}
	s.rollBacks++
	if err := s.save(dir); err != nil {
		return errors.Join(cause, err)
	}
	return nil
}

// slower is a learning rate after the state was set back.
func (s *state) slower(lr float64) float64 { return lr / float64(int(1)<<s.rollBacks) }

// setBackEvent tells that numbers stopped being finite in a step, counted from 1.
func (s *state) setBackEvent(at, steps int) event.Event {
	return event.Event{Kind: event.Warning, Step: s.step, Steps: steps,
		Message: fmt.Sprintf("numbers stopped being finite in step %d: back to the checkpoint of step %d, on at 1/%d of the learning rates", at, s.step, 1<<s.rollBacks)}
}

func (r *run) rollBack(cause error) error {
	at := r.state.step + 1
	if err := r.state.setBack(r.Dir, cause); err != nil {
		return err
	}
	for _, w := range r.workers {
		w.step = -1 // upload the weights again
	}
	r.window.restart(r.now())
	r.sink.Emit(r.state.setBackEvent(at, r.Config.Steps))
	return nil
}

func (r *gameRun) rollBack(cause error) error {
	at := r.state.step + 1
	if err := r.state.setBack(r.Dir, cause); err != nil {
		return err
	}
	for _, p := range r.board.players {
		p.version++ // upload the weights again
	}
	r.settled = nil
	r.window.restart(r.now())
	r.sink.Emit(r.state.setBackEvent(at, r.Config.Steps))
	return nil
}
