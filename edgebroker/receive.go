package edgebroker

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/topic"
)

// This file takes what clients publish. A message of QoS 0 on a topic that the
// connection has used before is passed on out of the read buffer: one look-up,
// one copy a receiver, no allocation.

// enter takes the read side of Broker.routing for as many packets in a row as
// there are, leave gives it back. Whoever waits or calls out leaves first.
func (c *conn) enter() {
	if !c.routing {
		c.b.routing.RLock()
		c.routing = true
	}
}

func (c *conn) leave() {
	if c.routing {
		c.routing = false
		c.b.routing.RUnlock()
	}
}

// publish routes a message of the client, if it may, and answers.
func (c *conn) publish(first byte, body []byte) error {
	m := &c.message
	if err := m.Read(first, body, c.version); err != nil {
		return err
	}
	c.b.counters.received.Add(1)
	if err := c.spend(len(body)); err != nil {
		return err
	}
	r, err := c.route(m)
	if err != nil {
		return err
	}
	if c.routing && r.generation != c.b.index.generation {
		c.leave() // a search may be long, and who subscribes waits for as many as there are in a row
		if c.work += searchWork; c.work >= spell {
			c.giveWay()
		}
	}
	c.enter()
	c.b.refresh(r, c.origin.Client, c.decide)
	if m.QoS == 0 && !m.Retain && r.immediate && !r.value {
		c.passNow(r, m)
		return nil
	}
	return c.passOn(r, m)
}

// route finds the topic that a PUBLISH names, or its alias stands for.
func (c *conn) route(m *wire.Message) (*route, error) {
	if m.Alias > 0 && len(m.Topic) == 0 {
		return c.aliases.get(m.Alias)
	}
	r, known := c.routes.find(m.Topic)
	if !known {
		name := string(m.Topic)
		if !topic.ValidName(name) || topic.Levels(name) > c.b.cfg.Limits.TopicLevels {
			return nil, wire.Break(wire.TopicInvalid, "PUBLISH to %.100q: want a name of at most %d levels", name, c.b.cfg.Limits.TopicLevels)
		}
		r = c.b.newRoute(name)
		c.routes.put(r.topic, r)
	}
	if m.Alias > 0 {
		return r, c.aliases.set(m.Alias, r)
	}
	return r, nil
}

func (c *conn) decide(name string) auth.Decision {
	return c.b.mayPublish(c.session.Load().identity.Load(), name)
}

// passNow is the short way of QoS 0.
func (c *conn) passNow(r *route, m *wire.Message) {
	if !r.decision.Allow {
		c.refused(r)
		return
	}
	p := c.borrow(r, m)
	if len(r.feeds) > 0 {
		c.b.feedAlone(p, r)
	}
	left := m.Expiry
	c.forms.Begin()
	for i := range r.receivers {
		d := &r.receivers[i]
		d.session.deliverNow(p, false, d.ids, left, &c.forms, &c.later)
	}
}

// borrow makes the message a publication that is good until the next one.
func (c *conn) borrow(r *route, m *wire.Message) *message.Publication {
	c.passing = message.Publication{
		Topic:      r.topic,
		Properties: m.Properties,
		Payload:    m.Payload,
		QoS:        m.QoS,
		Retain:     m.Retain,
		Expires:    message.EndOf(m.Expiry),
		Origin:     c.origin,
		Borrowed:   true,
	}
	return &c.passing
}

// passOn is the way of every other message: acknowledged, retained, stored.
func (c *conn) passOn(r *route, m *wire.Message) error {
	s := c.session.Load()
	if m.QoS > 0 {
		again, err := c.beginReceiving(s, r, m)
		if err != nil || again {
			return err
		}
	}
	if !r.decision.Allow {
		c.refused(r)
		c.answer(s, m, wire.NotAuthorized, r.decision.Rule)
		return nil
	}
	k := c.acknowledgement(s, r, m)
	if r.value {
		c.leave()
		if err := c.b.publishValue(c.borrow(r, m).Keep(), k); err != nil {
			return c.failed(s, r, m, k, err)
		}
	} else {
		p := c.borrow(r, m)
		calls, err := c.b.offer(p, r, k, &c.later)
		if err != nil {
			return c.failed(s, r, m, k, err)
		}
		if len(calls) > 0 {
			c.leave()
			for _, l := range calls {
				l.call(p.Message())
			}
		}
	}
	if k.tx == nil && m.QoS > 0 {
		c.ack(k.kind, m.ID, wire.Success)
	}
	return nil
}

// acknowledgement is the answer to a message, which waits until all that the
// store is to hold of it is committed: the message for its receivers, and the
// packet id of QoS 2 [MQTT-4.3.3-8].
func (c *conn) acknowledgement(s *session, r *route, m *wire.Message) *commitment {
	k := &commitment{b: c.b}
	switch m.QoS {
	case 1:
		k.c, k.kind, k.id = c, wire.Puback, m.ID
	case 2:
		k.c, k.kind, k.id = c, wire.Pubrec, m.ID
		if s.stays {
			k.change().Put(record.ReceivedKey(s.id, m.ID), binary.BigEndian.AppendUint64(nil, digest(r.topic, m.Payload)))
		}
	}
	return k
}

