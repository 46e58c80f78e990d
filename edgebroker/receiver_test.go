package edgebroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

var roomy = QueueLimits{Bytes: 16 << 20, Messages: 100_000}

func openQueue(t testing.TB, b *Broker, name string, limits QueueLimits) *Queue {
	t.Helper()
	q, err := b.OpenQueue(name, limits)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// everything takes all messages, with a meta.
func everything(meta string) func(*message.Publication) ([]byte, bool) {
	return func(*message.Publication) ([]byte, bool) { return []byte(meta), true }
}

func feedInto(t testing.TB, q *Queue, filter string, retained bool, take func(*message.Publication) ([]byte, bool)) (cancel func()) {
	t.Helper()
	cancel, err := q.Feed(filter, retained, take)
	if err != nil {
		t.Fatal(err)
	}
	return cancel
}

// inside is what a queue holds, as "meta payload".
func inside(t testing.TB, q *Queue) (list []string) {
	t.Helper()
	_, err := q.Read(0, 1<<30, func(it Item) bool {
		if it.Err != nil {
			t.Errorf("message %d: %v", it.Pos, it.Err)
		}
		list = append(list, string(it.Meta)+" "+string(it.Message.Payload))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func wantInside(t testing.TB, q *Queue, want ...string) {
	t.Helper()
	if got := inside(t, q); !slices.Equal(got, want) {
		t.Fatalf("queue %q holds %q, want %q", q.Name(), got, want)
	}
}

func TestQueueKeepsMessagesMetasAndOrderAcrossTheProcess(t *testing.T) {
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		q := openQueue(t, l.Broker, "bridge/cloud/normal", roomy)
		feedInto(t, q, "ivi/#", false, everything("rule"))
		c := connect(t, l.Broker, 5, "c")
		const n = 600 // more than a chunk of the store
		for i := range n {
			c.publish(1, uint16(i+1), "ivi/a", strconv.Itoa(i), func(pk *packets.Packet) {
				pk.Properties.MessageExpiryInterval = 600
				pk.Properties.User = []packets.UserProperty{{Key: "k", Val: "v"}}
				pk.Properties.ResponseTopic = "ivi/answer"
			})
			c.expect(wire.Puback)
		}
		if err := q.Append(Message{Topic: "own", Payload: []byte("last"), Origin: Origin{Link: "cloud"}}, []byte("own")); err != nil {
			t.Fatal(err)
		}
		for pos := range uint64(10) {
			q.Done(pos)
		}
		end()
		if names := l.StoredQueues("bridge/"); !slices.Equal(names, []string{"bridge/cloud/normal"}) {
			t.Fatalf("stored queues %q", names)
		}
		q = openQueue(t, l.Broker, "bridge/cloud/normal", roomy)
		if q.Head() != 10 || q.Tail() != n+1 || q.Len() != n-9 {
			t.Fatalf("head %d, tail %d, %d messages", q.Head(), q.Tail(), q.Len())
		}
		next := uint64(10)
		_, err := q.Read(0, 1<<30, func(it Item) bool {
			m, number := it.Message, it.Pos
			switch {
			case it.Err != nil || it.Pos != next:
				t.Errorf("message %d, want %d: %v", it.Pos, next, it.Err)
			case it.Pos == n:
				if string(it.Meta) != "own" || m.Topic != "own" || it.Expires != 0 || m.Origin.Link != "cloud" {
					t.Errorf("got %+v", it)
				}
			case string(it.Meta) != "rule" || string(m.Payload) != strconv.FormatUint(number, 10) || m.Topic != "ivi/a" || m.QoS != 1 ||
				m.ResponseTopic != "ivi/answer" || len(m.UserProperties) != 1 || m.Origin.Client != "c" || m.Origin.Listener != "local":
				t.Errorf("got %+v", it)
			case it.Expires <= clock.Now() || it.Expires > clock.Now()+600*clock.Second || m.Expiry == 0:
				t.Errorf("expires %d at %d, %d s left", it.Expires, clock.Now(), m.Expiry)
			}
			next = it.Pos + 1
			return !t.Failed()
		})
		if err != nil || next != n+1 {
			t.Fatalf("read up to %d: %v", next, err)
		}
	})
}

// One payload goes to two feeds of one queue, to another queue and to a session: the
// log grows by it once.
func TestMessageIsStoredOnceForAllItsReceivers(t *testing.T) {
	b := start(t, loopback)
	away := connect(t, b, 5, "away", keep)
	away.subscribe("ivi/#", 1)
	away.goodbye()
	q, other := openQueue(t, b, "q", roomy), openQueue(t, b, "other", roomy)
	feedInto(t, q, "ivi/#", false, everything("first"))
	feedInto(t, q, "ivi/+", false, everything("second"))
	feedInto(t, other, "ivi/a", false, everything("third"))
	before := b.store.Stats().Written
	c := connect(t, b, 5, "c")
	c.publish(1, 1, "ivi/a", fullPayload)
	c.expect(wire.Puback)
	if grown := b.store.Stats().Written - before; grown > int64(len(fullPayload))*3/2 {
		t.Errorf("the store wrote %d bytes for a message of %d", grown, len(fullPayload))
	}
	got := inside(t, q)
	slices.Sort(got)
	if !slices.Equal(got, []string{"first " + fullPayload, "second " + fullPayload}) {
		t.Errorf("%d messages in the queue", len(got))
	}
	wantInside(t, other, "third "+fullPayload)
	connect(t, b, 5, "away", keep).expectPublish("ivi/a", fullPayload)
}

func TestFullQueueThatRejectsRefusesForAll(t *testing.T) {
	b := start(t, loopback)
	away := connect(t, b, 5, "away", keep)
	away.subscribe("ivi/#", 2)
	live := connect(t, b, 5, "live")
	live.subscribe("ivi/#", 2)
	other := openQueue(t, b, "other", QueueLimits{Bytes: 1 << 20, Messages: 6, Reject: true}) // as many as are taken below
	q := openQueue(t, b, "q", QueueLimits{Bytes: 1 << 20, Messages: 2, Reject: true})
	feedInto(t, other, "ivi/a", false, everything("other")) // asked before the other one
	feedInto(t, q, "ivi/#", false, everything("q"))
	c := connect(t, b, 5, "c")
	for id := range uint16(2) {
		c.publish(1, id+1, "ivi/a", "taken")
		if reason := c.expect(wire.Puback).reasons[0]; reason != wire.Success {
			t.Fatalf("PUBACK 0x%02X", reason)
		}
		live.expectPublish("ivi/a", "taken")
	}
	c.publish(1, 3, "ivi/a", "refused", retaining)
	if reason := c.expect(wire.Puback).reasons[0]; reason != wire.QuotaExceeded {
		t.Fatalf("PUBACK 0x%02X", reason)
	}
	c.publish(2, 4, "ivi/a", "refused")
	if reason := c.expect(wire.Pubrec).reasons[0]; reason != wire.QuotaExceeded {
		t.Fatalf("PUBREC 0x%02X", reason)
	}
	if err := b.Publish(Message{Topic: "ivi/a", QoS: 1}); !errors.Is(err, ErrQueueFull) {
		t.Fatalf("a room's publish: %v", err)
	}
	if err := b.PublishWait(t.Context(), Message{Topic: "ivi/a", QoS: 1}); !errors.Is(err, ErrQueueFull) {
		t.Fatalf("a room's publish that can wait: %v", err)
	}
	if err := q.Append(Message{Topic: "own"}, nil); !errors.Is(err, ErrQueueFull) {
		t.Fatalf("Append: %v", err)
	}
	c.publish(0, 0, "ivi/a", "QoS 0") // has no answer, and reaches the others
	live.expectPublish("ivi/a", "QoS 0")
	wantInside(t, q, "q taken", "q taken")
	wantInside(t, other, "other taken", "other taken", "other QoS 0")
	if b.Stats().Retained != 0 {
		t.Error("the refused message is retained")
	}
	if st := q.Stats(); st.Refused != 5 || st.Dropped != 1 || st.Stored != 2 || st.Messages != 2 {
		t.Errorf("counted %+v", st)
	}
	q.Done(0)
	c.publish(1, 5, "ivi/a", "again")
	if reason := c.expect(wire.Puback).reasons[0]; reason != wire.Success {
		t.Fatalf("PUBACK 0x%02X with room for one", reason)
	}
	away = connect(t, b, 5, "away", keep)
	for _, payload := range []string{"taken", "taken", "again"} {
		away.expectPublish("ivi/a", payload)
	}
	// What was refused has left no claim behind.
	q.Done(1)
	q.Done(2)
	for id := range uint16(2) {
		c.publish(1, id+6, "ivi/a", "room")
		if reason := c.expect(wire.Puback).reasons[0]; reason != wire.Success {
			t.Fatalf("PUBACK 0x%02X with room for two", reason)
		}
	}
}

// Unmodified clients at a full queue: version 5 is told, 3.1.1 comes again until there
// is room.
func TestClientsAtAFullQueueThatRejects(t *testing.T) {
	b := start(t, loopback)
	q := openQueue(t, b, "q", QueueLimits{Bytes: 1 << 20, Messages: 1, Reject: true})
	feedInto(t, q, "ivi/#", false, everything("q"))
	publish(t, b, "ivi/a", "first", 1)
	eventually(t, "the first message", func() bool { return q.Len() == 1 })

	c, _ := pahoClient(t, b, "new", make(chan string, 1))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := c.Publish(ctx, &paho.Publish{QoS: 1, Topic: "ivi/a", Payload: []byte("5.0")})
	if err == nil || answer == nil || answer.ReasonCode != byte(wire.QuotaExceeded) {
		t.Fatalf("PUBACK %+v, %v", answer, err)
	}
	if err := c.Disconnect(&paho.Disconnect{}); err != nil {
		t.Fatal(err)
	}

	lost := make(chan struct{}, 100)
	old := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address(t, b, "local")).SetClientID("old").SetProtocolVersion(4).
		SetCleanSession(false).SetMaxReconnectInterval(50 * time.Millisecond).
		SetConnectionLostHandler(func(mqtt.Client, error) { lost <- struct{}{} }))
	if token := old.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("CONNECT: %v", token.Error())
	}
	defer old.Disconnect(100)
	old.Publish("ivi/a", 1, false, "3.1.1")
	<-lost // refused,
	<-lost // not acknowledged, so sent again
	wantInside(t, q, "q first")
	q.Done(0)
	eventually(t, "the message that was refused", func() bool { return q.Len() == 1 })
	wantInside(t, q, "q 3.1.1")
}

