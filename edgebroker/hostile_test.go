package edgebroker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/listen"

	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// wildcards are n filters that all match a topic of twelve levels below ivi.
func wildcards(n int) (filters packets.Subscriptions) {
	for i := range n {
		levels := strings.Split("ivi/a/a/a/a/a/a/a/a/a/a", "/")
		for bit := range 10 {
			if i>>bit&1 == 1 {
				levels[1+bit] = "+"
			}
		}
		filters = append(filters, packets.Subscription{Filter: strings.Join(levels, "/") + "/#", Qos: 1})
	}
	return filters
}

func TestSearchForWhatIsStoredHoldsNoPublisher(t *testing.T) {
	const stored, filters = 1000, 60
	b := start(t, loopback+"  limits: {session_messages: 10000000, session_bytes: 4GiB, inflight: 1}\n")
	for i := range stored {
		m := Message{Topic: fmt.Sprint("ivi/a/a/a/a/a/a/a/a/a/a/", i), Payload: []byte("x"), QoS: 1, Retain: true}
		if err := b.PublishWait(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	c := connect(t, b, 5, "greedy")
	c.sendPacket(&packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1, Filters: wildcards(filters)})
	if got := len(c.expect(wire.Suback).reasons); got != filters {
		t.Fatalf("%d reasons", got)
	}
	publish(t, b, "other", "x", 1)
	if given := b.Clients()[0].Queued; given >= stored*filters-1 {
		t.Fatalf("a publisher waited for %d messages to be given out", given)
	}
	eventually(t, "the rest", func() bool { return b.Clients()[0].Queued == stored*filters-1 })
}

// Whoever subscribes waits for one search of a publisher on new topics, not for
// all that stand in its read buffer. That is seen in one of a few tries: a busy
// machine may run the publisher alone.
func TestSubscriberWaitsForOneSearchOfAPublisher(t *testing.T) {
	const filters, messages, tries = 1000, 500, 20
	b := start(t, loopback)
	c := connect(t, b, 5, "greedy")
	c.sendPacket(&packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1, Filters: wildcards(filters)})
	c.expect(wire.Suback)
	pub := connect(t, b, 4, "pub")
	for try := range tries {
		var burst []byte
		for i := range messages {
			topic := fmt.Sprintf("ivi/a/a/a/a/a/a/a/a/a/a/%03d%03d", try, i)
			burst = append(append(burst, byte(wire.Publish)<<4, byte(2+len(topic)), 0, byte(len(topic))), topic...)
		}
		before := b.counters.received.Load()
		if len(burst) > stream.ReadSize {
			t.Fatalf("%d bytes do not come with one read", len(burst))
		}
		pub.send(burst...)
		for b.counters.received.Load() < before+2 {
			runtime.Gosched()
		}
		b.routing.Lock()
		seen := b.counters.received.Load() - before
		b.routing.Unlock()
		pub.ping()
		if seen < messages {
			return
		}
	}
	t.Fatalf("in each of %d tries who locked waited for %d messages", tries, messages)
}

