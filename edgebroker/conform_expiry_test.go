package edgebroker

import (
	"fmt"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// Expiries and delayed wills across the end of the process.

func TestSessionExpiryGoesOnAfterTheProcess(t *testing.T) { // [MQTT-3.1.2-23, 4.1.0-2]
	minute := func(pk *packets.Packet) {
		keep(pk)
		pk.Properties.SessionExpiryInterval = 60
	}
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		connect(t, l.Broker, 5, "c", minute).goodbye()
		eventually(t, "the end of the connection", func() bool { return l.Stats().Clients == 0 })
		left := clock.Now()
		end()
		l.expire(left + 58*clock.Second)
		if l.Stats().Sessions != 1 {
			t.Fatal("the session ended early")
		}
		l.expire(left + 62*clock.Second)
		if l.Stats().Sessions != 0 {
			t.Fatal("the session is still there")
		}
		end()
		if l.Stats().Sessions != 0 {
			t.Fatal("the session came back")
		}
	})
}

func TestMessagesExpireInTheQueueAcrossTheProcess(t *testing.T) { // [MQTT-3.3.2-5, 3.3.2-6]
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		c := connect(t, l.Broker, 5, "c", keep)
		c.subscribe("ivi/#", 1)
		c.goodbye()
		pub := connect(t, l.Broker, 5, "pub")
		lives := func(seconds uint32) func(*packets.Packet) {
			return func(pk *packets.Packet) { pk.Properties.MessageExpiryInterval = seconds }
		}
		pub.publish(1, 1, "ivi/short", "x", lives(1))
		pub.publish(1, 2, "ivi/long", "x", lives(100))
		pub.expect(wire.Puback)
		pub.expect(wire.Puback)
		over := clock.Now() + clock.Second
		end()
		eventually(t, "a second", func() bool { return clock.Now() > over })
		c = l.resume(5, "c")
		if left := c.expectPublish("ivi/long", "x").props.MessageExpiryInterval; left < 80 || left > 99 {
			t.Errorf("%d s left of 100 after one", left)
		}
		c.ping()
		if n := l.Stats().DroppedExpired; n != 1 {
			t.Errorf("%d expired, want 1", n)
		}
	})
}

// TestSentMessageDoesNotExpire [MQTT-4.3.3-7]: the client may have half of the
// handshake.
func TestSentMessageDoesNotExpire(t *testing.T) {
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		c := connect(t, l.Broker, 5, "c", keep)
		c.subscribe("ivi/#", 2)
		pub := connect(t, l.Broker, 5, "pub")
		pub.publish(1, 1, "ivi/a", "x", func(pk *packets.Packet) { pk.Properties.MessageExpiryInterval = 1 })
		pub.expect(wire.Puback)
		id := c.expect(wire.Publish).id
		over := clock.Now() + clock.Second
		end()
		eventually(t, "a second", func() bool { return clock.Now() > over })
		if got := l.resume(5, "c").expectPublish("ivi/a", "x"); got.id != id || !got.dup {
			t.Fatalf("%+v", got)
		}
	})
}

// leavesWill asks for a will after a delay in seconds.
func leavesWill(delay uint32) func(*packets.Packet) {
	return func(pk *packets.Packet) {
		keep(pk)
		pk.Connect.WillFlag, pk.Connect.WillQos = true, 1
		pk.Connect.WillTopic, pk.Connect.WillPayload = "ivi/will", []byte(pk.Connect.ClientIdentifier)
		pk.Connect.WillProperties.WillDelayInterval = delay
		pk.Connect.WillProperties.User = []packets.UserProperty{{Key: "b", Val: "1"}, {Key: "a", Val: "2"}, {Key: "b", Val: "0"}}
	}
}

func TestWillsSurviveTheProcess(t *testing.T) { // [MQTT-3.1.2-7, 3.1.2-8, 3.1.2-10]
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		watch := connect(t, l.Broker, 5, "watch", keep)
		watch.subscribe("ivi/will", 1)
		connect(t, l.Broker, 5, "polite", leavesWill(60)).goodbye()
		connect(t, l.Broker, 5, "lost", leavesWill(60)).socket.Close()
		connect(t, l.Broker, 5, "back", leavesWill(60)).socket.Close()
		eventually(t, "the ends of the connections", func() bool { return l.Stats().Clients == 1 })
		end()
		l.resume(5, "back").goodbye() // in time [MQTT-3.1.3-9]
		watch = l.resume(5, "watch")
		l.expire(clock.Now() + 50*clock.Second)
		watch.ping() // too early
		l.expire(clock.Now() + 62*clock.Second)
		got := watch.expectPublish("ivi/will", "lost")
		if fmt.Sprint(got.props.User) != "[{b 1} {a 2} {b 0}]" || got.retain { // [MQTT-3.1.3-10]
			t.Errorf("%+v", got)
		}
		watch.ping()
		end()
		watch = l.resume(5, "watch")
		l.expire(clock.Now() + 1000*clock.Second)
		watch.ping() // it is sent once
	})
}

// TestWillOfAClientThatWasConnectedIsSent when the process was killed under it,
// and did not come back.
func TestWillOfAClientThatWasConnectedIsSent(t *testing.T) {
	l := live(t, loopback)
	watch := connect(t, l.Broker, 5, "watch", keep)
	watch.subscribe("ivi/will", 1)
	connect(t, l.Broker, 5, "was there", leavesWill(5))
	connect(t, l.Broker, 4, "ends with it", leavesWill(0), func(pk *packets.Packet) { pk.Connect.Clean = true })
	l.kill()
	watch = l.resume(5, "watch")
	watch.expectPublish("ivi/will", "ends with it")
	l.expire(clock.Now() + 6*clock.Second)
	watch.expectPublish("ivi/will", "was there")
	watch.ping()
}

func TestWillRetainIsKept(t *testing.T) { // [MQTT-3.1.2-14, 3.1.2-15]
	b := start(t, loopback)
	watch := connect(t, b, 5, "watch")
	watch.subscribe("ivi/will", 1, func(s *packets.Subscription) { s.RetainAsPublished = true })
	for _, retain := range []bool{false, true} {
		connect(t, b, 5, "dying", leavesWill(0), func(pk *packets.Packet) {
			pk.Connect.WillRetain = retain
		}).socket.Close()
		if got := watch.expectPublish("ivi/will", "dying"); got.retain != retain {
			t.Errorf("RETAIN %v, want %v", got.retain, retain)
		}
		if n := b.Stats().Retained; n == 1 != retain {
			t.Errorf("%d retained messages", n)
		}
	}
}
