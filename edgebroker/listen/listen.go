// Package listen takes in the connections of MQTT clients: it binds addresses,
// interfaces and Unix sockets, keeps to the limits on connections, and does the
// handshakes below MQTT (TLS, WebSocket, the peer of a Unix socket). What comes
// out is a byte stream of MQTT with the credentials of its client.
package listen

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// Options are what the broker hands in. All are required.
type Options struct {
	// Connections is how many there may be at once over all listeners.
	Connections int
	// ConnectTimeout is the time from accepting a connection to its CONNECT.
	ConnectTimeout time.Duration
	// Log takes what an operator should know.
	Log *slog.Logger
	// Warn logs what a client can cause; it sees to it that a hostile one does
	// not fill the log.
	Warn func(text string, args ...any)
}

// Set is the listeners of a broker. Its life is New, Listen, Serve, Close, Wait.
// All methods are safe for concurrent use.
type Set struct {
	listeners []*listener
	timeout   time.Duration
	log       *slog.Logger
	warn      func(text string, args ...any)
	handle    func(*Conn) // set by Serve, before there are connections

	places places
	// turns are the handshakes of TLS that may compute at a moment. Half of the
	// processors are left to the clients that are connected.
	turns chan struct{}

	stop    context.Context // done when Close begins
	halt    context.CancelFunc
	workers sync.WaitGroup // accept loops, connections
}

// New makes the listeners of a validated configuration whose paths are resolved.
// It reads the certificates and opens no socket.
func New(cfg []Config, opts Options) (*Set, error) {
	s := &Set{
		timeout: opts.ConnectTimeout,
		log:     opts.Log,
		warn:    opts.Warn,
		places:  places{limit: opts.Connections},
		turns:   make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	s.stop, s.halt = context.WithCancel(context.Background())
	for i := range cfg {
		l, err := newListener(s, &cfg[i])
		if err != nil {
			return nil, fmt.Errorf("listener %q: %w", cfg[i].Name, err)
		}
		s.listeners = append(s.listeners, l)
	}
	return s, nil
}

// Listen binds every listener. The error names the listener and its address
// and wraps the system's (syscall.EADDRINUSE for one that is taken); what was
// bound is closed again. An interface without addresses is no error: it is
// waited for.
func (s *Set) Listen() error {
	for _, l := range s.listeners {
		if err := l.bind(); err != nil {
			s.closeSockets()
			return err
		}
	}
	return nil
}

// Serve starts to accept and returns at once. It calls handle with each
// connection on a goroutine of its own; when handle returns, the connection has
// left its place for another, so handle closes it before. Serve is called once.
func (s *Set) Serve(handle func(*Conn)) {
	s.handle = handle
	for _, l := range s.listeners {
		l.serve()
	}
}

// Close stops accepting and ends the handshakes. Connections that were handed
// over go on. It does not wait, and may be called more than once.
func (s *Set) Close() {
	s.halt()
	s.closeSockets()
}

func (s *Set) closeSockets() {
	for _, l := range s.listeners {
		l.close()
	}
}

// Wait waits, after Close, until every call of handle has returned and nothing
// that Serve started is left.
func (s *Set) Wait() { s.workers.Wait() }
