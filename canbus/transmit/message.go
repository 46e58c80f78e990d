package transmit

import (
	"slices"
	"sync"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
)

// Message is what the gate knows of a message that a rule sends or awaits: its
// newest frame, its counter, and what would prove a request. The bus's goroutine
// observes frames, the sender's makes them.
type Message struct {
	*dbc.Message
	protection protection
	prove      func() // wakes the sender

	mu     sync.Mutex // guards the fields below
	pages  []page
	seen   bool // a frame came from the bus, or was sent
	count  uint64
	awaits []*proof
	values []dbc.Value // room for decoding
}

// page is the newest frame that carries a signal. A multiplexed message has
// several, which differ in what else they carry.
type page struct {
	carried *dbc.Signal
	frame   can.Frame
}

// proof is a signal that must take a value to prove that a request is carried
// out.
type proof struct {
	signal *dbc.Signal
	raw    int64
	after  int64 // boot time: older frames prove nothing
	found  bool
}

// page is the newest frame that carries the signal. It is called with mu held.
func (m *Message) page(s *dbc.Signal) *page {
	for i := range m.pages {
		if m.pages[i].carried == s {
			return &m.pages[i]
		}
	}
	m.pages = append(m.pages, page{s, m.start(s)})
	return &m.pages[len(m.pages)-1]
}

// start is the frame that carries the signal when none was seen: each signal in
// it has its start value, raw 0 where the DBC states none.
func (m *Message) start(carried *dbc.Signal) can.Frame {
	fr := can.Frame{ID: m.ID, Len: uint8(m.Size)}
	if m.Extended {
		fr.Flags = can.Extended
	}
	if m.FD {
		fr.Flags |= can.FD
		fr.Len = can.FDLength(can.FDCode(m.Size))
	}
	carried.Select(fr.Data[:])
	values, err := m.Decode(&fr, nil)
	if err != nil {
		return fr // not reached: it is as long as its message
	}
	for _, v := range values {
		if v.Signal.HasInitial && !v.Signal.Multiplexer {
			v.Signal.Encode(fr.Data[:], v.Signal.Initial)
		}
	}
	return fr
}

// learn takes a frame over as the newest that carries what it carries, and what
// its counter says. It is called with mu held, and leaves the frame's values.
func (m *Message) learn(fr *can.Frame) {
	var err error
	if m.values, err = m.Decode(fr, m.values[:0]); err != nil {
		return
	}
	m.seen = true
	for i := range m.values {
		v := &m.values[i]
		if v.Signal == m.protection.counter {
			m.count = uint64(v.Raw) & (1<<v.Signal.Length - 1)
		}
		for j := range m.pages {
			if p := &m.pages[j]; p.carried == v.Signal {
				p.frame = *fr
				p.frame.ID = m.ID // of a J1939 message the seen one may have another source
				p.frame.Flags &= can.Extended | can.FD | can.BRS
			}
		}
	}
}

// build makes the next frame that carries the signal at a value; all else is as
// it was last on the bus.
func (m *Message) build(s *dbc.Signal, physical float64) can.Frame {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.next(s, physical)
}

// next is build with mu held.
func (m *Message) next(s *dbc.Signal, physical float64) can.Frame {
	fr := m.page(s).frame
	s.Encode(fr.Data[:], physical)
	count := uint64(0)
	if m.seen && m.protection.wraps > 0 {
		count = (m.count + 1) % m.protection.wraps
	} else if m.protection.startsAt1() {
		count = 1
	}
	m.protection.protect(&fr, count)
	return fr
}

// send builds the next frame and gives it to the bus.
func (m *Message) send(s *dbc.Signal, physical float64, give func(can.Frame) error) error {
	m.mu.Lock()
	fr := m.next(s, physical)
	m.mu.Unlock()
	if err := give(fr); err != nil { // not under mu: the bus's goroutine may be in its way
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.learn(&fr)
	return nil
}

// Observe takes a data frame of the message that the bus received at the boot
// time now and reports whether the gateway sent it itself: that one is no news of
// the vehicle, and proves nothing. The bus's goroutine calls it. It allocates
// nothing once it has seen the message.
func (m *Message) Observe(fr *can.Frame, now int64) (own bool) {
	if fr.Has(can.Own) {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.learn(fr)
	m.check(now)
	return false
}

// check holds the values of a frame received at now against what is awaited.
func (m *Message) check(now int64) {
	proved := false
	for _, p := range m.awaits {
		for i := range m.values {
			if v := &m.values[i]; v.Signal == p.signal && v.Raw == p.raw && now > p.after {
				p.found, proved = true, true
			}
		}
	}
	if proved {
		m.prove()
	}
}

// await begins to look for a proof in the frames that come.
func (m *Message) await(p *proof) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.awaits = append(m.awaits, p)
}

// proved reports whether p was found.
func (m *Message) proved(p *proof) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return p.found
}

func (m *Message) forget(p *proof) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.awaits = slices.DeleteFunc(m.awaits, func(other *proof) bool { return other == p })
}

// adopt takes over what was known of the same message under an earlier
// configuration, so that its counter goes on.
func (m *Message) adopt(old *Message) {
	old.mu.Lock()
	defer old.mu.Unlock()
	if old.ID != m.ID || old.Extended != m.Extended || old.Size != m.Size {
		return
	}
	for i := range old.pages {
		m.learn(&old.pages[i].frame)
	}
	m.seen, m.count = old.seen, old.count
}

// startsAt1 tells profile 2, whose sender counts on before it sends its first
// frame; the others begin with 0.
func (p *protection) startsAt1() bool { return p.checksum != nil && p.checksum.kind == kindP02 }

// rawOf is the raw value by which the signal expresses a physical one.
func rawOf(s *dbc.Signal, physical float64) int64 {
	fr := can.Frame{Len: uint8(s.Message.Size)}
	s.Select(fr.Data[:])
	s.Encode(fr.Data[:], physical)
	values, err := s.Message.Decode(&fr, nil)
	if err != nil {
		return 0
	}
	for _, v := range values {
		if v.Signal == s {
			return v.Raw
		}
	}
	return 0
}
