package edgebroker

import (
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// delivered takes PUBACK, PUBREC and PUBCOMP for what was sent to the client.
func (c *conn) delivered(kind wire.Kind, a wire.Acknowledgement) error {
	s := c.session.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	pos, e := s.queue.find(a.ID)
	switch {
	case e == nil:
		if kind == wire.Pubrec { // of an older connection, or twice
			c.later.Add(c.out, c.out.Ack(wire.Pubrel, a.ID, wire.PacketIDNotFound, c.version))
		}
		return nil
	case kind == wire.Puback && e.qos != 1, kind == wire.Pubrec && e.qos != 2, kind == wire.Pubcomp && !e.released:
		return wire.Break(wire.ProtocolError, "packet type %d for a message of QoS %d", kind, e.qos)
	case kind == wire.Pubrec && !a.Reason.Failed():
		e.released = true
		s.release(c, pos)
		return nil
	}
	s.queue.inflight--
	s.queue.finish(pos)
	s.pump(&c.later)
	s.b.room.free()
	return nil
}

// release sends PUBREL when the store knows that the client has the message:
// from then on it must not be sent again [MQTT-4.3.3-5]. mu is held.
func (s *session) release(c *conn, pos uint64) {
	if !s.stays {
		c.later.Add(c.out, c.out.Ack(wire.Pubrel, s.queue.idOf(pos), wire.Success, c.version))
		return
	}
	k := &commitment{b: s.b, c: c, kind: wire.Pubrel, id: s.queue.idOf(pos)}
	k.change().Mark(s.queue.stored, pos-s.queue.shift)
	k.commit(s.b.sync)
}
