package edgebroker

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

// What outlives the process: each of these holds when the broker was stopped and
// when it was killed.

// lived is a broker that ends and comes back on what it left behind.
type lived struct {
	*Broker
	t      *testing.T
	cfg    testConfig
	folder string
	stop   func()
}

// live runs a broker until the test ends.
func live(t *testing.T, text string) *lived {
	t.Helper()
	l := &lived{t: t, cfg: decode(t, text), folder: t.TempDir()}
	l.Broker, l.stop = startOn(t, l.cfg, l.folder)
	t.Cleanup(l.finish)
	return l
}

// restart stops the broker and starts it again.
func (l *lived) restart() {
	l.t.Helper()
	l.finish()
	l.Broker, l.stop = startOn(l.t, l.cfg, l.folder)
}

// kill ends the broker as kill -9 does: the next one finds the files as they are
// at this moment, clients still connected. What clients acknowledged is written
// a moment later, and a kill before that costs a repetition: it is waited for.
func (l *lived) kill() {
	l.t.Helper()
	if err := l.settle(l.store.Begin()); err != nil { // what was begun is written
		l.t.Fatal(err)
	}
	var found string
	eventually(l.t, "a copy with what clients acknowledged", func() bool {
		found = l.t.TempDir()
		if err := os.CopyFS(found, os.DirFS(l.folder)); err != nil {
			l.t.Fatal(err)
		}
		st := openStore(l.t, found)
		defer closeStore(l.t, st)
		same := true
		l.store.Queues(func(name string, q *store.Queue) bool {
			copied := st.Queue(name)
			same = copied != nil && copied.Head() == q.Head() && copied.Len() == q.Len()
			return same
		})
		return same
	})
	l.finish()
	l.folder = found
	l.Broker, l.stop = startOn(l.t, l.cfg, l.folder)
}

// finish stops the broker, and does not let it wait for clients to hang up.
func (l *lived) finish() {
	for _, c := range l.conns.all() {
		go func() {
			<-c.detached
			_ = c.socket.Close()
		}()
	}
	l.stop()
}

// acrossEnds runs a test with either end of the broker.
func acrossEnds(t *testing.T, text string, test func(t *testing.T, l *lived, end func())) {
	t.Helper()
	for _, name := range []string{"stopped", "killed"} {
		t.Run(name, func(t *testing.T) {
			l := live(t, text)
			end := l.restart
			if name == "killed" {
				end = l.kill
			}
			test(t, l, end)
		})
	}
}

// resume connects to a session that has to be there.
func (l *lived) resume(version byte, id string, change ...func(*packets.Packet)) *client {
	l.t.Helper()
	c := dial(l.t, l.Broker, version)
	if ack := c.connect(id, append([]func(*packets.Packet){keep}, change...)...); !ack.present {
		l.t.Fatalf("CONNACK 0x%02X to %s without session present", ack.reasons[0], id)
	}
	return c
}

