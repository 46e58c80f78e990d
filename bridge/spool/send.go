package spool

import (
	"errors"
	"slices"

	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// send sends one message of a queue, or gathers it into a batch, or gives it up. It is
// false when the message is to be read again.
func (s *Sender) send(conn link.Conn, c *class, it Item) bool {
	if it.Err != nil {
		s.options.Log.Error("a message of the spool is damaged", "class", c.name, "position", it.Pos, "error", it.Err)
		c.drop(Unreadable, 1)
		c.queue.Done(it.Pos)
		return true
	}
	meta, up, why := s.ruleOf(it.Meta)
	if up == nil {
		return s.bury(c, it.Pos, Obituary{Rule: ruleName(nil, meta.Rule), Reason: why, Meta: it.Meta})
	}
	end := s.endOf(c, up, meta, it.Expires)
	if end != 0 && s.now() >= end {
		s.discard(c, up, []span{{it.Pos, it.Pos}}, Expired)
		return true
	}
	e := entry{meta, it.Message, it.Pos, end}
	if up.Batch() != nil {
		return s.gather(conn, c, up, e, false)
	}
	return s.sendAlone(conn, c, up, e, false)
}

// sendAlone sends a message by itself. It is false when it is to be read again.
func (s *Sender) sendAlone(conn link.Conn, c *class, up *rule.Up, e entry, loose bool) bool {
	m, why, drop := s.convert(up, e.message, e.meta, e.end, s.now())
	switch {
	case why != "":
		return s.reject(c, up, e, loose, m.Topic, why, drop)
	case loose:
		s.fire(conn, c, up, &m)
	default:
		s.launch(conn, s.board(c, up, []span{{e.pos, e.pos}}), up, &m)
	}
	return true
}

// reject sees to a message that can't be sent; drop says that it is too large, and that
// its rule wants no dead letter of it. It is false when the message is to be read again.
func (s *Sender) reject(c *class, up *rule.Up, e entry, loose bool, remote, why string, drop bool) bool {
	here := []span{{e.pos, e.pos}}
	switch {
	case loose && drop:
		s.divertLoose(up, e.message)
		s.lost(c, up, Oversize, 1)
	case loose:
		return s.buryLoose(c, up, e, remote, why)
	case drop:
		s.discard(c, up, here, Oversize)
	default:
		return s.buryAll(c, here, up.Name(), remote, why)
	}
	return true
}

// board takes a flight for the messages at spans; there must be room.
func (s *Sender) board(c *class, up *rule.Up, spans []span) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.window.add(c, up.ID())
	f.spans, f.overtaken = spans, c.behind
	if c.behind {
		c.back = min(c.back, spans[0].first)
	}
	c.flying++
	return f
}

// sendLoose sends what waits at QoS 0 and was accepted up to a moment, 0 for any.
func (s *Sender) sendLoose(conn link.Conn, c *class, until clock.Time, goOn func() bool) (sent bool) {
	s.mu.Lock()
	alone := s.suspicion.alone
	s.mu.Unlock()
	for !alone && c.ring.len() > 0 && goOn() {
		l, ok := c.ring.pop(until)
		if !ok {
			break
		}
		sent = true
		meta, up, _ := s.ruleOf(l.meta)
		if up == nil {
			c.drop(Dead, 1) // nobody asks for one of QoS 0
			continue
		}
		end := s.endOf(c, up, meta, l.p.Expires)
		if end != 0 && s.now() >= end {
			s.lost(c, up, Expired, 1)
			continue
		}
		e := entry{meta: meta, message: l.p.Message(), end: end}
		if up.Batch() != nil {
			s.gather(conn, c, up, e, true)
		} else {
			s.sendAlone(conn, c, up, e, true)
		}
	}
	return sent
}

// fire sends a message at QoS 0: what becomes of it nobody knows.
func (s *Sender) fire(conn link.Conn, c *class, up *rule.Up, m *message.Message) {
	s.out = link.Publish{Message: *m}
	s.out.QoS = 0
	wire, err := conn.Publish(&s.out)
	switch {
	case err == nil:
		c.sent.Add(1)
		s.spend(c, up, wire, s.now())
	case unfit(err):
		s.lost(c, up, Oversize, 1)
	default:
		s.disconnected(conn)
	}
}

// unfit reports whether a packet was refused before it was sent: the far side would
// have closed the connection.
func unfit(err error) bool {
	return errors.Is(err, link.ErrTooLarge) || errors.Is(err, link.ErrQoS) || errors.Is(err, link.ErrRetain) || errors.Is(err, link.ErrID)
}

// lost counts messages that are in no queue.
func (s *Sender) lost(c *class, up *rule.Up, reason string, n uint64) {
	c.drop(reason, n)
	s.traffic.drop(up, reason, n)
}

