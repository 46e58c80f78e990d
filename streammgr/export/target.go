// Package export carries streams to where they are wanted: a Runner reads a stream
// behind its checkpoint and hands batches to a Target, which knows one kind of far
// side; the folders beside this file are those kinds.
//
// A message is read once it is synced, and the checkpoint moves once the far side has
// acknowledged it. So nothing is left out, nothing changes places, and a message goes
// twice only if its acknowledgement was lost: in a crash, or with the connection. Its
// epoch and sequence go with it where the target can carry them, and tell.
package export

import (
	"context"
	"errors"
	"time"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// Target is a far side that takes messages of one stream for one exporter. Its
// methods are called by one goroutine at a time.
type Target interface {
	// Send hands over messages in order, at least one but to a Holder, and returns when the far side
	// has acknowledged them, or some of them, or ctx ends. The messages and their
	// payloads are not to be changed; they may be kept. What is not done is sent again
	// later: with the same messages first, unless the stream has dropped some.
	//
	// An error wraps ErrThrottled, ErrRefused or ErrUnfit where that is what happened;
	// any other one means that the far side can't be reached, or is ill. It names the
	// far side, and holds no secret.
	Send(ctx context.Context, batch []log.Message) (Sent, error)

	// Close gives back what the target holds, after the last Send. What can be ended
	// well by then is to be ended before ctx does.
	Close(ctx context.Context) error
}

// Sent is what came of a batch, with an error too.
type Sent struct {
	// Done is how many of the batch, from its first message on, the far side has
	// acknowledged for good. For a Holder it is how many it has taken.
	Done int
	// Bytes that went out for it, as near to the wire as the target can tell: after
	// compression, with what is sent around the payloads, failed tries too. Limits on
	// bandwidth go by it.
	Bytes int64
}

// Holder is a Target that keeps something open between batches: an object that is
// complete an hour later, whose messages are not delivered for good before; a file
// that ends with the hour.
type Holder interface {
	Target
	// Held tells of what is open: checkpoint is the first sequence that is not
	// delivered for good, and next the first one not taken. Both are 0 while nothing
	// is open. The stream keeps what is at or above checkpoint.
	//
	// After a restart the runner goes on at next if that is not below its own
	// checkpoint, so that a Holder says there what it has kept of an earlier process.
	// One that can't go on says 0, 0 and is given everything from the checkpoint on.
	//
	// While something is open and there is nothing to hand over, Send is called about
	// once a second with an empty batch, so that it can be finished in time; not while
	// the exporter is paused or held.
	Held() (checkpoint, next uint64)
}

var (
	// ErrThrottled says that the far side takes less than it was given: the next try
	// waits, longer each time.
	ErrThrottled = errors.New("throttled")
	// ErrRefused says that the far side won't take anything until somebody changes
	// something: it does not exist, or access is denied. It is tried again slowly.
	ErrRefused = errors.New("refused")
	// ErrUnfit says that the first message which is not done can never be delivered
	// there, being too large for instance. It is left out, counted and logged.
	ErrUnfit = errors.New("message can't be delivered there")
)

// After adds to an error of Send how long the far side wants to be left alone.
func After(wait time.Duration, err error) error { return &laterError{wait, err} }

// WaitOf is how long a far side wants to be left alone, 0 if its error doesn't say.
func WaitOf(err error) time.Duration {
	var later *laterError
	if errors.As(err, &later) {
		return later.wait
	}
	return 0
}

type laterError struct {
	wait time.Duration
	err  error
}

func (e *laterError) Error() string { return e.err.Error() }
func (e *laterError) Unwrap() error { return e.err }
