package edgebroker

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// Packets that break the standard, in the order of its clauses.

// packet is a first byte, the length, the body.
func packet(first byte, body ...string) []byte {
	joined := strings.Join(body, "")
	return append(wire.AppendLength([]byte{first}, len(joined)), joined...)
}

// text is a string with its length before it, as MQTT has it.
func text(s string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s
}

const (
	firstPublish     = byte(wire.Publish) << 4
	firstSubscribe   = byte(wire.Subscribe)<<4 | 2
	firstUnsubscribe = byte(wire.Unsubscribe)<<4 | 2
	id1              = "\x00\x01"
	none             = "\x00" // properties
)

func TestBrokenPacketsEndTheConnection(t *testing.T) { // [MQTT-4.13.1-1]
	b := start(t, loopback)
	good := connect(t, b, 5, "good")
	for _, c := range []struct {
		clause string
		reason wire.Reason // of DISCONNECT
		packet []byte
	}{
		{"1.5.4-1 overlong topic", wire.TopicInvalid, packet(firstPublish, text("a\xC0\x80"), none)},
		{"1.5.4-1 surrogate in a topic", wire.TopicInvalid, packet(firstPublish, text("\xED\xA0\x80"), none)},
		{"1.5.4-2 U+0000 in a topic", wire.TopicInvalid, packet(firstPublish, text("a\x00"), none)},
		{"1.5.5 remaining length of five bytes", wire.Malformed, []byte{firstPublish, 0x80, 0x80, 0x80, 0x80, 1}},
		{"1.5.7-1 user property that is not UTF-8", wire.Malformed, packet(firstPublish, text("a"), "\x07", "\x26"+text("\xFF")+text("b"))},
		{"2.1.3-1 PUBACK flags", wire.Malformed, packet(byte(wire.Puback)<<4|1, id1)},
		{"2.1.3-1 PINGREQ flags", wire.Malformed, packet(byte(wire.Pingreq)<<4 | 1)},
		{"2.2.1-3 SUBSCRIBE with id 0", wire.ProtocolError, packet(firstSubscribe, "\x00\x00", none, text("a"), "\x00")},
		{"2.2.1-3 UNSUBSCRIBE with id 0", wire.ProtocolError, packet(firstUnsubscribe, "\x00\x00", none, text("a"))},
		{"2.2.1-3 PUBLISH with id 0", wire.ProtocolError, packet(firstPublish|2, text("a"), "\x00\x00", none)},
		{"2.2.2.2 unknown property", wire.Malformed, packet(firstPublish, text("a"), "\x02\x7F\x00")},
		{"2.2.2.2 property of another packet", wire.ProtocolError, packet(firstPublish, text("a"), "\x05\x11\x00\x00\x00\x01")},
		{"3.1.0-2 second CONNECT", wire.ProtocolError, packet(byte(wire.Connect)<<4, text("MQTT"), "\x05\x02\x00\x00", none, text("x"))},
		{"3.3.1-2 DUP at QoS 0", wire.Malformed, packet(firstPublish|8, text("a"), none)},
		{"3.3.1-4 QoS 3", wire.Malformed, packet(firstPublish|6, text("a"), id1, none)},
		{"3.3.2-2 + in a topic", wire.TopicInvalid, packet(firstPublish, text("a/+"), none)},
		{"3.3.2-2 # in a topic", wire.TopicInvalid, packet(firstPublish, text("#"), none)},
		{"3.3.2-8 alias 0", wire.TopicAliasInvalid, packet(firstPublish, text("a"), "\x03\x23\x00\x00")},
		{"3.3.2-9 alias over the maximum", wire.TopicAliasInvalid, packet(firstPublish, text("a"), "\x03\x23\x00\x41")},
		{"3.3.2-13 response topic that is not UTF-8", wire.ProtocolError, packet(firstPublish, text("a"), "\x04\x08"+text("\xFF"))},
		{"3.3.2-14 + in a response topic", wire.ProtocolError, packet(firstPublish, text("a"), "\x04\x08"+text("+"))},
		{"3.3.2-19 content type that is not UTF-8", wire.Malformed, packet(firstPublish, text("a"), "\x04\x03"+text("\xFF"))},
		{"3.3.4-6 subscription identifier of a client", wire.ProtocolError, packet(firstPublish, text("a"), "\x02\x0B\x01")},
		{"3.6.1-1 PUBREL flags", wire.Malformed, packet(byte(wire.Pubrel)<<4, id1)},
		{"3.8.1-1 SUBSCRIBE flags", wire.Malformed, packet(byte(wire.Subscribe)<<4, id1, none, text("a"), "\x00")},
		{"3.8.3-1 filter that is not UTF-8", wire.Malformed, packet(firstSubscribe, id1, none, text("\xFF"), "\x00")},
		{"1.5.4-2 U+0000 in a filter", wire.Malformed, packet(firstSubscribe, id1, none, text("a\x00"), "\x00")},
		{"3.8.3-2 SUBSCRIBE without a filter", wire.ProtocolError, packet(firstSubscribe, id1, none)},
		{"3.8.3-4 No Local on a shared subscription", wire.ProtocolError, packet(firstSubscribe, id1, none, text("$share/g/a"), "\x04")},
		{"3.8.3-5 reserved options", wire.Malformed, packet(firstSubscribe, id1, none, text("a"), "\x40")},
		{"3.8.3.1 QoS 3 asked for", wire.ProtocolError, packet(firstSubscribe, id1, none, text("a"), "\x03")},
		{"3.8.3.1 Retain Handling 3", wire.ProtocolError, packet(firstSubscribe, id1, none, text("a"), "\x30")},
		{"3.8.2.1.2 subscription identifier 0", wire.ProtocolError, packet(firstSubscribe, id1, "\x02\x0B\x00", text("a"), "\x00")},
		{"3.10.1-1 UNSUBSCRIBE flags", wire.Malformed, packet(byte(wire.Unsubscribe)<<4, id1, none, text("a"))},
		{"3.10.3-1 filter that is not UTF-8", wire.Malformed, packet(firstUnsubscribe, id1, none, text("\xFF"))},
		{"3.10.3-2 UNSUBSCRIBE without a filter", wire.ProtocolError, packet(firstUnsubscribe, id1, none)},
		{"3.14.1-1 DISCONNECT flags", wire.Malformed, packet(byte(wire.Disconnect)<<4 | 1)},
		{"3.14.2.2.2 session that CONNECT did not ask for", wire.ProtocolError, packet(byte(wire.Disconnect)<<4, "\x00\x05\x11\x00\x00\x00\x01")},
		{"3.15.1-1 AUTH flags", wire.Malformed, packet(byte(wire.Auth)<<4|1, "\x19", none)},
		{"4.7.3-1 topic without a character", wire.TopicInvalid, packet(firstPublish, text(""), none)},
		{"4.12.0-7 AUTH without a method", wire.ProtocolError, packet(byte(wire.Auth)<<4, "\x19", none)},
	} {
		t.Run(c.clause, func(t *testing.T) {
			cl := connect(t, b, 5, "bad")
			cl.send(c.packet...)
			if got := cl.expect(wire.Disconnect).reasons[0]; got != c.reason {
				t.Errorf("DISCONNECT 0x%02X, want 0x%02X", byte(got), byte(c.reason))
			}
			cl.closed()
		})
	}
	good.ping()
}

