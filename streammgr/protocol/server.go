// Package protocol serves the Stream Manager's clients: those that were written for
// AWS IoT Greengrass find their streams here, unchanged.
//
// The protocol is that of the public SDKs, versions 1.0.0 and 1.1.0: over TCP a byte
// that names the way to connect, sent back, then frames in both directions, each a
// length, an operation and a map in CBOR. Each request is answered. Requests of a
// connection are executed in order, and answered in order too, but for a read that
// waits for messages: it holds up only requests with the same request id, of which
// some clients have no other.
package protocol

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// What options are where they say nothing.
const (
	DefaultListen         = "127.0.0.1:8088"
	DefaultMaxMessage     = log.DefaultMaxMessage
	DefaultMaxAnswer      = 4 << 20
	DefaultMaxConnections = 64
)

// Ways of Options.Auth and Options.Unsupported.
const (
	AuthNone  = "none"
	AuthToken = "token"
	Refuse    = "refuse"
	Accept    = "accept"
)

// ErrUpdateNotAllowed says that a stream, or something of it, is not for clients to
// change: Streams tell it of those that the configuration defines.
var ErrUpdateNotAllowed = errors.New("update is not allowed")

// Streams are what clients work with. Its methods are safe for concurrent use; their
// errors wrap those of package log, ErrUpdateNotAllowed, or are told as they are.
type Streams interface {
	// Create makes a stream, and begins its exports.
	Create(ctx context.Context, d Definition) error
	// Update changes a stream. Exports that d does not have end.
	Update(ctx context.Context, d Definition) error
	// Delete removes a stream and ends its exports.
	Delete(ctx context.Context, name string) error
	// Describe is a stream's definition, and how its exports are.
	Describe(name string) (Definition, []ExportStatus, error)
	// Stream is the stream of that name, if it is there.
	Stream(name string) (*log.Stream, bool)
	// Names are those of all streams, in order.
	Names() []string
}

// Options of a server; zero values mean the defaults.
type Options struct {
	// Listen is the address, 127.0.0.1:8088.
	Listen string
	// Auth is how clients prove who they are: AuthNone, for loopback addresses only,
	// or AuthToken, by one of Tokens; AuthNone.
	Auth   string
	Tokens []string
	// Plaintext allows an address off loopback, where the token can be overheard.
	Plaintext bool
	// Unsupported is what becomes of exports to AWS IoT Analytics and AWS IoT
	// SiteWise: Refuse, or Accept, and then nothing is exported; Refuse.
	Unsupported string
	// Version is told to clients.
	Version string
	// MaxMessage in bytes is the longest message that is taken; 1 MiB.
	MaxMessage int
	// MaxAnswer in bytes is how much a read gives at most, messages and what stands
	// beside them; 4 MiB.
	MaxAnswer int
	// MaxConnections at a time; 64. Further ones are closed.
	MaxConnections int
	// Log is told what an operator should know; slog.Default().
	Log *slog.Logger
}

// Status is how a server is. Counters are since it was made.
type Status struct {
	Connections  int    // open now
	Refused      uint64 // connections beyond MaxConnections
	Unauthorised uint64 // connections without a valid token
	Requests     uint64 // of connected clients
	Failed       uint64 // requests with another status than success
}

// Server serves clients. All methods are safe for concurrent use.
type Server struct {
	options Options
	streams Streams
	tokens  [][sha256.Size]byte
	log     *slog.Logger

	// polls ends the reads that wait, ctx all that is under way.
	polls, ctx       context.Context
	endPolls, cancel context.CancelFunc
	tasks            sync.WaitGroup // the listener and the connections
	defining         sync.Mutex     // held while a stream is created, updated or deleted

	// How long a client has to prove who it is, for a frame from its first byte to
	// its last, and to take an answer.
	connectWithin, frameWithin, takenWithin time.Duration

	refused, unauthorized, requests, failed atomic.Uint64

	mu       sync.Mutex
	listener net.Listener
	conns    map[*conn]struct{}
	accepted uint64
	stopping bool
	warned   time.Time // when a client without a valid token was last logged
}

