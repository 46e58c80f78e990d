package edgebroker

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

func leavingWill(delay uint32) func(*packets.Packet) {
	return func(pk *packets.Packet) {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, "ivi/will", []byte("gone")
		pk.Connect.WillProperties.WillDelayInterval = delay
	}
}

// TestEndOfASessionLeavesTheNextAlone has a client come back while the broker is
// about to forget the session that ended with the connection before.
func TestEndOfASessionLeavesTheNextAlone(t *testing.T) {
	b := start(t, loopback)
	told, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	cancel, err := b.Subscribe("ivi/will", func(Message) { close(told); <-goOn })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	connect(t, b, 5, "c", leavingWill(0)).socket.Close()
	<-told // the end of the first has begun
	c := dial(t, b, 5)
	c.sendConnect("c", keep)
	_ = c.socket.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, early := c.in.Peek(1) // comes with the fault alone
	release()
	c.expect(wire.Connack)
	c.ping()
	eventually(t, "end of the old connection", func() bool { return b.Stats().Connections == 1 })
	_ = b.settle(b.store.Begin())
	if b.store.Get(record.SessionKeys+"c") == nil {
		t.Errorf("the new session is not in the store (CONNACK before: %v)", early == nil)
	}
}

// copyDir copies a store as a kill would leave it.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestWillOfAKilledBrokerComesThoughItsClientIsBackSoon(t *testing.T) {
	dir := t.TempDir()
	b, st := openBroker(t, dir)
	connect(t, b, 5, "c", keep, leavingWill(0))
	killed := copyDir(t, dir)
	closeBroker(t, b)
	closeStore(t, st)

	cfg := decode(t, loopback)
	b, err := New(cfg.Broker, Options{Policy: auth.New(cfg.Auth)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	st = openStore(t, killed)
	defer closeStore(t, st)
	b.Open(st)
	defer closeBroker(t, b)
	wills := make(chan Message, 1)
	if _, err := b.Subscribe("ivi/will", func(m Message) { wills <- m }); err != nil {
		t.Fatal(err)
	}
	b.Serve()
	connect(t, b, 5, "c", keep)
	select {
	case <-wills:
	case <-time.After(3 * time.Second):
		t.Error("the will is lost")
	}
}

func openBroker(t *testing.T, dir string) (*Broker, *store.Store) {
	t.Helper()
	cfg := decode(t, loopback)
	b, err := New(cfg.Broker, Options{Policy: auth.New(cfg.Auth)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	st := openStore(t, dir)
	b.Open(st)
	b.Serve()
	return b, st
}

func TestSessionThatCouldNotBeStoredIsNone(t *testing.T) {
	b, st := openBroker(t, t.TempDir())
	defer closeBroker(t, b)
	closeStore(t, st)
	c := dial(t, b, 5)
	if ack := c.connect("c", keep, leavingWill(60)); ack.reasons[0] != wire.QuotaExceeded {
		t.Fatalf("CONNACK 0x%02X", ack.reasons[0])
	}
	c.closed()
	if s := b.sessions.byID["c"]; s != nil {
		t.Errorf("there is a session (stays: %v)", s.stays)
	}
}

// TestRefusedConnectionLeavesTheWillAlone has a client come back when nothing can
// be stored: it is refused, so the will is the one of before.
func TestRefusedConnectionLeavesTheSessionAlone(t *testing.T) {
	b, st := openBroker(t, t.TempDir())
	defer closeBroker(t, b)
	connect(t, b, 5, "c", keep, leavingWill(60)).socket.Close()
	eventually(t, "end of the connection", func() bool { return b.Stats().Clients == 0 })
	s := b.sessions.byID["c"]
	willOf := func() *message.Will {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.will
	}
	before := willOf()
	closeStore(t, st)
	c := dial(t, b, 5)
	if ack := c.connect("c", keep, leavingWill(0)); ack.reasons[0] != wire.QuotaExceeded {
		t.Fatalf("CONNACK 0x%02X", ack.reasons[0])
	}
	c.closed()
	if willOf() != before {
		t.Error("the will is that of the connection that was refused")
	}
}

func TestRestoredSessionIsRoutedAsWhatItWas(t *testing.T) {
	dir := t.TempDir()
	b, st := openBroker(t, dir)
	connect(t, b, 5, "c", keep)
	closeBroker(t, b)
	closeStore(t, st)
	b, st = openBroker(t, dir)
	defer closeStore(t, st)
	defer closeBroker(t, b)
	s := b.sessions.byID["c"]
	other := *s.identity.Load()
	other.Role = "other"
	before := b.index.generation
	b.rerouted(s, &other)
	if b.index.generation == before {
		t.Error("publishers go on with what its old role may receive")
	}
}
