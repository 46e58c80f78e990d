package spool

import (
	"fmt"
	"slices"
	"time"

	"github.com/fascia-edge/fascia/bridge/batch"
	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

const (
	// mostSpans bounds what is remembered of the messages in a batch.
	mostSpans = 10_000
	// The largest batch that a configuration may ask for.
	mostCount = 100_000
	mostSize  = 16 << 20
)

// entry is a message on its way into a batch.
type entry struct {
	meta    rule.Meta
	message message.Message
	pos     uint64
	end     clock.Time // of its life
}

// gathering is a batch that is not full yet. Its messages are in the queue until the
// batch is acknowledged, except at QoS 0.
type gathering struct {
	class    *class
	rule     uint32
	loose    bool // of messages at QoS 0
	builder  *batch.Builder
	every    clock.Time
	first    rule.Meta
	spans    []span
	accepted clock.Time // when its first message was accepted
	begun    clock.Time // when that was read
	end      clock.Time // of the life of the message that ends first, 0 for none
}

// gatheringOf finds the batch of a rule, or makes one.
func (s *Sender) gatheringOf(c *class, up *rule.Up, loose bool) *gathering {
	for _, g := range s.batches {
		if g.class == c && g.rule == up.ID() && g.loose == loose {
			return g
		}
	}
	cfg := up.Batch()
	g := &gathering{class: c, rule: up.ID(), loose: loose, builder: batch.NewBuilder(*cfg), every: clock.Time(cfg.Every)}
	s.batches = append(s.batches, g)
	return g
}

func (g *gathering) add(e entry, clk *clock.Clock) bool {
	at := rule.Moment(clk, e.meta.Accepted)
	if at.IsZero() {
		at = time.UnixMilli(0)
	}
	if len(g.spans) >= mostSpans || !g.builder.Add(e.message.Topic, at, e.message.Payload, e.message.ContentType) {
		return false
	}
	if g.builder.Len() == 1 {
		g.first, g.begun, g.end, g.spans = e.meta, clock.Now(), e.end, g.spans[:0]
		g.accepted = g.begun
		if accepted, known := clk.Time(e.meta.Accepted); known {
			g.accepted = accepted
		}
	}
	if e.end != 0 && (g.end == 0 || e.end < g.end) {
		g.end = e.end
	}
	if n := len(g.spans); n > 0 && g.spans[n-1].last+1 == e.pos {
		g.spans[n-1].last++
	} else if !g.loose {
		g.spans = append(g.spans, span{e.pos, e.pos})
	}
	return true
}

// gather puts a message into the batch of its rule, which goes when the message does
// not fit any more. It is false when the message is to be read again.
func (s *Sender) gather(conn link.Conn, c *class, up *rule.Up, e entry, loose bool) bool {
	g := s.gatheringOf(c, up, loose)
	if g.builder.Len() > 0 && g.end != 0 && s.now() >= g.end && !s.weed(g, up, s.now()) {
		return false
	}
	if !g.add(e, s.options.Clock) {
		if g.builder.Len() > 0 {
			s.seal(conn, g)
			if !loose && (!s.room(c) || g.builder.Len() > 0) {
				return false
			}
		}
		if !g.add(e, s.options.Clock) { // alone its topic and time would be lost
			m, _ := up.ConvertBatch(nil, "", e.meta)
			why := fmt.Sprintf("%d bytes with its topic: larger than a batch of %s", e.message.Size(), up.Batch().Size)
			return s.reject(c, up, e, loose, m.Topic, why, up.Oversize() != rule.OversizeDead)
		}
	}
	if g.builder.Len() == up.Batch().Count {
		s.seal(conn, g)
	}
	return true
}

// seal sends a batch.
func (s *Sender) seal(conn link.Conn, g *gathering) {
	c, up, now := g.class, s.rules.Load().Up(rule.Meta{Rule: g.rule}), s.now()
	switch {
	case up == nil && !s.buryAll(c, g.spans, ruleName(nil, g.rule), "", noRule):
		return // it stays for another try
	case up == nil:
		g.builder.Reset()
		return
	case g.end != 0 && now >= g.end && !s.weed(g, up, now):
		return
	case g.builder.Len() == 0:
		return
	}
	n := g.builder.Len()
	payload, contentType := g.builder.Seal()
	m, why, drop := s.convertBatch(up, payload, contentType, g.first, g.end, now)
	switch {
	case g.loose && why != "":
		s.lost(c, up, Oversize, uint64(n))
	case g.loose:
		s.fire(conn, c, up, &m)
	case drop:
		s.discard(c, up, g.spans, Oversize)
	case why != "" && !s.buryAll(c, g.spans, up.Name(), m.Topic, why):
		c.rewind(g.spans[0].first) // for another try
	case why == "":
		s.launch(conn, s.board(c, up, slices.Clone(g.spans)), up, &m)
	}
}

// weed drops what has become too old while the batch waited. It is false if the queue
// can't be read now.
func (s *Sender) weed(g *gathering, up *rule.Up, now clock.Time) bool {
	if g.loose {
		s.lost(g.class, up, Expired, uint64(g.builder.Len()))
		g.builder.Reset()
		return true
	}
	begun := g.begun
	ok := s.regather(g, slices.Clone(g.spans), up, now)
	g.begun = begun
	return ok
}

// regather fills an empty batch anew with the messages at spans that still live. It is
// false if the queue can't be read now.
func (s *Sender) regather(g *gathering, spans []span, up *rule.Up, now clock.Time) bool {
	g.builder.Reset()
	c := g.class
	for _, sp := range spans {
		for pos := sp.first; pos <= sp.last; {
			next, err := c.queue.Read(pos, int(min(sp.last-pos+1, block)), func(it Item) bool {
				meta, err := rule.ReadMeta(it.Meta)
				switch {
				case it.Pos > sp.last:
					return false
				case it.Err != nil || err != nil:
					c.drop(Unreadable, 1)
					c.queue.Done(it.Pos)
					return true
				}
				end := s.endOf(c, up, meta, it.Expires)
				if end != 0 && now >= end {
					s.discard(c, up, []span{{it.Pos, it.Pos}}, Expired)
					return true
				}
				g.add(entry{meta, it.Message, it.Pos, end}, s.options.Clock)
				return true
			})
			if err != nil {
				s.stuck = now + clock.Time(storePause)
				return false
			}
			pos = max(next, pos+1)
		}
	}
	return true
}

// convertBatch is convert for a batch.
func (s *Sender) convertBatch(up *rule.Up, payload []byte, contentType string, first rule.Meta, end, now clock.Time) (m message.Message, why string, drop bool) {
	m, err := up.ConvertBatch(payload, contentType, first)
	return s.finish(up, m, err, end, now)
}

// sealDue sends the batches whose time has come: the first message has waited for as
// long as the rule says, and nothing more is to be read now. pause says when the next
// one is due.
func (s *Sender) sealDue(conn link.Conn, now clock.Time) (pause time.Duration, sent bool) {
	for _, g := range s.batches {
		if g.builder.Len() == 0 {
			continue
		}
		due := g.accepted + g.every
		if now < due {
			pause = sooner(pause, time.Duration(due-now))
			continue
		}
		if now < g.begun+g.every && g.class.unread() && g.class.until <= now {
			continue // a backlog fills it
		}
		if wait := s.held(g.class); wait > 0 {
			pause = sooner(pause, wait)
			continue
		}
		if g.loose || s.room(g.class) {
			s.seal(conn, g)
			sent = true
		}
	}
	return pause, sent
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// forget drops the batches of a class that are not sent: it reads their messages
// again.
func (s *Sender) forget(c *class) {
	for _, g := range s.batches {
		if g.class == c && !g.loose && g.builder.Len() > 0 {
			c.rewind(g.spans[0].first)
			g.builder.Reset()
		}
	}
}

// dropLoose drops the batches of a class at QoS 0.
func (s *Sender) dropLoose(c *class) {
	for _, g := range s.batches {
		if g.class == c && g.loose {
			c.drop(Dead, uint64(g.builder.Len()))
		}
	}
}

// sendBatch sends a batch once more: those of its messages that still live.
func (s *Sender) sendBatch(conn link.Conn, f *flight, up *rule.Up, now clock.Time) bool {
	cfg := *up.Batch()
	cfg.Count, cfg.Size = mostCount, mostSize // it fitted once, perhaps by another configuration
	g := gathering{class: f.class, rule: f.rule, builder: batch.NewBuilder(cfg)}
	if !s.regather(&g, f.spans, up, now) {
		return false
	}
	if g.builder.Len() == 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.release(f)
		return true
	}
	payload, contentType := g.builder.Seal()
	m, why, drop := s.convertBatch(up, payload, contentType, g.first, g.end, now)
	switch {
	case drop:
		s.discard(f.class, up, g.spans, Oversize)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.release(f)
	case why != "":
		return s.giveUp(f, up.Name(), m.Topic, why)
	default:
		s.mu.Lock()
		f.spans = g.spans
		s.mu.Unlock()
		s.launch(conn, f, up, &m)
	}
	return true
}
