package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/config"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type testConfig struct {
	Listeners []Config `yaml:"listeners"`
}

func decode(t testing.TB, listeners string) []Config {
	t.Helper()
	var cfg testConfig
	if _, err := config.Decode("test.yaml", []byte("listeners: ["+listeners+"]"), &cfg); err != nil {
		t.Fatal(err)
	}
	return cfg.Listeners
}

func roomy() Options {
	return Options{Connections: 100, ConnectTimeout: patience, Log: slog.Default(), Warn: slog.Warn}
}

// room stands in for the broker: it hands out connections and ends them with
// the test.
type room struct {
	*Set
	came chan *Conn

	mu   sync.Mutex
	open map[*Conn]chan struct{} // closed to end it
}

// start serves until the test ends.
func start(t testing.TB, listeners string, opts Options) *room {
	t.Helper()
	set, err := New(decode(t, listeners), opts)
	if err != nil {
		t.Fatal(err)
	}
	r := &room{Set: set, came: make(chan *Conn, 100), open: make(map[*Conn]chan struct{})}
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.end)
	r.Serve(r.handle)
	return r
}

func (r *room) handle(c *Conn) {
	done := make(chan struct{})
	r.mu.Lock()
	r.open[c] = done
	r.mu.Unlock()
	r.came <- c
	<-done
	_ = c.Close()
}

// leave makes handle return, once.
func (r *room) leave(c *Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if done := r.open[c]; done != nil {
		close(done)
		delete(r.open, c)
	}
}

func (r *room) end() {
	r.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Wait()
	}()
	for {
		select {
		case <-ended:
			return
		case c := <-r.came:
			r.leave(c)
		default:
			r.mu.Lock()
			left := make([]*Conn, 0, len(r.open))
			for c := range r.open {
				left = append(left, c)
			}
			r.mu.Unlock()
			for _, c := range left {
				r.leave(c)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// next is the connection that came.
func (r *room) next(t testing.TB) *Conn {
	t.Helper()
	select {
	case c := <-r.came:
		return c
	case <-time.After(patience):
		t.Fatal("no connection was handed over")
		return nil
	}
}

// address is where the listener of that name is bound.
func address(t testing.TB, s interface{ Info() []Info }, name string) string {
	t.Helper()
	for _, l := range s.Info() {
		if l.Name == name {
			return l.Address
		}
	}
	t.Fatalf("no listener %q", name)
	return ""
}

// stats are the counters of one listener.
func (r *room) stats(name string) Stats {
	for _, st := range r.Stats() {
		if st.Listener == name {
			return st
		}
	}
	return Stats{}
}

// eventually waits for a state that no event tells of.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about in %v", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

func dial(t testing.TB, network, address string) net.Conn {
	t.Helper()
	socket, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	_ = socket.SetDeadline(time.Now().Add(patience))
	return socket
}

func dialTLS(t testing.TB, address string, cfg *tls.Config) net.Conn {
	t.Helper()
	socket, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	_ = socket.SetDeadline(time.Now().Add(patience))
	return socket
}

func dialWebSocket(url string, cfg *tls.Config, origin string) (net.Conn, error) {
	dialer := websocket.Dialer{TLSClientConfig: cfg, Subprotocols: []string{"mqtt"}}
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	ws, response, err := dialer.Dial(url+"/mqtt", header)
	if err != nil {
		if response != nil {
			_ = response.Body.Close()
			err = fmt.Errorf("%w: %s", err, response.Status)
		}
		return nil, err
	}
	_ = response.Body.Close() // empty: the connection lives on in ws
	return &webSocket{Conn: ws.NetConn(), ws: ws}, nil
}

// closed wants a connection to end without a byte.
func closed(t testing.TB, socket net.Conn) {
	t.Helper()
	_ = socket.SetDeadline(time.Now().Add(patience))
	n, err := socket.Read(make([]byte, 1))
	if n > 0 {
		t.Fatal("got a byte, want the end of the connection")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection did not end")
	}
}

// exchange sends so many bytes one way and the other.
func exchange(t testing.TB, a, b net.Conn, size int) {
	t.Helper()
	text := make([]byte, size)
	for i := range text {
		text[i] = byte(i % 251)
	}
	for range 2 {
		sent := make(chan error, 1)
		go func() {
			_, err := a.Write(text)
			sent <- err
		}()
		got := make([]byte, size)
		if _, err := io.ReadFull(b, got); err != nil || string(got) != string(text) {
			t.Fatalf("%d bytes did not come over whole: %v", size, err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		a, b = b, a
	}
}
