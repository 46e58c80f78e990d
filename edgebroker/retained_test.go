package edgebroker

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/names"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func TestRetainedMessageReachesNewSubscriber(t *testing.T) {
	b := start(t, loopback)
	pub := connect(t, b, 5, "pub")
	pub.publish(1, 1, "ivi/a", "kept", retaining)
	pub.expect(wire.Puback)
	sub := connect(t, b, 4, "sub")
	sub.subscribe("ivi/#", 2)
	if got := sub.expectPublish("ivi/a", "kept"); !got.retain || got.qos != 1 {
		t.Fatalf("got %+v", got)
	}
	pub.publish(0, 0, "ivi/a", "live", retaining)
	if got := sub.expectPublish("ivi/a", "live"); got.retain {
		t.Fatal("a live message has RETAIN set")
	}
	asPublished := connect(t, b, 5, "rap")
	asPublished.subscribe("ivi/a", 0, func(s *packets.Subscription) { s.RetainAsPublished = true })
	asPublished.expectPublish("ivi/a", "live")
	pub.publish(0, 0, "ivi/a", "", retaining)
	if got := asPublished.expectPublish("ivi/a", ""); !got.retain {
		t.Fatal("Retain As Published does not hold")
	}
	late := connect(t, b, 5, "late")
	late.subscribe("ivi/#", 0)
	late.ping()
	if n := b.Stats().Retained; n != 0 {
		t.Fatalf("%d retained", n)
	}
}

func TestRetainedMessagesAreBounded(t *testing.T) {
	b := start(t, loopback+"  limits: {retained_messages: 2, retained_bytes: 8KiB}\n")
	c := connect(t, b, 5, "c")
	for i, want := range []wire.Reason{0, 0, wire.QuotaExceeded} {
		c.publish(1, 1, fmt.Sprint("ivi/", i), "x", retaining)
		if got := c.expect(wire.Puback).reasons[0]; got != want {
			t.Fatalf("message %d: PUBACK 0x%02X, want 0x%02X", i, got, want)
		}
	}
	c.publish(1, 1, "ivi/0", string(make([]byte, 9000)), retaining)
	if got := c.expect(wire.Puback).reasons[0]; got != wire.QuotaExceeded {
		t.Fatalf("PUBACK 0x%02X", got)
	}
	old := connect(t, b, 4, "old") // has no such answer
	old.publish(1, 1, "ivi/3", "x", retaining)
	old.closed()
	if err := b.Publish(Message{Topic: "health/bus/can0", Payload: []byte("x"), Retain: true}); !errors.Is(err, ErrRetainedFull) {
		t.Fatalf("got %v", err)
	}
	if st := b.Stats(); st.Retained != 2 || st.RetainedRefused != 4 {
		t.Fatalf("%+v", st)
	}
}

func TestExpiredMessagesAreNotDelivered(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c", keep)
	c.subscribe("ivi/#", 1)
	c.goodbye()
	for _, m := range []Message{{Topic: "ivi/short", Expiry: 1}, {Topic: "ivi/long", Expiry: 100}} {
		m.Payload, m.QoS, m.Retain = []byte("x"), 1, true
		if err := b.Publish(m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "expiry", func() bool { return b.Stats().Retained == 1 })
	c = connect(t, b, 5, "c", keep)
	if left := c.expectPublish("ivi/long", "x").props.MessageExpiryInterval; left < 90 || left >= 100 {
		t.Fatalf("%d s left of 100 after one", left)
	}
	c.ping()
	if b.Stats().DroppedExpired != 1 {
		t.Fatal("not counted")
	}
}

func TestWillIsSentUnlessTheClientSaysGoodbye(t *testing.T) {
	b := start(t, loopback)
	watch := connect(t, b, 5, "watch")
	watch.subscribe("ivi/#", 1)
	for _, version := range []byte{4, 5} {
		name := fmt.Sprint("c", version)
		will := func(pk *packets.Packet) {
			pk.Connect.WillFlag, pk.Connect.WillQos = true, 1
			pk.Connect.WillTopic, pk.Connect.WillPayload = "ivi/"+name, []byte("gone")
			pk.Connect.WillProperties.ContentType = "text/plain"
		}
		connect(t, b, version, name, will).goodbye()
		connect(t, b, version, name, will).socket.Close()
		got := watch.expectPublish("ivi/"+name, "gone")
		if version == 5 && got.props.ContentType != "text/plain" {
			t.Fatalf("got %+v", got)
		}
		c := connect(t, b, version, name, will)
		c.send(byte(wire.Publish)<<4|6, 0) // QoS 3
		watch.expectPublish("ivi/"+name, "gone")
	}
	c := connect(t, b, 5, "w4", func(pk *packets.Packet) {
		pk.Connect.WillFlag, pk.Connect.WillTopic = true, "ivi/empty"
	})
	c.send(byte(wire.Disconnect)<<4, 1, byte(wire.DisconnectWithWill))
	watch.expectPublish("ivi/empty", "")
}

func TestDelayedWillWaitsForTheClientToComeBack(t *testing.T) {
	b := start(t, loopback)
	watch := connect(t, b, 5, "watch")
	watch.subscribe("ivi/#", 0)
	will := func(pk *packets.Packet) {
		keep(pk)
		pk.Connect.WillFlag = true
		pk.Connect.WillTopic, pk.Connect.WillPayload = "ivi/will", []byte("gone")
		pk.Connect.WillProperties.WillDelayInterval = 1
	}
	connect(t, b, 5, "back", will).socket.Close()
	eventually(t, "absence", func() bool { return b.Stats().Clients == 1 })
	back := connect(t, b, 5, "back", keep) // in time, and without a will
	connect(t, b, 5, "away", will).socket.Close()
	watch.expectPublish("ivi/will", "gone")
	back.goodbye()
	watch.ping()
}

func TestManyExpiredMessagesMakeRoom(t *testing.T) {
	const lasting, passing = 2 * names.Step, 5 * names.Step // those that last are looked at first
	b := start(t, loopback)
	for i := range lasting + passing {
		m := Message{Topic: fmt.Sprintf("ivi/%04d", i), Payload: []byte("x"), Retain: true}
		if i >= lasting {
			m.Expiry = 1
		}
		if err := b.Publish(m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "room", func() bool { return b.Stats().Retained == lasting })
	c := connect(t, b, 5, "c")
	c.subscribe("ivi/#", 0)
	for range lasting {
		c.expect(wire.Publish)
	}
	c.ping()
}