// New checks options. The server listens from Start on.
func New(o Options, s Streams) (*Server, error) {
	give := func(to *int, value int) {
		if *to == 0 {
			*to = value
		}
	}
	give(&o.MaxMessage, DefaultMaxMessage)
	give(&o.MaxAnswer, DefaultMaxAnswer)
	give(&o.MaxConnections, DefaultMaxConnections)
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.Auth == "" {
		o.Auth = AuthNone
	}
	if o.Unsupported == "" {
		o.Unsupported = Refuse
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	host, _, err := net.SplitHostPort(o.Listen)
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case err != nil:
		return nil, fmt.Errorf("streams: listen %q: want address:port: %w", o.Listen, err)
	case o.Auth != AuthNone && o.Auth != AuthToken:
		return nil, fmt.Errorf("streams: auth %q: want %s or %s", o.Auth, AuthNone, AuthToken)
	case o.Auth == AuthNone && !local:
		return nil, fmt.Errorf("streams: listen %q: auth %s is for loopback only: want auth: %s", o.Listen, AuthNone, AuthToken)
	case o.Auth == AuthToken && len(o.Tokens) == 0:
		return nil, errors.New("streams: auth token: want one token at least")
	case !local && !o.Plaintext:
		return nil, fmt.Errorf("streams: listen %q would speak plain text off loopback: want plaintext: true", o.Listen)
	case o.Unsupported != Refuse && o.Unsupported != Accept:
		return nil, fmt.Errorf("streams: unsupported_exports %q: want %s or %s", o.Unsupported, Refuse, Accept)
	case o.MaxMessage < 0 || o.MaxAnswer < 0 || o.MaxConnections < 0:
		return nil, errors.New("streams: bounds of the protocol: want them above 0")
	}
	server := &Server{options: o, streams: s, log: o.Log, conns: map[*conn]struct{}{},
		connectWithin: 10 * time.Second, frameWithin: time.Minute, takenWithin: 30 * time.Second}
	for i, token := range o.Tokens {
		if token == "" {
			return nil, fmt.Errorf("streams: tokens[%d] is empty", i)
		}
		server.tokens = append(server.tokens, sha256.Sum256([]byte(token)))
	}
	server.ctx, server.cancel = context.WithCancel(context.Background())
	server.polls, server.endPolls = context.WithCancel(server.ctx)
	return server, nil
}

// Start listens. The streams are to be ready: clients take an answer that a stream
// is not there for true, and a connection that is refused for a reason to wait.
func (s *Server) Start() error {
	l, err := net.Listen("tcp", s.options.Listen)
	if err != nil {
		return fmt.Errorf("streams: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || s.listener != nil {
		return errors.Join(errors.New("streams: a server is started once"), l.Close())
	}
	s.listener = l
	s.tasks.Go(func() { s.accept(l) })
	return nil
}

// Addr is where the server listens; nil before Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Stop takes no more requests, answers those that came, reads that wait with
// ServerTimeout, and returns when all connections are closed. When ctx ends it closes
// them at once.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	if s.listener != nil {
		_ = s.listener.Close() // nothing is lost with it
	}
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	s.endPolls()
	for _, c := range conns {
		c.stop()
	}
	ended := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(ended)
	}()
	defer s.cancel()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	for _, c := range conns {
		_ = c.Close() // it may be closed already
	}
	<-ended
	return fmt.Errorf("streams: clients were cut off: %w", ctx.Err())
}

// Status is how the server is now.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{
		Connections:  len(s.conns),
		Refused:      s.refused.Load(),
		Unauthorised: s.unauthorized.Load(),
		Requests:     s.requests.Load(),
		Failed:       s.failed.Load(),
	}
}

// acceptAgain is how long a listener rests that has no file descriptor left.
const acceptAgain = 100 * time.Millisecond

// accept takes connections until the listener is closed.
func (s *Server) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn("stream manager can't take a connection", "error", err)
			select {
			case <-time.After(acceptAgain):
			case <-s.polls.Done():
			}
			continue
		}
		c := s.admit(nc)
		if c == nil {
			_ = nc.Close() // it heard nothing, and has nothing to lose
			continue
		}
		s.tasks.Go(func() {
			c.serve()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// admit makes a connection, nil if there are too many or the server stops.
func (s *Server) admit(nc net.Conn) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil
	}
	if len(s.conns) >= s.options.MaxConnections {
		if s.refused.Add(1) == 1 {
			s.log.Warn("stream manager has as many clients as it may have, further ones are refused", "clients", len(s.conns))
		}
		return nil
	}
	s.accepted++
	c := newConn(s, nc, s.accepted)
	s.conns[c] = struct{}{}
	return c
}
