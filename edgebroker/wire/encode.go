package wire

import "encoding/binary"

// Outgoing is a PUBLISH to one receiver, sized and written without allocating:
// this is the path that every message takes.
type Outgoing struct {
	Topic           string
	Alias           uint16 // topic alias, 0 for none; with it an empty Topic stands for the one sent before
	Properties      []byte // as Message.Properties; version 5 only
	Payload         []byte
	SubscriptionIDs []uint32
	Left            uint32 // seconds to live, 0 for no end
	ID              uint16
	QoS             byte
	Retain, Dup     bool
	Version         byte
}

// Size is the length of the packet in bytes.
func (p *Outgoing) Size() int {
	n := p.remaining()
	return 1 + lengthSize(n) + n
}

func (p *Outgoing) remaining() int {
	n := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > 0 {
		n += 2
	}
	if p.Version == 5 {
		props := p.section()
		n += lengthSize(props) + props
	}
	return n
}

func (p *Outgoing) section() int {
	n := len(p.Properties)
	if p.Left > 0 {
		n += 5
	}
	if p.Alias > 0 {
		n += 3
	}
	for _, id := range p.SubscriptionIDs {
		n += 1 + lengthSize(int(id))
	}
	return n
}

// Append appends the packet.
func (p *Outgoing) Append(b []byte) []byte {
	first := byte(Publish)<<4 | p.QoS<<1
	if p.Retain {
		first |= 1
	}
	if p.Dup {
		first |= 8
	}
	b = AppendLength(append(b, first), p.remaining())
	b = appendText(b, p.Topic)
	if p.QoS > 0 {
		b = binary.BigEndian.AppendUint16(b, p.ID)
	}
	if p.Version == 5 {
		b = AppendLength(b, p.section())
		if p.Left > 0 {
			b = binary.BigEndian.AppendUint32(append(b, propExpiry), p.Left)
		}
		if p.Alias > 0 {
			b = binary.BigEndian.AppendUint16(append(b, propTopicAlias), p.Alias)
		}
		for _, id := range p.SubscriptionIDs {
			b = AppendLength(append(b, propSubscriptionID), int(id))
		}
		b = append(b, p.Properties...)
	}
	return append(b, p.Payload...)
}