func TestQueueDropsTheOldestAndCounts(t *testing.T) {
	b := start(t, loopback)
	q := openQueue(t, b, "q", QueueLimits{Bytes: 1 << 20, Messages: 3})
	feedInto(t, q, "ivi/#", false, everything("m"))
	c := connect(t, b, 5, "c")
	for i := range 5 {
		c.publish(1, uint16(i+1), "ivi/a", strconv.Itoa(i))
		c.expect(wire.Puback)
	}
	<-q.Wake()
	wantInside(t, q, "m 2", "m 3", "m 4")
	var got []uint64
	if next, err := q.Read(1, 1, func(it Item) bool { got = append(got, it.Pos); return true }); err != nil || next != 3 || !slices.Equal(got, []uint64{2}) {
		t.Errorf("from a position that was dropped: %d, next %d, %v", got, next, err)
	}
	q.Done(2)
	q.Done(2)
	q.SetLimits(QueueLimits{Bytes: 1 << 20, Messages: 1})
	wantInside(t, q, "m 4")
	if st := q.Stats(); st.Stored != 5 || st.Dropped != 3 || st.Done != 1 || st.Messages != 1 {
		t.Errorf("counted %+v", st)
	}
	big := strings.Repeat("x", 100<<10)
	q.SetLimits(QueueLimits{Bytes: 250 << 10, Messages: 100})
	for i := range 3 {
		c.publish(1, uint16(i+10), "ivi/a", strconv.Itoa(i)+big)
		c.expect(wire.Puback)
	}
	if got := inside(t, q); len(got) != 2 || got[0][:3] != "m 1" || q.Bytes() > 250<<10 {
		t.Errorf("%d messages of %d bytes, want 2 in 250 KiB", q.Len(), q.Bytes())
	}
}

