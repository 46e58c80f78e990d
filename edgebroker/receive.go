package edgebroker

import (
	"errors"

	"github.com/fascia-edge/fascia/auth"
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
	left := m.Expiry
	c.forms.begin()
	for i := range r.receivers {
		d := &r.receivers[i]
		d.session.deliverNow(p, false, d.ids, left, &c.forms, &c.later)
	}
}

// borrow makes the message a publication that is good until the next one.
func (c *conn) borrow(r *route, m *wire.Message) *publication {
	c.passing = publication{
		topic:      r.topic,
		properties: m.Properties,
		payload:    m.Payload,
		qos:        m.QoS,
		retain:     m.Retain,
		expires:    lives(m.Expiry),
		origin:     c.origin,
		borrowed:   true,
	}
	return &c.passing
}

// passOn is the way of every other message: acknowledged, retained, stored.
func (c *conn) passOn(r *route, m *wire.Message) error {
	s := c.session.Load()
	if m.QoS > 0 {
		again, err := c.beginReceiving(s, m)
		if err != nil || again {
			return err
		}
	}
	if !r.decision.Allow {
		c.refused(r)
		c.answer(s, m, wire.NotAuthorized)
		return nil
	}
	k := c.acknowledgement(s, m)
	if r.value {
		c.leave()
		if err := c.b.publishValue(c.borrow(r, m).keep(), k); err != nil {
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
				l.fn(p.message())
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
func (c *conn) acknowledgement(s *session, m *wire.Message) *commitment {
	k := &commitment{b: c.b}
	switch m.QoS {
	case 1:
		k.c, k.kind, k.id = c, wire.Puback, m.ID
	case 2:
		k.c, k.kind, k.id = c, wire.Pubrec, m.ID
		if s.stays {
			k.change().Put(receivedKey(s.id, m.ID), nil)
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
		return wire.Break(reason, "PUBLISH: %v", err)
	}
	c.answer(s, m, reason)
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
func (c *conn) answer(s *session, m *wire.Message, reason wire.Reason) {
	switch m.QoS {
	case 1:
		c.ack(wire.Puback, m.ID, reason)
	case 2:
		if reason.Failed() && c.version == 5 {
			s.endReceiving(m.ID)
		}
		c.ack(wire.Pubrec, m.ID, reason)
	}
}

// ack answers behind what is still being committed.
func (c *conn) ack(kind wire.Kind, id uint16, reason wire.Reason) {
	if c.outstanding.Load() > 0 {
		k := &commitment{b: c.b, c: c, kind: kind, id: id, reason: reason}
		k.commit(c.b.sync)
		return
	}
	c.later.add(c.out, c.out.ack(kind, id, reason, c.version))
}

// committed sends the acknowledgement of k. It is called by one goroutine, in
// the order of the packets.
func (c *conn) committed(k *commitment, later *burst) {
	defer c.outstanding.Add(-1)
	reason := k.reason
	if k.err != nil {
		c.b.noise.warn(c.b.log, "not stored", "client", c.origin.Client, "error", k.err)
		if k.kind == wire.Pubrec {
			c.session.Load().endReceiving(k.id)
		}
		if c.version < 5 || k.kind == wire.Pubrel || k.kind == wire.Pubcomp {
			c.end(wire.QuotaExceeded) // there is no other way to say no
			return
		}
		reason = wire.QuotaExceeded
	}
	later.add(c.out, c.out.ack(k.kind, k.id, reason, c.version))
	c.relieve()
}

// beginReceiving notes a message of QoS 1 or 2 as under way. again says that it
// is one of QoS 2 that was taken already: it is acknowledged and not passed on
// [MQTT-4.3.3-10].
func (c *conn) beginReceiving(s *session, m *wire.Message) (again bool, err error) {
	limit := c.b.cfg.Limits.Inflight
	s.mu.Lock()
	_, again = s.received[m.ID]
	under := len(s.received) + int(c.outstanding.Load())
	if !again && under < limit+1 && m.QoS == 2 {
		if s.received == nil {
			s.received = make(map[uint16]struct{})
		}
		s.received[m.ID] = struct{}{}
	}
	s.mu.Unlock()
	again = again && m.QoS == 2
	switch {
	case again:
		c.ack(wire.Pubrec, m.ID, wire.Success)
	case under > limit && c.version == 5: // [MQTT-3.3.4-9]
		return false, wire.Break(wire.ReceiveMaximum, "more than %d messages that are not acknowledged", limit)
	}
	return again, nil
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
	if !s.endReceiving(a.ID) {
		c.ack(wire.Pubcomp, a.ID, wire.PacketIDNotFound)
		return
	}
	k := &commitment{b: c.b, c: c, kind: wire.Pubcomp, id: a.ID}
	if !s.stays {
		c.ack(wire.Pubcomp, a.ID, wire.Success)
		return
	}
	k.change().Delete(receivedKey(s.id, a.ID))
	k.commit(c.b.sync)
}