// failed answers a message that nobody has got. What is refused for want of room
// has a reason in version 5; of older versions, which have no such answer, the
// connection ends rather than that something lost is acknowledged.
func (c *conn) failed(s *session, r *route, m *wire.Message, k *commitment, err error) error {
	k.discard()
	reason := wire.PayloadFormatInvalid
	if refusesForRoom(err) {
		reason = wire.QuotaExceeded
	}
	c.b.noise.warn(c.b.log, "publish refused", "client", s.id, "topic", r.topic, "error", err)
	if c.version < 5 && m.QoS > 0 && reason == wire.QuotaExceeded {
		s.endReceiving(m.ID) // else it would be taken for known when it is sent again
		return wire.Break(reason, "PUBLISH: %v", err)
	}
	c.answer(s, m, reason, told(err))
	return nil
}

func refusesForRoom(err error) bool {
	return errors.Is(err, ErrRetainedFull) || errors.Is(err, ErrStore) || errors.Is(err, ErrQueueFull)
}

func (c *conn) refused(r *route) {
	c.b.counters.publishesRefused.Add(1)
	c.b.noise.warn(c.b.log, "publish refused", "client", c.origin.Client, "role", c.origin.Role, "topic", r.topic, "rule", r.decision.Rule)
}

// answer refuses a message. Before version 5 an unauthorised message is
// acknowledged and goes nowhere [MQTT-3.3.5-2].
func (c *conn) answer(s *session, m *wire.Message, reason wire.Reason, text string) {
	kind := wire.Puback
	switch m.QoS {
	case 0:
		return
	case 2:
		kind = wire.Pubrec
	}
	if c.version < 5 {
		c.ack(kind, m.ID, reason)
		return
	}
	if m.QoS == 2 {
		s.endReceiving(m.ID)
	}
	c.refuseMessage(kind, m.ID, reason, text)
}

// ack answers behind what is still being committed.
func (c *conn) ack(kind wire.Kind, id uint16, reason wire.Reason) {
	if c.outstanding.Load() > 0 {
		k := &commitment{b: c.b, c: c, kind: kind, id: id, reason: reason}
		k.commit(c.b.sync)
		return
	}
	c.answered(kind, reason)
	c.later.Add(c.out, c.out.Ack(kind, id, reason, c.version))
}

// committed sends the acknowledgement of k. It is called by one goroutine, in
// the order of the packets.
func (c *conn) committed(k *commitment, later *stream.Burst) {
	defer func() {
		c.outstanding.Add(-1) // behind its answer, which the next may not overtake
		c.relieve()
	}()
	reason := k.reason
	if k.err != nil {
		c.b.noise.warn(c.b.log, "not stored", "client", c.session.Load().id, "error", k.err)
		if k.kind == wire.Pubrec {
			c.session.Load().endReceiving(k.id)
		}
		if c.version < 5 || k.kind == wire.Pubrel || k.kind == wire.Pubcomp {
			c.end(wire.QuotaExceeded) // there is no other way to say no
			return
		}
		reason = wire.QuotaExceeded
	}
	c.answered(k.kind, reason)
	if k.err != nil {
		later.Add(c.out, c.out.Packet(c.refusedMessage(k.kind, k.id, reason, ErrStore.Error())))
	} else {
		later.Add(c.out, c.out.Ack(k.kind, k.id, reason, c.version))
	}
}

// beginReceiving notes a message of QoS 1 or 2 as under way. again says that it
// is one of QoS 2 that was taken already: it is acknowledged and not passed on
// [MQTT-4.3.3-10].
func (c *conn) beginReceiving(s *session, r *route, m *wire.Message) (again bool, err error) {
	if m.QoS == 2 && s.took(r, m) {
		c.ack(wire.Pubrec, m.ID, wire.Success)
		return true, nil
	}
	if limit := c.b.cfg.Limits.Inflight; c.unanswered.Add(1) > int32(limit) && c.version == 5 { // [MQTT-3.3.4-7]
		return false, wire.Break(wire.ReceiveMaximum, "more than %d messages that are not acknowledged", limit)
	}
	if m.QoS == 2 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.received == nil {
			s.received = make(map[uint16]receipt)
		}
		s.received[m.ID] = receipt{}
	}
	return false, nil
}

// took reports whether a QoS 2 message is one that was taken already.
func (s *session) took(r *route, m *wire.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	had, known := s.received[m.ID]
	return known && (!had.restored || had.digest == digest(r.topic, m.Payload))
}

// digest tells one message from another.
func digest(topic string, payload []byte) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, topic)
	_, _ = h.Write(payload)
	return h.Sum64()
}

// answered counts an acknowledgement that the client takes as the end of a
// message: PUBACK, PUBCOMP, a PUBREC that refuses (MQTT 5.0 §4.9). It comes
// before that is written: a client may send its next message on seeing it. A
// PUBCOMP for what an older connection took is one too many, and does not count.
func (c *conn) answered(kind wire.Kind, reason wire.Reason) {
	if kind == wire.Pubrel || kind == wire.Pubrec && !reason.Failed() {
		return
	}
	if c.unanswered.Add(-1) < 0 {
		c.unanswered.Add(1)
	}
}

func (s *session) endReceiving(id uint16) (known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known = s.received[id]
	delete(s.received, id)
	return known
}

// release ends the receiving of a QoS 2 message; PUBCOMP waits until the store
// has let go of its id.
func (c *conn) release(a wire.Acknowledgement) {
	s := c.session.Load()
	reason := wire.Success
	if !s.endReceiving(a.ID) {
		reason = wire.PacketIDNotFound
	}
	if !s.stays {
		c.ack(wire.Pubcomp, a.ID, reason)
		return
	}
	k := &commitment{b: c.b, c: c, kind: wire.Pubcomp, id: a.ID, reason: reason}
	k.change().Delete(record.ReceivedKey(s.id, a.ID))
	k.commit(c.b.sync)
}
