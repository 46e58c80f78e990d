package bridge

import (
	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// What is said on the topic of the will.
const (
	linkUp   = "up"
	linkDown = "down"
)

// Connected implements link.Handler.
func (w *worker) Connected(c link.Conn, s link.Session) {
	w.sender.Connected(c, s)
	w.subscriptions.connected(c, s)
	w.teller.set(true)
}

// Acknowledged implements link.Handler.
func (w *worker) Acknowledged(id uint16, code byte, reason string) {
	w.sender.Acknowledged(id, code, reason)
}

// Lost implements link.Handler.
func (w *worker) Lost(err error) {
	w.sender.Lost(err)
	w.subscriptions.lost()
	w.teller.set(false)
}

// Received implements link.Handler.
func (w *worker) Received(m message.Message, done func()) { w.down.received(w, m, done) }

// will is the message that tells a state of the link to the far side; nil without one.
func (c *LinkConfig) will(who Vehicle, state string) (*message.Message, error) {
	if c.Will == nil {
		return nil, nil
	}
	name, err := who.fill(c.Will.Topic)
	if err != nil {
		return nil, err
	}
	return &message.Message{
		Topic:       name,
		Payload:     []byte(`{"state":"` + state + `"}`),
		QoS:         byte(c.Will.QoS),
		Retain:      c.Will.Retain,
		ContentType: "application/json",
	}, nil
}
