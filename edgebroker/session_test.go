package edgebroker

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func TestMessageReachesSubscribersAtEveryQoS(t *testing.T) {
	b := start(t, loopback)
	for _, version := range []byte{4, 5} {
		for qos := range byte(3) {
			name := fmt.Sprintf("ivi/v%d/qos%d", version, qos)
			sub := connect(t, b, version, name+"-sub")
			if granted := sub.subscribe(name, qos); granted != wire.Reason(qos) {
				t.Fatalf("granted 0x%02X, want %d", granted, qos)
			}
			pub := connect(t, b, version, name+"-pub")
			pub.publish(qos, uint16(qos), name, "hello")
			switch qos {
			case 1:
				pub.expect(wire.Puback)
			case 2:
				pub.expect(wire.Pubrec)
				pub.ack(wire.Pubrel, 2)
				pub.expect(wire.Pubcomp)
			}
			got := sub.expect(wire.Publish)
			if got.topic != name || got.payload != "hello" || got.qos != qos || got.retain || got.dup {
				t.Fatalf("got %+v", got)
			}
			if qos == 2 {
				sub.ack(wire.Pubrec, got.id)
				sub.expect(wire.Pubrel)
				sub.ack(wire.Pubcomp, got.id)
			}
			sub.goodbye()
			pub.goodbye()
		}
	}
}

func TestQoS2IsDeliveredOnceThoughPublishedAgain(t *testing.T) {
	b := start(t, loopback)
	sub := connect(t, b, 5, "sub")
	sub.subscribe("ivi/#", 0)
	pub := connect(t, b, 5, "pub", keep)
	pub.publish(2, 9, "ivi/a", "once")
	pub.expect(wire.Pubrec)
	pub.socket.Close()
	pub = connect(t, b, 5, "pub", keep)
	pub.publish(2, 9, "ivi/a", "once", repeated)
	pub.expect(wire.Pubrec)
	pub.ack(wire.Pubrel, 9)
	pub.expect(wire.Pubcomp)
	pub.publish(0, 0, "ivi/b", "end")
	sub.expectPublish("ivi/a", "once")
	sub.expectPublish("ivi/b", "end")
}

