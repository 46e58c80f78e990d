package spool

import (
	"fmt"
	"math"
	"time"

	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
)

// The pause after a message that the far side refused for now doubles between these.
const (
	leastPause = time.Second
	mostPause  = time.Minute

	// mostRefusals is how often a message is tried again after an answer that does not
	// say whether that is of any use.
	mostRefusals = 3
)

// Reason codes of a PUBACK (MQTT 5, 3.4.2.1).
const (
	failure            = 0x80 // from here on
	implementation     = 0x83
	notAuthorized      = 0x87
	topicNameInvalid   = 0x90
	packetTooLarge     = 0x95
	quotaExceeded      = 0x97
	payloadFormatWrong = 0x99
)

// Connected implements link.Handler.
func (s *Sender) Connected(conn link.Conn, session link.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, s.session = conn, session
	s.resend = s.resend[:0]
	var overtaken []*flight
	s.window.each(func(f *flight) {
		switch {
		case f.judged: // the sender sees to it
		case f.overtaken:
			overtaken = append(overtaken, f)
		default:
			s.resend = append(s.resend, f)
		}
	})
	for _, f := range overtaken { // its class sends it again anyway
		s.release(f)
	}
	s.suspicion.connected(clock.Now())
	s.interrupt()
}

// Lost implements link.Handler.
func (s *Sender) Lost(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.suspicion.lost(s.window, clock.Now()); f != nil {
		s.judge(judgement{flight: f, final: true, why: fmt.Sprintf("the link was closed each time after it was sent: %v", err)})
	}
	s.conn = nil
	s.window.unsent()
	s.tellIdle()
	s.interrupt()
}

// Acknowledged implements link.Handler.
func (s *Sender) Acknowledged(id uint16, code byte, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.window.of(id)
	if f == nil || !f.sent || f.judged {
		return // the far side answers what it was not sent
	}
	s.suspicion.acks++
	if code >= failure {
		final := f.class.refuses(f.spans[0].first, code)
		if !final && !f.overtaken {
			s.overtake(f) // now: their acknowledgements come right behind
		}
		s.judge(judgement{flight: f, final: final, why: answer(code, reason)})
		s.interrupt()
		return
	}
	c := f.class
	if !f.overtaken {
		for _, sp := range f.spans {
			for pos := sp.first; pos <= sp.last; pos++ {
				c.queue.Done(pos)
			}
		}
		c.sent.Add(1)
		c.probing, c.pause = false, 0
	}
	s.release(f)
	s.tellIdle()
	s.signal()
}

// refuses reports whether a message with that answer will never be taken. An answer
// that says neither so nor that it may be tried again counts as final when the same
// message has had it a few times. Sender.mu is held.
func (c *class) refuses(pos uint64, code byte) bool {
	switch code {
	case notAuthorized, topicNameInvalid, packetTooLarge, payloadFormatWrong:
		return true
	case quotaExceeded, implementation:
		return false
	}
	if c.refused != pos {
		c.refused, c.refusals = pos, 0
	}
	c.refusals++
	return c.refusals > mostRefusals
}

// judge leaves it to the sender's goroutine what becomes of a flight, for that waits
// for the store. mu is held.
func (s *Sender) judge(j judgement) {
	j.flight.judged = true
	s.judged = append(s.judged, j)
}

// settle carries out what the far side said against messages.
func (s *Sender) settle(now clock.Time) {
	for s.stuck <= now {
		s.mu.Lock()
		if len(s.judged) == 0 {
			s.mu.Unlock()
			return
		}
		j := s.judged[0]
		f := j.flight
		if f.overtaken || !j.final {
			s.judged = s.judged[1:]
			s.goBack(f, j.why, now)
			s.mu.Unlock()
			continue
		}
		s.mu.Unlock()
		name, remote := s.addressOf(f)
		if s.giveUp(f, name, remote, j.why) {
			s.mu.Lock()
			s.judged = s.judged[1:]
			s.mu.Unlock()
		}
	}
}

// addressOf is the rule of a flight and the topic that it goes to at the far side.
func (s *Sender) addressOf(f *flight) (name, remote string) {
	up := s.rules.Load().Up(rule.Meta{Rule: f.rule})
	if up == nil {
		return ruleName(nil, f.rule), ""
	}
	_, _ = f.class.queue.Read(f.spans[0].first, 1, func(it Item) bool { // what can't be read has no topic
		meta, err := rule.ReadMeta(it.Meta)
		if err != nil {
			return false
		}
		m, err := up.Convert(it.Message, meta)
		if up.Batch() != nil {
			m, err = up.ConvertBatch(nil, "", meta)
		}
		if err == nil {
			remote = m.Topic
		}
		return false
	})
	return up.Name(), remote
}

