package edgebroker

import (
	"context"
	"errors"
	"sync"
	"time"
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
	Dropped  uint64 // oldest messages dropped because the queue was full
}

// durable is a receiver with a queue and a goroutine of its own. The queue is
// in memory: it outlives the receiver's errors, not the process.
type durable struct {
	b      *Broker
	name   string
	limits QueueLimits
	fn     func(Message) error
	wake   chan struct{} // holds one token when the queue isn't empty

	mu    sync.Mutex // guards what follows
	queue []Message
	stats DurableStats
}

// SubscribeDurable hands every message that filter matches to fn, one at a
// time and in order, on a goroutine of its own: fn may block. A message whose
// fn returns an error is tried again, with a growing pause, until it succeeds
// or the queue overflows; then the oldest messages are dropped and counted.
// The retained messages and last known values of now come first. cancel waits
// for fn to return, so fn must not call it. The error wraps ErrFilter.
func (b *Broker) SubscribeDurable(name, filter string, limits QueueLimits, fn func(Message) error) (cancel func(), err error) {
	if limits.Bytes <= 0 || limits.Messages <= 0 {
		return nil, errors.New("durable receiver " + name + ": want positive limits of bytes and messages")
	}
	d := &durable{b: b, name: name, limits: limits, fn: fn, wake: make(chan struct{}, 1)}
	l := &local{filter: filter, durable: d}
	if _, err := b.addLocal(l); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(b.stop)
	b.durables.add(d)
	ended := make(chan struct{})
	b.workers.Go(func() {
		defer close(ended)
		d.run(ctx)
	})
	return sync.OnceFunc(func() {
		b.removeLocal(l)
		b.durables.remove(d)
		stop()
		<-ended
		b.room.free()
	}), nil
}

// push appends a message and drops the oldest that don't fit any more.
func (d *durable) push(m Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, m)
	d.stats.Bytes += m.size()
	for len(d.queue) > 1 && (len(d.queue) > d.limits.Messages || d.stats.Bytes > d.limits.Bytes) {
		d.stats.Dropped++
		d.pop()
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *durable) run(ctx context.Context) {
	pause := retryFirst
	for {
		m, dropped, ok := d.first()
		if !ok {
			select {
			case <-d.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if err := d.fn(m); err != nil {
			d.retried(err, pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			pause = min(2*pause, retryLast)
			continue
		}
		pause = retryFirst
		d.finished(dropped)
		if ctx.Err() != nil {
			return
		}
	}
}

// first is the message whose turn it is, with the count of drops until now.
func (d *durable) first() (m Message, dropped uint64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return m, 0, false
	}
	return d.queue[0], d.stats.Dropped, true
}

// finished removes the message that first gave, unless it was dropped since.
func (d *durable) finished(dropped uint64) {
	d.mu.Lock()
	d.stats.Done++
	if d.stats.Dropped == dropped {
		d.pop()
	}
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

// pop removes the oldest message; mu is held.
func (d *durable) pop() {
	d.stats.Bytes -= d.queue[0].size()
	d.queue[0] = Message{}
	d.queue = d.queue[1:]
}

// crowded reports whether PublishWait has to wait for this receiver.
func (d *durable) crowded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue) >= (d.limits.Messages+1)/2 || d.stats.Bytes > d.limits.Bytes/2
}

// durables are the durable receivers there are.
type durables struct {
	mu   sync.Mutex
	list map[*durable]struct{}
}

func (ds *durables) init() { ds.list = make(map[*durable]struct{}) }

func (ds *durables) add(d *durable) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.list[d] = struct{}{}
}

func (ds *durables) remove(d *durable) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	delete(ds.list, d)
}

// Durables is the state of every durable receiver; safe for concurrent use.
func (b *Broker) Durables() []DurableStats {
	b.durables.mu.Lock()
	defer b.durables.mu.Unlock()
	list := make([]DurableStats, 0, len(b.durables.list))
	for d := range b.durables.list {
		d.mu.Lock()
		st := d.stats
		st.Name, st.Messages = d.name, len(d.queue)
		d.mu.Unlock()
		list = append(list, st)
	}
	return list
}