func TestSubscriptionsSurviveTheProcess(t *testing.T) { // [MQTT-3.1.2-5, 3.1.2-23]
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		c := connect(t, l.Broker, 5, "c", keep)
		c.subscribe("ivi/own", 1, func(s *packets.Subscription) { s.NoLocal = true })
		c.subscribe("ivi/flag", 1, func(s *packets.Subscription) { s.RetainAsPublished, s.Identifier = true, 7 })
		c.subscribe("$share/g/ivi/shared", 2, func(s *packets.Subscription) { s.Identifier = 8 })
		c.subscribe("ivi/gone", 1)
		c.unsubscribe("ivi/gone")
		end()
		c = l.resume(5, "c")
		other := connect(t, l.Broker, 5, "other")
		for i, topic := range []string{"ivi/gone", "ivi/flag", "ivi/shared", "ivi/own"} {
			other.publish(1, uint16(1+i), topic, "x", retaining)
			other.expect(wire.Puback)
		}
		flag, shared, own := c.expectPublish("ivi/flag", "x"), c.expect(wire.Publish), c.expectPublish("ivi/own", "x")
		if !flag.retain || fmt.Sprint(flag.ids) != "[7]" { // [MQTT-3.3.1-13, 3.3.4-3]
			t.Errorf("%+v: want RETAIN as published and identifier 7", flag)
		}
		if shared.topic != "ivi/shared" || shared.qos != 1 || fmt.Sprint(shared.ids) != "[8]" || shared.retain {
			t.Errorf("%+v: want the shared subscription's with identifier 8", shared)
		}
		if own.retain {
			t.Error("RETAIN on a subscription without Retain As Published [MQTT-3.3.1-12]")
		}
		c.publish(1, 1, "ivi/own", "mine") // [MQTT-3.8.3-3]
		c.expect(wire.Puback)
		// It is the subscription of before, so Retain Handling 1 sends nothing.
		c.subscribe("ivi/own", 1, func(s *packets.Subscription) { s.NoLocal, s.RetainHandling = true, 1 }) // [MQTT-3.3.1-10]
		c.ack(wire.Puback, shared.id)
		c.ping()
	})
}

func TestQueuedMessagesComeInOrderAfterTheProcess(t *testing.T) { // [MQTT-4.5.0-1, 4.6.0-5]
	const messages = 400
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		c := connect(t, l.Broker, 4, "c", keep)
		c.subscribe("ivi/n", 2)
		c.goodbye()
		pub := connect(t, l.Broker, 4, "pub")
		for i := range messages {
			if i == messages/2 {
				end()
				pub = connect(t, l.Broker, 4, "pub")
			}
			pub.publish(1, uint16(1+i), "ivi/n", strconv.Itoa(i))
			pub.expect(wire.Puback)
		}
		end()
		c = l.resume(4, "c")
		for i := range messages {
			if got := c.expectPublish("ivi/n", strconv.Itoa(i)); got.dup {
				t.Fatalf("message %d has DUP though it was never sent [MQTT-4.3.2-2]", i)
			}
		}
		c.ping()
	})
}

func TestUnacknowledgedMessagesAreSentAgain(t *testing.T) { // [MQTT-4.4.0-1]
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		c := connect(t, l.Broker, 5, "c", keep)
		c.subscribe("ivi/n", 1)
		var ids []uint16
		for i := range 6 {
			publish(t, l.Broker, "ivi/n", strconv.Itoa(i), 1)
			ids = append(ids, c.expect(wire.Publish).id)
		}
		for _, i := range []int{0, 3} {
			c.ack(wire.Puback, ids[i])
		}
		// A reason of failure ends it too [MQTT-4.4.0-2].
		c.send(wire.AppendAck(nil, wire.Puback, ids[4], wire.Unspecified, 5)...)
		c.ping()
		c.socket.Close()
		eventually(t, "the end of the connection", func() bool { return l.Stats().Clients == 0 })
		end()
		c = l.resume(5, "c")
		for _, i := range []int{1, 2, 5} {
			got := c.expectPublish("ivi/n", strconv.Itoa(i))
			if got.id != ids[i] || !got.dup { // [MQTT-3.3.1-1]
				t.Errorf("message %d has id %d and DUP %v: want %d again", i, got.id, got.dup, ids[i])
			}
		}
		publish(t, l.Broker, "ivi/n", "new", 1)
		if got := c.expectPublish("ivi/n", "new"); got.dup {
			t.Error("a new message has DUP")
		}
		c.ping()
		end()
		l.resume(5, "c").ping() // with nothing before its answer
	})
}

