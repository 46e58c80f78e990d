package wire

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Message is a PUBLISH as it stands in a buffer: its slices are parts of that,
// valid as long as it is.
type Message struct {
	Topic      []byte // empty where an alias stands for it
	Payload    []byte
	Properties []byte // those that travel on to receivers, as encoded
	ID         uint16 // of QoS 1 and 2
	QoS        byte
	Retain     bool
	Dup        bool
	Alias      uint16 // 0 for none
	Expiry     uint32 // seconds to live, 0 for no end
}

// Read reads a PUBLISH. Topic names are checked for UTF-8 and wildcards by
// whoever sees one for the first time; all else is checked here. An error is a
// *Broken.
func (m *Message) Read(first byte, body []byte, version byte) error {
	*m = Message{QoS: first >> 1 & 3, Retain: first&1 != 0, Dup: first&8 != 0}
	if m.QoS == 3 || m.QoS == 0 && m.Dup {
		return Break(Malformed, "PUBLISH with QoS %d and DUP %v", m.QoS, m.Dup) // [MQTT-3.3.1-2, 3.3.1-4]
	}
	if len(body) < 2 {
		return cutShort(Publish)
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) < n {
		return cutShort(Publish)
	}
	m.Topic, body = body[2:n:n], body[n:]
	if m.QoS > 0 {
		if len(body) < 2 {
			return cutShort(Publish)
		}
		if m.ID = binary.BigEndian.Uint16(body); m.ID == 0 {
			return Break(ProtocolError, "PUBLISH without a packet id") // [MQTT-2.2.1-3]
		}
		body = body[2:]
	}
	if version < 5 {
		m.Payload = body
		return nil
	}
	if len(body) > 0 && body[0] == 0 { // no properties, as in most
		m.Payload = body[1:]
		return nil
	}
	size, used := binary.Uvarint(body[:min(4, len(body))])
	if used <= 0 {
		return Break(Malformed, "PUBLISH with a wrong length of properties")
	}
	if size > uint64(len(body)-used) {
		return Break(Malformed, "PUBLISH with properties longer than itself")
	}
	m.Payload = body[used+int(size):]
	return m.readProperties(body[used : used+int(size)])
}

// readProperties takes out what concerns this connection alone, the alias and
// the expiry, and checks the rest.
func (m *Message) readProperties(section []byte) error {
	if err := checkSection(section); err != nil {
		return err
	}
	m.Properties = section
	expiry := false
	for at := 0; at < len(m.Properties); {
		id, value, size := property(m.Properties[at:])
		switch id {
		case propTopicAlias:
			if m.Alias = binary.BigEndian.Uint16(value); m.Alias == 0 {
				return Break(TopicAliasInvalid, "topic alias 0")
			}
			m.Properties = cut(m.Properties, at, size)
			continue
		case propExpiry:
			m.Expiry, expiry = binary.BigEndian.Uint32(value), true
			m.Properties = cut(m.Properties, at, size)
			continue
		case propPayloadFormat, propCorrelationData:
		case propContentType:
			if !validText(value) {
				return Break(Malformed, "PUBLISH with a content type that is not UTF-8")
			}
		case propResponseTopic:
			if !validText(value) || len(value) == 0 || bytes.ContainsAny(value, "+#") {
				return Break(ProtocolError, "PUBLISH with a wrong response topic") // [MQTT-3.3.2-14]
			}
		case propUser:
			name, _, _ := bytesOf(m.Properties[at+1:])
			if !validText(name) || !validText(value) {
				return Break(Malformed, "PUBLISH with a user property that is not UTF-8")
			}
		default: // a subscription identifier too [MQTT-3.3.4-6]
			return Break(ProtocolError, "PUBLISH with property %d", id)
		}
		at += size
	}
	if expiry && m.Expiry == 0 {
		m.Expiry = 1 // no time to wait: the shortest there is
	}
	return nil
}

// cut is b without n bytes at i. It never writes to b, which is a part of what
// the client sent.
func cut(b []byte, i, n int) []byte {
	switch {
	case i == 0:
		return b[n:]
	case i+n == len(b):
		return b[:i:i]
	}
	return append(append(make([]byte, 0, len(b)-n), b[:i]...), b[i+n:]...)
}

// property is the first of a checked section: its identifier, its value (the
// value alone for a user property) and how many bytes it has in all.
func property(b []byte) (id byte, value []byte, size int) {
	id = b[0]
	switch id {
	case propPayloadFormat:
		return id, b[1:2], 2
	case propTopicAlias, propReceiveMaximum, propTopicAliasMaximum, propServerKeepAlive:
		return id, b[1:3], 3
	case propExpiry, propSessionExpiry, propMaximumPacketSize, 24:
		return id, b[1:5], 5
	case propSubscriptionID:
		_, n := binary.Uvarint(b[1:])
		return id, b[1 : 1+n], 1 + n
	case 23, 25, 36, 37, 40, 41, 42:
		return id, b[1:2], 2
	case propUser:
		_, rest, n := bytesOf(b[1:])
		value, _, more := bytesOf(rest)
		return id, value, 1 + n + more
	}
	value, _, n := bytesOf(b[1:])
	return id, value, 1 + n
}

// bytesOf is binary data with its length before it.
func bytesOf(b []byte) (data, rest []byte, size int) {
	n := 2 + int(binary.BigEndian.Uint16(b))
	return b[2:n], b[n:], n
}

// validText is what a UTF-8 string may be: no U+0000 [MQTT-1.5.4-1, 1.5.4-2].
func validText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

func cutShort(kind Kind) error { return Break(Malformed, "packet type %d is cut short", kind) }

// User is a user property.
type User struct{ Name, Value string }

// Properties are those of an application message, decoded.
type Properties struct {
	PayloadUTF8     bool
	ContentType     string
	ResponseTopic   string
	CorrelationData []byte
	User            []User
}

// Append encodes the properties as Message.Properties has them.
func (p *Properties) Append(b []byte) []byte {
	if p.PayloadUTF8 {
		b = append(b, propPayloadFormat, 1)
	}
	if p.ContentType != "" {
		b = appendText(append(b, propContentType), p.ContentType)
	}
	if p.ResponseTopic != "" {
		b = appendText(append(b, propResponseTopic), p.ResponseTopic)
	}
	if len(p.CorrelationData) > 0 {
		b = appendText(append(b, propCorrelationData), p.CorrelationData)
	}
	for _, u := range p.User {
		b = appendText(appendText(append(b, propUser), u.Name), u.Value)
	}
	return b
}

// Decode reads what Append wrote or Message.Read has checked.
func (p *Properties) Decode(b []byte) {
	*p = Properties{}
	for len(b) > 0 {
		id, value, size := property(b)
		switch id {
		case propPayloadFormat:
			p.PayloadUTF8 = value[0] == 1
		case propContentType:
			p.ContentType = string(value)
		case propResponseTopic:
			p.ResponseTopic = string(value)
		case propCorrelationData:
			p.CorrelationData = bytes.Clone(value)
		case propUser:
			name, _, _ := bytesOf(b[1:])
			p.User = append(p.User, User{string(name), string(value)})
		}
		b = b[size:]
	}
}
