package wire

import "encoding/binary"

// This file finds what mochi's decoders let pass: properties that are there
// twice or reach out of their section, values out of range, reserved bits, and
// bytes behind the end.

// checkBody looks a packet over before it is decoded. What is cut short is left
// to the decoder, which says where.
func checkBody(first byte, body []byte, version byte) error {
	in := reader{rest: body, properties: version == 5}
	switch Kind(first >> 4) {
	case Connect:
		in.connect()
	case Disconnect, Auth:
		in.reason()
	case Subscribe:
		in.skip(2)
		in.section()
		for len(in.rest) > 0 && in.err == nil {
			in.text()
			if in.byte()&0xC0 != 0 {
				in.fail(Malformed, "SUBSCRIBE with reserved options set") // [MQTT-3.8.3-5]
			}
		}
	case Unsubscribe:
		in.skip(2)
		in.section()
		in.rest = nil
	}
	if len(in.rest) > 0 && in.err == nil {
		in.fail(Malformed, "packet with bytes behind its end")
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

func (r *reader) fail(reason Reason, text string) {
	if r.err == nil {
		r.err = Break(reason, "%s", text)
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
func (r *reader) text() []byte { return r.skip(int(r.number(2))) }

// length is a variable byte integer of at most four bytes [MQTT-1.5.5-1].
func (r *reader) length() int {
	n, used := binary.Uvarint(r.rest[:min(4, len(r.rest))])
	if used <= 0 {
		r.fail(Malformed, "variable byte integer that is cut short or has more than four bytes")
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
	if flags&0x80 != 0 && !validText(r.text()) {
		r.fail(Malformed, "CONNECT with a user name that is not UTF-8") // [MQTT-3.1.3-12]
	}
	if flags&0x40 != 0 { // password
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
		r.fail(Malformed, "properties reach out of their packet")
	}
	if err := checkSection(r.skip(n)); r.err == nil {
		r.err = err
	}
}

// checkSection wants whole properties with values in range, each but user
// properties and subscription identifiers once.
func checkSection(section []byte) error {
	in := reader{rest: section}
	var seen uint64
	for len(in.rest) > 0 && in.err == nil {
		id := in.byte()
		if !known(id) {
			in.fail(Malformed, "property that is unknown")
			break
		}
		if seen&(1<<id) != 0 && id != propUser && id != propSubscriptionID {
			in.fail(ProtocolError, "property that is there twice")
		}
		seen |= 1 << id
		in.property(id)
	}
	if seen&(1<<propAuthData) != 0 && seen&(1<<propAuthMethod) == 0 {
		in.fail(ProtocolError, "authentication data without a method")
	}
	return in.err
}

// known tells the properties that there are (MQTT 5.0 §2.2.2.2).
func known(id byte) bool {
	const all = 1<<1 | 1<<2 | 1<<3 | 1<<8 | 1<<9 | 1<<11 | 1<<17 | 1<<18 | 1<<19 | 1<<21 | 1<<22 | 1<<23 | 1<<24 | 1<<25 |
		1<<26 | 1<<28 | 1<<31 | 1<<33 | 1<<34 | 1<<35 | 1<<36 | 1<<37 | 1<<38 | 1<<39 | 1<<40 | 1<<41 | 1<<42
	return id < 64 && all&(1<<id) != 0
}

// property reads one value, in the encodings of §2.2.2.2.
func (r *reader) property(id byte) {
	switch id {
	case 1, 23, 25, 36, 37, 40, 41, 42:
		if r.number(1) > 1 {
			r.fail(ProtocolError, "property that wants 0 or 1")
		}
	case propReceiveMaximum:
		if r.number(2) == 0 {
			r.fail(ProtocolError, "Receive Maximum of 0") // §3.1.2.11.3
		}
	case propMaximumPacketSize:
		if r.number(4) == 0 {
			r.fail(ProtocolError, "Maximum Packet Size of 0") // §3.1.2.11.4
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
		r.fail(Malformed, "property that reaches out of its section")
	}
}
