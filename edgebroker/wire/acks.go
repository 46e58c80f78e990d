package wire

import "encoding/binary"

// Acknowledgement is a PUBACK, PUBREC, PUBREL or PUBCOMP.
type Acknowledgement struct {
	ID     uint16
	Reason Reason
}

// ReadAcknowledgement reads one of the four. An error is a *Broken.
func ReadAcknowledgement(first byte, body []byte, version byte) (a Acknowledgement, err error) {
	kind, reserved := Kind(first>>4), byte(0)
	if kind == Pubrel {
		reserved = 2 // [MQTT-3.6.1-1]
	}
	if first&0xF != reserved {
		return a, Break(Malformed, "packet type %d with wrong flags", kind)
	}
	if len(body) < 2 {
		return a, cutShort(kind)
	}
	a.ID = binary.BigEndian.Uint16(body)
	if a.ID == 0 {
		return a, Break(ProtocolError, "packet type %d without a packet id", kind)
	}
	if len(body) == 2 {
		return a, nil
	}
	in := reader{rest: body[2:], properties: version == 5}
	a.Reason = Reason(body[2])
	in.reason()
	if len(in.rest) > 0 {
		in.fail(Malformed, "packet with bytes behind its end")
	}
	return a, in.err
}

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP. Reasons exist in
// version 5 only.
func AppendAck(b []byte, kind Kind, id uint16, reason Reason, version byte) []byte {
	first := byte(kind) << 4
	if kind == Pubrel {
		first |= 2 // [MQTT-3.6.1-1]
	}
	if version < 5 || reason == Success {
		return binary.BigEndian.AppendUint16(append(b, first, 2), id)
	}
	return append(binary.BigEndian.AppendUint16(append(b, first, 3), id), byte(reason))
}

// AppendRefusal appends a PUBACK or PUBREC of version 5 with a reason string.
func AppendRefusal(b []byte, kind Kind, id uint16, reason Reason, text string) []byte {
	props := appendReason(nil, text)
	if len(props) == 0 {
		return AppendAck(b, kind, id, reason, 5)
	}
	b = AppendLength(append(b, byte(kind)<<4), 3+lengthSize(len(props))+len(props))
	b = append(binary.BigEndian.AppendUint16(b, id), byte(reason))
	return append(AppendLength(b, len(props)), props...)
}

// AppendReasons appends a SUBACK or UNSUBACK; text is the reason string of
// version 5, "" for none.
func AppendReasons(b []byte, kind Kind, id uint16, reasons []Reason, text string, version byte) []byte {
	told := version == 5 || kind == Suback
	var props []byte
	n := 2
	if version == 5 {
		props = appendReason(nil, text)
		n += lengthSize(len(props)) + len(props)
	}
	if told {
		n += len(reasons)
	}
	b = AppendLength(append(b, byte(kind)<<4), n)
	b = binary.BigEndian.AppendUint16(b, id)
	if version == 5 {
		b = append(AppendLength(b, len(props)), props...)
	}
	if told {
		for _, r := range reasons {
			b = append(b, byte(r))
		}
	}
	return b
}

// AppendDisconnect appends a DISCONNECT of version 5; text is its reason string,
// "" for none.
func AppendDisconnect(b []byte, reason Reason, text string) []byte {
	props := appendReason(nil, text)
	if len(props) == 0 {
		return append(b, byte(Disconnect)<<4, 1, byte(reason))
	}
	b = AppendLength(append(b, byte(Disconnect)<<4), 1+lengthSize(len(props))+len(props))
	return append(AppendLength(append(b, byte(reason)), len(props)), props...)
}

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// AppendLength appends a variable byte integer (MQTT 5.0 §1.5.5).
func AppendLength(b []byte, n int) []byte {
	for n >= 128 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func lengthSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}
