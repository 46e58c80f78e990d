package edgebroker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// Subscriptions, retained messages on subscribing, and what is passed on.

func TestPropertiesReachEverySubscriberAsTheyWere(t *testing.T) { // [MQTT-3.3.2-4, 3.3.2-15 to 3.3.2-18, 3.3.2-20]
	b := start(t, loopback)
	user := []packets.UserProperty{{Key: "b", Val: "1"}, {Key: "a", Val: "2"}, {Key: "b", Val: "0"}, {Key: "", Val: "\uFEFF"}}
	rich := func(pk *packets.Packet) {
		p := &pk.Properties
		p.User, p.ContentType, p.ResponseTopic, p.CorrelationData = user, "text/plain", "ivi/answer", []byte{0, 1, 2}
		p.PayloadFormat, p.PayloadFormatFlag = 1, true
		pk.FixedHeader.Retain = true
	}
	absent := connect(t, b, 5, "absent", keep)
	absent.subscribe("ivi/+", 2)
	absent.goodbye()
	live := connect(t, b, 5, "live")
	live.subscribe("ivi/#", 2)
	old := connect(t, b, 4, "old")
	old.subscribe("ivi/#", 2)
	pub := connect(t, b, 5, "pub")
	for qos := range byte(3) {
		pub.publish(qos, uint16(qos), fmt.Sprint("ivi/", qos), "payload", rich)
	}
	pub.expect(wire.Puback)
	pub.expect(wire.Pubrec)
	late := connect(t, b, 5, "late")
	late.subscribe("ivi/2", 0)
	absent = connect(t, b, 5, "absent", keep)
	for _, c := range []*client{live, live, live, late, absent, absent} {
		got := c.expect(wire.Publish)
		p := got.props
		if !slices.Equal(p.User, user) || p.ContentType != "text/plain" || p.ResponseTopic != "ivi/answer" ||
			string(p.CorrelationData) != "\x00\x01\x02" || p.PayloadFormat != 1 || got.payload != "payload" {
			t.Errorf("%s: %+v", got.topic, p)
		}
	}
	for range 3 {
		if got := old.expect(wire.Publish); got.payload != "payload" {
			t.Errorf("3.1.1 got %q", got.payload)
		}
	}
}

func TestRetainHandlingIsHonoured(t *testing.T) { // [MQTT-3.3.1-9 to 3.3.1-11, 3.8.4-4]
	b := start(t, loopback)
	pub := connect(t, b, 5, "pub")
	pub.publish(1, 1, "ivi/a", "kept", retaining)
	pub.expect(wire.Puback)
	pub.publish(1, 1, "ivi/a", "live") // changes nothing of what is kept [MQTT-3.3.1-8]
	pub.expect(wire.Puback)
	for _, filter := range []string{"ivi/a", "ivi/+"} {
		for handling, want := range [][2]bool{{true, true}, {true, false}, {false, false}} {
			c := connect(t, b, 5, "c")
			for time, sent := range want {
				c.subscribe(filter, 1, func(s *packets.Subscription) { s.RetainHandling = byte(handling) })
				if sent {
					if got := c.expectPublish("ivi/a", "kept"); !got.retain {
						t.Error("no RETAIN on a stored message")
					}
				}
				c.send(byte(wire.Pingreq)<<4, 0)
				if got, err := c.read(); err != nil || got.kind != wire.Pingresp {
					t.Fatalf("%s, handling %d, subscription %d: packet type %d, %v", filter, handling, time+1, got.kind, err)
				}
			}
			c.goodbye()
		}
	}
}

func TestSubscriptionIsReplaced(t *testing.T) { // [MQTT-3.8.4-3]
	b := start(t, loopback)
	c := connect(t, b, 5, "c")
	c.subscribe("ivi/n", 2, func(s *packets.Subscription) { s.Identifier, s.NoLocal = 5, true })
	if got := c.subscribe("ivi/n", 1); got != 1 {
		t.Fatalf("SUBACK 0x%02X", byte(got))
	}
	c.publish(1, 1, "ivi/n", "mine")
	got, err := c.read()
	if err == nil && got.kind == wire.Puback {
		got, err = c.read()
	} else {
		c.expect(wire.Puback)
	}
	if err != nil || got.payload != "mine" || got.qos != 1 || len(got.ids) != 0 {
		t.Fatalf("%+v, %v: want it once at QoS 1, without an identifier", got, err)
	}
	c.ack(wire.Puback, got.id)
	if n := b.Stats().Subscriptions; n != 1 {
		t.Fatalf("%d subscriptions", n)
	}
	c.ping()
}

func TestOneAnswerForManyFilters(t *testing.T) { // [MQTT-3.8.4-5, 3.8.4-6, 3.9.3-1, 3.10.4-6, 3.11.3-1]
	b := start(t, loopback)
	for _, version := range []byte{4, 5} {
		c := connect(t, b, version, "c")
		c.sendPacket(&packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 77, Filters: packets.Subscriptions{
			{Filter: "ivi/a", Qos: 2}, {Filter: "bad#", Qos: 1}, {Filter: "ivi/b", Qos: 0}, {Filter: "ivi/c", Qos: 1},
		}})
		failed := wire.Unspecified
		if version == 5 {
			failed = wire.FilterInvalid
		}
		if got := c.expect(wire.Suback); got.id != 77 || !slices.Equal(got.reasons, []wire.Reason{2, failed, 0, 1}) {
			t.Errorf("version %d: SUBACK %+v", version, got.reasons)
		}
		// Filters are compared character by character [MQTT-3.10.4-1].
		got := c.unsubscribe("ivi/b", "ivi/+", "ivi/a")
		if version == 5 && !slices.Equal(got.reasons, []wire.Reason{0, wire.NoSubscription, 0}) || got.id != 6 {
			t.Errorf("version %d: UNSUBACK %d %+v", version, got.id, got.reasons)
		}
		publish(t, b, "ivi/a", "x", 0)
		publish(t, b, "ivi/c", "y", 0)
		c.expectPublish("ivi/c", "y")
		c.goodbye()
	}
}

