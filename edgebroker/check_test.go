package edgebroker

import (
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func TestWhatTheDecoderLetsPassIsRefused(t *testing.T) {
	b := start(t, loopback)
	for _, c := range []struct {
		name   string
		packet string
		reason wire.Reason
	}{
		{"PUBLISH with an expiry twice", "\x30\x0e\x00\x01a\x0a\x02\x00\x00\x00\x01\x02\x00\x00\x00\x01", wire.ProtocolError},
		{"PUBLISH with a content type twice", "\x30\x0c\x00\x01a\x08\x03\x00\x01x\x03\x00\x01x", wire.ProtocolError},
		{"PUBLISH with payload format 2", "\x30\x06\x00\x01a\x02\x01\x02", wire.ProtocolError},
		{"PUBLISH with a property out of its section", "\x30\x09\x00\x01a\x02\x02\x00\x00\x00\x01", wire.Malformed},
		{"PUBLISH with properties longer than itself", "\x30\x05\x00\x01a\x05\x01", wire.Malformed},
		{"PUBLISH with a length of five bytes", "\x30\x09\x00\x01a\x80\x80\x80\x80\x00x", wire.Malformed},
		{"SUBSCRIBE with reserved options", "\x82\x07\x00\x01\x00\x00\x01a\x40", wire.Malformed},
		{"SUBSCRIBE with two identifiers", "\x82\x0b\x00\x01\x04\x0b\x01\x0b\x01\x00\x01a\x00", wire.ProtocolError},
		{"SUBSCRIBE cut in its identifier", "\x82\x08\x00\x01\x01\x0b\x00\x01a\x00", wire.Malformed},
		{"PUBACK with bytes behind its end", "\x40\x05\x00\x01\x00\x00x", wire.Malformed},
		{"PUBREL with a reason string twice", "\x62\x0c\x00\x01\x00\x08\x1f\x00\x01x\x1f\x00\x01x", wire.ProtocolError},
		{"PINGREQ with a body", "\xc0\x01x", wire.Malformed},
		{"DISCONNECT with an expiry twice", "\xe0\x0c\x00\x0a\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", wire.ProtocolError},
	} {
		cl := connect(t, b, 5, "c")
		cl.send([]byte(c.packet)...)
		if got := cl.expect(wire.Disconnect).reasons[0]; got != c.reason {
			t.Errorf("%s: DISCONNECT 0x%02X, want 0x%02X", c.name, got, c.reason)
		}
		cl.closed()
	}
	for name, p := range map[string]string{
		"PUBACK":     "\x40\x03\x00\x01x",
		"DISCONNECT": "\xe0\x01\x00",
	} {
		cl := connect(t, b, 4, "old")
		cl.send([]byte(p)...)
		cl.closed()
		if b.Stats().Sessions > 1 {
			t.Errorf("%s of 3.1.1 with bytes behind its end", name)
		}
	}
}

func TestWrongConnectPropertiesAreRefused(t *testing.T) {
	b := start(t, loopback)
	for name, p := range map[string]string{
		"Receive Maximum 0":             "\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x01c",
		"Maximum Packet Size 0":         "\x10\x13\x00\x04MQTT\x05\x02\x00\x00\x05\x27\x00\x00\x00\x00\x00\x01c",
		"Receive Maximum twice":         "\x10\x14\x00\x04MQTT\x05\x02\x00\x00\x06\x21\x00\x01\x21\x00\x01\x00\x01c",
		"Request Problem Information 2": "\x10\x10\x00\x04MQTT\x05\x02\x00\x00\x02\x17\x02\x00\x01c",
		"data without a method":         "\x10\x12\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01x\x00\x01c",
		"will delay twice":              "\x10\x1e\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01c\x0a\x18\x00\x00\x00\x01\x18\x00\x00\x00\x01\x00\x01a\x00\x00",
		"bytes behind its end":          "\x10\x0f\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01cx",
	} {
		cl := dial(t, b, 5)
		cl.send([]byte(p)...)
		if got := cl.expect(wire.Connack).reasons[0]; got != wire.Malformed && got != wire.ProtocolError {
			t.Errorf("%s: CONNACK 0x%02X", name, got)
		}
		cl.closed()
	}
	if n := b.Stats().Sessions; n != 0 {
		t.Fatalf("%d sessions", n)
	}
}
