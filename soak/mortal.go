package soak

import (
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// goodbyeWithin is the time for a broker to close after DISCONNECT.
const goodbyeWithin = time.Second

// mortal is a client with a will, a new one for each connection. It dies
// without a DISCONNECT, says goodbye, or comes back before its will is due; at
// the calm it dies for good.
type mortal struct {
	client
	wills *stream
	delay time.Duration
	heir  *receiver  // whoever gets the wills
	epoch func() int // of the broker: how often it was started

	// Of this connection:
	number int
	born   int     // epoch when it was dialled, or an earlier one
	armed  instant // CONNACK
	// Of the connection before:
	will    int // -1: there is none
	death   time.Time
	goodbye int // epoch in which a DISCONNECT ended it, or 0

	dead atomic.Bool // for good
}

func newMortal(c client, wills *stream, delay time.Duration, heir *receiver, epoch func() int) *mortal {
	return &mortal{client: c, wills: wills, delay: delay, heir: heir, epoch: epoch, will: -1}
}

func (m *mortal) connecting(pk *packets.Packet) {
	m.number, m.born = m.wills.next(), m.epoch()
	pk.Connect.WillFlag = true
	pk.Connect.WillQos = m.wills.qos
	pk.Connect.WillTopic = m.wills.topic
	pk.Connect.WillPayload = m.wills.payload(m.number)
	pk.Connect.WillProperties.WillDelayInterval = uint32(m.delay / time.Second)
}

// connected knows what has to become of the will before this one: cancelled if
// the client was back in time [MQTT-3.1.3-9], or had said goodbye to a broker
// that heard it and was not started again since.
func (m *mortal) connected(*packets.Packet) {
	m.armed = m.ledger.now()
	back := m.goodbye == 0 && m.delay > 0 && time.Since(m.death) < m.delay
	if m.will >= 0 && (back || m.goodbye != 0 && m.goodbye == m.epoch()) {
		m.wills.change(m.will, func(w *message) { w.forbidden = w.acked == 0 })
	}
}

func (m *mortal) handle(pk *packets.Packet) { m.unexpected(pk) }

func (m *mortal) tick() bool { return !begun(m.phases.calm) }

func (m *mortal) leaving(whim bool) {
	m.will, m.death, m.goodbye, m.until = m.number, time.Now(), 0, nil
	switch {
	case begun(m.phases.calm):
		m.owe()
		m.until = func() bool { return false }
		m.dead.Store(true)
	case whim && m.random.IntN(4) == 0:
		m.sayGoodbye()
	case m.delay == 0:
		m.owe()
	case m.random.IntN(2) == 0:
		m.owe()
		m.until = func() bool { return m.heir.has(m.wills, m.will) }
	}
}

// sayGoodbye has been heard when the broker closes the connection. Without
// waiting for that, the next CONNECT could be read before the DISCONNECT.
func (m *mortal) sayGoodbye() {
	m.link.sendDisconnect()
	select {
	case _, open := <-m.link.packets:
		if !open {
			m.goodbye = m.born
		}
	case <-time.After(goodbyeWithin):
	}
}

// owe makes the will one that must not be lost.
func (m *mortal) owe() {
	m.wills.change(m.will, func(w *message) { w.acked, w.completed = m.armed, m.armed })
}
