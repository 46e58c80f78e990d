package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/unixsocket"
)

var errStopped = errors.New("the listeners are closed")

// admit gives a connection its place and a goroutine.
func (l *listener) admit(nc net.Conn) {
	s := l.set
	l.counts.accepted.Add(1)
	now := time.Now()
	wait, over, ok := s.places.enter(l, now)
	if !ok {
		l.counts.over[over].Add(1)
		_ = nc.Close()
		return
	}
	c := &Conn{Conn: nc, Listener: l.cfg, Deadline: now.Add(s.timeout), from: l, over: over}
	s.workers.Go(func() {
		switch {
		case !l.receive(c, wait):
			s.places.leave(l, c.over)
		case c.Plain != nil:
			l.handOver(c)
		default:
			// A goroutine that has done a TLS handshake keeps 8 KiB of stack, one
			// that only reads from it 4.
			s.workers.Go(func() { l.handOver(c) })
		}
	})
}

func (l *listener) handOver(c *Conn) {
	defer func() { l.set.places.leave(l, c.over) }()
	l.set.handle(c)
}

// receive holds a connection back as long as it has to be, and greets it. It
// reports whether there is one to hand over.
func (l *listener) receive(c *Conn, wait time.Duration) bool {
	nc := c.Conn
	if wait > 0 && !l.set.sleep(wait) {
		_ = nc.Close()
		return false
	}
	err := l.greet(c)
	if err == nil {
		return true
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errStopped) {
		_ = nc.Close() // nothing was said that the other side would have to read
	} else {
		hangUp(nc)
	}
	l.counts.handshakes.Add(1)
	l.set.log.Debug("handshake failed", "listener", l.cfg.Name, "remote", remoteName(nc), "error", err)
	return false
}

// greet does the handshakes below MQTT: TLS, WebSocket, the peer's credentials
// of a Unix socket.
func (l *listener) greet(c *Conn) (err error) {
	if l.cfg.Protocol == protocolUnix {
		peer, err := unixsocket.Peer(c.Conn)
		if err != nil {
			return err
		}
		c.Credentials.Peer = &auth.Peer{PID: int(peer.Pid), UID: int(peer.Uid), GID: int(peer.Gid)}
	}
	if l.certs == nil && l.cfg.Protocol != protocolWebSocket {
		c.Plain = c.Conn.(syscall.Conn)
		return nil
	}
	return l.set.within(c, func() (err error) {
		if l.certs != nil {
			c.Conn, c.Credentials.Chain, err = l.certs.handshake(c.Conn, l.set.newTurn(c.Deadline))
			if err != nil {
				return fmt.Errorf("TLS: %w", err)
			}
		}
		if l.cfg.Protocol == protocolWebSocket {
			c.Conn, err = upgrade(c.Conn, l.cfg.Origins, l.certs != nil)
		}
		return err
	})
}

// within runs the handshakes of a connection until its deadline or Close.
func (s *Set) within(c *Conn, handshakes func() error) error {
	nc := c.Conn
	if err := nc.SetDeadline(c.Deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(s.stop, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	err := handshakes()
	if !stop() && err == nil {
		return errStopped
	}
	if err != nil {
		return err
	}
	return nc.SetDeadline(time.Time{})
}

// sleep reports whether the listeners are still open after it.
func (s *Set) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop.Done():
		return false
	}
}
