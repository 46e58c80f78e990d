package edgebroker

import (
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/stream"
)

// TestDroppingDoesNotStarveTheReader has the oldest message dropped while the
// others are read.
func TestDroppingDoesNotStarveTheReader(t *testing.T) {
	b := start(t, loopback+"  limits: {session_messages: 10}\n")
	c := connect(t, b, 5, "c", keep)
	c.subscribe("ivi/a", 1)
	c.goodbye()
	eventually(t, "end of the connection", func() bool { return b.Stats().Clients == 0 })
	for range 10 {
		publish(t, b, "ivi/a", "x", 1)
	}
	_ = b.settle(b.store.Begin())
	s := b.sessions.byID["c"]
	s.mu.Lock()
	from := s.queue.loaded()
	s.mu.Unlock()
	list, err := s.read(s.queue.stored, from)
	if err != nil || len(list) != 10 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.loading = true
	s.queue.skip()
	var later stream.Burst
	if s.take(nil, from, list, true, &later) || s.queue.loaded() != s.queue.tail {
		t.Errorf("what was read is thrown away: loaded %d of %d", s.queue.loaded(), s.queue.tail)
	}
}

func TestLargeMessagesAheadAreBounded(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c", keep, func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = 1 })
	c.subscribe("ivi/a", 1)
	large := make([]byte, 100<<10)
	for range 60 {
		publish(t, b, "ivi/a", string(large), 1)
	}
	s := b.sessions.byID["c"]
	held := func() (int, bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.queue.held, s.queue.loading
	}
	eventually(t, "rest of the reader", func() bool { _, loading := held(); return !loading })
	if n, _ := held(); n > 3*heldBytes {
		t.Errorf("%d bytes are held in memory ahead of their turn", n)
	}
}

func TestSessionInMemoryKeepsItsLimit(t *testing.T) {
	b := start(t, loopback+"  limits: {session_messages: 5}\n")
	c := connect(t, b, 5, "c", func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = 1 })
	c.subscribe("ivi/a", 1)
	for range 50 {
		publish(t, b, "ivi/a", "x", 1)
	}
	if n := b.Clients()[0].Queued; n > 5 {
		t.Errorf("%d messages wait: want at most 5", n)
	}
}
