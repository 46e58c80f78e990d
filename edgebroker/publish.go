package edgebroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/retained"
	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/topic"
)

// Errors of publishing. They are wrapped with the topic and what was expected.
var (
	ErrTopic        = errors.New("invalid topic")
	ErrFilter       = errors.New("invalid topic filter")
	ErrTooLarge     = errors.New("message too large")
	ErrRetainedFull = retained.ErrFull
	ErrEmptyValue   = errors.New("a last known value can't be empty")
	ErrClosed       = errors.New("broker is closed")
	ErrStore        = errors.New("can't be stored now")
	ErrQueueFull    = errors.New("queue is full")
)

// maxMessage is what fits into an MQTT packet with a margin for its header.
const maxMessage = 268_435_455 - 1<<17

// Publish sends a message to all subscribers. It never blocks: a receiver that
// can't keep up loses messages by the limits of the configuration, which are
// counted. With Retain it is stored too, and an empty payload then clears what
// is stored. A topic below vss/ is a last known value: see LastValue.
// The error wraps ErrTopic, ErrTooLarge, ErrRetainedFull, ErrEmptyValue, ErrQueueFull,
// or ErrStore when it can't be stored now; then nobody has got it.
func (b *Broker) Publish(msg Message) error {
	if err := b.checkMessage(&msg); err != nil {
		return err
	}
	if isValue(msg.Topic) {
		return b.publishValue(msg.Publication(), nil)
	}
	return b.send(msg.Publication(), &commitment{b: b})
}

// PublishWait is Publish for sources that can wait: it holds the message back
// until every connected subscriber at QoS 1 or 2, and every durable receiver,
// has room for it, and returns when those have it as durably as the policy asks.
// A queue of a room is not waited for, since it may fill for days: one that rejects
// and is full makes it ErrQueueFull. It returns the context's error when that ends first.
func (b *Broker) PublishWait(ctx context.Context, msg Message) error {
	if err := b.checkMessage(&msg); err != nil {
		return err
	}
	for b.full(&msg) {
		wait, done := b.room.wait()
		if b.full(&msg) { // a place may have come free before wait
			select {
			case <-wait:
			case <-b.stop.Done():
				done()
				return fmt.Errorf("topic %q: %w", msg.Topic, ErrClosed)
			case <-ctx.Done():
				done()
				return fmt.Errorf("topic %q: waiting for room: %w", msg.Topic, ctx.Err())
			}
		}
		done()
	}
	if err := b.store.WaitRoom(ctx); err != nil {
		return fmt.Errorf("topic %q: waiting for the store: %w", msg.Topic, err)
	}
	committed := make(chan error, 1)
	k := &commitment{b: b, done: func(err error) { committed <- err }}
	publish := b.send
	if isValue(msg.Topic) {
		publish = b.publishValue
	}
	if err := publish(msg.Publication(), k); err != nil {
		return err
	}
	if k.tx == nil {
		return nil
	}
	return <-committed
}

func (b *Broker) checkMessage(m *Message) error {
	if !topic.ValidName(m.Topic) || topic.Levels(m.Topic) > b.cfg.Limits.TopicLevels {
		return fmt.Errorf("publish to %.100q: %w: want a name of at most %d levels without `+` and `#`", m.Topic, ErrTopic, b.cfg.Limits.TopicLevels)
	}
	long := len(m.ContentType) > topic.MaxLength || len(m.ResponseTopic) > topic.MaxLength || len(m.CorrelationData) > topic.MaxLength
	for _, u := range m.UserProperties {
		long = long || len(u.Name) > topic.MaxLength || len(u.Value) > topic.MaxLength
	}
	if long || m.Size() > maxMessage {
		return fmt.Errorf("publish to %q: %w: want at most %d bytes, and %d in a property", m.Topic, ErrTooLarge, maxMessage, topic.MaxLength)
	}
	m.QoS = min(m.QoS, 2)
	return nil
}

