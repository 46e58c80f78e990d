package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/auth/pki/pkitest"
	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse reads a configuration as a file has it.
func parse(t testing.TB, text string) Config {
	t.Helper()
	var c Config
	if _, err := config.Decode("fascia.yaml", []byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func vars(name string) (string, bool) {
	value, ok := map[string]string{"vin": "KMHGN4JE0FU000001", "thing": "car"}[name]
	return value, ok
}

// hand is a Handler that tells the test what it is told. Each test reads what it
// waits for; nothing is lost, and nobody blocks.
type hand struct {
	events chan any // connected, ack, got, lost

	mu    sync.Mutex
	block func(message.Message) // in Received; nil for none
}

type (
	connected struct {
		Conn
		Session
	}
	ack struct {
		id     uint16
		code   byte
		reason string
	}
	got struct {
		message.Message
		done func()
	}
	lost struct{ err error }
)

func newHand() *hand { return &hand{events: make(chan any, 1<<17)} }

func (h *hand) Connected(c Conn, s Session)                    { h.events <- connected{c, s} }
func (h *hand) Acknowledged(id uint16, code byte, text string) { h.events <- ack{id, code, text} }
func (h *hand) Lost(err error)                                 { h.events <- lost{err} }

func (h *hand) Received(m message.Message, done func()) {
	h.mu.Lock()
	block := h.block
	h.mu.Unlock()
	if block != nil {
		block(m)
	}
	h.events <- got{m, done}
}

// next waits for the next event, which must be a T.
func next[T any](t testing.TB, h *hand) T {
	t.Helper()
	select {
	case e := <-h.events:
		one, ok := e.(T)
		if !ok {
			t.Fatalf("got %T %+v, want %T", e, e, one)
		}
		return one
	case <-time.After(patience):
		var none T
		t.Fatalf("no %T within %s", none, patience)
		return none
	}
}

// running is a link that runs until the test ends, or stop.
type running struct {
	*Link
	*hand
	stop func()
}

func start(t testing.TB, text string, change ...func(*Options)) *running {
	t.Helper()
	h := newHand()
	o := Options{Name: "cloud", Vars: vars, Handler: h, Log: logger(t)}
	for _, f := range change {
		f(&o)
	}
	l, err := New(parse(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		l.Run(ctx)
		close(ended)
	}()
	r := &running{Link: l, hand: h, stop: func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the link does not stop")
		}
	}}
	t.Cleanup(r.stop)
	return r
}

// logger writes to the test's own log.
func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// eventually waits for what shows without an event.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// mosquitto is a real far broker, with a listener of each kind.
type mosquitto struct {
	*pkitest.Authority
	mqtt, mqtts, mtls, ws, wss string // host and port of each listener
	start                      func() *brokers.Process
	process                    *brokers.Process
}

// startMosquitto starts one; more is added to its configuration.
func startMosquitto(t testing.TB, more string) *mosquitto {
	t.Helper()
	ctx := context.Background()
	broker, err := brokers.Mosquitto(ctx)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ports, err := brokers.FreePorts(5)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a := pkitest.New(t, filepath.Join(dir, "pki"))
	own := fmt.Sprintf("certfile %[1]s/server.pem\nkeyfile %[1]s/server.key\n", a.Dir)
	text := fmt.Sprintf("user root\nallow_anonymous true\npersistence true\npersistence_location %s/\n", dir) + more +
		fmt.Sprintf("\nlistener %d 127.0.0.1\n", ports[0]) +
		fmt.Sprintf("listener %d 127.0.0.1\n%s", ports[1], own) +
		fmt.Sprintf("listener %d 127.0.0.1\n%scafile %s/ca.pem\nrequire_certificate true\n", ports[2], own, a.Dir) +
		fmt.Sprintf("listener %d 127.0.0.1\nprotocol websockets\n", ports[3]) +
		fmt.Sprintf("listener %d 127.0.0.1\nprotocol websockets\n%s", ports[4], own)
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	m := &mosquitto{Authority: a, mqtt: at(0), mqtts: at(1), mtls: at(2), ws: at(3), wss: at(4)}
	m.start = func() *brokers.Process {
		p, err := broker.Start(ctx, dir, text, ports[4]) // the last one that it opens
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	m.process = m.start()
	t.Cleanup(func() {
		if err := m.process.Stop(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// farSide is a listener of the test's own, where a far broker must do what none does.
type farSide struct {
	net.Listener
	url string
}

func listenFar(t testing.TB) *farSide {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &farSide{l, "mqtt://" + l.Addr().String()}
}

// peer is one connection to it.
type peer struct {
	net.Conn
	t  testing.TB
	in *reader
}

func (f *farSide) accept(t testing.TB) *peer {
	t.Helper()
	if l, ok := f.Listener.(*net.TCPListener); ok {
		_ = l.SetDeadline(time.Now().Add(patience))
	}
	conn, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{conn, t, newReader(conn, wire.MaxPacket)}
}

// read gives a packet, which must be of that kind.
func (p *peer) read(kind wire.Kind) (first byte, body []byte) {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	first, body, err := p.in.next()
	if err != nil {
		p.t.Fatalf("waiting for packet type %d: %v", kind, err)
	}
	if wire.Kind(first>>4) != kind {
		p.t.Fatalf("packet type %d, want %d", first>>4, kind)
	}
	return first, body
}

// begun waits until the link has said something, whatever it is.
func (p *peer) begun() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if _, err := p.Read(make([]byte, 1)); err != nil {
		p.t.Fatal(err)
	}
}

// ended waits until the link has closed.
func (p *peer) ended() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, _, err := p.in.next(); err != nil {
			var slow net.Error
			if errors.As(err, &slow) && slow.Timeout() {
				p.t.Fatal("the link does not close the connection")
			}
			return
		}
	}
}

func (p *peer) write(b ...byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// welcome reads CONNECT and accepts it, as a says.
func (p *peer) welcome(a wire.Acceptance) {
	p.t.Helper()
	p.read(wire.Connect)
	if a.Version == 0 {
		a.Version = 5
	}
	p.write(a.Append(nil)...)
}

// publish sends a message down.
func (p *peer) publish(m wire.Outgoing) {
	p.t.Helper()
	m.Version = 5
	p.write(m.Append(nil)...)
}

func send(t testing.TB, c Conn, p Publish) int {
	t.Helper()
	n, err := c.Publish(&p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func subscribe(t testing.TB, c Conn, filter string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	codes, err := c.Subscribe(ctx, []Subscription{{Filter: filter, QoS: 1}})
	if err != nil || len(codes) != 1 || codes[0] != 1 {
		t.Fatalf("SUBACK %v, %v", codes, err)
	}
}