// TestPacketIDsOfBothSidesAreTheirOwn has ids 1 in use by the broker while the
// client uses 1 for its own packets.
func TestPacketIDsOfBothSidesAreTheirOwn(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "both", keep)
	c.subscribe("ivi/a", 1)
	if err := b.Publish(Message{Topic: "ivi/a", Payload: []byte("x"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if id := c.expect(wire.Publish).id; id != 1 {
		t.Fatalf("packet id %d, want 1", id)
	}
	c.requestSubscription(1, "ivi/b", 1)
	if reason := c.expect(wire.Suback).reasons[0]; reason != 1 {
		t.Fatalf("SUBACK 0x%02X", reason)
	}
	c.publish(1, 1, "ivi/c", "y")
	c.expect(wire.Puback)
	c.socket.Close()
	c = connect(t, b, 5, "both", keep)
	if got := c.expectPublish("ivi/a", "x"); got.id != 1 || !got.dup {
		t.Fatalf("got %+v, want the message of id 1 again", got)
	}
}

func TestSessionKeepsOrderAcrossReconnect(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c", keep, func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = 10 })
	c.subscribe("ivi/n", 1)
	c.requestSubscription(8, "ivi/two", 2)
	c.expect(wire.Suback)
	for i := range 30 {
		publish(t, b, "ivi/n", strconv.Itoa(i), 1)
	}
	for i := range 10 { // the receive window, of which every other is acknowledged
		got := c.expect(wire.Publish)
		if got.payload != strconv.Itoa(i) {
			t.Fatalf("got %s, want %d", got.payload, i)
		}
		if i%2 == 1 {
			c.ack(wire.Puback, got.id)
		}
	}
	for i := 10; i < 15; i++ {
		if got := c.expect(wire.Publish); got.payload != strconv.Itoa(i) {
			t.Fatalf("got %s, want %d", got.payload, i)
		}
	}
	c.socket.Close()
	eventually(t, "end of the connection", func() bool { return b.Stats().Clients == 0 })
	publish(t, b, "ivi/n", "30", 1)

	c = dial(t, b, 5)
	if ack := c.connect("c", keep); !ack.present {
		t.Fatal("CONNACK without session present")
	}
	want := []int{0, 2, 4, 6, 8, 10, 11, 12, 13, 14}
	again := len(want)
	for i := 15; i <= 30; i++ {
		want = append(want, i)
	}
	for i, n := range want {
		got := c.expectPublish("ivi/n", strconv.Itoa(n))
		if got.dup != (i < again) {
			t.Fatalf("message %d has DUP %v", n, got.dup)
		}
	}
}

func TestQoS2HandshakeContinuesAcrossReconnect(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 4, "c", keep)
	c.subscribe("ivi/n", 2)
	publish(t, b, "ivi/n", "x", 2)
	id := c.expect(wire.Publish).id
	c.ack(wire.Pubrec, id)
	c.expect(wire.Pubrel)
	c.socket.Close()
	c = connect(t, b, 4, "c", keep)
	if got := c.expect(wire.Pubrel); got.id != id {
		t.Fatalf("PUBREL %d, want %d", got.id, id)
	}
	c.ack(wire.Pubcomp, id)
	c.ping()
	if n := b.Clients()[0].Inflight; n != 0 {
		t.Fatalf("%d messages in flight", n)
	}
}

func TestTakeOverEndsTheOldConnectionAndKeepsTheSession(t *testing.T) {
	b := start(t, loopback)
	first := connect(t, b, 5, "c", keep)
	first.subscribe("ivi/a", 1)
	second := dial(t, b, 5)
	if ack := second.connect("c", keep); !ack.present {
		t.Fatal("CONNACK without session present")
	}
	if reason := first.expect(wire.Disconnect).reasons[0]; reason != wire.SessionTakenOver {
		t.Fatalf("DISCONNECT 0x%02X", reason)
	}
	first.closed()
	publish(t, b, "ivi/a", "x", 1)
	second.expectPublish("ivi/a", "x")
	third := dial(t, b, 5)
	if ack := third.connect("c"); ack.present {
		t.Fatal("a clean start found a session")
	}
	publish(t, b, "ivi/a", "y", 1)
	third.ping() // a clean session has no subscription
}

func TestSlowReceiverLosesNothingOfAPublisherThatWaits(t *testing.T) {
	const messages = 5000
	b := start(t, loopback+"  limits: {inflight: 64, queue_bytes: 4KiB, session_messages: 200}\n")
	c := connect(t, b, 4, "slow")
	c.subscribe("can/#", 1)
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for i := range messages {
			if err := b.PublishWait(ctx, Message{Topic: "can/can0/m", Payload: []byte(strconv.Itoa(i)), QoS: 1}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i := range messages {
		c.expectPublish("can/can0/m", strconv.Itoa(i))
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := b.Stats().DroppedSession; n != 0 {
		t.Fatalf("%d dropped", n)
	}
}

func TestFullSessionDropsTheOldestAndCounts(t *testing.T) {
	b := start(t, loopback+"  limits: {session_messages: 5}\n")
	c := connect(t, b, 4, "c", keep)
	c.subscribe("ivi/n", 1)
	c.goodbye()
	for i := range 12 {
		publish(t, b, "ivi/n", strconv.Itoa(i), 1)
	}
	eventually(t, "7 drops", func() bool { return b.Clients()[0].Dropped == 7 && b.Stats().DroppedSession == 7 })
	c = connect(t, b, 4, "c", keep)
	for i := 7; i < 12; i++ {
		c.expectPublish("ivi/n", strconv.Itoa(i))
	}
}

func TestClientThatReadsNothingSlowsNobody(t *testing.T) {
	b := start(t, loopback+"  limits: {queue_bytes: 64KiB}\n")
	stuck := connect(t, b, 4, "stuck")
	stuck.subscribe("ivi/n", 0)
	good := connect(t, b, 4, "good")
	good.subscribe("ivi/n", 0)
	payload := string(make([]byte, 8<<10))
	for b.Stats().DroppedQoS0 == 0 { // until the kernel's buffers and ours are full
		publish(t, b, "ivi/n", payload, 0)
		good.expectPublish("ivi/n", payload)
	}
	for _, info := range b.Clients() {
		if (info.Dropped > 0) != (info.ID == "stuck") {
			t.Fatalf("%s dropped %d", info.ID, info.Dropped)
		}
		if info.QueueBytes > 128<<10 {
			t.Fatalf("%s has %d bytes queued", info.ID, info.QueueBytes)
		}
	}
	stuck.socket.Close()
}

func TestConnectionThatTakesNothingIsClosed(t *testing.T) {
	b := start(t, loopback+"  limits: {write_timeout: 100ms, inflight: 65535}\n")
	stuck := connect(t, b, 4, "stuck", keep)
	stuck.subscribe("ivi/n", 1)
	payload := string(make([]byte, 64<<10))
	eventually(t, "end of the connection", func() bool {
		publish(t, b, "ivi/n", payload, 1)
		return b.Stats().Clients == 0
	})
	if b.Stats().Sessions != 1 {
		t.Fatal("the session went with the connection")
	}
}

func publish(t testing.TB, b *Broker, topic, payload string, qos byte) {
	t.Helper()
	if err := b.store.WaitRoom(t.Context()); err != nil { // a disk that is behind is another test's matter
		t.Fatal(err)
	}
	if err := b.Publish(Message{Topic: topic, Payload: []byte(payload), QoS: qos}); err != nil {
		t.Fatal(err)
	}
}
