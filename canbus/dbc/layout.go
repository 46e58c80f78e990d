package dbc

// finish checks the layout of every message, when all sections are read, and
// compiles its steps.
func (r *reader) finish() {
	if len(r.db.Messages) == 0 {
		r.warn(Place{r.db.File, 1, 1}, "the file defines no message")
	}
	for _, m := range r.db.Messages {
		if m.Cycle < 0 {
			m.Cycle = r.cycle
		}
		r.multiplex(m)
		r.overlaps(m)
		m.steps = make([]step, len(m.Signals))
		for i, s := range m.Signals {
			s.Index = i
			s.compile()
			m.steps[i] = s.step
			if s.Multiplexer {
				m.multiplexer = &m.steps[i]
			}
		}
	}
}

// multiplex keeps one multiplexer, the first, and leaves out what depends on one
// that isn't there.
func (r *reader) multiplex(m *Message) {
	var multiplexer *Signal
	for _, s := range m.Signals {
		switch {
		case !s.Multiplexer:
		case multiplexer == nil:
			multiplexer = s
		default:
			s.Multiplexer = false
			r.warn(s.Place, "message %s has a second multiplexer %s beside %s: it is read as a plain signal", m.Name, s.Name, multiplexer.Name)
		}
	}
	if multiplexer != nil {
		return
	}
	kept := m.Signals[:0]
	for _, s := range m.Signals {
		if s.Multiplexed {
			r.warn(s.Place, "signal %s.%s is multiplexed and its message has no multiplexer: it is left out", m.Name, s.Name)
			continue
		}
		kept = append(kept, s)
	}
	m.Signals = kept
}

// overlaps warns of signals that share bits and may come in one frame; each is
// decoded nevertheless. One warning a signal, naming the first that it meets.
func (r *reader) overlaps(m *Message) {
	bits := make([]bitset, len(m.Signals))
	for i, s := range m.Signals {
		bits[i] = s.occupies()
		for j, other := range m.Signals[:i] {
			if bits[i].meets(&bits[j]) && s.together(other) {
				r.warn(s.Place, "signal %s.%s shares bits with %s (%s)", m.Name, s.Name, other.Name, other.Place)
				break
			}
		}
	}
}

// together reports whether one frame can carry both signals.
func (s *Signal) together(other *Signal) bool {
	return !s.Multiplexed || !other.Multiplexed || s.MuxValue == other.MuxValue
}

// bitset holds the bits of a 64-byte payload.
type bitset [8]uint64

func (b *bitset) meets(other *bitset) bool {
	for i := range b {
		if b[i]&other[i] != 0 {
			return true
		}
	}
	return false
}

// occupies is the bits of the payload that belong to the signal.
func (s *Signal) occupies() bitset {
	var b bitset
	at := s.Start
	for range s.Length {
		b[at/64] |= 1 << (at % 64)
		at = s.next(at)
	}
	return b
}

// next is the bit after one of the signal's, from its start on: upwards (Intel),
// or downwards in a byte and on in the next (Motorola).
func (s *Signal) next(at int) int {
	switch {
	case !s.BigEndian:
		return at + 1
	case at%8 == 0:
		return at + 15
	}
	return at - 1
}
