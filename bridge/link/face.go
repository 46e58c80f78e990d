// Package link is the connection to one far broker: it dials, proves who it is,
// comes back after every loss, and speaks MQTT 5 or 3.1.1 behind one face. It
// keeps no message: what is on its way, and what becomes of it when the
// connection is lost, is its Handler's.
package link

import (
	"context"
	"errors"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// MaxID is the largest packet id of a handler. Those above are the link's own, for
// what it asks itself.
const MaxID = 65000

// Publish is one PUBLISH on its way up.
type Publish struct {
	message.Message
	// ID is the handler's number for it at QoS 1, 1 to MaxID, 0 at QoS 0. It is the
	// packet id, so what is sent again must have the id it had [MQTT-4.4.0-1].
	ID  uint16
	Dup bool // sent before in this session
}

// Session is what a far side's CONNACK said.
type Session struct {
	Version           byte // 5, or 4 for 3.1.1
	Present           bool // the far side has kept the session
	Endpoint          string
	ReceiveMaximum    int  // QoS 1 messages that may be unacknowledged, at most MaxID
	MaximumPacket     int  // bytes; 0 for any
	MaximumQoS        byte // 0, 1 or 2
	RetainAvailable   bool
	TopicAliasMaximum int
}

// What Publish refuses without the connection ending: it would otherwise be the far
// side that ends it.
var (
	ErrTooLarge = errors.New("packet larger than the far side takes")
	ErrQoS      = errors.New("QoS that the far side does not speak")
	ErrRetain   = errors.New("the far side keeps no retained messages")
	ErrID       = errors.New("wrong packet id")
)

// Subscription is a filter at the far side. In version 5 messages come with RETAIN as
// they were published, and retained ones when the subscription is new in the session.
type Subscription struct {
	Filter  string
	QoS     byte
	NoLocal bool // ignored by 3.1.1
}

// Conn is one connection that stands. Its methods are safe for concurrent use.
type Conn interface {
	// Publish writes p, or puts it to be written with what follows at once. It blocks
	// while the socket takes nothing. wire is the length of the packet in bytes. It
	// keeps nothing of p. An error is ErrTooLarge, ErrQoS, ErrRetain or ErrID, or of the
	// connection, which ends with it. Topic aliases are used as the far side allows.
	Publish(p *Publish) (wire int, err error)
	// Subscribe waits for the SUBACK and returns its reason codes, in the order of subs.
	Subscribe(ctx context.Context, subs []Subscription) (codes []byte, err error)
	// Unsubscribe waits for the UNSUBACK.
	Unsubscribe(ctx context.Context, filters []string) error
}

// Handler is told what happens on a link. Its methods are called by one goroutine at
// a time and in order, except Received, which may be called beside the others; none
// of them may block for long, Received excepted: it is what holds the far side back.
// Acknowledged is called by who reads the connection, and must not wait for it.
type Handler interface {
	// Connected begins a connection. Whatever was sent on the one before and not
	// acknowledged is to be sent again before anything else. Acknowledged and Received
	// come when it has returned, so it must not wait for an answer of the far side.
	Connected(c Conn, s Session)
	// Acknowledged is the PUBACK of what was published with that id, with its reason
	// code, 0 in 3.1.1.
	Acknowledged(id uint16, code byte, reason string)
	// Received is a PUBLISH of the far side. Its PUBACK leaves when done is called,
	// which any goroutine may do, once; at QoS 0 done does nothing. PUBACKs leave in
	// the order in which the messages came.
	Received(m message.Message, done func())
	// Lost ends a connection; err says why. Connected comes before the next one.
	Lost(err error)
}
