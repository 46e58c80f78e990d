package export

import (
	"errors"
	"fmt"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// errTookNothing is what a target does that must not.
var errTookNothing = errors.New("the target took nothing and did not say why")

// deliver sends one batch. The error is the stream's, or says that the runner was
// stopped.
func (r *Runner) deliver() error {
	r.setState(Held, "others send first")
	if err := r.claim.take(r.looping, r.isFailing()); err != nil {
		return err
	}
	if _, _, wait := r.held(clock.Now()); wait > 0 { // it may have taken long
		r.claim.leave()
		return nil
	}
	if err := r.read(); err != nil {
		r.claim.leave()
		return err
	}
	if len(r.batch) == 0 && !r.holding() {
		r.claim.leave()
		return nil
	}
	r.setState(Sending, "")
	sent, err := r.target.Send(r.sending, r.batch)
	sent.Done = min(max(sent.Done, 0), len(r.batch))
	r.limiter.spend(sent.Bytes, clock.Now())
	r.claim.sent(sent.Bytes)
	r.settle(sent, err)
	clear(r.batch) // the payloads are not to be kept until the next batch
	return nil
}

// read fills the batch from the stream.
func (r *Runner) read() error {
	limit := r.config.BatchSize
	if r.again > 0 {
		limit = r.again
	}
	r.batch = r.batch[:0]
	if r.tend {
		return nil
	}
	from, bytes := r.position(), 0
	next, err := r.stream.ReadSynced(r.looping, from, limit, int(r.config.BatchBytes), func(m log.Message) bool {
		r.batch = append(r.batch, m)
		bytes += len(m.Payload)
		return true
	})
	switch {
	case err != nil:
		return err
	case len(r.batch) > 0:
		r.average = max(1, bytes/len(r.batch))
	case next > from: // all of it was removed, or is lost
		r.again = 0
		r.advance(next, 0)
	case r.waiting() > 0:
		return fmt.Errorf("%w: nothing is read at %d", log.ErrUnavailable, from)
	}
	return nil
}

// settle takes note of what came of the batch.
func (r *Runner) settle(sent Sent, err error) {
	done, left := r.batch[:sent.Done], r.batch[sent.Done:]
	r.count(done, sent.Bytes)
	if len(done) > 0 {
		r.advance(done[len(done)-1].Seq+1, len(done))
		r.backOff.reset()
	}
	r.again, r.due = len(left), 0
	if errors.Is(err, ErrUnfit) && len(left) > 0 {
		r.log.Error("a message can't be delivered and is left out", "seq", left[0].Seq, "epoch", left[0].Epoch, "bytes", len(left[0].Payload), "error", err)
		r.leaveOut(left[0].Seq)
		r.again, err = len(left)-1, nil
	} else if err == nil && len(left) > 0 && len(done) == 0 {
		err = errTookNothing
	}
	r.keep()
	switch {
	case err == nil:
		r.recover()
	case r.looping.Err() != nil && r.sending.Err() != nil: // given up by Stop
	default:
		r.fail(err)
	}
}

// keep moves the checkpoint to what is delivered for good.
func (r *Runner) keep() {
	seq := r.position()
	if r.holder != nil {
		if from, next := r.holder.Held(); next > 0 {
			seq = min(seq, from)
		}
	}
	r.checkpoint.Set(seq)
}

// fail notes an error and when to try again. It is logged when it is news.
func (r *Runner) fail(err error) {
	r.claim.leave()
	wait := r.backOff.pause(err)
	r.until = clock.Now() + clock.Time(wait)
	if !r.noteError(err) {
		return
	}
	if errors.Is(err, ErrRefused) {
		r.log.Error("an exporter is refused: somebody has to change something; nothing is lost, and it is tried again", "in", wait, "error", err)
	} else {
		r.log.Warn("an exporter fails; it is tried again", "in", wait, "error", err)
	}
}

// recover notes that the far side takes what it is given.
func (r *Runner) recover() {
	r.backOff.reset()
	r.until = 0
	if r.noteError(nil) {
		r.log.Info("an exporter goes on", "seq", r.position())
	}
}
