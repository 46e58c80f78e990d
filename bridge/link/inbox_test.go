package link

import (
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// What waits for a busy handler takes memory, and a far side chooses how much: many
// small messages at QoS 0 find room, a few large ones end it, and empty user properties
// count too.
func TestWhatWaitsIsBoundedInMemory(t *testing.T) {
	const room = 4 << 20
	in := newInbox(64, room, func([]byte) {})
	for range 10_000 {
		in.put(message.Message{Topic: "retained", Payload: make([]byte, 10)}, 0)
	}
	if in.lost() != 0 {
		t.Errorf("%d of 10,000 small messages dropped", in.lost())
	}
	for range 8 {
		in.put(message.Message{Topic: "large", Payload: make([]byte, 1<<20)}, 0)
	}
	if in.loose > room || in.lost() != 7 {
		t.Errorf("%d bytes at QoS 0 wait, %d dropped", in.loose, in.lost())
	}

	id := uint16(0)
	for !in.full() {
		id++
		in.put(message.Message{Topic: "bomb", UserProperties: make([]message.UserProperty, 20_000)}, id)
	}
	if id != 4 {
		t.Errorf("%d messages with 20,000 user properties wait, want 4", id)
	}
	taken := make(chan message.Message)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		in.run(func(m message.Message, done func()) { taken <- m; done() })
	}()
	for m := range taken {
		if m.Topic == "bomb" {
			break
		}
	}
	in.waitForRoom() // one less waits
	go func() {
		for range taken {
		}
	}()
	in.end()
	<-ended
	close(taken)
}
