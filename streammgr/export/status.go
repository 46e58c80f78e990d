package export

import (
	"context"
	"errors"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// State is what an exporter does.
type State string

// The states of an exporter.
const (
	Idle     State = "idle"     // nothing waits
	Filling  State = "filling"  // waits for a batch to fill up
	Sending  State = "sending"  // a batch is under way
	Held     State = "held"     // something speaks against sending: Status.Held
	Retrying State = "retrying" // the far side failed: Status.LastError
	Refused  State = "refused"  // the far side refuses for good: Status.LastError
	Paused   State = "paused"   // somebody paused it
	Disabled State = "disabled" // by the configuration
	Deleted  State = "deleted"  // the stream is gone
	Stopped  State = "stopped"
)

// Status is how an exporter is.
type Status struct {
	Name     string `json:"name"`
	Stream   string `json:"stream"`
	State    State  `json:"state"`
	Held     string `json:"held,omitempty"` // why nothing is sent, for people
	Priority int    `json:"priority"`       // LowestPriority if it has none

	Checkpoint  uint64  `json:"checkpoint"`   // first message that is not delivered for good
	LagMessages uint64  `json:"lag_messages"` // not delivered for good
	LagBytes    int64   `json:"lag_bytes"`    // of those, about, as the stream stores them
	LagSeconds  float64 `json:"lag_s"`        // age of the oldest of them, by the machine's clock; 0 if there is none or nobody knows

	// Counters since the exporter was made.
	Messages  uint64 `json:"messages"`  // acknowledged, or taken by a Holder
	BytesIn   uint64 `json:"bytes_in"`  // of their payloads
	BytesOut  uint64 `json:"bytes_out"` // that went out, as near to the wire as the target can tell
	Batches   uint64 `json:"batches"`   // tried
	Errors    uint64 `json:"errors"`    // tries that failed
	Throttled uint64 `json:"throttled"` // of those, because the far side takes less
	Unfit     uint64 `json:"unfit"`     // messages that can never be delivered there
	Missed    uint64 `json:"missed"`    // messages that the stream removed or lost before

	LastError   string    `json:"last_error,omitempty"` // of the last try that failed
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	LastSent    time.Time `json:"last_sent,omitzero"` // when something was acknowledged last
}

// knownYear is the first that a clock which was ever set can say: at start-up it may
// say 1970.
const knownYear = 2020

// oldest remembers what was found out about a message.
type oldest struct {
	seq  uint64
	time time.Time // zero if it is not known
	ok   bool
}

// tellEvery is how often the log hears of missed messages, and of errors that come
// and go.
const tellEvery = 60 * clock.Second

// isPaused is what a keeper has for an exporter that is.
const isPaused = "paused"

// key of the keeper.
func (r *Runner) key() string { return "export/" + r.stream.Name() + "/" + r.config.Name }

// Pause has the exporter begin no batch, over restarts too, until Resume. The error
// is the keeper's; nothing has changed then.
func (r *Runner) Pause() error { return r.setPaused(true) }

// Resume ends a pause. An exporter that the configuration has disabled stays so.
func (r *Runner) Resume() error { return r.setPaused(false) }

func (r *Runner) setPaused(paused bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paused == paused {
		return nil
	}
	if r.keeper != nil {
		var value []byte
		if paused {
			value = []byte(isPaused)
		}
		if err := r.keeper.Put(r.key(), value); err != nil {
			return r.errorf("%w", err)
		}
	}
	r.paused = paused
	r.pokeIt()
	return nil
}

func (r *Runner) isPaused() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paused
}

// Retry ends the wait after a failure: the network is there again, or somebody has
// mended what was refused.
func (r *Runner) Retry() {
	r.retryNow.Store(true)
	r.pokeIt()
}

// pokeIt has the runner look again.
func (r *Runner) pokeIt() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// Status is how the exporter is now. It may read a message from the disk.
func (r *Runner) Status(ctx context.Context) Status {
	info := r.stream.Info()
	r.mu.Lock()
	st := r.status
	if r.config.Disabled && st.State != Deleted && st.State != Stopped {
		st.State, st.Held = Disabled, ""
	} else if r.paused && st.State != Sending && st.State != Deleted && st.State != Stopped {
		st.State, st.Held = Paused, ""
	}
	r.mu.Unlock()
	st.Name, st.Stream, st.Priority = r.config.Name, r.stream.Name(), r.config.priority()
	st.Checkpoint = r.checkpoint.Get()
	from := max(st.Checkpoint, info.First)
	if from < info.Next && st.State != Deleted {
		st.LagMessages = info.Next - from
		st.LagBytes = int64(float64(info.Bytes) * float64(info.Next-from) / float64(info.Next-info.First))
		if at := r.timeOf(ctx, from); at.Year() >= knownYear {
			st.LagSeconds = max(0, time.Since(at).Seconds())
		}
	}
	return st
}

// timeOf is when a message was appended. The disk is asked once a message.
func (r *Runner) timeOf(ctx context.Context, seq uint64) time.Time {
	r.mu.Lock()
	known := r.oldest
	r.mu.Unlock()
	if known.ok && known.seq == seq {
		return known.time
	}
	found := oldest{seq: seq, ok: true}
	_, err := r.stream.Read(ctx, seq, 1, 1, func(m log.Message) bool {
		found.time = m.Time
		return false
	})
	if err != nil {
		return time.Time{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.oldest = found
	return found.time
}

func (r *Runner) setState(s State, held string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.State, r.status.Held = s, held
}

// failure is the state after an error.
func (r *Runner) failure() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused {
		return Refused
	}
	return Retrying
}

// isFailing reports whether the last try failed.
func (r *Runner) isFailing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failing
}

// count notes messages that the far side has, and what went out for them.
func (r *Runner) count(done []log.Message, out int64) {
	in := 0
	for i := range done {
		in += len(done[i].Payload)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.batch) > 0 {
		r.status.Batches++
	}
	r.status.Messages += uint64(len(done))
	r.status.BytesIn += uint64(in)
	r.status.BytesOut += uint64(max(0, out))
	if len(done) > 0 {
		r.status.LastSent = time.Now()
	}
}

// advance goes on at next, having handed over so many messages.
func (r *Runner) advance(next uint64, handed int) {
	r.mu.Lock()
	missed := next - r.next - uint64(handed)
	r.next = next
	r.status.Missed += missed
	now := clock.Now()
	tell := missed > 0 && (r.missedAt == 0 || now-r.missedAt > tellEvery)
	if tell {
		r.missedAt = now
	}
	r.mu.Unlock()
	if tell {
		r.log.Error("messages were removed or lost before they were exported", "messages", missed, "before", next)
	}
}

// leaveOut goes on behind a message that can't be delivered.
func (r *Runner) leaveOut(seq uint64) {
	r.advance(seq+1, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Unfit++
}

// noteError notes how a try went, and reports whether that is worth a line in the
// log: the first error, and the end of one that was told; about one in a minute where
// the far side comes and goes, but a refusal always.
func (r *Runner) noteError(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		told := r.told
		r.failing, r.refused, r.told = false, false, false
		return told
	}
	r.status.Errors++
	if errors.Is(err, ErrThrottled) {
		r.status.Throttled++
	}
	r.status.LastError, r.status.LastErrorAt = err.Error(), time.Now()
	refused, now := errors.Is(err, ErrRefused), clock.Now()
	tell := refused && !r.refused || !r.told && (r.toldAt == 0 || now-r.toldAt > tellEvery)
	if tell {
		r.told, r.toldAt = true, now
	}
	r.failing, r.refused = true, refused
	return tell
}
