package edgebroker

import (
	"testing"
	"time"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

// TestGroupOfAFullStoreIsDrained has the queue of a group fill the store: its
// member gets the messages, which makes room.
func TestGroupOfAFullStoreIsDrained(t *testing.T) {
	b, err := New(decode(t, loopback+"  limits: {session_bytes: 1GiB, session_messages: 1000000}\n").Broker, Options{Policy: auth.New(auth.Config{})})
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
	defer func() {
		closeBroker(t, b)
		closeStore(t, st)
	}()
	away := connect(t, b, 5, "away", keep)
	away.subscribe("$share/g/ivi/#", 1)
	away.goodbye()
	pub := connect(t, b, 5, "publisher")
	acknowledged := 0
	for ; acknowledged < 1000; acknowledged++ {
		pub.publish(1, 1, "ivi/n", string(make([]byte, 200<<10)))
		if pub.expect(wire.Puback).reasons[0] == wire.QuotaExceeded {
			break
		}
	}
	away = connect(t, b, 5, "away", keep)
	before := st.Stats().Commits
	time.Sleep(time.Second)
	t.Logf("%d acknowledged, %d commits in a second", acknowledged, st.Stats().Commits-before)
	for range acknowledged {
		got := away.expect(wire.Publish)
		away.ack(wire.Puback, got.id)
	}
}
