package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/store"
)

// freeAddress is one that nobody listens on right now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Until the last client is served the data stay locked, the status answers, and
// /readyz says no.
func TestStopEndsWithWhatOthersRelyOn(t *testing.T) {
	metrics := freeAddress(t)
	file := write(t, map[string]string{"fascia.yaml": goodConfig + "metrics: {listen: \"" + metrics + "\"}\n"})
	g, err := New(file, Options{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	awaitReady(t, g)
	if code := readiness(t, metrics); code != http.StatusOK {
		t.Errorf("running: /readyz answers %d", code)
	}
	client := rawClient(t, g)
	cancel()
	awaitPacket(t, client, 0xE0) // DISCONNECT; the broker waits for this side to close

	if dir, err := store.OpenDir(g.Config().DataDir); !errors.Is(err, store.ErrLocked) {
		t.Errorf("stopping: the data directory opened (%v), want it locked", err)
		if err == nil {
			_ = dir.Close()
		}
	}
	if code := readiness(t, metrics); code != http.StatusServiceUnavailable {
		t.Errorf("stopping: /readyz answers %d", code)
	}
	if conn, err := net.Dial("unix", g.Config().Control.Socket); err != nil {
		t.Errorf("stopping: %v", err)
	} else {
		_ = conn.Close()
	}
	_ = client.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	dir, err := store.OpenDir(g.Config().DataDir)
	if err != nil {
		t.Fatalf("stopped: %v", err)
	}
	_ = dir.Close()
}

// rawClient is connected, and does what the test does only.
func rawClient(t *testing.T, g *Gateway) net.Conn {
	t.Helper()
	client, err := net.Dial("tcp", g.broker.Listeners()[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	// CONNECT of MQTT 5: clean start, 60 s, no properties, client id "x".
	if _, err := client.Write([]byte("\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01x")); err != nil {
		t.Fatal(err)
	}
	awaitPacket(t, client, 0x20)
	return client
}

// A client that does not go is cut when the time is over.
func TestStopTakesNoLongerThanItMay(t *testing.T) {
	var log bytes.Buffer
	g, err := New(write(t, map[string]string{"fascia.yaml": goodConfig + "stop_timeout: 100ms\n"}), Options{Stderr: &log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	awaitReady(t, g)
	rawClient(t, g)
	cancel()
	if err := <-ended; err != nil || !strings.Contains(log.String(), "stopped before all clients were served") {
		t.Errorf("got %v, logged %s", err, log.String())
	}
}

func readiness(t *testing.T, address string) int {
	t.Helper()
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + address + "/readyz")
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// awaitPacket reads packets shorter than 128 bytes until one of the kind comes.
func awaitPacket(t *testing.T, r io.Reader, kind byte) {
	t.Helper()
	head := make([]byte, 2)
	for head[0] != kind {
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatalf("waiting for a packet 0x%02X: %v", kind, err)
		}
		if _, err := io.CopyN(io.Discard, r, int64(head[1])); err != nil {
			t.Fatal(err)
		}
	}
}

// A start that fails tells why and leaves nothing behind, wherever it failed.
func TestStartThatFailsLeavesNothingBehind(t *testing.T) {
	for name, c := range map[string]struct {
		hinder func(t *testing.T, c *Config) (release func())
		want   string
	}{
		"broker's port taken":  {func(t *testing.T, c *Config) func() { return occupy(t, "tcp", c.Broker.Listeners[0].Address) }, ", by "},
		"metrics' port taken":  {func(t *testing.T, c *Config) func() { return occupy(t, "tcp", c.Metrics.Listen) }, "metrics: "},
		"control socket taken": {func(t *testing.T, c *Config) func() { return occupy(t, "unix", c.Control.Socket) }, "another gateway answers"},
		"log gone": {func(t *testing.T, c *Config) func() {
			log := filepath.Join(filepath.Dir(c.DataDir), "drive.log")
			if err := os.Rename(log, log+".away"); err != nil {
				t.Fatal(err)
			}
			return func() { _ = os.Rename(log+".away", log) }
		}, `bus "can0"`},
	} {
		t.Run(name, func(t *testing.T) {
			mqtt, metrics := freeAddress(t), freeAddress(t)
			file := write(t, map[string]string{"fascia.yaml": change(goodConfig, "127.0.0.1:0", mqtt) + "metrics: {listen: \"" + metrics + "\"}\n"})
			g, err := New(file, Options{Stderr: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			before := goleak.IgnoreCurrent()
			release := c.hinder(t, g.Config())
			if err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if g.Ready() {
				t.Error("it is ready")
			}
			release()
			goleak.VerifyNone(t, before)
			again, err := New(file, Options{Stderr: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- again.Run(ctx) }()
			for !again.Ready() && len(ended) == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("the next start: %v", err)
			}
		})
	}
}

func occupy(t *testing.T, network, address string) (release func()) {
	t.Helper()
	if network == "unix" {
		if err := os.MkdirAll(filepath.Dir(address), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = l.Close() }
}

func TestHolderOfAPortIsNamed(t *testing.T) {
	self := os.Args[0]
	for name, c := range map[string]struct{ held, wanted string }{
		"the same address":  {"127.0.0.1:0", "127.0.0.1"},
		"any address":       {"0.0.0.0:0", "127.0.0.1"},
		"wanted everywhere": {"127.0.0.1:0", "0.0.0.0"},
		"IPv6":              {"[::1]:0", "::1"},
		"any of both":       {"[::]:0", "127.0.0.1"},
		"another address":   {"127.0.0.2:0", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			held, err := net.Listen("tcp", c.held)
			if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
				if os.Getenv("CI") == "true" {
					t.Fatalf("this machine has no address %s", c.held)
				}
				t.Skipf("this machine has no address %s", c.held)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer held.Close()
			bindErr := &net.OpError{Op: "listen", Addr: &net.TCPAddr{IP: net.ParseIP(c.wanted), Port: held.Addr().(*net.TCPAddr).Port}, Err: syscall.EADDRINUSE}
			got := explainBind(bindErr).Error()
			want := ", by " + filepath.Base(self)[:5]
			if named := strings.Contains(got, want) && strings.Contains(got, "(pid "); named != (name != "another address") {
				t.Errorf("%s is wanted, %s is held: got %s", c.wanted, c.held, got)
			}
		})
	}
	// Who has a connection of that port left does not listen on it.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	_ = listener.Close()
	if holder := portHolder(server.LocalAddr().(*net.TCPAddr).AddrPort()); holder != "" {
		t.Errorf("a port with a connection only is held by %s", holder)
	}
	if got := explainBind(io.EOF); !errors.Is(got, io.EOF) || got.Error() != io.EOF.Error() {
		t.Errorf("another error: got %v", got)
	}
}
