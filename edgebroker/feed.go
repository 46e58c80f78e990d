package edgebroker

import (
	"errors"
	"fmt"
	"sync"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// feed is a way by which published messages come into a queue.
type feed struct {
	queue *Queue
	take  func(*message.Publication) (meta []byte, ok bool)
}

var errQueueClosed = errors.New("queue is closed")

// Feed leads messages that filter matches into the queue. take is called with each,
// exactly once, whatever its QoS, and says whether the queue is to have it, with meta
// for who reads it there (at most 64 KiB, not modified after). It goes into the store
// in the commit that the publisher's acknowledgement waits for; several feeds may
// lead into one queue, and each stores what it takes.
//
// take runs on the publisher's goroutine, several at once, with the broker's routing
// held: it must not block, nor call the broker or a queue. A publication may stand in
// a read buffer: who holds on to it, or to its payload, calls its Keep. When a queue
// that rejects is full the publisher's message is refused with reason 0x97, and
// nobody has got it, though take was called. A message of QoS 0, and a last known
// value of this process, have no publisher to be told: the queue alone does not get
// them, and counts.
//
// With retained the retained messages and last known values of now come first, with
// Retain set, before Feed returns; each topic's once, however it is published to
// meanwhile. When cancel has returned, take does not run any more. The error wraps
// ErrFilter.
func (q *Queue) Feed(filter string, retained bool, take func(*message.Publication) (meta []byte, ok bool)) (cancel func(), err error) {
	l := &local{filter: filter, feed: &feed{queue: q, take: take}}
	added, err := q.b.addLocal(l)
	if err != nil {
		return nil, err
	}
	if !q.join(l) {
		q.b.removeLocal(l)
		return nil, fmt.Errorf("queue %q: %w", q.name, errQueueClosed)
	}
	if retained {
		room := func(int) bool { return q.b.store.WaitRoom(q.b.stop) == nil }
		q.b.giveLocal(l, added, room, l.feed.give)
	}
	return sync.OnceFunc(func() {
		q.leave(l)
		q.b.removeLocal(l)
	}), nil
}

func (q *Queue) join(l *local) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.feeds[l] = struct{}{}
	}
	return !q.closed
}

func (q *Queue) leave(l *local) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.feeds, l)
}

// give is for a message that was there before the feed.
func (f *feed) give(p *message.Publication) {
	b := f.queue.b
	b.feedAlone(p, &route{feeds: []*feed{f}, sync: b.syncOf(p.Topic)})
}

// feedAlone feeds what has no publisher to be told, in a commit of its own.
func (b *Broker) feedAlone(p *message.Publication, r *route) {
	if k, _ := b.feed(p, r, nil, false); k != nil {
		k.message(p)
		k.commit(r.sync)
	}
}

// feed asks the feeds on r for p and notes in k, which is made if it is nil, what
// they take. Where the publisher can be told, a queue that rejects and is full makes
// it an error, with nothing left in k. The caller holds Broker.routing for reading,
// so that no feed is asked that was cancelled, or is what begins the feed.
func (b *Broker) feed(p *message.Publication, r *route, k *commitment, told bool) (*commitment, error) {
	if _, alive := p.Left(); !alive {
		return k, nil
	}
	for _, f := range r.feeds {
		meta, ok := f.take(p)
		if !ok {
			continue
		}
		q := f.queue
		if p.QoS == 0 && p.Origin.Client == "" && b.store.Busy() { // clients are held back instead
			q.count(&q.failed)
			continue
		}
		size := len(p.Topic) + len(p.Properties) + len(p.Payload)
		if err := q.claim(size); err != nil {
			if !told {
				q.count(&q.dropped)
				continue
			}
			q.count(&q.refused)
			b.counters.rejected.Add(1)
			k.release()
			return k, fmt.Errorf("topic %q: %w", p.Topic, err)
		}
		if k == nil {
			k = &commitment{b: b}
		}
		k.targets = append(k.targets, target{queue: q.stored, receiver: q, meta: meta, size: size})
	}
	return k, nil
}
