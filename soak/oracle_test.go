package soak

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// A test that can't fail proves nothing: each history here has one fault, or
// comes close to one, and the ledger has to tell which.
func TestLedgerFindsWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name string
		want string // kind of the fault, or ""
		fn   func(h *history)
	}{
		{"all arrives in order", "", func(h *history) {
			h.publish(3)
			h.receive(0, 1, 2)
		}},
		{"an acknowledged message is missing", lost, func(h *history) {
			h.publish(3)
			h.receive(0, 2)
		}},
		{"the last message is missing", lost, func(h *history) {
			h.publish(2)
			h.receive(0)
		}},
		{"what was not acknowledged may be missing", "", func(h *history) {
			h.publish(1)
			h.stream.next()
			h.receive(0)
		}},
		{"QoS 2 twice", duplicated, func(h *history) {
			h.publish(2)
			h.receive(0, 1, 0)
		}},
		{"QoS 1 twice", "", func(h *history) {
			h.window.qos = 1
			h.publish(2)
			h.receive(0, 1, 0, 1)
		}},
		{"first deliveries change places", reordered, func(h *history) {
			h.window.qos = 1
			h.publish(3)
			h.receive(0, 2, 1)
		}},
		{"a shared group has no order", "", func(h *history) {
			h.receiver.shared = true
			h.publish(3)
			h.receive(0, 2, 1)
		}},
		{"QoS lower than granted", illegal, func(h *history) {
			h.publish(1)
			h.receiver.receive(delivery{h.stream, 0, 1, nil})
		}},
		{"subscription identifier is missing", illegal, func(h *history) {
			h.window.identifier = 5
			h.publish(1)
			h.receive(0)
		}},
		{"not subscribed to", stray, func(h *history) {
			h.window.filter = "other/#"
			h.publish(1)
			h.receive(0)
		}},
		{"published after UNSUBACK", stray, func(h *history) {
			h.set(&h.window.leaving, &h.window.ended)
			h.publish(1)
			h.receive(0)
		}},
		{"published before UNSUBACK", "", func(h *history) {
			h.publish(1)
			h.set(&h.window.leaving, &h.window.ended)
			h.receive(0)
		}},
		{"lost before UNSUBSCRIBE", lost, func(h *history) {
			h.publish(1)
			h.set(&h.window.leaving, &h.window.ended)
		}},
		{"published before SUBACK", "", func(h *history) {
			h.window.granted = 0
			h.publish(1)
			h.set(&h.window.granted)
		}},
		{"acknowledged in the last interval before a cut", "", func(h *history) {
			h.ledger.tolerance = 100 * time.Millisecond
			h.publish(1)
			h.ledger.powerOff()
		}},
		{"acknowledged longer before a cut", lost, func(h *history) {
			h.ledger.tolerance = 100 * time.Millisecond
			h.publish(1)
			h.pass(200 * time.Millisecond)
			h.ledger.powerOff()
		}},
		{"acknowledged after a cut", lost, func(h *history) {
			h.ledger.tolerance = 100 * time.Millisecond
			h.ledger.powerOff()
			h.ledger.powerOn()
			h.publish(1)
		}},
		{"a cut without tolerance", lost, func(h *history) {
			h.publish(1)
			h.ledger.powerOff()
		}},
		{"a will that was cancelled", cancelled, func(h *history) {
			h.stream.next()
			h.stream.change(0, func(m *message) { m.forbidden = true })
			h.receive(0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHistory()
			c.fn(h)
			h.receiver.verdict()
			wantReport(t, h.ledger, c.want)
		})
	}
}

// history is one stream and one receiver.
type history struct {
	ledger   *ledger
	stream   *stream
	receiver *receiver
	window   *window
}

func newHistory() *history {
	h := &history{ledger: openLedger(0)}
	h.stream = h.ledger.open(&stream{publisher: "p", topic: "soak/t", qos: 2})
	h.receiver = newReceiver(h.ledger, "r", false)
	h.window = h.receiver.subscribe(window{filter: "soak/#", qos: 2})
	h.set(&h.window.granted)
	return h
}

// pass lets time pass.
func (h *history) pass(d time.Duration) { h.ledger.opened = h.ledger.opened.Add(-d) }

func (h *history) set(at ...*instant) {
	for _, a := range at {
		h.receiver.set(a)
	}
	h.pass(2 * time.Millisecond)
}

// publish adds messages that are acknowledged.
func (h *history) publish(count int) {
	for range count {
		number := h.stream.next()
		h.stream.acked(number)
		h.stream.completed(number)
	}
	h.pass(2 * time.Millisecond)
}

func (h *history) receive(numbers ...int) {
	for _, number := range numbers {
		h.receiver.receive(delivery{h.stream, number, min(h.window.qos, 2), nil})
	}
}

// wantReport wants faults of that kind and no other.
func wantReport(t *testing.T, l *ledger, kind string) {
	t.Helper()
	report := l.report()
	var kinds []string
	for line := range strings.Lines(report) {
		if found, _, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, "\t") {
			kinds = append(kinds, found)
		}
	}
	if kind == "" && report != "" || kind != "" && !slices.Equal(kinds, []string{kind}) {
		t.Errorf("got %q, want %q\n%s", kinds, kind, report)
	}
}

