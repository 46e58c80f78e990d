package log

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// serve starts a NATS server of somebody else's, on a port of its choice for 0.
func serve(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: dir, Host: "127.0.0.1", Port: port, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("server did not start")
	}
	t.Cleanup(func() { halt(s) })
	return s
}

func halt(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func TestStreamsAtAServerOfSomebodyElses(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, 0)
	o := Options{Dir: t.TempDir(), URL: s.ClientURL(), Prefix: "car1_", Connect: []nats.Option{nats.ReconnectWait(10 * time.Millisecond)}}
	mine := open(t, o)
	other := open(t, Options{Dir: t.TempDir(), URL: s.ClientURL(), Prefix: "car2_"})
	d := Definition{Name: "a b", MaxSize: 100 << 10}
	a, b := create(t, mine, d), create(t, other, d)
	equal(t, add(t, a, "one"), 0)
	equal(t, add(t, b, "other"), 0)
	equal(t, a.Info().Synced, 1)
	equal(t, len(mine.Streams()), 1)

	// It is away for a while: what is appended waits, or hears so.
	port := s.Addr().(*net.TCPAddr).Port
	halt(s)
	waits := make(chan error, 1)
	go func() {
		_, err := a.Append(t.Context(), []byte("while it was away"))
		waits <- err
	}()
	serve(t, dir, port)
	if err := <-waits; err != nil && !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	shut(t, mine)
	mine = open(t, o)
	a = stream(t, mine, "a b")
	next := a.Info().Next
	equal(t, add(t, a, "after"), next)
	a.Checkpoint("exporter").Set(next + 1)
	if n := fill(t, a, 300); n < 80 || n > 110 {
		t.Errorf("%d messages of 1,000 bytes in 100 kB", n)
	}
	equal(t, texts(t, b, 0), "[0:other]")
}

func TestServerMayComeLater(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, 0)
	port := s.Addr().(*net.TCPAddr).Port
	halt(s)
	e := openUnready(t, Options{Dir: t.TempDir(), URL: fmt.Sprintf("nats://user:secret@127.0.0.1:%d", port)})
	if _, ok := e.Stream("stream"); ok {
		t.Error("there is a stream without a server")
	}
	serve(t, dir, port)
	add(t, create(t, e, Definition{Name: "stream"}), "zero")
	if err := e.Err(); err != nil {
		t.Error(err)
	}
}
