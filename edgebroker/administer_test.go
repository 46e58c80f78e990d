package edgebroker

import (
	"errors"
	"strconv"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// absentWith makes a session of an absent client in which so many messages wait.
func absentWith(t *testing.T, b *Broker, id string, messages int) {
	t.Helper()
	c := connect(t, b, 5, id, keep)
	c.subscribe("ivi/"+id, 1)
	c.goodbye()
	for i := range messages {
		if err := b.PublishWait(t.Context(), Message{Topic: "ivi/" + id, Payload: []byte(strconv.Itoa(i)), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKickedClientHearsWhyAndKeepsItsSession(t *testing.T) {
	b := start(t, loopback)
	for _, version := range []byte{4, 5} {
		c := connect(t, b, version, "c", keep)
		c.subscribe("ivi/a", 1)
		mustKick(t, b, "c")
		if version == 5 {
			if got := c.expect(wire.Disconnect).reasons[0]; got != wire.Administrative {
				t.Errorf("DISCONNECT 0x%02X, want 0x98", got)
			}
		}
		c.closed()
		if err := b.Kick("c"); !errors.Is(err, ErrNotConnected) {
			t.Errorf("again: got %v", err)
		}
		if err := b.Publish(Message{Topic: "ivi/a", Payload: []byte("waits"), QoS: 1}); err != nil {
			t.Fatal(err)
		}
		c = connect(t, b, version, "c", keep)
		c.expectPublish("ivi/a", "waits")
		c.goodbye()
	}
	if err := b.Kick("nobody"); !errors.Is(err, ErrNoSession) {
		t.Errorf("got %v", err)
	}
}

func TestPurgedSessionIsGoneWithItsQueue(t *testing.T) {
	path := t.TempDir()
	b := onStore(t, path)
	absentWith(t, b, "c", 5)
	absentWith(t, b, "other", 1)
	if messages, err := b.Purge("c"); messages != 5 || err != nil {
		t.Fatalf("got %d, %v, want 5 messages", messages, err)
	}
	if st := b.Stats(); st.DroppedPurged != 5 || st.DroppedEnded != 0 || st.Dropped() != 5 || st.Sessions != 1 || st.Subscriptions != 1 {
		t.Errorf("got %+v", st)
	}
	if _, err := b.Purge("c"); !errors.Is(err, ErrNoSession) {
		t.Errorf("again: got %v", err)
	}
	c := dial(t, b, 5)
	if c.connect("c", keep).present {
		t.Error("its client finds a session")
	}
	c.goodbye()
	if _, err := b.Purge("c"); err != nil {
		t.Fatal(err)
	}
	if err := b.settle(b.store.Begin()); err != nil {
		t.Fatal(err)
	}
	if after := diedWith(t, path); len(after.Clients()) != 1 || after.Clients()[0].ID != "other" || after.store.Queue(record.SessionQueues+"c") != nil {
		t.Errorf("after a restart there are %+v", after.Clients())
	}
}

func TestPurgeDisconnectsFirst(t *testing.T) {
	b := start(t, loopback)
	for name, change := range map[string]bool{"clean": false, "kept": true} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, b, 5)
			if change {
				c.connect(name, keep)
			} else {
				c.connect(name)
			}
			c.subscribe("ivi/a", 1)
			for range 3 {
				if err := b.Publish(Message{Topic: "ivi/a", Payload: []byte("x"), QoS: 1}); err != nil {
					t.Fatal(err)
				}
				c.expect(wire.Publish) // and is not acknowledged
			}
			if _, err := b.PurgeAbsent(name); !errors.Is(err, ErrConnected) {
				t.Fatalf("got %v, want it left alone", err)
			}
			c.ping()
			if messages, err := b.Purge(name); messages != 3 || err != nil {
				t.Errorf("got %d, %v, want 3 messages", messages, err)
			}
			if got := c.expect(wire.Disconnect).reasons[0]; got != wire.Administrative {
				t.Errorf("DISCONNECT 0x%02X, want 0x98", got)
			}
			c.closed()
			if st := b.Stats(); st.Sessions != 0 || st.Subscriptions != 0 {
				t.Errorf("%d sessions and %d subscriptions are left", st.Sessions, st.Subscriptions)
			}
		})
	}
	if got := b.Stats().DroppedPurged; got != 6 {
		t.Errorf("%d purged, want 6", got)
	}
}

func TestMessagesOfAnExpiredSessionAreCounted(t *testing.T) {
	b := start(t, loopback)
	absentWith(t, b, "c", 2)
	info := b.Clients()[0]
	if info.Connected || info.Queued != 2 || info.ExpirySeconds < 3500 || info.ExpirySeconds > 3600 {
		t.Errorf("got %+v", info)
	}
	b.sessions.byID["c"].mu.Lock()
	b.sessions.byID["c"].expiry = 1
	b.sessions.byID["c"].mu.Unlock()
	eventually(t, "the end of the session", func() bool { return b.Stats().Sessions == 0 })
	if st := b.Stats(); st.DroppedEnded != 2 {
		t.Errorf("%d dropped with their session, want 2", st.DroppedEnded)
	}
}
