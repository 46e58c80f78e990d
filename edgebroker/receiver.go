package edgebroker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/store"
)

// ErrGone says that a message is not in the queue any more.
var ErrGone = errors.New("message is not in the queue any more")

// QueueLimits bound a queue; both numbers must be positive.
type QueueLimits struct {
	Bytes    int // of the messages, as they are stored
	Messages int
	// Reject refuses the publisher's message, for all its receivers, when the queue
	// is full; else the oldest messages make room.
	Reject bool
}

// QueueStats is the state of a queue; counters begin with OpenQueue.
type QueueStats struct {
	Name     string
	Messages int // in the queue
	Bytes    int64
	Stored   uint64 // came in
	Done     uint64 // ended by who reads it
	Dropped  uint64 // lost because it was full: the oldest, and with Reject those whose publisher can't be told
	Refused  uint64 // publishers refused because it was full
	Failed   uint64 // not taken by the store
}

// Queue is a line of messages in the store that a room reads at its own pace. It is
// filled by feeds, in the one commit that the publisher's acknowledgement waits for,
// and by Append, and is read by position. What is in it survives the process, and
// under the durability "always" a power cut.
//
// Memory for a queue does not grow with what is in it. All methods are safe for
// concurrent use; Wake is for one reader.
type Queue struct {
	b        *Broker
	name     string
	stored   *store.Queue
	wake     chan struct{} // holds one token when something was stored
	receiver *durable      // of SubscribeDurable, which PublishWait waits for; nil for a room's own
	done     atomic.Uint64

	mu         sync.Mutex // guards what follows
	limits     QueueLimits
	given      int   // to the store, and not told of
	givenBytes int64 // of those
	feeds      map[*local]struct{}
	closed     bool
	began      uint64 // tail of the stored queue when this one was opened
	dropped    uint64
	refused    uint64
	failed     uint64
}

// OpenQueue opens the queue of that name and makes it if there is none; it waits for
// the store then. What an earlier process left in it is there, at the positions that
// it had. A name can be open once; feature rooms begin theirs with their own name and
// a slash. If it holds more than the limits, the oldest messages are dropped unless
// Reject is set. The error wraps ErrStore if the queue can't be made.
func (b *Broker) OpenQueue(name string, limits QueueLimits) (*Queue, error) {
	return b.openQueue(name, limits, nil)
}

func (b *Broker) openQueue(name string, limits QueueLimits, receiver *durable) (*Queue, error) {
	q := &Queue{b: b, name: name, wake: make(chan struct{}, 1), receiver: receiver, feeds: make(map[*local]struct{})}
	if name == "" || !limits.valid() {
		return nil, fmt.Errorf("queue %q: want a name, and positive limits of bytes and messages", name)
	}
	if !b.queues.add(q) {
		return nil, fmt.Errorf("queue %q: it is open already", name)
	}
	if q.stored = b.store.Queue(record.DurableQueues + name); q.stored == nil {
		tx := b.store.Begin()
		q.stored = tx.CreateQueue(record.DurableQueues + name)
		if err := b.settle(tx); err != nil {
			b.queues.remove(q)
			return nil, fmt.Errorf("queue %q: %w: %w", name, ErrStore, err)
		}
	}
	q.began = q.stored.Tail()
	q.SetLimits(limits)
	return q, nil
}

func (l QueueLimits) valid() bool { return l.Bytes > 0 && l.Messages > 0 }

// SetLimits makes other limits hold from now on; both numbers must be positive, else
// nothing changes.
func (q *Queue) SetLimits(limits QueueLimits) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if limits.valid() {
		q.limits = limits
		q.trim()
	}
}

// StoredQueues are the names that begin with prefix of the queues in the store, open
// or not, in order.
func (b *Broker) StoredQueues(prefix string) []string {
	var names []string
	b.store.Queues(func(stored string, _ *store.Queue) bool {
		if name, ok := strings.CutPrefix(stored, record.DurableQueues); ok && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
		return true
	})
	slices.Sort(names)
	return names
}

// claim makes room for a message that is committed next; settled or release follows.
// The error wraps ErrQueueFull.
func (q *Queue) claim(size int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.limits.Reject && (q.stored.Len()+q.given >= q.limits.Messages || q.stored.Bytes()+q.givenBytes+int64(size) > int64(q.limits.Bytes)) {
		return fmt.Errorf("queue %q: %w", q.name, ErrQueueFull)
	}
	q.given++
	q.givenBytes += int64(size)
	return nil
}

// release gives up what was claimed.
func (q *Queue) release(size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.given--
	q.givenBytes -= int64(size)
}

// settled tells that a message is in the queue, or with err that the store has
// refused it. The oldest that don't fit any more are dropped.
func (q *Queue) settled(size int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.given--
	q.givenBytes -= int64(size)
	if err != nil {
		q.failed++
		return
	}
	q.trim()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// trim drops the oldest messages that don't fit; the newest one always does. mu is
// held.
func (q *Queue) trim() {
	for !q.limits.Reject && q.stored.Len() > 1 && (q.stored.Len() > q.limits.Messages || q.stored.Bytes() > int64(q.limits.Bytes)) {
		if q.stored.Done(q.stored.Head()) {
			q.dropped++
		}
	}
}

// crowded reports whether the queue is half full, with what is on its way.
func (q *Queue) crowded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stored.Len()+q.given >= (q.limits.Messages+1)/2 || q.stored.Bytes()+q.givenBytes > int64(q.limits.Bytes/2)
}

// count raises one of q's own counters.
func (q *Queue) count(what *uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	*what++
}

// Stats is the state of now.
func (q *Queue) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueStats{
		Name:     q.name,
		Messages: q.stored.Len(),
		Bytes:    q.stored.Bytes(),
		Stored:   q.stored.Tail() - q.began,
		Done:     q.done.Load(),
		Dropped:  q.dropped,
		Refused:  q.refused,
		Failed:   q.failed,
	}
}

// Close ends the feeds. The queue stays in the store, with all that is in it, and can
// be opened again. No take runs any more when it returns; a feed's take must not call
// it. Closing twice is harmless.
func (q *Queue) Close() {
	if q.shut() {
		q.b.queues.remove(q)
	}
}

// Drop closes the queue and removes it from the store with all that is in it. The
// error wraps ErrStore; the queue is then closed and still in the store.
func (q *Queue) Drop() error {
	if q.shut() {
		defer q.b.queues.remove(q)
	}
	tx := q.b.store.Begin()
	tx.DropQueue(q.stored)
	if err := q.b.settle(tx); err != nil {
		return fmt.Errorf("queue %q: %w: %w", q.name, ErrStore, err)
	}
	return nil
}

// shut ends the feeds, and reports whether it was the first to do so.
func (q *Queue) shut() (first bool) {
	q.mu.Lock()
	first, q.closed = !q.closed, true
	feeds := q.feeds
	q.feeds = nil
	q.mu.Unlock()
	for l := range feeds {
		q.b.removeLocal(l)
	}
	return first
}

// queues are the open queues, by name.
type queues struct {
	mu     sync.Mutex
	byName map[string]*Queue
}

func (qs *queues) init() { qs.byName = make(map[string]*Queue) }

func (qs *queues) add(q *Queue) bool {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if qs.byName[q.name] != nil {
		return false
	}
	qs.byName[q.name] = q
	return true
}

func (qs *queues) remove(q *Queue) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	delete(qs.byName, q.name)
}

func (qs *queues) all() []*Queue {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	list := make([]*Queue, 0, len(qs.byName))
	for _, q := range qs.byName {
		list = append(list, q)
	}
	return list
}
