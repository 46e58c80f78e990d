package edgebroker

// owe makes all that was under way when the last connection ended due again.
// mu is held.
func (s *session) owe() {
	for i := range s.inflight {
		s.inflight[i].owed = true
	}
	s.owed = len(s.inflight)
}

// repeat sends what is owed, in the order of its first sending and before
// anything new [MQTT-4.4.0-1, 4.6.0-1], within the window and the packet limit
// of this connection, which may be smaller than the last one's. mu is held and
// conn is not nil.
func (s *session) repeat() {
	for i := 0; s.owed > 0 && i < len(s.inflight); {
		out := &s.inflight[i]
		switch {
		case !out.owed:
			i++
			continue
		case len(s.inflight)-s.owed >= s.conn.window || !s.conn.out.hasRoom():
			return
		case out.released:
			s.conn.out.ack(typePubrel, out.id, 0, s.conn.version)
		case !s.sendAgain(out):
			s.acknowledged(out.id)
			continue
		}
		out.owed = false
		s.owed--
		i++
	}
}

// sendAgain repeats a message, though its life may have ended: the client may
// have half of the handshake.
func (s *session) sendAgain(out *outgoing) bool {
	if !s.mayReceive(out.m.Topic) {
		s.drops.Add(1)
		return false
	}
	out.repeat = true
	p := publishHeader{out: out, version: s.conn.version}
	if out.m.expires != 0 {
		left, _ := out.m.left(now())
		p.left = max(left, 1)
	}
	size := p.size()
	if size > s.conn.maxPacket {
		s.drop(&s.b.counters.droppedTooLarge)
		return false
	}
	s.conn.out.publish(&p, size)
	s.b.counters.sent.Add(1)
	return true
}
