package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/topic"
)

// linger is how long the last packets may take to leave when a connection ends in
// order.
const linger = 2 * time.Second

// waitingMessages is how many of the largest messages may wait for the handler, at
// QoS 0 and again at QoS 1.
const waitingMessages = 4

// connection is one connection from its CONNACK to its end. One goroutine reads, one
// writes, one watches the clock; a fourth hands messages of the far side to the
// handler.
type connection struct {
	dialect dialect
	session Session
	handler Handler
	socket  *socket
	reader  *reader
	pulse   *pulse
	inbox   *inbox
	asked   answers
	prod    chan struct{} // asks for a ping now

	// Guarded by the socket's lock.
	aliases aliases
	scratch []byte // of properties

	telling sync.Mutex // one call of the handler at a time; guards what follows
	told    bool       // of Connected
	early   []puback   // that came before that

	leaveOnce, endOnce sync.Once
	leaving            error         // why it ends in order; set before left is closed
	left               chan struct{} // closed when the last packet is on its way
	cause              error         // why it ended; set before over is closed
	over               chan struct{} // closed at the end
	delivered          chan struct{} // closed when the handler's last Received has returned
}

type puback struct {
	id     uint16
	code   byte
	reason string
}

func newConnection(conn net.Conn, r *reader, d dialect, a accepted, c *Config, keepAlive, connecting time.Duration, h Handler) *connection {
	one := &connection{
		dialect: d,
		session: a.Session,
		handler: h,
		socket:  newSocket(conn),
		reader:  r,
		pulse:   newPulse(keepAlive, time.Duration(c.PingTimeout), connecting),
		prod:    make(chan struct{}, 1),
		aliases: aliases{limit: min(a.TopicAliasMaximum, aliasLimit)},
		left:    make(chan struct{}),
		over:    make(chan struct{}),

		delivered: make(chan struct{}),
	}
	one.inbox = newInbox(c.ReceiveMaximum, waitingMessages*int(c.MaxPacket), func(acks []byte) { _ = one.socket.write(acks) }) // over: they come again
	r.heard = one.pulse.read
	return one
}

// run serves the connection until it ends, and gives the reason; when ctx ends it
// ends in order. Messages of the far side are handed on after before is closed, when
// those of the connection before this one are done, so that a handler which blocks on
// them holds up no other traffic; delivered is closed when the last one is.
func (c *connection) run(ctx context.Context, before <-chan struct{}) error {
	var workers sync.WaitGroup
	workers.Go(c.read)
	workers.Go(c.write)
	workers.Go(func() { c.watch(ctx) })

	c.handler.Connected(c, c.session)
	go func() {
		defer close(c.delivered)
		<-before
		c.inbox.run(c.handler.Received)
	}()
	c.telling.Lock()
	for _, p := range c.early {
		c.handler.Acknowledged(p.id, p.code, p.reason)
	}
	c.told, c.early = true, nil
	c.telling.Unlock()

	workers.Wait()
	c.handler.Lost(c.cause)
	return c.cause
}

// leave ends the connection when one last packet is written.
func (c *connection) leave(cause error, last []byte) {
	c.leaveOnce.Do(func() {
		c.leaving = cause
		close(c.left)
		c.socket.finish(last)
	})
}

// end ends the connection at once. The first cause counts, one of leave before all.
func (c *connection) end(cause error) {
	c.endOnce.Do(func() {
		c.cause = cause
		select {
		case <-c.left:
			c.cause = c.leaving
		default:
		}
		close(c.over)
		_ = c.socket.conn.Close() // whatever it says, it is over
		c.socket.end()
		c.inbox.end()
	})
}

func (c *connection) write() {
	c.end(explain(c.socket.run(c.pulse.wrote)))
}

// watch ends the connection when ctx ends or no answer comes, and pings.
func (c *connection) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.over:
			return
		case <-ctx.Done():
			cause := context.Cause(ctx)
			if errors.Is(cause, context.Canceled) {
				cause = errStopped
			}
			c.leave(cause, c.dialect.goodbye())
			c.linger()
			return
		case <-c.left:
			c.linger()
			return
		case <-c.prod:
			c.ping()
		case <-timer.C:
			ping, silence, again := c.pulse.check(clock.Now())
			if silence > 0 {
				c.end(fmt.Errorf("no answer for %s: the connection is dead", silence.Round(time.Millisecond)))
				return
			}
			if ping {
				c.ping()
			}
			timer.Reset(again)
		}
	}
}

