package listen

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/auth/pki/pkitest"
)

const two = `{name: a, address: "127.0.0.1:0", max_connections: 1}, {name: b, address: "127.0.0.1:0"}`

func TestListenerKeepsToItsOwnLimit(t *testing.T) {
	r := start(t, two, roomy())
	dial(t, "tcp", address(t, r, "a"))
	first := r.next(t)
	dial(t, "tcp", address(t, r, "a"))
	second := r.next(t)
	dial(t, "tcp", address(t, r, "b"))
	other := r.next(t)
	for _, c := range []struct {
		conn *Conn
		want Limit
	}{{first, NoLimit}, {second, OneListener}, {other, NoLimit}} {
		if got := c.conn.Over(); got != c.want {
			t.Errorf("over %v, want %v", got, c.want)
		}
	}
	second.Refused()
	other.Refused()
	if a, b := r.stats("a"), r.stats("b"); a.Refused["listener_connections"] != 1 || a.Open != 1 || a.Accepted != 2 || b.Refused["connect"] != 1 {
		t.Errorf("counted %+v, %+v", a, b)
	}
}

func TestPlaceThatBecameFreeIsTaken(t *testing.T) {
	r := start(t, two, roomy())
	dial(t, "tcp", address(t, r, "a"))
	first := r.next(t)
	dial(t, "tcp", address(t, r, "a"))
	second := r.next(t)
	r.leave(first)
	eventually(t, "the free place", func() bool { return r.stats("a").Open == 0 })
	if over := second.Over(); over != NoLimit || r.stats("a").Open != 1 {
		t.Fatalf("over %v", over)
	}
	r.leave(second)
	eventually(t, "no place in use", func() bool { return r.Open() == 0 })
}

func TestFewConnectionsOverTheLimitAreHeard(t *testing.T) {
	opts := roomy()
	opts.Connections = 2
	r := start(t, two, opts)
	for range 2 + sparePlaces {
		dial(t, "tcp", address(t, r, "b"))
		r.next(t)
	}
	closed(t, dial(t, "tcp", address(t, r, "b")))
	if st := r.stats("b"); st.Refused["connections"] != 1 || st.Open != 2 || r.Open() != 2+sparePlaces {
		t.Fatalf("%+v, %d open", st, r.Open())
	}
}

func TestConnectionsComeInStepAfterABurst(t *testing.T) {
	p := newPace(10)
	now := time.Unix(1_000_000, 0)
	var waits []time.Duration
	refused := 0
	for range 40 { // of which 21 fit into the burst of two seconds, and 10 are held back
		if wait, ok := p.next(now); ok {
			waits = append(waits, wait)
		} else {
			refused++
		}
	}
	if len(waits) != 31 || waits[20] != 0 || waits[21] != 100*time.Millisecond || waits[30] != time.Second {
		t.Fatalf("%d let in after %v, %d refused", len(waits), waits, refused)
	}
	now = now.Add(time.Second)
	for i := range 11 {
		if wait, ok := p.next(now); ok != (i < 10) || ok && wait != time.Duration(i+1)*100*time.Millisecond {
			t.Fatalf("a second later: connection %d waits %v, %v", i, wait, ok)
		}
	}
	anyNumber := newPace(0)
	for range 1000 {
		if wait, ok := anyNumber.next(now); !ok || wait != 0 {
			t.Fatal("held back without a rate")
		}
	}
}

// exhaust makes it so that no connection of the listener is due for an hour.
func exhaust(r *room, listener int) {
	r.places.mu.Lock()
	defer r.places.mu.Unlock()
	r.listeners[listener].pace.due = time.Now().Add(time.Hour)
}

func TestTooFastConnectionsHearIt(t *testing.T) {
	r := start(t, `{name: slow, address: "127.0.0.1:0", connect_rate: 1}, {name: free, address: "127.0.0.1:0"}`, roomy())
	dial(t, "tcp", address(t, r, "slow"))
	if over := r.next(t).Over(); over != NoLimit {
		t.Fatalf("over %v", over)
	}
	exhaust(r, 0)
	dial(t, "tcp", address(t, r, "slow"))
	fast := r.next(t)
	if over := fast.Over(); over != ConnectRate {
		t.Fatalf("over %v", over)
	}
	fast.Refused()
	if st := r.stats("slow"); st.Refused["connect_rate"] != 1 || st.Open != 1 {
		t.Fatalf("counted %+v", st)
	}
	dial(t, "tcp", address(t, r, "free"))
	if over := r.next(t).Over(); over != NoLimit {
		t.Fatalf("over %v", over)
	}
}

func TestEarlyConnectionIsHeldBack(t *testing.T) {
	r := start(t, `{name: slow, address: "127.0.0.1:0", connect_rate: 5}`, roomy())
	due := time.Now().Add(500 * time.Millisecond)
	r.places.mu.Lock()
	r.listeners[0].pace.due = due
	r.places.mu.Unlock()
	dial(t, "tcp", address(t, r, "slow"))
	if c := r.next(t); c.Over() != NoLimit || time.Now().Before(due) {
		t.Fatalf("handed over %v early, over %v", time.Until(due), c.Over())
	}
	r.places.mu.Lock()
	r.listeners[0].pace.due = time.Now().Add(time.Second / 2)
	r.places.mu.Unlock()
	held := dial(t, "tcp", address(t, r, "slow"))
	eventually(t, "the held connection", func() bool { return r.Open() == 2 })
	r.Close()
	closed(t, held)
}

