package edgebroker

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// publication is a message on its way: one for all its receivers, in the form
// in which it is written. It is never modified after it was passed on.
type publication struct {
	topic      string
	properties []byte // see wire.Message
	payload    []byte
	qos        byte
	retain     bool
	expires    clock.Time // end of life, 0 for none
	origin     *Origin

	// A publication that stands in a connection's read buffer is good until the
	// call that passes it returns; who keeps it asks for a copy.
	borrowed bool
	copied   *publication
}

// publicationOverhead is what a waiting publication costs beside its text, in bytes.
const publicationOverhead = 256

// keep is the publication to hold on to.
func (p *publication) keep() *publication {
	if !p.borrowed {
		return p
	}
	if p.copied == nil {
		own := *p
		own.borrowed = false
		text := make([]byte, 0, len(p.properties)+len(p.payload))
		text = append(append(text, p.properties...), p.payload...)
		own.properties, own.payload = text[:len(p.properties):len(p.properties)], text[len(p.properties):]
		p.copied = &own
	}
	return p.copied
}

// size is what it counts against limits in bytes.
func (p *publication) size() int {
	return publicationOverhead + len(p.topic) + len(p.properties) + len(p.payload)
}

// left is the expiry to announce, in seconds; ok is false for a message that has
// none left to live.
func (p *publication) left() (seconds uint32, ok bool) {
	if p.expires == 0 {
		return 0, true
	}
	at := clock.Now()
	if at >= p.expires {
		return 0, false
	}
	return uint32((p.expires - at + clock.Second - 1) / clock.Second), true
}

// lives begins a life of so many seconds, 0 for one without end.
func lives(seconds uint32) clock.Time {
	if seconds == 0 {
		return 0
	}
	return clock.Now() + clock.Time(seconds)*clock.Second
}

// publication makes one of a message of this process.
func (m *Message) publication() *publication {
	props := wire.Properties{
		PayloadUTF8:     m.PayloadUTF8,
		ContentType:     m.ContentType,
		ResponseTopic:   m.ResponseTopic,
		CorrelationData: m.CorrelationData,
		User:            m.UserProperties,
	}
	return &publication{
		topic:      m.Topic,
		properties: props.Append(nil),
		payload:    m.Payload,
		qos:        m.QoS,
		retain:     m.Retain,
		expires:    lives(m.Expiry),
		origin:     &m.Origin,
	}
}

// message is the publication for a receiver in this process.
func (p *publication) message() Message {
	p = p.keep()
	var props wire.Properties
	props.Decode(p.properties)
	left, _ := p.left()
	return Message{
		Topic:           p.topic,
		Payload:         p.payload,
		QoS:             p.qos,
		Retain:          p.retain,
		ContentType:     props.ContentType,
		PayloadUTF8:     props.PayloadUTF8,
		ResponseTopic:   props.ResponseTopic,
		CorrelationData: props.CorrelationData,
		UserProperties:  props.User,
		Expiry:          left,
		Origin:          *p.origin,
	}
}

// outgoing is the PUBLISH of p to a receiver, complete but for what is the
// receiver's own: packet id, version, subscription identifiers, DUP.
func (p *publication) outgoing(qos byte, retain bool, left uint32) wire.Outgoing {
	return wire.Outgoing{Topic: p.topic, Properties: p.properties, Payload: p.payload, QoS: qos, Retain: retain, Left: left}
}

// How a publication is stored: a byte of flags, the topic, the properties, the
// end of its life if it has one, its origin if a room is to have it, the payload.
const (
	storedQoS     = 3
	storedRetain  = 1 << 2
	storedExpires = 1 << 3
	storedOrigin  = 1 << 4
)

var errStored = errors.New("not a stored message")

// appendStored encodes p. With origin it keeps where it came from.
func (b *Broker) appendStored(buf []byte, p *publication, origin bool) []byte {
	flags := p.qos
	if p.retain {
		flags |= storedRetain
	}
	if p.expires != 0 {
		flags |= storedExpires
	}
	if origin {
		flags |= storedOrigin
	}
	buf = appendText(append(buf, flags), p.topic)
	buf = appendText(buf, p.properties)
	if p.expires != 0 {
		buf = b.clock.Mark(p.expires).Append(buf)
	}
	if origin {
		o := p.origin
		for _, text := range []string{o.Client, o.Identity, o.Role, o.Zone, o.Listener, o.Link} {
			buf = appendText(buf, text)
		}
	}
	return append(buf, p.payload...)
}

// readStored decodes what appendStored wrote, into memory of its own.
func (b *Broker) readStored(data []byte) (*publication, error) {
	in := fields{rest: slices.Clone(data)}
	flags := in.byte()
	p := &publication{qos: flags & storedQoS, retain: flags&storedRetain != 0, origin: &Origin{}}
	p.topic = string(in.text())
	p.properties = in.text()
	if flags&storedExpires != 0 {
		p.expires = b.remember(in.mark())
	}
	if flags&storedOrigin != 0 {
		o := p.origin
		for _, text := range []*string{&o.Client, &o.Identity, &o.Role, &o.Zone, &o.Listener, &o.Link} {
			*text = string(in.text())
		}
	}
	p.payload = in.rest
	if in.short || p.topic == "" {
		return nil, errStored
	}
	return p, nil
}

// remember is the end of a life that began before the restart. Where it can't be
// told, the message is kept. A life that ended before this boot ends now.
func (b *Broker) remember(m clock.Mark) clock.Time {
	t, known := b.clock.Time(m)
	if !known {
		return 0
	}
	return max(t, 1)
}

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// fields reads what is stored, one field after the other.
type fields struct {
	rest  []byte
	short bool // more was asked for than there is
}

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.rest)) {
		f.short, n = true, uint64(len(f.rest))
	}
	head := f.rest[:n:n]
	f.rest = f.rest[n:]
	return head
}

func (f *fields) byte() byte {
	if b := f.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (f *fields) number() uint64 {
	n, used := binary.Uvarint(f.rest)
	if used <= 0 {
		f.short, used = true, len(f.rest)
	}
	f.rest = f.rest[used:]
	return n
}

func (f *fields) text() []byte { return f.take(f.number()) }

func (f *fields) mark() clock.Mark {
	if b := f.take(clock.MarkSize); len(b) == clock.MarkSize {
		return clock.ReadMark(b)
	}
	return clock.Mark{}
}

// isValue tells the topics that are last known values whoever publishes to them.
func isValue(name string) bool { return strings.HasPrefix(name, valuePrefix) }