func TestWhatIsStoredWaitsForASlowSubscriber(t *testing.T) {
	const stored = 100
	b := start(t, loopback+"  limits: {queue_bytes: 64KiB}\n")
	for i := range stored {
		m := Message{Topic: fmt.Sprint("ivi/", i), Payload: make([]byte, 60<<10), Retain: true}
		if err := b.PublishWait(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	c := connect(t, b, 4, "c")
	c.subscribe("ivi/+", 0)
	for range stored {
		if got := c.expect(wire.Publish); !got.retain {
			t.Fatalf("%s without RETAIN", got.topic)
		}
	}
	c.ping()
}

func TestNoDisconnectBeforeTheAnswerToConnect(t *testing.T) {
	b := start(t, loopback)
	var storm sync.WaitGroup
	for range 16 {
		storm.Go(func() {
			for range 50 {
				c := dial(t, b, 5)
				c.send([]byte("\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c")...)
				if got, err := c.read(); err == nil && got.kind != wire.Connack {
					t.Errorf("packet type %d comes first [MQTT-3.14.0-1]", got.kind)
				}
				c.socket.Close()
			}
		})
	}
	storm.Wait()
}

func TestClientThatSendsAndTakesNothingIsClosed(t *testing.T) {
	b := start(t, loopback+"  limits: {write_timeout: 100ms, queue_bytes: 4KiB}\n")
	ours, theirs := net.Pipe() // which has no buffer of its own
	served := make(chan struct{})
	go func() {
		defer close(served)
		b.serve(&listen.Conn{Conn: theirs, Listener: &b.cfg.Listeners[0], Deadline: time.Now().Add(patience)})
	}()
	c := newClient(t, ours, 4)
	c.connect("stuck")
	publish := append([]byte{byte(wire.Publish)<<4 | 2, 7, 0, 3}, "ivi\x00\x01"...)
	_ = ours.SetWriteDeadline(time.Now().Add(patience))
	for {
		if _, err := ours.Write(publish); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection did not end")
		} else if err != nil {
			break
		}
	}
	<-served
}

func TestRepeatingKeepsToTheLimitsOfTheNewConnection(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c", keep)
	c.subscribe("ivi/#", 1)
	for _, payload := range []string{"1", strings.Repeat("x", 100), "2", "3"} {
		publish(t, b, "ivi/a", payload, 1)
		c.expect(wire.Publish)
	}
	c.goodbye()
	publish(t, b, "ivi/a", "4", 1)
	c = connect(t, b, 5, "c", keep, func(pk *packets.Packet) {
		pk.Properties.ReceiveMaximum, pk.Properties.MaximumPacketSize = 1, 100
	})
	for i, payload := range []string{"1", "2", "3", "4"} {
		got := c.expect(wire.Publish)
		if got.payload != payload || got.dup != (i < 3) {
			t.Fatalf("got %q, DUP %v, want %q", got.payload, got.dup, payload)
		}
		c.ping() // nothing more before the acknowledgement [MQTT-3.3.4-9]
		c.ack(wire.Puback, got.id)
	}
	if st := b.Stats(); st.DroppedTooLarge != 1 || b.Clients()[0].Inflight > 1 {
		t.Fatalf("%+v", st)
	}
}

func TestQueueIsKeptFromARoleThatMayNotReceiveIt(t *testing.T) {
	b := start(t, rearSeat)
	c := connect(t, b, 5, "seat1", keep)
	c.subscribe("vss/#", 1)
	c.goodbye()
	publish(t, b, "vss/Vehicle/Speed", "1", 1)
	b.SetPolicy(auth.New(auth.Config{}))
	c = connect(t, b, 5, "seat1", keep)
	eventually(t, "the end of the queue", func() bool { // it is read beside the connection
		info := b.Clients()[0]
		return info.Queued == 0 && info.Dropped == 1
	})
	c.ping() // with nothing before its answer
}

func TestAnonymousRoleCanNotTakeTheSessionOfAnother(t *testing.T) {
	b := start(t, `
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0"}
    - {name: web, address: "127.0.0.1:0", role: ivi}
`)
	c := connect(t, b, 5, "logger")
	web := dialAt(t, address(t, b, "web"), 5)
	if got := web.connect("logger", keep).reasons[0]; got != wire.ClientIDInvalid {
		t.Fatalf("CONNACK 0x%02X", got)
	}
	c.ping()
}

func TestLongFiltersAreBounded(t *testing.T) {
	b := start(t, loopback+"  limits: {subscriptions: 64}\n")
	c := connect(t, b, 5, "c")
	granted := 0
	for i := range 64 {
		if c.subscribe(fmt.Sprint("ivi/", i, strings.Repeat("x", 60_000)), 0) == 0 {
			granted++
		}
	}
	if granted == 0 || granted > 4 {
		t.Fatalf("%d filters of 60 kB in a session", granted)
	}
	if got := c.subscribe("ivi/a", 0); got != wire.QuotaExceeded {
		t.Fatalf("SUBACK 0x%02X", got)
	}
}

func TestAliasesOfLongTopicsAreBounded(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c")
	set := func(alias uint16, n int) {
		c.publish(0, 0, "ivi/"+strings.Repeat("x", n), "", func(pk *packets.Packet) {
			pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = alias, true
		})
	}
	for range 5 {
		set(1, 60_000) // in each other's place
	}
	c.ping()
	for alias := range uint16(3) {
		set(2+alias, 60_000)
	}
	if got := c.expect(wire.Disconnect).reasons[0]; got != wire.QuotaExceeded {
		t.Fatalf("DISCONNECT 0x%02X", got)
	}
}

func TestDecisionsOnLongTopicsAreForgotten(t *testing.T) {
	var r remembered[bool]
	for i := range 10_000 {
		r.put(fmt.Sprint(i, strings.Repeat("x", i)), true)
		if r.bytes > rememberedBytes {
			t.Fatalf("%d bytes", r.bytes)
		}
	}
	r.put("a", true)
	if allow, known := r.get("a"); !allow || !known {
		t.Fatal("nothing is remembered")
	}
}

func TestValuesOfClientsAreBounded(t *testing.T) {
	b := start(t, provider+"  limits: {retained_messages: 2, retained_bytes: 8KiB}\n")
	c := connect(t, b, 5, "c")
	for _, p := range []struct {
		topic  string
		size   int
		reason wire.Reason
	}{
		{"vss/A", 100, 0},
		{"vss/A", 9000, wire.QuotaExceeded},
		{"vss/A", 90, 0},
		{"vss/B", 7000, 0},
		{"vss/C", 1, wire.QuotaExceeded},
	} {
		c.publish(1, 1, p.topic, strings.Repeat("x", p.size))
		if got := c.expect(wire.Puback).reasons[0]; got != p.reason {
			t.Errorf("%d bytes on %s: PUBACK 0x%02X, want 0x%02X", p.size, p.topic, got, p.reason)
		}
	}
	dying := connect(t, b, 5, "dying", func(pk *packets.Packet) {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, "vss/D", []byte("x")
	})
	dying.socket.Close()
	eventually(t, "the end", func() bool { return b.Stats().Sessions == 1 })
	if n := b.Stats().Values; n != 2 {
		t.Fatalf("a will made value number %d", n)
	}
	if err := b.LastValue("vss/E").Set([]byte("x"), ""); err != nil || errors.Is(err, ErrRetainedFull) {
		t.Fatal(err)
	}
}

const provider = `
auth: {roles: {local: {provide: ["**"]}}}
broker:
  sys_interval: 0s
  listeners: [{name: local, address: "127.0.0.1:0"}]
`