func TestTooFastConnectionsCostNoTLS(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	r := start(t, fmt.Sprintf(`{name: tls, address: "127.0.0.1:0", connect_rate: 1, tls: {cert: %[1]s/server.pem, key: %[1]s/server.key}}`, a.Dir), roomy())
	exhaust(r, 0)
	closed(t, dial(t, "tcp", address(t, r, "tls")))
	if st := r.stats("tls"); st.Refused["connect_rate"] != 1 || r.Open() != 0 {
		t.Fatalf("counted %+v", st)
	}
}

// takeTurns makes it so that no handshake may compute, until the function that
// it returns is called.
func takeTurns(r *room) (giveBack func()) {
	for range cap(r.turns) {
		r.turns <- struct{}{}
	}
	return func() {
		for range cap(r.turns) {
			<-r.turns
		}
	}
}

func TestHandshakesComputeInTurn(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	r := start(t, everyListener(a), roomy())
	giveBack := takeTurns(r)
	secured := make(chan error, 8)
	for range cap(secured) {
		go func() {
			socket, err := tls.Dial("tcp", address(t, r, "tls"), a.Stranger())
			if err == nil {
				err = socket.Close()
			}
			secured <- err
		}()
	}
	eventually(t, "every client", func() bool { return r.Open() == cap(secured) })
	dial(t, "tcp", address(t, r, "tcp"))
	r.next(t) // without TLS there is nothing to wait for
	if len(secured) > 0 {
		t.Fatal("a handshake computed out of turn")
	}
	giveBack()
	for range cap(secured) {
		if err := <-secured; err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "every turn given back", func() bool { return len(r.turns) == 0 })
}

func TestSilentHandshakesKeepNobodyWaiting(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	r := start(t, everyListener(a), roomy())
	half := recordClientHello(t)
	for i := range 20 {
		silent := dial(t, "tcp", address(t, r, "tls"))
		if _, err := silent.Write(half[:i*len(half)/20]); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "every client", func() bool { return r.Open() == 20 })
	exchange(t, dialTLS(t, address(t, r, "tls"), a.Stranger()), r.next(t), 10)
}

// recordClientHello is what a client sends first.
func recordClientHello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		_ = tls.Client(ours, &tls.Config{ServerName: "a"}).Handshake()
		_ = ours.Close()
	}()
	hello := make([]byte, 10_000)
	n, err := theirs.Read(hello)
	_ = theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

func TestHandshakesEndInTime(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	opts := roomy()
	opts.ConnectTimeout = 100 * time.Millisecond
	r := start(t, everyListener(a), opts)
	closed(t, dial(t, "tcp", address(t, r, "tls"))) // silent
	closed(t, dial(t, "tcp", address(t, r, "ws")))
	giveBack := takeTurns(r)
	defer giveBack()
	if socket, err := tls.Dial("tcp", address(t, r, "tls"), a.Stranger()); err == nil { // whose turn does not come
		socket.Close()
		t.Fatal("a handshake computed out of turn")
	} else if os.IsTimeout(err) {
		t.Fatal("the connection did not end")
	}
	eventually(t, "the count", func() bool { return r.stats("tls").Refused["handshake"] == 2 })
}

func TestEndlessHandshakeIsCut(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	r := start(t, everyListener(a), roomy())
	socket := dial(t, "tcp", address(t, r, "tls"))
	// A record of 16 KiB that begins a hello of 64 KiB (RFC 8446 §4, §5.1).
	record := make([]byte, 5+16<<10)
	copy(record, []byte{22, 3, 1, 64, 0, 1, 0, 255, 255})
	if _, err := socket.Write(record); err != nil {
		t.Fatal(err)
	}
	copy(record[5:], make([]byte, 4))
	for range 2 {
		_, _ = socket.Write(record) // which fails when it is cut already
	}
	closed(t, socket)
	eventually(t, "the count", func() bool { return r.stats("tls").Refused["handshake"] == 1 })
}

func TestCrowdIsAcceptedStepByStep(t *testing.T) {
	now := time.Now()
	for tls, step := range map[bool]time.Duration{false: time.Millisecond, true: 4 * time.Millisecond} {
		pace := acceptPace(tls)
		for i := range 1000 {
			wait, ok := pace.next(now)
			if want := max(0, time.Duration(i-16)*step); wait != want || !ok {
				t.Fatalf("TLS %v: connection %d waits %v, %v; want %v", tls, i, wait, ok, want)
			}
		}
		if wait, _ := pace.next(now.Add(time.Minute)); wait != 0 {
			t.Errorf("TLS %v: a connection after a quiet minute waits %v", tls, wait)
		}
	}
}
