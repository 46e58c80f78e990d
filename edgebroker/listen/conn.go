package listen

import (
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/fascia-edge/fascia/auth"
)

// linger is the time for the last bytes to get out when a connection ends.
const linger = time.Second

// Conn is an accepted connection after its handshakes: the byte stream of MQTT,
// with no deadline set. It holds no buffer for what was not read yet, but for
// those that TLS and WebSocket have of their own.
type Conn struct {
	net.Conn
	// Credentials are what the handshakes gave: the verified chain of a client's
	// certificate, the peer of a Unix socket.
	Credentials auth.Credentials
	// Listener is where it came in; it must not be changed.
	Listener *Config
	// Deadline is when its CONNECT must be there.
	Deadline time.Time
	// Plain is the socket itself where nothing is between it and MQTT, so that
	// it may be written to directly; nil for TLS and WebSocket.
	Plain syscall.Conn

	from *listener // nil outside a Set
	over Limit     // set while it holds no place
}

// Remote names the other end for logs: host:port, "" for an unnamed Unix socket.
func (c *Conn) Remote() string { return remoteName(c.Conn) }

func remoteName(nc net.Conn) string { return strings.TrimPrefix(nc.RemoteAddr().String(), "@") }

// HangUp closes the connection when the other side has read what was said last,
// a refusing CONNACK, a DISCONNECT or an alert of TLS, within a second: closing
// with unread input would reset the connection and lose it.
func (c *Conn) HangUp() { hangUp(c.Conn) }

func hangUp(nc net.Conn) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		if nc.SetReadDeadline(time.Now().Add(linger)) == nil {
			_, _ = io.Copy(io.Discard, nc)
		}
	}
	_ = nc.Close()
}
