package edgebroker

import (
	"bytes"
	"fmt"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/store"
)

// Item is a message in a Queue, in memory of its own.
type Item struct {
	Pos     uint64
	Meta    []byte
	Message Message
	// Expires is the end of the message's life on this boot's clock, 0 for none. It
	// may be over: nobody drops a message of a queue for its age but who reads it.
	Expires clock.Time
	// Err tells that the message was damaged on the disk; there is nothing but Pos
	// then. It stays until it is Done.
	Err error
}

// Read calls fn for up to limit messages that are not done, in order, from position
// from on, until fn returns false; next is where to go on. Positions below Head are
// gone, done or dropped, and passed over. It reads the disk. The error is of a disk
// that can't be read now: another try may help. fn may use the queue.
func (q *Queue) Read(from uint64, limit int, fn func(Item) bool) (next uint64, err error) {
	return q.stored.Read(from, limit, func(e store.Entry) bool {
		if e.Marked { // Move has put it elsewhere, before a restart or a moment ago
			q.Done(e.Pos)
			return true
		}
		return fn(q.item(e))
	})
}

func (q *Queue) item(e store.Entry) Item {
	it := Item{Pos: e.Pos, Err: e.Err}
	if it.Err != nil {
		return it
	}
	p, err := record.ReadMessage(e.Message, q.b.clock)
	if err != nil {
		it.Err = err
		return it
	}
	it.Meta, it.Message, it.Expires = bytes.Clone(e.Meta), p.Message(), p.Expires
	return it
}

// Done ends a message: it is not read again. That is on the disk some 20 ms later, and
// until then a crash brings the message back. Doing it twice is harmless.
func (q *Queue) Done(pos uint64) {
	if q.stored.Done(pos) {
		q.done.Add(1)
	}
	q.b.room.free()
}

// Wake holds one token when something was stored since the last one was taken. A
// queue that was just opened may hold messages without.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

// Len is how many messages are not done.
func (q *Queue) Len() int { return q.stored.Len() }

// Bytes is what these take in the store.
func (q *Queue) Bytes() int64 { return q.stored.Bytes() }

// Head is the position of the first message that is not done, or Tail.
func (q *Queue) Head() uint64 { return q.stored.Head() }

// Tail is the position that the next message gets. Positions are never used twice.
func (q *Queue) Tail() uint64 { return q.stored.Tail() }

// Name is the name that it was opened by.
func (q *Queue) Name() string { return q.name }

// Append puts a message of the room's own behind the others and waits for the commit.
// meta has at most 64 KiB. The error wraps ErrTopic, ErrTooLarge, ErrQueueFull or
// ErrStore; the message is then not in the queue.
func (q *Queue) Append(m Message, meta []byte) error {
	if err := q.b.checkMessage(&m); err != nil {
		return err
	}
	p := m.Publication()
	size := len(p.Topic) + len(p.Properties) + len(p.Payload)
	return q.append(size, q.b.syncOf(m.Topic), func(k *commitment) {
		k.targets[0].meta = meta
		k.message(p)
	})
}

// Move puts a message behind those of another queue, with another meta, and ends it
// here, in one step: after a crash it is in one of the two. A full store takes it too.
// It waits for the commit. The error wraps ErrGone if there is no such message,
// store.ErrCorrupt if it is damaged, ErrQueueFull or ErrStore; it is then where it was.
func (q *Queue) Move(pos uint64, to *Queue, meta []byte) error {
	var stored []byte
	err := ErrGone
	_, failed := q.stored.Read(pos, 1, func(e store.Entry) bool {
		if e.Pos == pos && !e.Marked {
			stored, err = bytes.Clone(e.Message), e.Err
		}
		return false
	})
	if failed != nil {
		err = fmt.Errorf("%w: %w", ErrStore, failed)
	}
	if err != nil {
		return fmt.Errorf("queue %q: message %d: %w", q.name, pos, err)
	}
	err = to.append(len(stored), q.b.sync, func(k *commitment) {
		k.change().Moves(q.stored, pos)
		k.change().Append(stored, []store.To{{Queue: to.stored, Meta: meta}})
	})
	if err == nil {
		q.Done(pos)
	}
	return err
}

// append commits one message, which fill puts into the commitment, and waits for it.
func (q *Queue) append(size int, sync store.Sync, fill func(*commitment)) error {
	q.mu.Lock()
	closed := q.closed
	q.mu.Unlock()
	if closed {
		return fmt.Errorf("queue %q: %w", q.name, errQueueClosed)
	}
	if err := q.claim(size); err != nil {
		q.count(&q.refused)
		return err
	}
	done := make(chan error, 1)
	k := &commitment{b: q.b, done: func(err error) { done <- err }}
	k.targets = []target{{queue: q.stored, receiver: q, size: size}}
	fill(k)
	k.commit(sync)
	if err := <-done; err != nil {
		return fmt.Errorf("queue %q: %w: %w", q.name, ErrStore, err)
	}
	return nil
}