// The clients see what the ledger alone can't.
func TestClientsFindWhatIsWrong(t *testing.T) {
	t.Run("a session is forgotten", func(t *testing.T) {
		wantReport(t, connectTwice(t, false, false), forgotten)
	})
	t.Run("a session is kept", func(t *testing.T) {
		wantReport(t, connectTwice(t, false, true), "")
	})
	t.Run("a session is invented", func(t *testing.T) {
		wantReport(t, connectTwice(t, true, true), invented)
	})

	connected := func(h *history) *subscriber {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		l := newLink(ours, v5)
		t.Cleanup(func() { l.close(); theirs.Close() })
		s := newSubscriber(client{id: "s", version: v5, ledger: h.ledger, link: l, phases: &phases{calm: make(chan struct{})}}, h.receiver)
		s.connected(&packets.Packet{SessionPresent: true})
		return s
	}
	publish := func(h *history, qos byte, id uint16, number int) *packets.Packet {
		return &packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos},
			PacketID:    id, TopicName: h.stream.topic, Payload: h.stream.payload(number),
		}
	}
	for _, c := range []struct {
		name string
		want string
		fn   func(h *history, s *subscriber)
	}{
		{"a repetition under the same id is one delivery", "", func(h *history, s *subscriber) {
			s.handle(publish(h, 2, 7, 0))
			s.connected(&packets.Packet{SessionPresent: true})
			s.handle(publish(h, 2, 7, 0))
		}},
		{"a repetition under another id", duplicated, func(h *history, s *subscriber) {
			s.handle(publish(h, 2, 7, 0))
			s.connected(&packets.Packet{SessionPresent: true})
			s.handle(publish(h, 2, 8, 0))
		}},
		{"an id that is in use", illegal, func(h *history, s *subscriber) {
			s.handle(publish(h, 2, 7, 0))
			s.handle(publish(h, 2, 7, 1))
		}},
		{"twice on one connection", repeated, func(h *history, s *subscriber) {
			h.window.qos = 1
			s.handle(publish(h, 1, 7, 0))
			s.handle(publish(h, 1, 8, 0))
		}},
		{"twice on one connection, but sent twice", "", func(h *history, s *subscriber) {
			h.window.qos = 1
			h.stream.resent(0)
			s.handle(publish(h, 1, 7, 0))
			s.handle(publish(h, 1, 8, 0))
		}},
		{"a damaged payload", stray, func(h *history, s *subscriber) {
			pk := publish(h, 2, 7, 1)
			pk.Payload[len(pk.Payload)-1] ^= 1
			s.handle(pk)
		}},
		{"without its properties", illegal, func(h *history, s *subscriber) {
			h.stream.properties = true
			s.handle(publish(h, 2, 7, 0))
		}},
		{"UNSUBACK says there was no subscription", forgotten, func(h *history, s *subscriber) {
			s.unsubscribe(h.window, false)
			s.handle(&packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsuback}, PacketID: s.requests, ReasonCodes: []byte{0x11}})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHistory()
			h.stream.next()
			h.stream.next()
			h.pass(2 * time.Millisecond)
			c.fn(h, connected(h))
			wantReport(t, h.ledger, c.want)
		})
	}
}

// connectTwice connects a persistent client to a broker that answers with those
// values of Session Present.
func connectTwice(t *testing.T, present ...bool) *ledger {
	t.Helper()
	c := client{id: "c", version: v3, ledger: openLedger(0), phases: &phases{}}
	for _, p := range present {
		ours, theirs := net.Pipe()
		c.dial = func(context.Context) (net.Conn, error) { return ours, nil }
		go func() {
			_, _ = theirs.Read(make([]byte, 100))
			connack := []byte{packets.Connack << 4, 2, 0, 0}
			if p {
				connack[2] = 1
			}
			_, _ = theirs.Write(connack)
		}()
		if _, err := c.connect(t.Context(), newSubscriber(c, nil)); err != nil {
			t.Fatal(err)
		}
		c.link.close()
		theirs.Close()
	}
	return c.ledger
}

// A retained value may be newer than the last acknowledged one, but not older,
// and absent only if it may have been deleted.
func TestProberFindsStaleValues(t *testing.T) {
	for _, c := range []struct {
		name   string
		clears bool
		acked  int // of 4 messages sent
		got    int // -1: none
		live   bool
		want   string
	}{
		{"the last acknowledged", false, 3, 2, false, ""},
		{"a later one", false, 3, 3, false, ""},
		{"a later one that comes meanwhile", false, 3, 3, true, ""},
		{"an older one", false, 3, 1, false, stale},
		{"none", false, 3, -1, false, stale},
		{"none but an older one that comes meanwhile", false, 3, 1, true, stale},
		{"none, of a topic that is deleted", true, 3, -1, false, ""},
		{"a deleted one", true, 4, 2, false, stale},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := openLedger(0)
			s := l.open(&stream{publisher: "p", topic: "state/t", qos: 1, retain: true, clears: c.clears})
			for range 4 {
				if number := s.next(); number < c.acked {
					s.acked(number)
					s.completed(number)
				}
			}
			p := newProber(client{ledger: l})
			p.kept, p.seen = map[*stream]int{s: s.lastKept()}, make(map[*stream]bool)
			p.ponged, p.since = true, time.Now().Add(-2*lookWithin)
			if c.got >= 0 {
				p.judge(&packets.Packet{FixedHeader: packets.FixedHeader{Retain: !c.live}, TopicName: s.topic, Payload: s.payload(c.got)})
			}
			p.tick()
			wantReport(t, l, c.want)
		})
	}
}
