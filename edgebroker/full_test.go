package edgebroker

import (
	"testing"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

// startFull runs a broker whose store takes 32 MiB, and fills it with messages
// for an absent client, "away". It gives how many were acknowledged.
func startFull(t *testing.T) (b *Broker, publisher *client, acknowledged int) {
	t.Helper()
	cfg := decode(t, loopback+"  limits: {session_bytes: 1GiB, session_messages: 1000000}\n")
	b, err := New(cfg.Broker, Options{Policy: auth.New(cfg.Auth)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.TempDir(), store.Options{Size: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	b.Open(st)
	b.Serve()
	t.Cleanup(func() {
		closeBroker(t, b)
		closeStore(t, st)
	})
	away := connect(t, b, 5, "away", keep)
	away.subscribe("ivi/#", 1)
	away.goodbye()
	publisher = connect(t, b, 5, "publisher")
	for ; acknowledged < 1000; acknowledged++ {
		publisher.publish(1, 1, "ivi/n", fullPayload)
		if publisher.expect(wire.Puback).reasons[0] == wire.QuotaExceeded {
			return b, publisher, acknowledged
		}
	}
	t.Fatal("the store never was full")
	return nil, nil, 0
}

var fullPayload = string(make([]byte, 200<<10))

func TestFullStoreRefusesWhatItCanNotPromiseAndServesTheRest(t *testing.T) {
	b, publisher, acknowledged := startFull(t)
	if acknowledged < 50 {
		t.Fatalf("%d messages of 200 KiB in 32 MiB", acknowledged)
	}
	if b.Stats().Rejected == 0 {
		t.Fatal("nothing is counted")
	}
	live := connect(t, b, 5, "live")
	live.subscribe("other/#", 1)
	publisher.publish(1, 2, "other/n", "x") // needs no store
	if reason := publisher.expect(wire.Puback).reasons[0]; reason != wire.Success {
		t.Fatalf("PUBACK 0x%02X for a message that needs no store", reason)
	}
	live.expectPublish("other/n", "x")

	old := connect(t, b, 4, "old") // MQTT 3.1.1 has no way to say no
	old.publish(1, 1, "ivi/n", "x")
	old.closed()

	// It heals when the client has come for its messages: all, in order.
	away := connect(t, b, 5, "away", keep)
	for range acknowledged {
		away.expectPublish("ivi/n", fullPayload)
	}
	eventually(t, "room", func() bool {
		publisher.publish(1, 3, "ivi/n", "again")
		return publisher.expect(wire.Puback).reasons[0] == wire.Success
	})
	away.expectPublish("ivi/n", "again")
}