// overtake marks what went after f in its class, and what goes until the class is back
// at f: it goes again behind it. mu is held.
func (s *Sender) overtake(f *flight) {
	c := f.class
	if !c.behind {
		c.behind, c.back = true, math.MaxUint64
	}
	c.back = min(c.back, f.spans[0].first)
	s.window.each(func(later *flight) {
		if later.class == c && later.order > f.order {
			later.overtaken, c.back = true, min(c.back, later.spans[0].first)
		}
	})
}

// goBack has a class send again from f on, after a pause and at first one message at
// a time. What went after f may have been taken: it comes twice, in order. mu is held.
func (s *Sender) goBack(f *flight, why string, now clock.Time) {
	c := f.class
	if f.overtaken {
		s.release(f)
		return
	}
	c.behind = false
	c.rewind(c.back)
	s.forget(c)
	c.pause = min(max(2*c.pause, leastPause), mostPause)
	c.paused, c.probing = now+clock.Time(c.pause), true
	s.options.Log.Warn("the far side refused a message for now, trying again", "class", c.name, "reason", why, "pause", c.pause)
	s.release(f)
	kept := s.resend[:0]
	for _, later := range s.resend {
		if later.class != nil && !later.overtaken {
			kept = append(kept, later)
		} else if later.class != nil {
			s.release(later) // not sent on this connection: its class reads it again
		}
	}
	s.resend = kept
}

// sendAgain sends what was under way when the last connection was lost. It is false
// while some of that waits.
func (s *Sender) sendAgain(conn link.Conn, now clock.Time) bool {
	for {
		s.mu.Lock()
		if s.conn != conn || len(s.resend) == 0 {
			defer s.mu.Unlock()
			return s.conn == conn
		}
		if s.window.sent >= s.quota() || s.suspicion.alone && s.window.sent > 0 {
			s.mu.Unlock()
			return false
		}
		f := s.resend[0]
		s.mu.Unlock()
		if !s.sendFlight(conn, f, now) {
			return false
		}
		s.mu.Lock()
		if s.conn == conn && len(s.resend) > 0 && s.resend[0] == f { // else the next connection begins anew
			s.resend = s.resend[1:]
		}
		s.mu.Unlock()
	}
}

// sendFlight sends a flight once more, as it is in the queue. It is false if the queue
// can't be read now, or the connection is gone.
func (s *Sender) sendFlight(conn link.Conn, f *flight, now clock.Time) bool {
	c := f.class
	up := s.rules.Load().Up(rule.Meta{Rule: f.rule})
	if up == nil {
		return s.giveUp(f, ruleName(nil, f.rule), "", noRule)
	}
	first := f.spans[0]
	switch several := len(f.spans) > 1 || first.first != first.last; {
	case up.Batch() != nil:
		return s.sendBatch(conn, f, up, now)
	case several: // the rule makes no batches any more: its class reads them again
		s.mu.Lock()
		defer s.mu.Unlock()
		c.rewind(first.first)
		s.release(f)
		return true
	}
	pos := f.spans[0].first
	var it Item
	found := false
	_, err := c.queue.Read(pos, 1, func(read Item) bool {
		it, found = read, read.Pos == pos && read.Err == nil
		return false
	})
	if err != nil {
		s.stuck = now + clock.Time(storePause)
		return false
	}
	meta, err := rule.ReadMeta(it.Meta)
	if !found || err != nil {
		s.end(f) // it was dropped meanwhile, or is damaged
		return true
	}
	end := s.endOf(c, up, meta, it.Expires)
	if end != 0 && now >= end {
		s.lost(c, up, Expired, 1)
		s.end(f)
		return true
	}
	m, why, _ := s.convert(up, it.Message, meta, end, now)
	if why != "" {
		return s.giveUp(f, up.Name(), m.Topic, why)
	}
	s.launch(conn, f, up, &m)
	return true
}

// end gives up a flight whose message needs no letter.
func (s *Sender) end(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range f.spans {
		for pos := sp.first; pos <= sp.last; pos++ {
			f.class.queue.Done(pos)
		}
	}
	s.release(f)
}

// giveUp makes a dead letter of a flight.
func (s *Sender) giveUp(f *flight, name, remote, reason string) bool {
	if !s.buryAll(f.class, f.spans, name, remote, reason) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(f)
	return true
}

// answer is what the far side said, for people.
func answer(code byte, reason string) string {
	text := map[byte]string{
		implementation: "implementation specific error", notAuthorized: "not authorised", topicNameInvalid: "topic name invalid",
		packetTooLarge: "packet too large", quotaExceeded: "quota exceeded", payloadFormatWrong: "payload format invalid",
	}[code]
	if text == "" {
		text = "refused"
	}
	if reason != "" {
		text += ": " + reason
	}
	return fmt.Sprintf("%s (0x%02X)", text, code)
}

func ruleName(up *rule.Up, id uint32) string {
	if up == nil {
		return fmt.Sprintf("%08x", id)
	}
	return up.Name()
}
