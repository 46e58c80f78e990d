package edgebroker

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

const explained = `
broker:
  listeners: [{name: local, address: "127.0.0.1:0"}, {name: cell, address: "127.0.0.1:0", role: nobody}]
  limits: {topic_levels: 3, retained_messages: 1, subscriptions: 2}
auth:
  roles:
    local: {publish: ["ivi/#"], subscribe: ["ivi/#"], deny_publish: ["ivi/secret/#"]}
`

// told wants a reason string with that in it.
func (r received) told(t testing.TB, reason wire.Reason, text string) {
	t.Helper()
	if r.reasons[0] != reason || !strings.Contains(r.props.ReasonString, text) {
		t.Errorf("packet type %d: %s, %q; want 0x%02X and %q", r.kind, r.reasons[0].Name(), r.props.ReasonString, byte(reason), text)
	}
}

func quiet(pk *packets.Packet) {
	pk.Properties.RequestProblemInfoFlag, pk.Properties.RequestProblemInfo = true, 0
}

func withWill(name string) func(*packets.Packet) {
	return func(pk *packets.Packet) {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, name, []byte("x")
	}
}

func TestRefusalsSayWhichRuleOrLimitDecided(t *testing.T) {
	b := start(t, explained)
	c := dial(t, b, 5)
	c.connect("c", withWill("ivi/secret/x")).told(t, wire.NotAuthorized, `"ivi/secret/x": deny_publish ivi/secret/#`)
	c.closed()

	c = connect(t, b, 5, "c")
	c.publish(1, 1, "ivi/secret/x", "x")
	c.expect(wire.Puback).told(t, wire.NotAuthorized, "deny_publish ivi/secret/#")
	c.publish(2, 2, "other", "x")
	c.expect(wire.Pubrec).told(t, wire.NotAuthorized, "no publish grant")
	c.publish(1, 3, "ivi/a", "x", retaining)
	c.expect(wire.Puback)
	c.publish(1, 4, "ivi/b", "x", retaining)
	c.expect(wire.Puback).told(t, wire.QuotaExceeded, "retained messages are full")

	filters := packets.Subscriptions{{Filter: "ivi/#"}, {Filter: "other/#"}}
	c.sendPacket(&packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 5, Filters: filters})
	ack := c.expect(wire.Suback)
	ack.reasons = ack.reasons[1:]
	ack.told(t, wire.NotAuthorized, `"other/#": no subscribe grant`)
	c.expectPublish("ivi/a", "x")
	c.requestSubscription(6, "ivi/a/b/c/d", 0)
	c.expect(wire.Suback).told(t, wire.FilterInvalid, "at most 3 levels")
	c.subscribe("ivi/2", 0)
	c.requestSubscription(7, "ivi/3", 0)
	c.expect(wire.Suback).told(t, wire.QuotaExceeded, "at most 2 subscriptions")

	c.publish(0, 0, "ivi/a/b/c/d", "x")
	c.expect(wire.Disconnect).told(t, wire.TopicInvalid, "at most 3 levels")
	c.closed()
}

// [MQTT-3.1.2-29]; CONNACK and DISCONNECT may tell all the same (§3.1.2.11.7).
func TestClientThatWantsNoProblemInformationGetsNone(t *testing.T) {
	b := start(t, explained)
	c := connect(t, b, 5, "c", quiet)
	c.publish(1, 1, "other", "x")
	c.publish(2, 2, "other", "x")
	c.requestSubscription(3, "other", 0)
	for _, kind := range []wire.Kind{wire.Puback, wire.Pubrec, wire.Suback} {
		if got := c.expect(kind); got.reasons[0] != wire.NotAuthorized || got.props.ReasonString != "" {
			t.Errorf("packet type %d: %s, %q", kind, got.reasons[0].Name(), got.props.ReasonString)
		}
	}
	c.publish(0, 0, "ivi/a/b/c/d", "x")
	c.expect(wire.Disconnect).told(t, wire.TopicInvalid, "levels")
	c = dial(t, b, 5)
	c.connect("c", quiet, withWill("other")).told(t, wire.NotAuthorized, "no publish grant")
}

// [MQTT-3.2.2-19, 3.4.2-2, 3.5.2-2, 3.9.2-1, 3.14.2-3].
func TestReasonStringKeepsToTheMaximumPacketSize(t *testing.T) {
	const limit = 30 // which a CONNACK that accepts has just room in
	b := start(t, explained)
	small := func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = limit }
	check := func(got received, reason wire.Reason) {
		t.Helper()
		if got.reasons[0] != reason || got.props.ReasonString != "" || len(got.body)+2 > limit {
			t.Errorf("packet type %d with %d bytes: %s, %q", got.kind, len(got.body)+2, got.reasons[0].Name(), got.props.ReasonString)
		}
	}
	c := dial(t, b, 5)
	check(c.connect("c", small, withWill("ivi/secret/x")), wire.NotAuthorized)
	c = connect(t, b, 5, "c", small)
	c.publish(1, 1, "ivi/secret/x", "x")
	check(c.expect(wire.Puback), wire.NotAuthorized)
	c.publish(2, 2, "ivi/secret/x", "x")
	check(c.expect(wire.Pubrec), wire.NotAuthorized)
	c.requestSubscription(3, "ivi/a/b/c/d", 0)
	check(c.expect(wire.Suback), wire.FilterInvalid)
	c.publish(0, 0, "ivi/a/b/c/d", "x")
	check(c.expect(wire.Disconnect), wire.TopicInvalid)
}

// [MQTT-4.6.0-2]: a refusal does not overtake what is still being committed.
func TestRefusalsKeepTheOrderOfThePackets(t *testing.T) {
	const messages = 200
	b := start(t, explained)
	sub := connect(t, b, 5, "sub", keep)
	sub.subscribe("ivi/#", 1)
	sub.goodbye()
	c := connect(t, b, 5, "c")
	var all bytes.Buffer
	for id := range uint16(messages) {
		pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, ProtocolVersion: 5, PacketID: id + 1, TopicName: "ivi/a"}
		if id%2 == 1 {
			pk.TopicName = "ivi/secret/x"
		}
		if err := pk.PublishEncode(&all); err != nil {
			t.Fatal(err)
		}
	}
	c.send(all.Bytes()...)
	for id := range uint16(messages) {
		got := c.expect(wire.Puback)
		if got.id != id+1 {
			t.Fatalf("PUBACK %d, want %d", got.id, id+1)
		}
		if id%2 == 1 {
			got.told(t, wire.NotAuthorized, "deny_publish")
		}
	}
	c.publish(1, 1, "ivi/a", "x") // and each has given its place back
	c.expect(wire.Puback)
}

func TestRefusalsOfOlderVersionsHaveNoText(t *testing.T) {
	b := start(t, explained)
	c := dial(t, b, 4)
	if got := c.connect("c", withWill("ivi/secret/x")); len(got.body) != 2 {
		t.Errorf("CONNACK % X", got.body)
	}
	c = connect(t, b, 4, "c")
	c.publish(1, 1, "other", "x")
	if got := c.expect(wire.Puback); len(got.body) != 2 {
		t.Errorf("PUBACK % X", got.body)
	}
	c.requestSubscription(3, "other", 0)
	if got := c.expect(wire.Suback); len(got.body) != 3 {
		t.Errorf("SUBACK % X", got.body)
	}
}