func TestMoveIsOneStepAcrossTheProcess(t *testing.T) {
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		q, dead := openQueue(t, l.Broker, "q", roomy), openQueue(t, l.Broker, "dead", roomy)
		for i := range 3 {
			m := Message{Topic: "a", Payload: []byte(strconv.Itoa(i)), Expiry: 600, Origin: Origin{Client: "c"}}
			if err := q.Append(m, []byte("m")); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Move(1, dead, []byte("poison")); err != nil {
			t.Fatal(err)
		}
		if err := q.Move(1, dead, nil); !errors.Is(err, ErrGone) {
			t.Errorf("moved twice: %v", err)
		}
		check := func() {
			t.Helper()
			wantInside(t, q, "m 0", "m 2")
			wantInside(t, dead, "poison 1")
		}
		check()
		end()
		q, dead = openQueue(t, l.Broker, "q", roomy), openQueue(t, l.Broker, "dead", roomy)
		check()
		_, _ = dead.Read(0, 1, func(it Item) bool {
			if it.Message.Origin.Client != "c" || it.Expires == 0 {
				t.Errorf("got %+v", it)
			}
			return true
		})
		// A crash between the commit and Done leaves the entry with its mark: it is in
		// the other queue alone.
		tx := l.store.Begin()
		tx.Moves(q.stored, 0)
		tx.Append([]byte("x"), []store.To{{Queue: dead.stored}})
		if err := l.settle(tx); err != nil {
			t.Fatal(err)
		}
		wantInside(t, q, "m 2")
		if q.Len() != 1 {
			t.Errorf("%d messages are left", q.Len())
		}
	})
}