// TestExactlyOnceToTheClient loses each packet of the QoS 2 handshake in turn.
func TestExactlyOnceToTheClient(t *testing.T) { // [MQTT-4.3.3-3 to 4.3.3-6]
	for _, lost := range []string{"PUBREC", "PUBREL", "PUBCOMP"} {
		t.Run(lost, func(t *testing.T) {
			acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
				c := connect(t, l.Broker, 5, "c", keep)
				c.subscribe("ivi/n", 2)
				publish(t, l.Broker, "ivi/n", "before", 2)
				done := c.expect(wire.Publish)
				finishQoS2(c, done.id)
				publish(t, l.Broker, "ivi/n", "x", 2)
				id := c.expect(wire.Publish).id
				if lost != "PUBREC" {
					c.ack(wire.Pubrec, id)
					c.expect(wire.Pubrel)
				}
				end()
				c = l.resume(5, "c")
				if lost == "PUBREC" {
					if got := c.expect(wire.Publish); got.id != id || !got.dup || got.payload != "x" {
						t.Fatalf("%+v: want message %d again", got, id)
					}
					c.ack(wire.Pubrec, id)
				}
				if got := c.expect(wire.Pubrel); got.id != id {
					t.Fatalf("PUBREL %d, want %d", got.id, id)
				}
				if lost == "PUBCOMP" { // the client knows the id no more
					c.send(wire.AppendAck(nil, wire.Pubcomp, id, wire.PacketIDNotFound, 5)...)
				} else {
					c.ack(wire.Pubcomp, id)
				}
				c.ping()
				end()
				l.resume(5, "c").ping() // and nothing of it is left
			})
		})
	}
}

// TestExactlyOnceFromTheClient loses each packet of the QoS 2 handshake in turn.
func TestExactlyOnceFromTheClient(t *testing.T) { // [MQTT-4.3.3-10 to 4.3.3-12]
	for _, lost := range []string{"PUBREC", "PUBREL", "PUBCOMP"} {
		t.Run(lost, func(t *testing.T) {
			acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
				sub := connect(t, l.Broker, 5, "sub", keep)
				sub.subscribe("ivi/n", 1)
				sub.goodbye()
				c := connect(t, l.Broker, 5, "c", keep)
				c.publish(2, 9, "ivi/n", "x")
				c.expect(wire.Pubrec)
				if lost == "PUBCOMP" {
					c.ack(wire.Pubrel, 9)
					c.expect(wire.Pubcomp)
				}
				end()
				c = l.resume(5, "c")
				want := wire.Success
				switch lost {
				case "PUBREC":
					c.publish(2, 9, "ivi/n", "x", repeated)
					c.expect(wire.Pubrec)
				case "PUBCOMP":
					want = wire.PacketIDNotFound
				}
				c.ack(wire.Pubrel, 9)
				if got := c.expect(wire.Pubcomp); got.id != 9 || got.reasons[0] != want {
					t.Fatalf("PUBCOMP %d 0x%02X, want 0x%02X", got.id, got.reasons[0], want)
				}
				c.publish(2, 9, "ivi/n", "new") // the id is free again
				c.expect(wire.Pubrec)
				sub = l.resume(5, "sub")
				sub.expectPublish("ivi/n", "x")
				sub.expectPublish("ivi/n", "new")
				sub.ping()
			})
		})
	}
}

// TestRepetitionIsToldByItsDigestAfterARestart: a power cut may take back the
// PUBREL of an older message, whose id the client has since used anew.
func TestRepetitionIsToldByItsDigestAfterARestart(t *testing.T) { // [MQTT-4.3.3-10]
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		sub := connect(t, l.Broker, 5, "sub", keep)
		sub.subscribe("ivi/#", 1)
		c := connect(t, l.Broker, 5, "c", keep)
		c.publish(2, 9, "ivi/n", "x")
		c.expect(wire.Pubrec)
		sub.expectPublish("ivi/n", "x")
		sub.ping() // it is acknowledged
		for _, m := range []struct {
			topic, payload string
			again          bool
		}{{"ivi/n", "x", true}, {"ivi/n", "y", false}, {"ivi/n", "y", true}, {"ivi/m", "y", false}} {
			end()
			c, sub = l.resume(5, "c"), l.resume(5, "sub")
			for range 2 {
				c.publish(2, 9, m.topic, m.payload, repeated)
				c.expect(wire.Pubrec)
			}
			if !m.again {
				sub.expectPublish(m.topic, m.payload)
			}
			sub.ping() // and nothing more came
		}
	})
}