// TestBrokenPacketsOfOlderVersionsEndTheConnection: without a word, for a 3.1.1
// server has no DISCONNECT (MQTT 3.1.1 §4.8).
func TestBrokenPacketsOfOlderVersionsEndTheConnection(t *testing.T) {
	b := start(t, loopback)
	for _, c := range []struct {
		clause string // of MQTT 3.1.1
		packet []byte
	}{
		{"1.5.3-1 topic that is not UTF-8", packet(firstPublish, text("\xFF"))},
		{"1.5.3-2 U+0000 in a topic", packet(firstPublish, text("a\x00"))},
		{"2.2.2-2 PUBACK flags", packet(byte(wire.Puback)<<4|1, id1)},
		{"2.3.1-1 PUBLISH with id 0", packet(firstPublish|2, text("a"), "\x00\x00")},
		{"3.1.0-2 second CONNECT", packet(byte(wire.Connect)<<4, text("MQTT"), "\x04\x02\x00\x00", text("x"))},
		{"3.3.1-4 QoS 3", packet(firstPublish|6, text("a"), id1)},
		{"3.3.2-2 wildcard in a topic", packet(firstPublish, text("a/#"))},
		{"3.6.1-1 PUBREL flags", packet(byte(wire.Pubrel)<<4, id1)},
		{"3.8.1-1 SUBSCRIBE flags", packet(byte(wire.Subscribe)<<4, id1, text("a"), "\x00")},
		{"3.8.3-3 SUBSCRIBE without a filter", packet(firstSubscribe, id1)},
		{"3.8.3-4 reserved options", packet(firstSubscribe, id1, text("a"), "\x04")},
		{"3.10.1-1 UNSUBSCRIBE flags", packet(byte(wire.Unsubscribe)<<4, id1, text("a"))},
		{"3.10.3-2 UNSUBSCRIBE without a filter", packet(firstUnsubscribe, id1)},
		{"3.14.1-1 DISCONNECT flags", packet(byte(wire.Disconnect)<<4 | 1)},
		{"4.7.3-1 topic without a character", packet(firstPublish, text(""))},
		{"4.8.0-1 AUTH", packet(byte(wire.Auth) << 4)},
	} {
		t.Run(c.clause, func(t *testing.T) {
			cl := connect(t, b, 4, "bad")
			cl.send(c.packet...)
			cl.closed()
		})
	}
}