// discard ends the messages at spans, and counts them.
func (s *Sender) discard(c *class, up *rule.Up, spans []span, reason string) {
	for _, sp := range spans {
		for pos := sp.first; pos <= sp.last; pos++ {
			if reason == Oversize && !s.divert(c, up, pos) {
				continue
			}
			c.queue.Done(pos)
			s.lost(c, up, reason, 1)
		}
	}
}

// endOf is when a message is too old, 0 for never.
func (s *Sender) endOf(c *class, up *rule.Up, meta rule.Meta, expires clock.Time) clock.Time {
	accepted, known := s.options.Clock.Time(meta.Accepted)
	return c.end(up, accepted, expires, known)
}

// accepted is when the message was taken by its rule, 0 if that can't be told.
func (it *Item) accepted() clock.Time {
	m, err := rule.ReadMeta(it.Meta)
	if err != nil {
		return 1
	}
	return max(m.Accepted.At, 1)
}

const noRule = "the rule that took it is not configured any more"

// ruleOf finds the rule that took a message; why says what is wrong when there is
// none.
func (s *Sender) ruleOf(b []byte) (m rule.Meta, up *rule.Up, why string) {
	m, err := rule.ReadMeta(b)
	if err != nil {
		return m, nil, "what is stored beside the message is damaged"
	}
	if up = s.rules.Load().Up(m); up == nil {
		return m, nil, noRule
	}
	return m, up, ""
}

// convert makes the far side's form. why is empty, or says why there is none; drop
// that the rule wants nothing more of the message.
func (s *Sender) convert(up *rule.Up, m message.Message, meta rule.Meta, end, now clock.Time) (out message.Message, why string, drop bool) {
	out, err := up.Convert(m, meta)
	return s.finish(up, out, err, end, now)
}

func (s *Sender) finish(up *rule.Up, m message.Message, err error, end, now clock.Time) (out message.Message, why string, drop bool) {
	if err != nil {
		return m, err.Error(), errors.Is(err, rule.ErrOversize) && up.Oversize() != rule.OversizeDead
	}
	s.mu.Lock()
	m.Retain = m.Retain && s.session.RetainAvailable
	s.mu.Unlock()
	m.QoS = 1
	m.Expiry = secondsTo(end, now)
	return m, "", false
}

// secondsTo is the expiry to announce, 0 for none: what is less than a second is one,
// for no other number says that there is an end.
func secondsTo(end, now clock.Time) uint32 {
	if end == 0 {
		return 0
	}
	return uint32(min(max((end-now)/clock.Second, 1), 1<<32-1))
}

// launch sends a flight. What the packet did not fit into the far side is given up
// like any message that is too large.
func (s *Sender) launch(conn link.Conn, f *flight, up *rule.Up, m *message.Message) {
	now := s.now()
	s.mu.Lock()
	if s.conn != conn {
		if s.conn != nil && !slices.Contains(s.resend, f) {
			s.resend = append(s.resend, f) // the next connection began before f was on board
		}
		s.mu.Unlock()
		return
	}
	s.out = link.Publish{Message: *m, ID: f.id, Dup: f.again && s.session.Present}
	id, c := f.id, f.class
	s.window.left(f, now)
	s.suspicion.sent(now)
	if f.again {
		c.again.Add(1)
	}
	s.mu.Unlock()
	wire, err := conn.Publish(&s.out)
	if err == nil {
		s.spend(c, up, wire, now)
		return
	}
	if !unfit(err) {
		s.disconnected(conn)
		return
	}
	s.mu.Lock()
	f = s.window.of(id)
	spans := f.spans
	s.release(f)
	s.mu.Unlock()
	s.tooLarge(c, up, spans, m.Topic, err)
}

// spend counts what was written.
func (s *Sender) spend(c *class, up *rule.Up, wire int, now clock.Time) {
	s.limiter.spend(wire, now)
	c.limiter.spend(wire, now)
	s.traffic.sent(up, wire)
}

// tooLarge gives up what fits in no packet.
func (s *Sender) tooLarge(c *class, up *rule.Up, spans []span, remote string, err error) {
	if errors.Is(err, link.ErrTooLarge) && up.Oversize() != rule.OversizeDead {
		s.discard(c, up, spans, Oversize)
	} else if !s.buryAll(c, spans, up.Name(), remote, err.Error()) {
		c.rewind(spans[0].first) // for another try
	}
}

// release frees a flight. mu is held.
func (s *Sender) release(f *flight) {
	f.class.flying--
	s.window.remove(f)
	s.suspicion.cleared(s.window)
}

// disconnected notes a connection that takes nothing more; Lost comes soon.
func (s *Sender) disconnected(conn link.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == conn {
		s.conn = nil
		s.alarm.Store(true)
	}
}
