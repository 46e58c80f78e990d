package edgebroker

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/auth"
)

const (
	readBuffer = 4096
	linger     = time.Second // for the last packet to get out when a connection ends
)

// conn is one connection: its goroutine reads and answers, its writer's
// goroutine writes.
type conn struct {
	b        *Broker
	listener *listener
	socket   net.Conn
	cred     auth.Credentials
	remote   string
	in       *bufio.Reader
	out      *writer
	session  atomic.Pointer[session] // set when CONNECT was accepted
	detached chan struct{}           // closed when it has let go of its session

	// What CONNECT settled; fixed once session is set.
	origin    Origin // of what it publishes
	version   byte
	keepAlive time.Duration // longest silence, 0 for any
	window    int           // QoS 1 and 2 messages under way to the client
	maxPacket int           // largest packet the client takes
	will      *Message
	willDelay clock
	expiry    clock // of the session; a DISCONNECT may change it

	// The reader's own.
	aliases aliases
	rights  remembered[auth.Decision] // to publish
	policy  *auth.Policy              // that rights are of

	endOnce sync.Once
	ended   atomic.Uint32 // reason with which this side ended it, + 1
}

func newConn(b *Broker, l *listener, socket net.Conn, cred auth.Credentials) *conn {
	c := &conn{
		b:        b,
		listener: l,
		socket:   socket,
		cred:     cred,
		remote:   remoteName(socket),
		in:       bufio.NewReaderSize(socket, readBuffer),
		out:      newWriter(socket, &b.cfg.Limits),
		detached: make(chan struct{}),
	}
	c.out.failed = func() { c.end(reasonUnspecified) }
	c.out.drained = c.drained
	return c
}

// serve runs the connection to its end. A CONNECT must come before the
// deadline.
func (c *conn) serve(deadline time.Time) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.out.run()
	}()
	err := c.connect(deadline)
	if err == nil {
		err = c.converse()
		c.b.counters.clients.Add(-1)
		c.session.Load().detach(c, err != nil)
	}
	close(c.detached)
	c.out.close(c.farewell(err))
	c.logEnd(err)

	cut := time.AfterFunc(linger, func() { _ = c.socket.Close() })
	defer cut.Stop()
	<-written
	hangUp(c.socket)
}

// hangUp closes a socket when the other side has read what was said last, a
// refusing CONNACK, a DISCONNECT or an alert of TLS, within the
// linger: closing with unread input would reset the connection and lose it.
func hangUp(socket net.Conn) {
	if half, ok := socket.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		if socket.SetReadDeadline(time.Now().Add(linger)) == nil {
			_, _ = io.Copy(io.Discard, socket)
		}
	}
	_ = socket.Close()
}

// converse handles packets until the connection ends; nil means that the
// client said goodbye.
func (c *conn) converse() error {
	for {
		c.out.waitRoom(c.out.limit)
		var deadline time.Time
		if c.keepAlive > 0 {
			deadline = time.Now().Add(c.keepAlive)
		}
		if err := c.socket.SetReadDeadline(deadline); err != nil {
			return err
		}
		if c.ended.Load() != 0 { // after setting a deadline: end sets its own
			return errEnded
		}
		first, body, err := readPacket(c.in, int(c.b.cfg.Limits.PacketSize), &c.b.counters.bytesReceived)
		if err != nil {
			return err
		}
		pk, err := decodePacket(first, body, c.version)
		if err != nil {
			return err
		}
		if err := c.handle(first>>4, pk); err != nil {
			if errors.Is(err, errGoodbye) {
				return nil
			}
			return err
		}
	}
}

var (
	errGoodbye = errors.New("client disconnected")
	errEnded   = errors.New("ended by the broker")
)

// end makes the connection end with a reason, from any goroutine. It does not
// wait: detached tells when the session is free.
func (c *conn) end(reason byte) {
	c.endOnce.Do(func() {
		c.ended.Store(uint32(reason) + 1)
		if c.session.Load() != nil && c.version == 5 {
			c.out.close([]byte{typeDisconnect << 4, 1, reason})
		} else {
			c.out.close(nil)
		}
		c.interrupt()
	})
}

// interrupt makes the reader return.
func (c *conn) interrupt() {
	_ = c.socket.SetReadDeadline(time.Unix(1, 0))
}

// farewell is the DISCONNECT that tells a version 5 client what it did wrong.
func (c *conn) farewell(err error) []byte {
	var bad *brokenPacket
	switch {
	case c.session.Load() == nil || c.version < 5:
		return nil
	case errors.As(err, &bad):
		return []byte{typeDisconnect << 4, 1, bad.reason}
	case errors.Is(err, os.ErrDeadlineExceeded) && c.ended.Load() == 0:
		return []byte{typeDisconnect << 4, 1, reasonKeepAlive}
	}
	return nil
}

func (c *conn) logEnd(err error) {
	client := ""
	if s := c.session.Load(); s != nil {
		client = s.id
	}
	var bad *brokenPacket
	if errors.As(err, &bad) {
		c.b.noise.warn(c.b.log, "connection ended", "listener", c.listener.cfg.Name, "remote", c.remote, "client", client, "reason", err)
		return
	}
	c.b.log.Debug("connection ended", "listener", c.listener.cfg.Name, "remote", c.remote, "client", client, "reason", err)
}

// drained runs after each write: what waits in the session may have room now.
func (c *conn) drained(n int) {
	c.b.counters.bytesSent.Add(uint64(n))
	s := c.session.Load()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pump()
}

func (c *conn) protocol() string {
	switch c.version {
	case 3:
		return "3.1"
	case 4:
		return "3.1.1"
	}
	return "5.0"
}

func remoteName(socket net.Conn) string {
	name := socket.RemoteAddr().String()
	return strings.TrimPrefix(name, "@") // an unnamed Unix socket
}

// connections are the open connections, CONNECT or not.
type connections struct {
	mu   sync.Mutex
	open map[*conn]struct{}
}

func (cs *connections) init() { cs.open = make(map[*conn]struct{}) }

func (cs *connections) add(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.open[c] = struct{}{}
}

func (cs *connections) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
}

func (cs *connections) all() []*conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	list := make([]*conn, 0, len(cs.open))
	for c := range cs.open {
		list = append(list, c)
	}
	return list
}
