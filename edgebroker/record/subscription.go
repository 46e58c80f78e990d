package record

import (
	"encoding/binary"
	"strings"
)

// Subscription is a subscription as the client asked for it.
type Subscription struct {
	Filter            string // as the client wrote it, $share/group/ included
	ID                uint32 // subscription identifier, 0 for none
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
}

// Append encodes the options behind buf, as MQTT has them (MQTT 5.0 §3.8.3.1), and
// the identifier; the filter is in the key.
func (sub *Subscription) Append(buf []byte) []byte {
	options := sub.QoS | sub.RetainHandling<<4
	if sub.NoLocal {
		options |= 1 << 2
	}
	if sub.RetainAsPublished {
		options |= 1 << 3
	}
	return binary.AppendUvarint(append(buf, options), uint64(sub.ID))
}

// ReadSubscription decodes what Append wrote.
func ReadSubscription(filter string, data []byte) (sub Subscription, err error) {
	in := fields{rest: data}
	options := in.byte()
	sub = Subscription{
		Filter:            strings.Clone(filter),
		QoS:               options & 3,
		NoLocal:           options&(1<<2) != 0,
		RetainAsPublished: options&(1<<3) != 0,
		RetainHandling:    options >> 4,
		ID:                uint32(in.number()),
	}
	if in.short {
		return Subscription{}, ErrForm
	}
	return sub, nil
}