// linger gives the last packet its time.
func (c *connection) linger() {
	select {
	case <-c.over:
	case <-time.After(linger):
		c.end(nil) // leave has said why
	}
}

func (c *connection) ping() {
	if !c.pulse.ping() {
		_ = c.socket.write([]byte{byte(wire.Pingreq) << 4, 0}) // over: nobody waits for the answer
	}
}

func (c *connection) read() {
	for {
		first, body, err := c.reader.next()
		if err == nil {
			err = c.take(first, body)
		}
		if err == nil {
			continue
		}
		var broken *wire.Broken
		if errors.As(err, &broken) && c.session.Version == 5 {
			c.leave(err, wire.AppendDisconnect(nil, broken.Reason, "")) // [MQTT-4.13.1-1]
			return
		}
		if errors.Is(err, io.EOF) {
			err = errClosed
		}
		c.end(explain(err))
		return
	}
}

// errClosed is an end without a word.
var errClosed = errors.New("the far side closed the connection")

// take does what a packet asks for. An error ends the connection.
func (c *connection) take(first byte, body []byte) error {
	switch kind := wire.Kind(first >> 4); kind {
	case wire.Publish:
		return c.receive(first, body)
	case wire.Puback:
		a, err := wire.ReadAcknowledgement(first, body, c.session.Version)
		if err != nil {
			return err
		}
		c.pulse.answered(a.ID)
		p := puback{id: a.ID, code: byte(a.Reason)}
		if a.Reason.Failed() {
			p.reason = shorten(c.dialect.reason(body))
		}
		c.acknowledged(p)
	case wire.Suback, wire.Unsuback:
		id, codes, err := c.dialect.answered(byte(kind), body)
		if err != nil {
			return wire.Break(wire.Malformed, "packet type %d: %v", kind, err)
		}
		c.pulse.answered(0)
		c.asked.give(id, codes)
	case wire.Pingresp:
		c.pulse.ponged()
	case wire.Disconnect:
		return c.dialect.farewell(body)
	default:
		return wire.Break(wire.ProtocolError, "packet type %d from the far side", kind)
	}
	return nil
}

// longestReason is how much is kept of what a far side says of a message, in bytes.
const longestReason = 200

func shorten(text string) string {
	if len(text) > longestReason {
		text = strings.ToValidUTF8(text[:longestReason], "") + "…"
	}
	return text
}

func (c *connection) acknowledged(p puback) {
	c.telling.Lock()
	defer c.telling.Unlock()
	if c.told {
		c.handler.Acknowledged(p.id, p.code, p.reason)
	} else if len(c.early) < MaxID { // more there can't be
		c.early = append(c.early, p)
	}
}

// receive takes a PUBLISH of the far side.
func (c *connection) receive(first byte, body []byte) error {
	var in wire.Message
	if err := in.Read(first, body, c.session.Version); err != nil {
		return err
	}
	name := string(in.Topic)
	switch {
	case in.QoS > 1:
		return wire.Break(wire.ProtocolError, "PUBLISH at QoS 2, which was not subscribed to") // [MQTT-3.8.4-8]
	case in.Alias != 0:
		return wire.Break(wire.TopicAliasInvalid, "topic alias %d, of which none were allowed", in.Alias)
	case !topic.ValidName(name):
		return wire.Break(wire.TopicInvalid, "PUBLISH on %.100q, which is no topic name", name)
	}
	if in.QoS == 1 && c.inbox.full() {
		// 3.1.1 has no Receive Maximum, and mosquitto 2.0 exceeds it when it sends again
		// what a session holds. Were the link to end for that, it would again each time.
		c.pulse.hold(true)
		c.inbox.waitForRoom()
		c.pulse.hold(false)
	}
	var props wire.Properties
	props.Decode(in.Properties)
	c.inbox.put(message.Message{
		Topic:           name,
		Payload:         bytes.Clone(in.Payload),
		QoS:             in.QoS,
		Retain:          in.Retain,
		ContentType:     props.ContentType,
		PayloadUTF8:     props.PayloadUTF8,
		ResponseTopic:   props.ResponseTopic,
		CorrelationData: props.CorrelationData,
		UserProperties:  props.User,
		Expiry:          in.Expiry,
	}, in.ID)
	return nil
}
