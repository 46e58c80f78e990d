package edgebroker

import "encoding/binary"

// Packet types (MQTT 5.0 §2.1.2).
const (
	typeConnect     = 1
	typeConnack     = 2
	typePublish     = 3
	typePuback      = 4
	typePubrec      = 5
	typePubrel      = 6
	typePubcomp     = 7
	typeSubscribe   = 8
	typeSuback      = 9
	typeUnsubscribe = 10
	typeUnsuback    = 11
	typePingreq     = 12
	typePingresp    = 13
	typeDisconnect  = 14
	typeAuth        = 15
)

// Reason codes (MQTT 5.0 §2.4).
const (
	reasonSuccess              = 0x00
	reasonWithWill             = 0x04
	reasonNoSubscription       = 0x11
	reasonUnspecified          = 0x80
	reasonMalformed            = 0x81
	reasonProtocolError        = 0x82
	reasonUnsupportedVersion   = 0x84
	reasonClientID             = 0x85
	reasonNotAuthorized        = 0x87
	reasonServerBusy           = 0x89
	reasonShuttingDown         = 0x8B
	reasonAuthMethod           = 0x8C
	reasonKeepAlive            = 0x8D
	reasonSessionTakenOver     = 0x8E
	reasonFilterInvalid        = 0x8F
	reasonTopicInvalid         = 0x90
	reasonPacketIDNotFound     = 0x92
	reasonReceiveMaximum       = 0x93
	reasonTopicAlias           = 0x94
	reasonPacketTooLarge       = 0x95
	reasonQuotaExceeded        = 0x97
	reasonPayloadFormatInvalid = 0x99
)

// Properties that are written (MQTT 5.0 §2.2.2.2).
const (
	propPayloadFormat     = 1
	propExpiry            = 2
	propContentType       = 3
	propResponseTopic     = 8
	propCorrelationData   = 9
	propSubscriptionID    = 11
	propSessionExpiry     = 17
	propAssignedClientID  = 18
	propReceiveMaximum    = 33
	propTopicAliasMaximum = 34
	propUser              = 38
	propMaximumPacketSize = 39
)

// publishHeader is a PUBLISH to one client, sized and written without
// allocating: this is the path that every message takes.
type publishHeader struct {
	out     *outgoing
	left    uint32 // message expiry
	version byte
}

// size is the length of the packet in bytes.
func (p *publishHeader) size() int {
	n := p.remaining()
	return 1 + lengthSize(n) + n
}

func (p *publishHeader) remaining() int {
	n := 2 + len(p.out.m.Topic) + len(p.out.m.Payload)
	if p.out.qos > 0 {
		n += 2
	}
	if p.version == 5 {
		props := p.properties()
		n += lengthSize(props) + props
	}
	return n
}

func (p *publishHeader) properties() int {
	m, n := p.out.m, 0
	if m.PayloadUTF8 {
		n += 2
	}
	if p.left > 0 {
		n += 5
	}
	if m.ContentType != "" {
		n += 3 + len(m.ContentType)
	}
	if m.ResponseTopic != "" {
		n += 3 + len(m.ResponseTopic)
	}
	if len(m.CorrelationData) > 0 {
		n += 3 + len(m.CorrelationData)
	}
	for _, id := range p.out.ids {
		n += 1 + lengthSize(int(id))
	}
	for _, u := range m.UserProperties {
		n += 5 + len(u.Name) + len(u.Value)
	}
	return n
}

func (p *publishHeader) append(b []byte) []byte {
	m := p.out.m
	first := byte(typePublish<<4) | p.out.qos<<1
	if p.out.retain {
		first |= 1
	}
	if p.out.repeat {
		first |= 8
	}
	b = append(b, first)
	b = appendLength(b, p.remaining())
	b = appendString(b, m.Topic)
	if p.out.qos > 0 {
		b = binary.BigEndian.AppendUint16(b, p.out.id)
	}
	if p.version == 5 {
		b = p.appendProperties(b)
	}
	return append(b, m.Payload...)
}

func (p *publishHeader) appendProperties(b []byte) []byte {
	m := p.out.m
	b = appendLength(b, p.properties())
	if m.PayloadUTF8 {
		b = append(b, propPayloadFormat, 1)
	}
	if p.left > 0 {
		b = binary.BigEndian.AppendUint32(append(b, propExpiry), p.left)
	}
	if m.ContentType != "" {
		b = appendString(append(b, propContentType), m.ContentType)
	}
	if m.ResponseTopic != "" {
		b = appendString(append(b, propResponseTopic), m.ResponseTopic)
	}
	if len(m.CorrelationData) > 0 {
		b = appendString(append(b, propCorrelationData), m.CorrelationData)
	}
	for _, id := range p.out.ids {
		b = appendLength(append(b, propSubscriptionID), int(id))
	}
	for _, u := range m.UserProperties {
		b = appendString(appendString(append(b, propUser), u.Name), u.Value)
	}
	return b
}

// appendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP. Reasons exist in
// version 5 only.
func appendAck(b []byte, kind byte, id uint16, reason, version byte) []byte {
	first := kind << 4
	if kind == typePubrel {
		first |= 2 // reserved bits [MQTT-3.6.1-1]
	}
	if version < 5 || reason == reasonSuccess {
		return binary.BigEndian.AppendUint16(append(b, first, 2), id)
	}
	return append(binary.BigEndian.AppendUint16(append(b, first, 3), id), reason)
}

// appendReasons appends a SUBACK or UNSUBACK.
func appendReasons(b []byte, kind byte, id uint16, reasons []byte, version byte) []byte {
	n := 2
	if version == 5 {
		n += 1 + len(reasons)
	} else if kind == typeSuback {
		n += len(reasons)
	}
	b = appendLength(append(b, kind<<4), n)
	b = binary.BigEndian.AppendUint16(b, id)
	if version == 5 {
		return append(append(b, 0), reasons...)
	}
	if kind == typeSuback {
		return append(b, reasons...)
	}
	return b
}

func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// appendLength appends a variable byte integer (MQTT 5.0 §1.5.5).
func appendLength(b []byte, n int) []byte {
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