// send routes a message of this process; k is as in offer.
func (b *Broker) send(p *message.Publication, k *commitment) error {
	var later stream.Burst
	r := b.newRoute(p.Topic)
	b.routing.RLock()
	b.refresh(r, p.Origin.Client, allowed)
	calls, err := b.offer(p, r, k, &later)
	b.routing.RUnlock()
	later.HandOver()
	for _, l := range calls {
		l.call(p.Message())
	}
	return err
}

func allowed(string) auth.Decision { return auth.Decision{Allow: true} }

// offer keeps a retained message and hands p to its receivers; what the store is
// to hold of it goes into k, which is then committed if it holds anything. With
// an error nobody has got p, and k is left to the caller. Those in this process
// that are called come back, for after the lock: they may publish. The caller
// holds Broker.routing for reading.
func (b *Broker) offer(p *message.Publication, r *route, k *commitment, later *stream.Burst) (calls []*local, err error) {
	if len(r.feeds) > 0 {
		if _, err := b.feed(p, r, k, p.QoS > 0); err != nil {
			return nil, err
		}
	}
	if err := b.admit(p, r, len(k.targets) > 0); err != nil {
		k.release()
		return nil, err
	}
	if p.Retain {
		b.retained.Lock()
		defer b.retained.Unlock()
		if err := b.retain(p, k); err != nil {
			k.release()
			return nil, err
		}
	}
	calls = b.pass(p, r, k, later)
	k.message(p)
	if k.tx != nil {
		k.commit(r.sync)
	}
	return calls, nil
}

// admit refuses, before anything is stored, what could not be promised: when the
// store takes no messages, or a session that is to reject is full. fed tells that a
// queue is to have it.
func (b *Broker) admit(p *message.Publication, r *route, fed bool) error {
	if p.QoS == 0 && !p.Retain {
		return nil
	}
	refusal := b.store.Refuses()
	if refusal == nil && p.Origin.Client == "" && b.store.Busy() {
		refusal = errBusy // clients are held back instead
	}
	rejects := b.cfg.Limits.WhenFull == whenFullReject
	if refusal == nil && !rejects {
		return nil
	}
	stores := fed || p.Retain && len(p.Payload) > 0
	for i := range r.receivers {
		switch d := &r.receivers[i]; {
		case d.session == nil || min(d.qos, p.QoS) == 0:
		default:
			stores = stores || d.session.inStore()
			if rejects && d.session.full(p.Size()) {
				b.counters.rejected.Add(1)
				return fmt.Errorf("topic %q: session of %q: %w", p.Topic, d.session.id, ErrQueueFull)
			}
		}
	}
	if refusal != nil && stores {
		b.counters.rejected.Add(1)
		return fmt.Errorf("topic %q: %w: %w", p.Topic, ErrStore, refusal)
	}
	return nil
}

var errBusy = errors.New("the disk is behind")

// full reports whether a receiver that PublishWait waits for has no room.
func (b *Broker) full(m *Message) bool {
	b.routing.RLock()
	defer b.routing.RUnlock()
	list := deliveries.Get().(*[]delivery)
	*list = b.index.match(m.Topic, m.Origin.Client, (*list)[:0])
	full := slices.ContainsFunc(*list, func(d delivery) bool {
		switch {
		case d.session != nil:
			return min(d.qos, m.QoS) > 0 && d.session.crowded()
		case d.local != nil && d.local.feed != nil:
			return d.local.feed.queue.receiver != nil && d.local.feed.queue.crowded()
		}
		return false
	})
	clear(*list)
	deliveries.Put(list)
	return full
}

var deliveries = sync.Pool{New: func() any { return new([]delivery) }}

// room wakes those that wait for a receiver to have room.
type room struct {
	waiting atomic.Int32
	mu      sync.Mutex
	woken   chan struct{}
}

// wait returns a channel that the next free closes; done is called after.
func (r *room) wait() (<-chan struct{}, func()) {
	r.waiting.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.woken == nil {
		r.woken = make(chan struct{})
	}
	return r.woken, func() { r.waiting.Add(-1) }
}

// free tells that some receiver has room again; it costs next to nothing when
// nobody waits.
func (r *room) free() {
	if r.waiting.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.woken != nil {
		close(r.woken)
		r.woken = nil
	}
}
