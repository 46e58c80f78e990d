package edgebroker

import (
	"encoding/binary"
	"math/bits"
)

// This file finds what mochi's decoders let pass: properties that are there
// twice or reach out of their section, values out of range, reserved bits, and
// bytes behind the end.

// checkBody looks a packet over before it is decoded. What is cut short is left
// to the decoder, which says where.
func checkBody(first byte, body []byte, version byte) error {
	in := reader{rest: body, properties: version == 5}
	switch first >> 4 {
	case typeConnect:
		in.connect()
	case typePublish:
		in.text()
		if first&6 != 0 {
			in.skip(2)
		}
		in.section()
		in.rest = nil
	case typePuback, typePubrec, typePubrel, typePubcomp:
		in.skip(2)
		in.reason()
	case typeDisconnect:
		in.reason()
	case typeSubscribe:
		in.skip(2)
		in.section()
		for len(in.rest) > 0 && in.err == nil {
			in.text()
			if in.byte()&0xC0 != 0 {
				in.fail(reasonMalformed, "SUBSCRIBE with reserved options set") // [MQTT-3.8.3-5]
			}
		}
	case typeUnsubscribe:
		in.skip(2)
		in.section()
		in.rest = nil
	}
	if len(in.rest) > 0 && in.err == nil {
		in.fail(reasonMalformed, "packet with bytes behind its end")
	}
	return in.err
}

// reader walks through a body. At its end it gives nothing more.
type reader struct {
	rest       []byte
	properties bool // version 5
	cut        bool // more was asked for than there is
	err        error
}

func (r *reader) fail(reason byte, text string) {
	if r.err == nil {
		r.err = broken(reason, "%s", text)
	}
}

func (r *reader) skip(n int) []byte {
	r.cut = r.cut || n > len(r.rest)
	n = min(n, len(r.rest))
	head := r.rest[:n]
	r.rest = r.rest[n:]
	return head
}

func (r *reader) byte() byte {
	if b := r.skip(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// number is of n bytes, the highest first.
func (r *reader) number(n int) (v uint32) {
	for _, b := range r.skip(n) {
		v = v<<8 | uint32(b)
	}
	return v
}

// text is a string or binary data with its length before it.
func (r *reader) text() { r.skip(int(r.number(2))) }

// length is a variable byte integer of at most four bytes [MQTT-1.5.5-1].
func (r *reader) length() int {
	n, used := binary.Uvarint(r.rest[:min(4, len(r.rest))])
	if used <= 0 {
		r.fail(reasonMalformed, "variable byte integer that is cut short or has more than four bytes")
		used = len(r.rest)
	}
	r.skip(used)
	return int(n)
}

func (r *reader) connect() {
	r.text()
	r.skip(1)
	flags := r.byte()
	r.skip(2)
	r.section()
	r.text()
	if flags&4 != 0 {
		r.section()
		r.text()
		r.text()
	}
	for range bits.OnesCount8(flags & 0xC0) { // user name and password
		r.text()
	}
}

// reason is what may end an acknowledgement and DISCONNECT of version 5.
func (r *reader) reason() {
	if r.properties && len(r.rest) > 0 {
		r.skip(1)
		if len(r.rest) > 0 {
			r.section()
		}
	}
}

// section checks the properties that come next (MQTT 5.0 §2.2.2).
func (r *reader) section() {
	if !r.properties {
		return
	}
	n := r.length()
	if n > len(r.rest) {
		r.fail(reasonMalformed, "properties reach out of their packet")
	}
	in := reader{rest: r.skip(n)}
	var seen uint64
	for len(in.rest) > 0 && in.err == nil {
		id := in.byte()
		if id >= 64 {
			return // unknown: the decoder refuses it
		}
		if seen&(1<<id) != 0 && id != propUser && id != propSubscriptionID {
			in.fail(reasonProtocolError, "property that is there twice")
		}
		seen |= 1 << id
		in.property(id)
	}
	const method, data = 21, 22 // of authentication
	if seen&(1<<data) != 0 && seen&(1<<method) == 0 {
		in.fail(reasonProtocolError, "authentication data without a method")
	}
	if r.err == nil {
		r.err = in.err
	}
}

// property reads one value, in the encodings of §2.2.2.2.
func (r *reader) property(id byte) {
	switch id {
	case 1, 23, 25, 36, 37, 40, 41, 42:
		if r.number(1) > 1 {
			r.fail(reasonProtocolError, "property that wants 0 or 1")
		}
	case propReceiveMaximum:
		if r.number(2) == 0 {
			r.fail(reasonProtocolError, "Receive Maximum of 0") // §3.1.2.11.3
		}
	case propMaximumPacketSize:
		if r.number(4) == 0 {
			r.fail(reasonProtocolError, "Maximum Packet Size of 0") // §3.1.2.11.4
		}
	case 19, 34, 35:
		r.skip(2)
	case 2, 17, 24:
		r.skip(4)
	case propSubscriptionID:
		r.length()
	case propUser:
		r.text()
		r.text()
	default:
		r.text()
	}
	if r.cut {
		r.fail(reasonMalformed, "property that reaches out of its section")
	}
}
