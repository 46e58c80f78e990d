package record

import (
	"encoding/binary"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// Session is what a session is kept as.
type Session struct {
	Identity  auth.Identity
	Stays     bool // it has a queue; without one it was kept for its will alone
	Connected bool
	Expiry    clock.Time    // how long it is kept without a connection
	Absent    clock.Mark    // since when, or of when the record is if connected
	Repeats   uint64        // first position of its queue that was surely never sent
	Turns     []Turn        // how packet ids follow from positions
	Will      *message.Will // nil for none
	WillAt    clock.Mark    // unless connected
}

// recordVersion is the first byte, for the day that the form changes.
const recordVersion = 1

const (
	recordStays = 1 << iota
	recordConnected
	recordWill
)

// Append encodes r behind buf.
func (r *Session) Append(buf []byte, at *clock.Clock) []byte {
	flags := byte(0)
	for bit, set := range map[byte]bool{recordStays: r.Stays, recordConnected: r.Connected, recordWill: r.Will != nil} {
		if set {
			flags |= bit
		}
	}
	buf = append(buf, recordVersion, flags)
	for _, text := range []string{r.Identity.Name, r.Identity.Role, r.Identity.Zone, r.Identity.Listener} {
		buf = appendText(buf, text)
	}
	buf = binary.AppendUvarint(buf, uint64(r.Expiry))
	buf = r.Absent.Append(buf)
	buf = binary.AppendUvarint(buf, r.Repeats)
	buf = binary.AppendUvarint(buf, uint64(len(r.Turns)))
	for _, t := range r.Turns {
		buf = binary.AppendUvarint(binary.AppendUvarint(buf, t.From), t.By)
	}
	if r.Will != nil {
		buf = binary.AppendUvarint(buf, uint64(r.Will.Delay))
		buf = binary.AppendUvarint(buf, uint64(r.Will.Expiry))
		buf = r.WillAt.Append(buf)
		buf = AppendMessage(buf, &r.Will.Publication, true, at)
	}
	return buf
}

// ReadSession decodes what Append wrote of a client.
func ReadSession(client string, data []byte, at *clock.Clock) (*Session, error) {
	in := fields{rest: data}
	if in.byte() != recordVersion {
		return nil, ErrForm
	}
	flags := in.byte()
	r := &Session{Stays: flags&recordStays != 0, Connected: flags&recordConnected != 0}
	r.Identity.Client = client
	for _, text := range []*string{&r.Identity.Name, &r.Identity.Role, &r.Identity.Zone, &r.Identity.Listener} {
		*text = string(in.text())
	}
	r.Expiry = clock.Time(in.number())
	r.Absent = in.mark()
	r.Repeats = in.number()
	for n := in.number(); n > 0 && !in.short; n-- {
		r.Turns = append(r.Turns, Turn{in.number(), in.number()})
	}
	if flags&recordWill != 0 {
		w := &message.Will{Delay: clock.Time(in.number()), Expiry: uint32(in.number())}
		r.WillAt = in.mark()
		p, err := ReadMessage(in.rest, at)
		if err != nil {
			return nil, err
		}
		w.Publication, r.Will = *p, w
	}
	if in.short {
		return nil, ErrForm
	}
	return r, nil
}

// Turn is a run of positions, up to the next turn's, whose ids are moved on.
type Turn struct {
	From uint64 // its first position
	By   uint64
}