func finishQoS2(c *client, id uint16) {
	c.t.Helper()
	c.ack(wire.Pubrec, id)
	c.expect(wire.Pubrel)
	c.ack(wire.Pubcomp, id)
	c.ping()
}

func TestRetainedMessagesSurviveTheProcess(t *testing.T) { // [MQTT-3.3.1-5 to 3.3.1-8]
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		pub := connect(t, l.Broker, 5, "pub")
		pub.publish(1, 1, "ivi/a", "old", retaining)
		pub.publish(1, 2, "ivi/a", "kept", retaining, func(pk *packets.Packet) {
			pk.Properties.ContentType = "text/plain"
			pk.Properties.MessageExpiryInterval = 100
		})
		pub.publish(1, 3, "ivi/a", "not kept")
		pub.publish(1, 4, "ivi/b", "cleared", retaining)
		pub.publish(1, 5, "ivi/b", "", retaining)
		for range 5 {
			pub.expect(wire.Puback)
		}
		end()
		sub := connect(t, l.Broker, 5, "sub")
		sub.subscribe("ivi/#", 2)
		got := sub.expectPublish("ivi/a", "kept")
		if left := got.props.MessageExpiryInterval; !got.retain || got.qos != 1 || got.props.ContentType != "text/plain" || left == 0 || left > 100 {
			t.Fatalf("%+v", got)
		}
		sub.ping()
	})
}

func TestSessionsThatEndWithTheirConnectionLeaveNothing(t *testing.T) { // [MQTT-4.1.0-2]
	acrossEnds(t, loopback+"  limits: {inflight: 1}\n", func(t *testing.T, l *lived, end func()) {
		slow := connect(t, l.Broker, 5, "slow") // acknowledges nothing
		slow.subscribe("ivi/#", 1)
		for range 4 { // more than a session holds in memory
			publish(t, l.Broker, "ivi/n", string(make([]byte, heldBytes/2)), 1)
		}
		eventually(t, "a queue in the store", func() bool { return l.store.Queue(record.SpilledQueues+"slow") != nil })
		end()
		if st := l.Stats(); st.Sessions != 0 || st.Subscriptions != 0 {
			t.Errorf("%+v", st)
		}
		if err := l.settle(l.store.Begin()); err != nil {
			t.Fatal(err)
		}
		if l.store.Queue(record.SpilledQueues+"slow") != nil {
			t.Error("the queue is still there")
		}
		if ack := dial(t, l.Broker, 5).connect("slow", keep); ack.present {
			t.Error("a session was found")
		}
	})
}

func TestCleanStartForgetsTheSessionForGood(t *testing.T) { // [MQTT-3.1.2-4]
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		c := connect(t, l.Broker, 5, "c", keep)
		c.subscribe("ivi/#", 1)
		c.publish(2, 9, "other", "x")
		c.expect(wire.Pubrec)
		c.goodbye()
		publish(t, l.Broker, "ivi/n", "x", 1)
		c = connect(t, l.Broker, 5, "c", keep, func(pk *packets.Packet) { pk.Connect.Clean = true })
		c.ping()
		end()
		c = l.resume(5, "c")
		publish(t, l.Broker, "ivi/n", "y", 1)
		c.ack(wire.Pubrel, 9)
		if got := c.expect(wire.Pubcomp).reasons[0]; got != wire.PacketIDNotFound {
			t.Fatalf("PUBCOMP 0x%02X", got)
		}
		c.ping()
	})
}
