package dbc

// finish applies what refers to messages, when all of them are known, checks
// their layout and compiles them.
func (r *reader) finish() {
	for _, apply := range r.later {
		apply()
	}
	if r.defined == 0 {
		r.warnAt(Place{r.file, 1, 1}, "the file defines no message")
	}
	for i, m := range r.all {
		r.multiplex(m)
		r.apply(m)
		if m.J1939 {
			r.db.addToGroup(m.Message, i)
		}
		r.overlaps(m.Message)
		for i, s := range m.Signals {
			s.Index = i
			s.compile()
		}
		m.plan = m.Plan(m.Signals)
	}
}

// overlaps warns of signals that share bits and may come in one frame; each is
// decoded nevertheless. One warning a signal, naming the first that it meets.
func (r *reader) overlaps(m *Message) {
	bits := make([]bitset, len(m.Signals))
	for i, s := range m.Signals {
		bits[i] = s.occupies()
		for j, other := range m.Signals[:i] {
			if bits[i].meets(&bits[j]) && s.together(other) {
				r.warnAt(s.Place, "signal %s.%s shares bits with %s (%s)", m.Name, s.Name, other.Name, other.Place)
				break
			}
		}
	}
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
