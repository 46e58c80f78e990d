package edgebroker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// The pause before a durable receiver is tried again doubles between these.
const (
	retryFirst = 100 * time.Millisecond
	retryLast  = 5 * time.Second
)

// DurableStats is the state of a queue and of its durable receiver, if
// SubscribeDurable has made it.
type DurableStats struct {
	QueueStats
	Retried uint64 // errors of the receiver
}

// durable is a receiver with a queue in the store and a goroutine of its own.
type durable struct {
	b       *Broker
	fn      func(Message) error
	queue   *Queue
	retried atomic.Uint64
	lost    atomic.Uint64 // could not be read, or expired
}

// SubscribeDurable hands every message that filter matches to fn, one at a
// time and in order, on a goroutine of its own: fn may block. A message whose
// fn returns an error is tried again, with a growing pause, until it succeeds,
// expires or the queue overflows; what then happens, its limits say.
// The retained messages and last known values of now come first.
//
// The queue is in the store under the receiver's name: what waits in it survives
// a restart and comes when a receiver of that name subscribes again; what comes
// in while none is subscribed is not its own. A message may come twice around a
// restart. cancel waits for fn to return, so fn must not call it, and leaves the
// queue. The error wraps ErrFilter, or ErrStore if the queue can't be made.
func (b *Broker) SubscribeDurable(name, filter string, limits QueueLimits, fn func(Message) error) (cancel func(), err error) {
	d := &durable{b: b, fn: fn}
	if d.queue, err = b.openQueue(name, limits, d); err != nil {
		return nil, err
	}
	all := func(*message.Publication) ([]byte, bool) { return nil, true }
	if _, err = d.queue.Feed(filter, true, all); err != nil {
		d.queue.Close()
		return nil, err
	}
	ctx, stop := context.WithCancel(b.stop)
	ended := make(chan struct{})
	b.workers.Go(func() {
		defer close(ended)
		d.run(ctx)
	})
	return sync.OnceFunc(func() {
		stop()
		<-ended
		d.queue.Close()
		b.room.free()
	}), nil
}

func (d *durable) run(ctx context.Context) {
	q := d.queue
	from := q.Head()
	for ctx.Err() == nil {
		var failed error
		next, err := q.Read(from, loadEntries, func(it Item) bool {
			failed = d.handOver(ctx, it)
			from = it.Pos + 1
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
		case from < q.Tail():
		default:
			select {
			case <-q.Wake():
			case <-ctx.Done():
			}
		}
	}
}

// handOver tries until fn takes the message, its life is over or it was dropped. It
// fails when ctx ends first.
func (d *durable) handOver(ctx context.Context, it Item) error {
	for pause := retryFirst; ; pause = min(2*pause, retryLast) {
		switch {
		case it.Err != nil:
			d.b.log.Error("a stored message can't be read", "receiver", d.queue.name, "error", it.Err)
			d.lose(it.Pos, &d.b.counters.droppedCorrupt)
			return nil
		case it.Expires != 0 && clock.Now() >= it.Expires:
			d.lose(it.Pos, &d.b.counters.droppedExpired)
			return nil
		}
		err := d.fn(it.Message)
		if err == nil {
			d.queue.Done(it.Pos)
			return ctx.Err()
		}
		if d.retried.Add(1); pause == retryFirst {
			d.b.log.Warn("receiver failed, trying again", "receiver", d.queue.name, "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		if d.queue.Head() > it.Pos {
			return nil // dropped
		}
	}
}

// lose ends a message that fn does not get.
func (d *durable) lose(pos uint64, reason *atomic.Uint64) {
	d.lost.Add(1)
	reason.Add(1)
	d.queue.Done(pos)
}

// Durables is the state of every open queue, those of SubscribeDurable among them;
// safe for concurrent use. Dropped counts there whatever was lost.
func (b *Broker) Durables() []DurableStats {
	var list []DurableStats
	for _, q := range b.queues.all() {
		st := DurableStats{QueueStats: q.Stats()}
		if d := q.receiver; d != nil {
			lost := d.lost.Load()
			st.Retried = d.retried.Load()
			st.Done -= min(lost, st.Done)
			st.Dropped += lost
		}
		list = append(list, st)
	}
	return list
}
