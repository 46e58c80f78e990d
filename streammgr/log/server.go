package log

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// serverMemory is what memory streams may take at the server, beside their own
	// sizes, which Options.MaxMemory bounds.
	serverMemory = 1 << 40
	// serverStore likewise: fullness is told by this package, which leaves the
	// server writing; the server would refuse everybody.
	serverStore = 1 << 60
	// answerWithin is how long JetStream may take for an answer.
	answerWithin = 10 * time.Second
)

// session is the server and the connections to it, from one start to the next.
type session struct {
	server *server.Server // nil for a server of somebody else's
	writes *nats.Conn
	reads  *nats.Conn // its own, for the server reads the disk while it holds a connection up
	js     jetstream.JetStream

	// complained tells that the server logged an error, or that a connection broke:
	// what was sent may never be answered.
	complained atomic.Bool
}

// startSession starts the server, which reads what it has on disk, or connects to
// the one of Options.URL.
func startSession(o *Options) (*session, error) {
	s := new(session)
	var err error
	if o.URL == "" {
		if s.server, err = startServer(o, s); err != nil {
			return nil, err
		}
	}
	if s.writes, err = s.connect(o, "streams append"); err == nil {
		s.reads, err = s.connect(o, "streams read")
	}
	if err == nil {
		s.js, err = jetstream.New(s.writes, jetstream.WithDefaultTimeout(answerWithin))
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *session) connect(o *Options, name string) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name("fascia " + name), nats.MaxReconnects(-1), nats.Timeout(answerWithin),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { s.complained.Store(true) }),
	}
	if s.server != nil {
		options = append(options, nats.InProcessServer(s.server))
	}
	conn, err := nats.Connect(o.URL, append(options, o.Connect...)...)
	if err != nil {
		return nil, fmt.Errorf("streams: connect to NATS: %w", err)
	}
	return conn, nil
}

func (s *session) stop() {
	for _, conn := range []*nats.Conn{s.writes, s.reads} {
		if conn != nil {
			conn.Close()
		}
	}
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}
}

// storeDir is where JetStream keeps its files, below Options.Dir.
const storeDir = "jetstream"

// accountDir is where JetStream keeps the streams of those who have no account.
func accountDir(dir string) string { return filepath.Join(dir, storeDir, "$G", "streams") }

func startServer(o *Options, ss *session) (*server.Server, error) {
	options := &server.Options{
		ServerName:            "fascia",
		DontListen:            true,
		NoSigs:                true,
		JetStream:             true,
		StoreDir:              o.Dir,
		JetStreamKey:          o.Key,
		JetStreamMaxMemory:    serverMemory,
		JetStreamMaxStore:     serverStore,
		MaxPayload:            int32(o.MaxMessage + maxHead + maxFrame + recordOverhead),
		DisableShortFirstPing: true,
	}
	if o.Key != "" {
		options.JetStreamCipher = server.ChaCha // as fast where the processor has no instructions for AES
	}
	if o.Listen != "" {
		host, port, err := loopback(o.Listen)
		if err != nil {
			return nil, err
		}
		options.DontListen, options.Host, options.Port = false, host, port
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	s.SetLoggerV2(serverLog{o.Log, &ss.complained}, false, false, false)
	s.Start() // returns when the streams are read
	if !s.ReadyForConnections(answerWithin) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("streams: the embedded server did not start in %s: %w", o.Dir, ErrUnavailable)
	}
	return s, nil
}

// loopback reads the address of a port that everybody may use who reaches it.
func loopback(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || net.ParseIP(host) == nil || !net.ParseIP(host).IsLoopback() || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("streams: %w address %q to listen at: want a loopback address and a port", ErrInvalid, address)
	}
	return host, port, nil
}

// serverLog passes on what an operator should know of the server. Its warnings are
// of what a kill leaves, mostly.
type serverLog struct {
	log        *slog.Logger
	complained *atomic.Bool
}

func (l serverLog) Noticef(string, ...any)    {}
func (l serverLog) Debugf(string, ...any)     {}
func (l serverLog) Tracef(string, ...any)     {}
func (l serverLog) Warnf(f string, a ...any)  { l.tell(slog.LevelInfo, f, a) }
func (l serverLog) Errorf(f string, a ...any) { l.complain(f, a) }
func (l serverLog) Fatalf(f string, a ...any) { l.complain(f, a) }

func (l serverLog) complain(format string, args []any) {
	l.complained.Store(true)
	l.tell(slog.LevelError, format, args)
}

func (l serverLog) tell(level slog.Level, format string, args []any) {
	l.log.Log(context.Background(), level, "streams: embedded NATS server: "+strings.TrimSpace(fmt.Sprintf(format, args...)))
}
