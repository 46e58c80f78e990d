package listen

import (
	"fmt"
	"net"
	"os"
	"time"
)

// handshakeLimit is how many bytes a client may send in a TLS handshake. Its
// hello and chain of certificates have some 4 KB, with post-quantum signatures
// 20 KB; crypto/tls itself takes messages of up to 256 KiB from a stranger.
const handshakeLimit = 32 << 10

var errLongHandshake = fmt.Errorf("want a handshake of at most %d bytes", handshakeLimit)

// turn is the permission of one TLS handshake to compute. It is handed on while
// the handshake waits for its client, so silent clients keep nobody waiting.
type turn struct {
	set      *Set
	deadline time.Time
	held     bool
}

func (s *Set) newTurn(deadline time.Time) *turn { return &turn{set: s, deadline: deadline} }

// take waits for one of the turns, the longest waiting first.
func (t *turn) take() error {
	select {
	case t.set.turns <- struct{}{}:
		t.held = true
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(t.deadline))
	defer timer.Stop()
	select {
	case t.set.turns <- struct{}{}:
		t.held = true
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	case <-t.set.stop.Done():
		return errStopped
	}
}

func (t *turn) giveBack() {
	if t.held {
		<-t.set.turns
		t.held = false
	}
}

// turning is a socket under a TLS handshake, which computes only between one
// read and the next.
type turning struct {
	net.Conn
	turn *turn // nil after the handshake
	left int   // bytes that the client may send until then
}

func (c *turning) Read(p []byte) (int, error) {
	if c.turn == nil {
		return c.Conn.Read(p)
	}
	if c.left == 0 {
		return 0, errLongHandshake
	}
	c.turn.giveBack()
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	if err != nil {
		return n, err
	}
	c.left -= n
	return n, c.turn.take()
}
