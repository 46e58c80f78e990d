package edgebroker

import (
	"fmt"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// Receive Maximum, packet ids, and the acknowledgements that end a message.

func TestReceiveMaximumIsExact(t *testing.T) { // [MQTT-3.3.4-7], §4.9
	const window = 8
	b := start(t, loopback+fmt.Sprintf("  limits: {inflight: %d}\n", window))
	for qos := byte(1); qos <= 2; qos++ {
		c := connect(t, b, 5, "c", keep)
		for round := range uint16(4) { // as many again when they are acknowledged
			for id := range uint16(window) {
				c.publish(qos, 1+round*window+id, "ivi/n", "x")
			}
			for id := range uint16(window) {
				if qos == 1 {
					c.expect(wire.Puback)
					continue
				}
				c.expect(wire.Pubrec)
				c.ack(wire.Pubrel, 1+round*window+id)
			}
			for range window {
				if qos == 2 {
					c.expect(wire.Pubcomp)
				}
			}
		}
		c.goodbye()
	}
	c := connect(t, b, 5, "c", keep)
	for id := range uint16(window + 1) {
		c.publish(2, 100+id, "ivi/n", "x")
	}
	for {
		if got, err := c.read(); err != nil {
			t.Fatal(err)
		} else if got.kind == wire.Disconnect {
			if got.reasons[0] != wire.ReceiveMaximum {
				t.Fatalf("DISCONNECT 0x%02X", byte(got.reasons[0]))
			}
			break
		}
	}
	// The ids under way don't count on the next connection, and what was refused
	// there is a new message here.
	c = connect(t, b, 5, "c", keep)
	for id := range uint16(window) {
		c.publish(2, 100+window+id, "ivi/n", "x")
		c.expect(wire.Pubrec)
	}
	c.ping()
}

// TestOlderVersionsHaveNoReceiveMaximum: 3.1.1 knows none, so it is no error to
// have more under way, and each is taken once.
func TestOlderVersionsHaveNoReceiveMaximum(t *testing.T) {
	b := start(t, loopback+"  limits: {inflight: 4}\n")
	sub := connect(t, b, 4, "sub")
	sub.subscribe("ivi/n", 0)
	c := connect(t, b, 4, "c", keep)
	for range 2 { // the second time with DUP
		for id := range uint16(20) {
			c.publish(2, 1+id, "ivi/n", fmt.Sprint(id), repeated)
			c.expect(wire.Pubrec)
		}
	}
	for id := range uint16(20) {
		sub.expectPublish("ivi/n", fmt.Sprint(id))
	}
	sub.ping()
}

// TestRefusedPublishIsNewWhenItComesAgain: what an older client was closed for is
// not taken for known when it sends it again.
func TestRefusedPublishIsNewWhenItComesAgain(t *testing.T) {
	b := start(t, loopback+"  limits: {retained_messages: 1}\n")
	c := connect(t, b, 4, "c", keep)
	c.publish(1, 1, "ivi/full", "x", retaining)
	c.expect(wire.Puback)
	c.publish(2, 9, "ivi/a", "lost?", retaining)
	c.closed()
	c = connect(t, b, 4, "c", keep)
	c.publish(1, 1, "ivi/full", "", retaining) // makes room
	c.expect(wire.Puback)
	sub := connect(t, b, 4, "sub")
	sub.subscribe("ivi/a", 0)
	c.publish(2, 9, "ivi/a", "lost?", retaining, repeated)
	c.expect(wire.Pubrec)
	sub.expectPublish("ivi/a", "lost?")
}

func TestPacketIDsAreFreeOnceAcknowledged(t *testing.T) {
	b := start(t, loopback)
	sub := connect(t, b, 5, "sub")
	sub.subscribe("ivi/#", 0)
	c := connect(t, b, 5, "c", keep)
	for _, payload := range []string{"1", "2"} { // whatever its DUP says [MQTT-4.3.2-5]
		c.publish(1, 5, "ivi/a", payload, repeated)
		c.expect(wire.Puback)
		if got := sub.expectPublish("ivi/a", payload); got.dup { // [MQTT-3.3.1-3]
			t.Error("DUP was passed on")
		}
	}
	c.publish(2, 5, "act/denied", "x")
	if got := c.expect(wire.Pubrec).reasons[0]; got != wire.NotAuthorized {
		t.Fatalf("PUBREC 0x%02X", byte(got))
	}
	for _, payload := range []string{"3", "4"} { // after a refusal [MQTT-4.3.3-9], after PUBCOMP [MQTT-4.3.3-12]
		c.publish(2, 5, "ivi/a", payload)
		c.expect(wire.Pubrec)
		c.ack(wire.Pubrel, 5)
		if got := c.expect(wire.Pubcomp); got.id != 5 || got.reasons[0] != 0 {
			t.Fatalf("%+v", got)
		}
		sub.expectPublish("ivi/a", payload)
	}
}

func TestClientsWindowIsKept(t *testing.T) { // [MQTT-3.3.4-9, 3.3.4-10, 4.9.0-2, 4.9.0-3]
	b := start(t, loopback)
	c := connect(t, b, 5, "c", func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = 3 })
	c.subscribe("ivi/n", 2)
	var ids []uint16
	for i := range 6 {
		publish(t, b, "ivi/n", fmt.Sprint(i), byte(1+i%2))
	}
	for range 3 {
		ids = append(ids, c.expect(wire.Publish).id)
	}
	c.subscribe("ivi/other", 1) // nothing but PUBLISH waits
	c.publish(1, 1, "ivi/x", "x")
	c.expect(wire.Puback)
	c.ping()
	c.ack(wire.Pubrec, ids[1]) // QoS 2: under way until PUBCOMP
	c.expect(wire.Pubrel)
	c.ping()
	c.ack(wire.Pubcomp, ids[1])
	c.expect(wire.Publish)
	c.ack(wire.Puback, ids[0])
	c.expect(wire.Publish)
	c.send(wire.AppendAck(nil, wire.Pubrec, ids[1]+2, wire.Unspecified, 5)...) // a refusal ends it
	c.expect(wire.Publish)
	c.ping()
}