func TestBrokenConnectIsNotAccepted(t *testing.T) { // [MQTT-3.1.4-1]
	b := start(t, loopback)
	connectOf := func(flags string, payload ...string) []byte {
		return packet(byte(wire.Connect)<<4, append([]string{text("MQTT"), "\x05", flags, "\x00\x00", none}, payload...)...)
	}
	for _, c := range []struct {
		clause string
		packet []byte
	}{
		{"3.1.0-1 another packet first", packet(firstPublish, text("a"), none)},
		{"3.1.2-1 another protocol", packet(byte(wire.Connect)<<4, text("MQTX"), "\x05\x02\x00\x00", none, text("x"))},
		{"3.1.2-3 reserved flag", connectOf("\x03", text("x"))},
		{"3.1.2-9 will without a topic", connectOf("\x06", text("x"), none)},
		{"3.1.2-11 will QoS without a will", connectOf("\x0A", text("x"))},
		{"3.1.2-12 will QoS 3", connectOf("\x1E", text("x"), none, text("w"), text(""))},
		{"3.1.2-13 will retain without a will", connectOf("\x22", text("x"))},
		{"3.1.2-16 user name without its flag", connectOf("\x02", text("x"), text("me"))},
		{"3.1.2-17 flag without a user name", connectOf("\x82", text("x"))},
		{"3.1.2-19 flag without a password", connectOf("\x42", text("x"))},
		{"3.1.2.11.3 Receive Maximum 0", packet(byte(wire.Connect)<<4, text("MQTT"), "\x05\x02\x00\x00", "\x03\x21\x00\x00", text("x"))},
		{"3.1.2.11.4 Maximum Packet Size 0", packet(byte(wire.Connect)<<4, text("MQTT"), "\x05\x02\x00\x00", "\x05\x27\x00\x00\x00\x00", text("x"))},
		{"3.1.3-3 no client id", connectOf("\x02")},
		{"3.1.3-4 client id that is not UTF-8", connectOf("\x02", text("\xFF"))},
		{"1.5.4-2 U+0000 in a client id", connectOf("\x02", text("x\x00"))},
		{"1.5.4-2 U+0000 in a will topic", connectOf("\x06", text("x"), none, text("w\x00"), text(""))},
		{"3.1.3-11 will topic that is not UTF-8", connectOf("\x06", text("x"), none, text("\xFF"), text(""))},
		{"3.1.3-12 user name that is not UTF-8", connectOf("\x82", text("x"), text("\xFF"))},
	} {
		t.Run(c.clause, func(t *testing.T) {
			cl := dial(t, b, 5)
			// What comes behind is not heard [MQTT-3.1.4-6].
			cl.send(append(c.packet, packet(firstPublish|1, text("ivi/behind"), none, "x")...)...)
			if got, err := cl.read(); err == nil {
				if got.kind != wire.Connack || !got.reasons[0].Failed() || got.present { // [MQTT-3.2.2-6]
					t.Errorf("packet type %d % X", got.kind, got.body)
				}
				cl.closed() // [MQTT-3.2.2-7]
			}
		})
	}
	if st := b.Stats(); st.Sessions != 0 || st.Retained != 0 {
		t.Errorf("%d sessions, %d retained messages", st.Sessions, st.Retained)
	}
}
