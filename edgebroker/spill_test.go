package edgebroker

import (
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

// TestQueueThatCouldNotBeMadeIsMadeAgain has a slow session's queue in the store
// fail to be made, as on a disk that is full for a moment.
func TestQueueThatCouldNotBeMadeIsMadeAgain(t *testing.T) {
	b := start(t, loopback)
	sub := connect(t, b, 5, "sub")
	sub.subscribe("ivi/a", 1)
	b.sessions.mu.Lock()
	s := b.sessions.byID["sub"]
	b.sessions.mu.Unlock()
	tx := b.store.Begin()
	s.mu.Lock()
	s.queue.stored, s.queue.shift = tx.CreateQueue(record.SpilledQueues+s.id), s.queue.tail
	s.queue.given++ // keeps it from going back to memory
	s.mu.Unlock()
	tx.Put("", nil) // refused
	tx.Commit(store.SyncNever, nil)
	pub := connect(t, b, 5, "pub")
	pub.publish(1, 1, "ivi/a", "1")
	pub.expect(wire.Puback) // one may be refused
	s.mu.Lock()
	s.queue.given--
	s.mu.Unlock()
	for id := uint16(2); id < 5; id++ {
		pub.publish(1, id, "ivi/a", "again")
		if got := pub.expect(wire.Puback); got.reasons[0].Failed() {
			t.Errorf("PUBACK %d 0x%02X: the topic is dead for all", id, got.reasons[0])
		}
	}
}