func TestFullStoreTakesAMove(t *testing.T) {
	b, publisher, _ := startFull(t)
	q, dead := openQueue(t, b, "q", roomy), openQueue(t, b, "dead", roomy)
	if err := q.Append(Message{Topic: "a", QoS: 1}, nil); !errors.Is(err, ErrStore) {
		t.Fatalf("Append: %v", err)
	}
	feedInto(t, q, "ivi/#", false, everything("q"))
	publisher.publish(1, 9, "ivi/n", "x")
	if reason := publisher.expect(wire.Puback).reasons[0]; reason != wire.QuotaExceeded {
		t.Fatalf("PUBACK 0x%02X", reason)
	}
	away := connect(t, b, 5, "away", keep)
	away.expect(wire.Publish) // not acknowledged
	sessions := b.store.Queue("session/away")
	from := &Queue{b: b, name: "away", stored: sessions}
	if err := from.Move(sessions.Tail()-1, dead, []byte("moved")); err != nil {
		t.Fatal(err)
	}
	wantInside(t, dead, "moved "+fullPayload)
	if st := q.Stats(); st.Messages != 0 || st.Failed != 1 {
		t.Errorf("counted %+v", st)
	}
}

func TestDroppedQueueIsGoneAndAClosedOneStays(t *testing.T) {
	acrossEnds(t, loopback, func(t *testing.T, l *lived, end func()) {
		for _, name := range []string{"a/kept", "a/dropped", "b"} {
			q := openQueue(t, l.Broker, name, roomy)
			feedInto(t, q, "ivi/#", false, everything("m"))
			if _, err := l.OpenQueue(name, roomy); err == nil {
				t.Fatalf("%s was opened twice", name)
			}
			defer q.Close()
		}
		c := connect(t, l.Broker, 5, "c")
		c.publish(1, 1, "ivi/a", "x")
		c.expect(wire.Puback)
		for _, q := range l.queues.all() {
			if q.name == "a/dropped" {
				if err := q.Drop(); err != nil {
					t.Fatal(err)
				}
			} else {
				q.Close()
			}
			if err := q.Append(Message{Topic: "a"}, nil); err == nil {
				t.Fatalf("%s takes messages when it is closed", q.name)
			}
		}
		c.publish(1, 2, "ivi/a", "y") // nobody's
		c.expect(wire.Puback)
		end()
		if names := l.StoredQueues("a/"); !slices.Equal(names, []string{"a/kept"}) {
			t.Fatalf("stored %q", names)
		}
		wantInside(t, openQueue(t, l.Broker, "a/kept", roomy), "m x")
		wantInside(t, openQueue(t, l.Broker, "a/dropped", roomy))
	})
}

func TestWrongQueuesAreRefused(t *testing.T) {
	b := start(t, loopback)
	for _, limits := range []QueueLimits{{}, {Bytes: 1}, {Messages: 1}, {Bytes: -1, Messages: 1}} {
		if _, err := b.OpenQueue("q", limits); err == nil {
			t.Errorf("limits %+v are taken", limits)
		}
	}
	if _, err := b.OpenQueue("", roomy); err == nil {
		t.Error("a queue without a name")
	}
	q := openQueue(t, b, "q", roomy)
	if _, err := q.Feed("a#", false, everything("")); !errors.Is(err, ErrFilter) {
		t.Errorf("feed of a#: %v", err)
	}
	if err := q.Append(Message{Topic: "a/#"}, nil); !errors.Is(err, ErrTopic) {
		t.Errorf("Append to a/#: %v", err)
	}
	if err := q.Append(Message{Topic: "a"}, make([]byte, 1<<17)); err == nil {
		t.Error("a meta of 128 KiB is taken")
	}
	if err := q.Move(7, q, nil); !errors.Is(err, ErrGone) {
		t.Errorf("Move of nothing: %v", err)
	}
	if st := q.Stats(); st.Messages != 0 || st.Failed != 1 {
		t.Errorf("counted %+v", st)
	}
}

func BenchmarkQueueDrain(b *testing.B) {
	broker := start(b, loopback)
	q := openQueue(b, broker, "q", QueueLimits{Bytes: 1 << 30, Messages: 10_000_000})
	feedInto(b, q, "ivi/#", false, everything("rule"))
	payload := make([]byte, 64)
	for i := range b.N {
		publish(b, broker, fmt.Sprint("ivi/", i%100), string(payload), 1)
	}
	if err := broker.settle(broker.store.Begin()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for from := uint64(0); q.Len() > 0; {
		var err error
		from, err = q.Read(from, 256, func(it Item) bool {
			q.Done(it.Pos)
			return true
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
