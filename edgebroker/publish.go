package edgebroker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/topic"
)

// maxMessage is what fits into an MQTT packet with a margin for its header.
const maxMessage = 268_435_455 - 1<<17

// Publish sends a message to all subscribers. It never blocks: a receiver that
// can't keep up loses messages by the limits of the configuration, which are
// counted. With Retain it is stored too, and an empty payload then clears what
// is stored. A topic below vss/ is a last known value: see LastValue.
// The error wraps ErrTopic, ErrTooLarge, ErrRetainedFull or ErrEmptyValue.
func (b *Broker) Publish(msg Message) error {
	if err := b.checkMessage(&msg); err != nil {
		return err
	}
	return b.publish(&msg)
}

// PublishWait is Publish for sources that can wait: it holds the message back
// until every connected subscriber at QoS 1 or 2, and every durable receiver,
// has room for it. It returns the context's error when that ends first.
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
	return b.publish(&msg)
}

func (b *Broker) checkMessage(m *Message) error {
	if !topic.ValidName(m.Topic) || topic.Levels(m.Topic) > b.cfg.Limits.TopicLevels {
		return fmt.Errorf("publish to %.100q: %w: want a name of at most %d levels without `+` and `#`", m.Topic, ErrTopic, b.cfg.Limits.TopicLevels)
	}
	long := len(m.ContentType) > topic.MaxLength || len(m.ResponseTopic) > topic.MaxLength || len(m.CorrelationData) > topic.MaxLength
	for _, u := range m.UserProperties {
		long = long || len(u.Name) > topic.MaxLength || len(u.Value) > topic.MaxLength
	}
	if long || m.size() > maxMessage {
		return fmt.Errorf("publish to %q: %w: want at most %d bytes, and %d in a property", m.Topic, ErrTooLarge, maxMessage, topic.MaxLength)
	}
	m.QoS = min(m.QoS, 2)
	return nil
}

// publish takes over m.
func (b *Broker) publish(m *Message) error {
	if strings.HasPrefix(m.Topic, valuePrefix) {
		if m.Origin.Client != "" {
			if err := b.takeValue(m); err != nil {
				return err
			}
		}
		return b.LastValue(m.Topic).set(m.Payload, m.ContentType, m.Origin)
	}
	m.start(now())
	later, err := b.route(m)
	for _, l := range later {
		l.fn(*m)
	}
	return err
}

var deliveries = sync.Pool{New: func() any { return new([]delivery) }}

// route stores a retained message and hands m to its receivers. Those in this
// process that are called come back, for after the lock: they may publish.
func (b *Broker) route(m *Message) (later []*local, err error) {
	b.routing.RLock()
	defer b.routing.RUnlock()
	if m.Retain {
		b.retained.mu.Lock()
		defer b.retained.mu.Unlock()
		m.stored = b.index.generation
		if err := b.retained.store(m); err != nil {
			b.counters.retainedRefused.Add(1)
			return nil, err
		}
	}
	list := deliveries.Get().(*[]delivery)
	*list = b.index.match(m.Topic, m.Origin.Client, (*list)[:0])
	later = b.deliver(m, *list, nil)
	clear(*list)
	deliveries.Put(list)
	return later, nil
}

// deliver hands m to the receivers and appends those to be called after the
// lock to later.
func (b *Broker) deliver(m *Message, receivers []delivery, later []*local) []*local {
	for i := range receivers {
		d := &receivers[i]
		switch {
		case d.session != nil:
			d.session.deliver(m, d.qos, m.Retain && d.retainAsPublished, d.ids)
		case d.group != nil:
			if to, ok := d.group.pick(m.Topic); ok {
				to.session.deliver(m, to.sub.qos, m.Retain && to.sub.retainAsPublished, to.sub.ids())
			}
		case d.local.durable != nil:
			d.local.durable.push(*m)
		default:
			later = append(later, d.local)
		}
	}
	return later
}

func (sub *subscription) ids() []uint32 {
	if sub.id == 0 {
		return nil
	}
	return []uint32{sub.id}
}

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
		case d.local != nil && d.local.durable != nil:
			return d.local.durable.crowded()
		}
		return false
	})
	clear(*list)
	deliveries.Put(list)
	return full
}

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