func TestGrantedQoSIsTheMost(t *testing.T) { // [MQTT-3.8.4-8]
	b := start(t, loopback)
	c := connect(t, b, 5, "c")
	for granted := range byte(3) {
		c.subscribe(fmt.Sprint("ivi/", granted), granted)
		for sent := range byte(3) {
			publish(t, b, fmt.Sprint("ivi/", granted), "x", sent)
			got := c.expect(wire.Publish)
			if got.qos != min(granted, sent) {
				t.Errorf("QoS %d of %d granted and %d sent", got.qos, granted, sent)
			}
			switch got.qos {
			case 1:
				c.ack(wire.Puback, got.id)
			case 2:
				finishQoS2(c, got.id)
			}
		}
	}
}

func TestDeliveryThatHasBegunIsCompletedAfterUnsubscribe(t *testing.T) { // [MQTT-3.10.4-2, 3.10.4-3]
	b := start(t, loopback)
	c := connect(t, b, 5, "c", keep)
	c.subscribe("ivi/n", 2)
	publish(t, b, "ivi/n", "begun", 2)
	id := c.expect(wire.Publish).id
	c.unsubscribe("ivi/n")
	publish(t, b, "ivi/n", "more", 2)
	c.socket.Close()
	eventually(t, "the end of the connection", func() bool { return b.Stats().Clients == 0 })
	c = connect(t, b, 5, "c", keep)
	if got := c.expect(wire.Publish); got.id != id || !got.dup || got.payload != "begun" {
		t.Fatalf("%+v", got)
	}
	finishQoS2(c, id)
}

func TestTopicsAreComparedByteByByte(t *testing.T) { // [MQTT-1.5.4-3, 4.7.3-4]
	b := start(t, loopback)
	c := connect(t, b, 5, "c")
	names := []string{"ivi/é", "ivi/e\u0301", "ivi/\uFEFF", "ivi/", "ivi/A", "ivi/a", "ivi//a"} // composed and not, with a byte order mark
	for _, name := range names {
		c.subscribe(name, 0)
	}
	for _, name := range names {
		publish(t, b, name, name, 0)
		c.expectPublish(name, name)
	}
	c.ping()
}

func TestAliasesEndWithTheConnection(t *testing.T) { // [MQTT-3.3.2-7, 3.3.2-12]
	b := start(t, loopback)
	alias := func(n uint16) func(*packets.Packet) {
		return func(pk *packets.Packet) { pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = n, true }
	}
	sub := connect(t, b, 5, "sub")
	sub.subscribe("ivi/#", 0)
	c := connect(t, b, 5, "c", keep)
	for _, n := range []uint16{1, maxAliases} {
		name := fmt.Sprint("ivi/", n)
		c.publish(0, 0, name, "x", alias(n))
		c.publish(0, 0, "", "y", alias(n))
		sub.expectPublish(name, "x")
		sub.expectPublish(name, "y")
	}
	c.goodbye()
	c = connect(t, b, 5, "c", keep)
	c.publish(0, 0, "", "z", alias(1))
	if got := c.expect(wire.Disconnect).reasons[0]; got != wire.ProtocolError {
		t.Fatalf("DISCONNECT 0x%02X", byte(got))
	}
	sub.ping()
}

func TestClientIDsOfTheStandardAreTaken(t *testing.T) { // [MQTT-3.1.3-5 to 3.1.3-7, 3.2.2-16]
	b := start(t, loopback)
	for _, id := range []string{"x", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ"} {
		for _, version := range []byte{3, 4, 5} {
			c := dial(t, b, version)
			pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}}
			pk.Connect.ProtocolName = []byte("MQTT")
			if version == 3 {
				pk.Connect.ProtocolName = []byte("MQIsdp")
			}
			pk.Connect.ClientIdentifier, pk.Connect.Clean = id, true
			c.sendPacket(&pk)
			if got := c.expect(wire.Connack).reasons[0]; got != wire.Success {
				t.Errorf("%q, version %d: CONNACK 0x%02X", id, version, byte(got))
			}
			c.goodbye()
		}
	}
	one, two := dial(t, b, 5), dial(t, b, 5)
	first, second := one.connect("", keep).props.AssignedClientID, two.connect("", keep).props.AssignedClientID
	if first == "" || first == second {
		t.Fatalf("assigned %q and %q", first, second)
	}
	one.goodbye()
	if again := dial(t, b, 5); !again.connect(first, keep).present {
		t.Error("the session of the assigned id is gone")
	}
}

func TestDisconnectMayChangeTheSessionsExpiry(t *testing.T) { // §3.14.2.2.2
	b := start(t, loopback)
	c := connect(t, b, 5, "c", keep)
	c.send(packet(byte(wire.Disconnect)<<4, none, "\x05\x11\x00\x00\x00\x00")...)
	c.closed()
	if dial(t, b, 5).connect("c", keep).present {
		t.Error("the session outlived its expiry of 0")
	}
}