func TestNoAliasesForAClientThatAsksForNone(t *testing.T) { // [MQTT-3.1.2-27]
	b := start(t, loopback)
	c := connect(t, b, 5, "c")
	c.subscribe("ivi/#", 2)
	for range 3 {
		for qos := range byte(3) {
			publish(t, b, "ivi/a/long/topic/that/repeats", "x", qos)
			got := c.expect(wire.Publish)
			if got.props.TopicAliasFlag || got.topic == "" {
				t.Fatalf("%+v", got)
			}
		}
	}
}

func TestAcknowledgementsKeepTheOrderOfPackets(t *testing.T) { // [MQTT-4.6.0-2, 4.6.0-3]
	b := start(t, loopback)
	sub := connect(t, b, 5, "sub", keep) // so that some are stored first
	sub.subscribe("ivi/stored", 1)
	sub.goodbye()
	c := connect(t, b, 5, "c", keep)
	topics := []string{"ivi/stored", "ivi/nobody", "act/denied"}
	for id := uint16(1); id <= 60; id++ {
		c.publish(byte(1+id%2), id, topics[id%3], "x")
	}
	for id := uint16(1); id <= 60; id++ {
		want := wire.Puback + wire.Kind(id%2)
		if got, err := c.read(); err != nil || got.kind != want || got.id != id {
			t.Fatalf("packet type %d for %d: %v, want %d for %d", got.kind, got.id, err, want, id)
		}
	}
}

func TestSharedMessageStaysWithTheMemberThatHasHalfOfIt(t *testing.T) { // [MQTT-4.8.2-4]
	b := start(t, loopback)
	first := connect(t, b, 5, "first", keep)
	first.subscribe("$share/g/ivi/n", 2)
	publish(t, b, "ivi/n", "x", 2)
	id := first.expect(wire.Publish).id
	first.ack(wire.Pubrec, id)
	first.expect(wire.Pubrel)
	second := connect(t, b, 5, "second", keep)
	second.subscribe("$share/g/ivi/n", 2)
	first.socket.Close()
	eventually(t, "the end of the connection", func() bool { return b.Stats().Clients == 1 })
	second.ping()
	first = connect(t, b, 5, "first", keep)
	if got := first.expect(wire.Pubrel); got.id != id {
		t.Fatalf("PUBREL %d, want %d", got.id, id)
	}
	first.ack(wire.Pubcomp, id)
	second.ping()
}

func TestRefusedSharedMessageGoesToNobodyElse(t *testing.T) { // [MQTT-4.8.2-6]
	b := start(t, loopback)
	first := connect(t, b, 5, "first")
	first.subscribe("$share/g/ivi/n", 1)
	publish(t, b, "ivi/n", "x", 1)
	id := first.expect(wire.Publish).id
	second := connect(t, b, 5, "second")
	second.subscribe("$share/g/ivi/n", 1)
	first.send(wire.AppendAck(nil, wire.Puback, id, wire.Unspecified, 5)...)
	first.ping()
	first.goodbye()
	second.ping()
}
