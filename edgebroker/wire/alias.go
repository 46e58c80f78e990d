package wire

import "encoding/binary"

// Topic is the topic of a whole PUBLISH's body.
func Topic(body []byte) []byte {
	topic, _, _ := bytesOf(body)
	return topic
}

// AppendAliased appends a version 5 PUBLISH, split from its buffer and without an
// alias, with one. With named false the alias stands in place of the topic
// (MQTT 5.0 §3.3.2.3.4).
func AppendAliased(b []byte, first byte, body []byte, alias uint16, named bool) []byte {
	topic, rest, _ := bytesOf(body)
	var id []byte
	if first&6 != 0 {
		id, rest = rest[:2], rest[2:]
	}
	props, used := binary.Uvarint(rest)
	if !named {
		topic = nil
	}
	section := int(props) + 3
	n := 2 + len(topic) + len(id) + lengthSize(section) + 3 + len(rest) - used
	b = AppendLength(append(b, first), n)
	b = append(appendText(b, topic), id...)
	b = AppendLength(b, section)
	b = binary.BigEndian.AppendUint16(append(b, propTopicAlias), alias)
	return append(b, rest[used:]...)
}
