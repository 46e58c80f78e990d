package edgebroker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/store"
)

// The pause before a durable receiver is tried again doubles between these.
const (
	retryFirst = 100 * time.Millisecond
	retryLast  = 5 * time.Second
)

// QueueLimits bound the queue of a durable receiver; both must be positive.
type QueueLimits struct {
	Bytes    int
	Messages int
}

// DurableStats is the state of a durable receiver.
type DurableStats struct {
	Name     string
	Messages int // waiting
	Bytes    int
	Done     uint64 // handed over
	Retried  uint64 // errors of the receiver
	Dropped  uint64 // oldest messages dropped because the queue was full, and those that the store refused
}

// durable is a receiver with a queue in the store and a goroutine of its own.
type durable struct {
	b      *Broker
	name   string
	limits QueueLimits
	fn     func(Message) error
	queue  *store.Queue
	wake   chan struct{} // holds one token when something was stored

	mu    sync.Mutex // guards what follows
	given int        // to the store, and not told of
	stats DurableStats
}

// SubscribeDurable hands every message that filter matches to fn, one at a
// time and in order, on a goroutine of its own: fn may block. A message whose
// fn returns an error is tried again, with a growing pause, until it succeeds
// or the queue overflows; then the oldest messages are dropped and counted.
// The retained messages and last known values of now come first.
//
// The queue is in the store under the receiver's name: what waits in it survives
// a restart and comes when a receiver of that name subscribes again; what comes
// in while none is subscribed is not its own. A message may come twice around a
// restart. cancel waits for fn to return, so fn must not call it, and leaves the
// queue. The error wraps ErrFilter, or ErrStore if the queue can't be made.
func (b *Broker) SubscribeDurable(name, filter string, limits QueueLimits, fn func(Message) error) (cancel func(), err error) {
	if limits.Bytes <= 0 || limits.Messages <= 0 {
		return nil, errors.New("durable receiver " + name + ": want positive limits of bytes and messages")
	}
	d := &durable{b: b, name: name, limits: limits, fn: fn, wake: make(chan struct{}, 1)}
	if !b.durables.add(d) {
		return nil, fmt.Errorf("durable receiver %q: there is one already", name)
	}
	if d.queue = b.store.Queue(record.DurableQueues + name); d.queue == nil {
		tx := b.store.Begin()
		d.queue = tx.CreateQueue(record.DurableQueues + name)
		if err := b.settle(tx); err != nil {
			b.durables.remove(d)
			return nil, fmt.Errorf("durable receiver %q: %w: %w", name, ErrStore, err)
		}
	}
	l := &local{filter: filter, durable: d}
	if err := b.addLocal(l, d.give); err != nil {
		b.durables.remove(d)
		return nil, err
	}
	ctx, stop := context.WithCancel(b.stop)
	ended := make(chan struct{})
	b.workers.Go(func() {
		defer close(ended)
		d.run(ctx)
	})
	return sync.OnceFunc(func() {
		b.removeLocal(l)
		stop()
		<-ended
		b.durables.remove(d)
		b.room.free()
	}), nil
}

// accept gives the queue that a message is to be committed to.
func (d *durable) accept() *store.Queue {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.given++
	return d.queue
}

// give commits a message that was there before the subscription.
func (d *durable) give(p *message.Publication) {
	k := &commitment{b: d.b, targets: []target{{queue: d.accept(), durable: d}}}
	k.message(p)
	k.commit(d.b.syncOf(p.Topic))
}

// settled tells that a message is in the queue, or with err that the store has
// refused it. The oldest that don't fit any more are dropped.
func (d *durable) settled(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.given--
	if err != nil {
		d.stats.Dropped++
		return
	}
	for d.queue.Len() > 1 && (d.queue.Len() > d.limits.Messages || d.queue.Bytes() > int64(d.limits.Bytes)) {
		d.stats.Dropped++
		d.queue.Done(d.queue.Head())
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *durable) run(ctx context.Context) {
	from := d.queue.Head()
	for ctx.Err() == nil {
		var failed error
		next, err := d.queue.Read(from, loadEntries, func(e store.Entry) bool {
			failed = d.handOver(ctx, e)
			from = e.Pos + 1
			return failed == nil
		})
		switch {
		case failed != nil:
			return // ctx has ended
		case err != nil:
			if !d.b.pause(err) {
				return
			}
		case next > from:
			from = next
		case from < d.queue.Tail():
		default:
			select {
			case <-d.wake:
			case <-ctx.Done():
			}
		}
	}
}

// handOver tries until fn takes the message or it was dropped. It fails when ctx
// ends first.
func (d *durable) handOver(ctx context.Context, e store.Entry) error {
	p, err := record.ReadMessage(e.Message, d.b.clock)
	if err = errors.Join(e.Err, err); err != nil {
		d.b.log.Error("a stored message can't be read", "receiver", d.name, "error", err)
		d.finished(e.Pos, false)
		return nil
	}
	m := p.Message()
	for pause := retryFirst; ; pause = min(2*pause, retryLast) {
		if err = d.fn(m); err == nil {
			d.finished(e.Pos, true)
			return ctx.Err()
		}
		d.retried(err, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		if d.queue.Head() > e.Pos {
			return nil // dropped
		}
	}
}

func (d *durable) finished(pos uint64, done bool) {
	d.mu.Lock()
	if done {
		d.stats.Done++
	} else {
		d.stats.Dropped++
	}
	d.queue.Done(pos)
	d.mu.Unlock()
	d.b.room.free()
}

func (d *durable) retried(err error, pause time.Duration) {
	d.mu.Lock()
	d.stats.Retried++
	d.mu.Unlock()
	if pause == retryFirst {
		d.b.log.Warn("receiver failed, trying again", "receiver", d.name, "error", err)
	}
}

// crowded reports whether PublishWait has to wait for this receiver.
func (d *durable) crowded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue.Len()+d.given >= (d.limits.Messages+1)/2 || d.queue.Bytes() > int64(d.limits.Bytes/2)
}

// durables are the durable receivers there are, by name.
type durables struct {
	mu     sync.Mutex
	byName map[string]*durable
}

func (ds *durables) init() { ds.byName = make(map[string]*durable) }

func (ds *durables) add(d *durable) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.byName[d.name] != nil {
		return false
	}
	ds.byName[d.name] = d
	return true
}

func (ds *durables) remove(d *durable) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	delete(ds.byName, d.name)
}

// Durables is the state of every durable receiver; safe for concurrent use.
func (b *Broker) Durables() []DurableStats {
	b.durables.mu.Lock()
	defer b.durables.mu.Unlock()
	list := make([]DurableStats, 0, len(b.durables.byName))
	for _, d := range b.durables.byName {
		d.mu.Lock()
		st := d.stats
		d.mu.Unlock()
		st.Name, st.Messages, st.Bytes = d.name, d.queue.Len(), int(d.queue.Bytes())
		list = append(list, st)
	}
	return list
}
