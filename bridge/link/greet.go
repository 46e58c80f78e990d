package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// connect goes all the way to a CONNACK.
func (l *Link) connect(ctx context.Context, e endpoint, d dialect, h hello, watch observer) (*connection, error) {
	conn, err := l.dialer.open(ctx, e, watch)
	if err != nil {
		return nil, err
	}
	var answer accepted
	began := time.Now()
	in := newReader(conn, int(l.config.MaxPacket))
	err = l.dialer.step(ctx, watch, "mqtt", func(ctx context.Context) (string, error) {
		err := during(ctx, conn, func() (err error) {
			answer, err = greet(conn, in, d, &h)
			return err
		})
		return answer.String(), err
	})
	if err != nil {
		_ = conn.Close() // it is of no use, and err says more
		return nil, err
	}
	answer.Endpoint = e.url
	keepAlive := time.Duration(l.config.KeepAlive)
	if answer.keepAlive > 0 {
		keepAlive = time.Duration(answer.keepAlive) * time.Second // [MQTT-3.2.2-21]
	}
	return newConnection(conn, in, d, answer, l.config, keepAlive, time.Since(began), l.options.Handler), nil
}

// greet says CONNECT and reads the answer.
func greet(conn net.Conn, in *reader, d dialect, h *hello) (accepted, error) {
	packet, err := d.connect(h)
	if err != nil {
		return accepted{}, err
	}
	_, unsent := conn.Write(packet) // who closed before may have said why: that is read first
	first, err := in.peek()
	if err != nil {
		if errors.Is(err, net.ErrClosed) {
			err = unsent
		}
		return accepted{}, unanswered(err)
	}
	if kind := wire.Kind(first >> 4); kind != wire.Connack && kind != wire.Disconnect {
		return accepted{}, fmt.Errorf("byte 0x%02X in place of CONNACK: is that a broker?", first)
	}
	first, body, err := in.next()
	if err != nil {
		return accepted{}, unanswered(err)
	}
	if wire.Kind(first>>4) == wire.Disconnect {
		return accepted{}, d.farewell(body)
	}
	answer, err := d.connack(body)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		refusal.ClientID = h.clientID
	}
	return answer, err
}

// errUnanswered is a connection that ends in place of a CONNACK.
var errUnanswered = errors.New("the far side closes the connection in place of a CONNACK: it may want TLS (mqtts), or not like the certificate, the client id or the version of MQTT")

func unanswered(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return errUnanswered
	}
	return explain(err)
}
