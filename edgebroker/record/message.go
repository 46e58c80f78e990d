package record

import (
	"slices"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// How a publication is stored: a byte of flags, the topic, the properties, the
// end of its life if it has one, its origin if a room is to have it, the payload.
const (
	storedQoS     = 3
	storedRetain  = 1 << 2
	storedExpires = 1 << 3
	storedOrigin  = 1 << 4
)

// AppendMessage encodes p behind buf. With origin it keeps where p came from; at says
// how the end of its life is told after a restart.
func AppendMessage(buf []byte, p *message.Publication, origin bool, at *clock.Clock) []byte {
	flags := p.QoS
	if p.Retain {
		flags |= storedRetain
	}
	if p.Expires != 0 {
		flags |= storedExpires
	}
	if origin {
		flags |= storedOrigin
	}
	buf = appendText(append(buf, flags), p.Topic)
	buf = appendText(buf, p.Properties)
	if p.Expires != 0 {
		buf = at.Mark(p.Expires).Append(buf)
	}
	if origin {
		o := p.Origin
		for _, text := range []string{o.Client, o.Identity, o.Role, o.Zone, o.Listener, o.Link} {
			buf = appendText(buf, text)
		}
	}
	return append(buf, p.Payload...)
}

// ReadMessage decodes what AppendMessage wrote, into memory of its own.
func ReadMessage(data []byte, at *clock.Clock) (*message.Publication, error) {
	in := fields{rest: slices.Clone(data)}
	flags := in.byte()
	p := &message.Publication{QoS: flags & storedQoS, Retain: flags&storedRetain != 0, Origin: &message.Origin{}}
	p.Topic = string(in.text())
	p.Properties = in.text()
	if flags&storedExpires != 0 {
		p.Expires = remember(in.mark(), at)
	}
	if flags&storedOrigin != 0 {
		o := p.Origin
		for _, text := range []*string{&o.Client, &o.Identity, &o.Role, &o.Zone, &o.Listener, &o.Link} {
			*text = string(in.text())
		}
	}
	p.Payload = in.rest
	if in.short || p.Topic == "" {
		return nil, ErrForm
	}
	return p, nil
}

// remember is the end of a life that began before the restart. Where it can't be
// told, the message is kept. A life that ended before this boot ends now.
func remember(m clock.Mark, at *clock.Clock) clock.Time {
	t, known := at.Time(m)
	if !known {
		return 0
	}
	return max(t, 1)
}
