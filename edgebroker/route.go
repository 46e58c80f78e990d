package edgebroker

import (
	"strings"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/store"
)

// route is what a publisher's topic leads to: whether it may publish there, who
// receives it, how durably it is stored. It is found once and good until the
// subscriptions or the policy change.
type route struct {
	topic      string
	policy     *auth.Policy
	generation uint64
	decision   auth.Decision
	receivers  []delivery
	feeds      []*feed
	sync       store.Sync
	immediate  bool // every receiver is a session: QoS 0 goes straight to the sockets
	value      bool // a last known value
}

// refresh makes r good for now. The caller holds Broker.routing.
func (b *Broker) refresh(r *route, origin string, decide func(name string) auth.Decision) {
	policy := b.policy.Load()
	if r.policy == policy && r.generation == b.index.generation {
		return
	}
	r.policy, r.generation = policy, b.index.generation
	r.decision = decide(r.topic)
	r.receivers = b.index.match(r.topic, origin, nil)
	r.feeds, r.immediate = nil, true
	kept := r.receivers[:0]
	for _, d := range r.receivers {
		if d.session != nil && !d.session.mayReceive(r.topic) {
			continue
		}
		if d.local != nil && d.local.feed != nil {
			r.feeds = append(r.feeds, d.local.feed)
			continue
		}
		r.immediate = r.immediate && d.session != nil
		kept = append(kept, d)
	}
	clear(r.receivers[len(kept):])
	r.receivers = kept
}

func (b *Broker) newRoute(name string) *route {
	return &route{topic: strings.Clone(name), value: isValue(name), sync: b.syncOf(name)}
}

// target is a receiver that the store holds a message for until it has it.
type target struct {
	queue    *store.Queue
	session  *session
	group    *group
	entry    entry  // of session or group
	receiver *Queue // in place of them, with
	meta     []byte
	size     int // what it has claimed
}

// settled tells the receiver that the message is committed, or with err that it
// was refused.
func (t *target) settled(p *message.Publication, err error, later *stream.Burst) {
	switch {
	case t.group != nil:
		t.group.committed(t.queue, err)
	case t.receiver != nil:
		t.receiver.settled(t.size, err)
	case err == nil:
		t.session.stored(p, t.entry, later)
	default:
		t.session.unstored(t.queue, err)
	}
}

// pass hands p to the receivers on r. Those that are to have it from the store
// are noted in k, those in this process that are called after the lock come back.
// The caller holds Broker.routing for reading.
func (b *Broker) pass(p *message.Publication, r *route, k *commitment, later *stream.Burst) (calls []*local) {
	var f *message.Forms
	left, alive := p.Left()
	if !alive {
		return nil
	}
	for i := range r.receivers {
		d := &r.receivers[i]
		if d.local != nil {
			calls = append(calls, d.local)
			continue
		}
		shared := d.group
		if shared != nil {
			var queue *store.Queue
			if d, queue = b.share(p, shared, r.topic); queue != nil {
				k.targets = append(k.targets, target{queue: queue, group: shared, entry: entry{qos: p.QoS}})
				continue
			}
			if d == nil {
				continue
			}
		}
		retain := p.Retain && d.retainAsPublished
		if min(d.qos, p.QoS) == 0 {
			if f == nil {
				f = formsPool.Get().(*message.Forms)
				f.Begin()
			}
			d.session.deliverNow(p, retain, d.ids, left, f, later)
			continue
		}
		e := entry{qos: min(d.qos, p.QoS), retain: retain, ids: d.ids}
		if shared != nil {
			e.from = &loan{group: shared, moved: true}
		}
		if queue := d.session.accept(p, e, later); queue != nil {
			k.targets = append(k.targets, target{queue: queue, session: d.session, entry: e})
		}
	}
	if f != nil {
		formsPool.Put(f)
	}
	return calls
}

// share finds who of a group gets p: a member, or the group's queue.
func (b *Broker) share(p *message.Publication, g *group, name string) (*delivery, *store.Queue) {
	if p.QoS == 0 {
		return g.pick(name), nil
	}
	return g.take(name)
}

// appendMeta puts what is the receiver's own of a stored message behind b.
func (t *target) appendMeta(b []byte) []byte {
	if t.receiver != nil {
		return append(b, t.meta...)
	}
	e := &t.entry
	r := record.Receiver{QoS: e.qos, Retain: e.retain, IDs: e.ids}
	if e.from != nil {
		r.Group = e.from.group.key
	}
	return r.Append(b)
}

// readEntry is what the store has for a session.
func (b *Broker) readEntry(found store.Entry) (e entry, err error) {
	if found.Err != nil {
		return e, found.Err
	}
	r, err := record.ReadReceiver(found.Meta)
	if err != nil {
		return e, err
	}
	e = entry{qos: r.QoS, retain: r.Retain, ids: r.IDs, released: found.Marked}
	e.p, err = record.ReadMessage(found.Message, b.clock)
	return e, err
}
