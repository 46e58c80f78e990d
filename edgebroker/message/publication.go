package message

import (
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// Publication is a message on its way: one for all its receivers, in the form
// in which it is written. It is never modified after it was passed on; one that is
// not borrowed may be read by many at once.
type Publication struct {
	Topic      string
	Properties []byte // see wire.Message
	Payload    []byte
	QoS        byte
	Retain     bool
	Expires    clock.Time // end of life, 0 for none
	Origin     *Origin

	// A publication that stands in a connection's read buffer is good until the
	// call that passes it returns; who keeps it asks for a copy.
	Borrowed bool
	copied   *Publication
}

// Overhead is what a waiting publication costs beside its text, in bytes.
const Overhead = 256

// Keep is the publication to hold on to: itself, or a copy of one that is borrowed,
// the same for every call.
func (p *Publication) Keep() *Publication {
	if !p.Borrowed {
		return p
	}
	if p.copied == nil {
		own := *p
		own.Borrowed = false
		text := make([]byte, 0, len(p.Properties)+len(p.Payload))
		text = append(append(text, p.Properties...), p.Payload...)
		own.Properties, own.Payload = text[:len(p.Properties):len(p.Properties)], text[len(p.Properties):]
		p.copied = &own
	}
	return p.copied
}

// Size is what it counts against limits in bytes.
func (p *Publication) Size() int {
	return Overhead + len(p.Topic) + len(p.Properties) + len(p.Payload)
}

// Left is the expiry to announce, in seconds; ok is false for a message that has
// none left to live.
func (p *Publication) Left() (seconds uint32, ok bool) {
	if p.Expires == 0 {
		return 0, true
	}
	at := clock.Now()
	if at >= p.Expires {
		return 0, false
	}
	return uint32((p.Expires - at + clock.Second - 1) / clock.Second), true
}

// EndOf is the end of a life of so many seconds that begins now, 0 for one without
// end.
func EndOf(seconds uint32) clock.Time {
	if seconds == 0 {
		return 0
	}
	return clock.Now() + clock.Time(seconds)*clock.Second
}

// Publication makes one of a message of this process, and shares its payload.
func (m *Message) Publication() *Publication {
	props := wire.Properties{
		PayloadUTF8:     m.PayloadUTF8,
		ContentType:     m.ContentType,
		ResponseTopic:   m.ResponseTopic,
		CorrelationData: m.CorrelationData,
		User:            m.UserProperties,
	}
	return &Publication{
		Topic:      m.Topic,
		Properties: props.Append(nil),
		Payload:    m.Payload,
		QoS:        m.QoS,
		Retain:     m.Retain,
		Expires:    EndOf(m.Expiry),
		Origin:     &m.Origin,
	}
}

// Message is the publication for a receiver in this process; it shares the payload
// of what Keep gives.
func (p *Publication) Message() Message {
	p = p.Keep()
	var props wire.Properties
	props.Decode(p.Properties)
	left, _ := p.Left()
	return Message{
		Topic:           p.Topic,
		Payload:         p.Payload,
		QoS:             p.QoS,
		Retain:          p.Retain,
		ContentType:     props.ContentType,
		PayloadUTF8:     props.PayloadUTF8,
		ResponseTopic:   props.ResponseTopic,
		CorrelationData: props.CorrelationData,
		UserProperties:  props.User,
		Expiry:          left,
		Origin:          *p.Origin,
	}
}

// Outgoing is the PUBLISH of p to a receiver, complete but for what is the
// receiver's own: packet id, version, subscription identifiers, DUP.
func (p *Publication) Outgoing(qos byte, retain bool, left uint32) wire.Outgoing {
	return wire.Outgoing{Topic: p.Topic, Properties: p.Properties, Payload: p.Payload, QoS: qos, Retain: retain, Left: left}
}
