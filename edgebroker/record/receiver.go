package record

import (
	"encoding/binary"
	"errors"
)

// Receiver is what is one receiver's own of a stored message.
type Receiver struct {
	QoS    byte
	Retain bool
	IDs    []uint32 // subscription identifiers
	Group  string   // of a shared subscription that it came from, $share/name/filter; else ""
}

// How a receiver is stored: a byte of flags, the group if there is one, the
// identifiers.
const (
	metaQoS    = 3
	metaRetain = 1 << 2
	metaShared = 1 << 3
)

// Append encodes r behind b.
func (r *Receiver) Append(b []byte) []byte {
	flags := r.QoS
	if r.Retain {
		flags |= metaRetain
	}
	if r.Group != "" {
		b = appendText(append(b, flags|metaShared), r.Group)
	} else {
		b = append(b, flags)
	}
	for _, id := range r.IDs {
		b = binary.AppendUvarint(b, uint64(id))
	}
	return b
}

// ReadReceiver decodes what Append wrote, into memory of its own.
func ReadReceiver(meta []byte) (r Receiver, err error) {
	in := fields{rest: meta}
	flags := in.byte()
	r = Receiver{QoS: flags & metaQoS, Retain: flags&metaRetain != 0}
	if flags&metaShared != 0 {
		r.Group = string(in.text())
	}
	for len(in.rest) > 0 {
		r.IDs = append(r.IDs, uint32(in.number()))
	}
	if in.short || r.QoS == 0 || r.QoS == 3 {
		return r, errors.Join(ErrForm, errors.New("wrong meta"))
	}
	return r, nil
}
