package spool

import (
	"encoding/binary"
	"errors"

	"github.com/fascia-edge/fascia/clock"
)

// Obituary says why a message was given up. It is stored beside a dead letter.
type Obituary struct {
	Died   clock.Mark
	Class  string
	Rule   string
	Remote string // topic at the far side, empty if there is none yet
	Reason string
	Meta   []byte // that the message had in its class, for another try
}

const obituaryVersion = 1

var errObituary = errors.New("not what is kept beside a dead letter")

// Append encodes the obituary: the version, the mark, and each text behind its
// length.
func (o *Obituary) Append(b []byte) []byte {
	b = o.Died.Append(append(b, obituaryVersion))
	for _, text := range []string{o.Class, o.Rule, o.Remote, o.Reason} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return append(b, o.Meta...)
}

// ReadObituary decodes what Append wrote; Meta is a part of b.
func ReadObituary(b []byte) (o Obituary, err error) {
	if len(b) < 1+clock.MarkSize || b[0] != obituaryVersion {
		return o, errObituary
	}
	o.Died = clock.ReadMark(b[1:])
	b = b[1+clock.MarkSize:]
	for _, text := range []*string{&o.Class, &o.Rule, &o.Remote, &o.Reason} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return o, errObituary
		}
		*text = string(b[size : size+int(n)])
		b = b[size+int(n):]
	}
	o.Meta = b
	return o, nil
}
