package soak

import (
	"slices"

	"github.com/mochi-mqtt/server/v2/packets"
)

// subscriber has a persistent session and keeps its side of it.
type subscriber struct {
	client
	to      *receiver
	windows []*window // subscriptions it has or wants
	roams   bool      // subscribes and unsubscribes while the run is restless

	receiveMaximum uint16
	// slow acknowledges at most one message a tick while the run is restless.
	slow bool

	receiving map[uint16]key // QoS 2: between PUBLISH and PUBREL
	pending   []acknowledgement

	// Of this connection:
	asked   map[uint16]request // without answer, by packet id
	unacked map[uint16]key     // QoS 1, id not yet acknowledged by us
	times   map[key]uint16     // how often a message was received

	received    int
	redelivered int // of those, first seen on an earlier connection
	unmarked    int // of those again, without DUP
}

// key names a message.
type key struct {
	stream *stream
	number int
}

// request is a SUBSCRIBE or UNSUBSCRIBE.
type request struct {
	window *window
	again  bool // it was sent on an earlier connection, too
}

type acknowledgement struct {
	kind byte
	id   uint16
}

func newSubscriber(c client, to *receiver) *subscriber {
	return &subscriber{client: c, to: to, receiving: make(map[uint16]key)}
}

// wants adds a filter that is subscribed to at the first connection.
func (s *subscriber) wants(filter string, qos byte, identifier int) {
	s.windows = append(s.windows, s.to.subscribe(window{filter: filter, qos: qos, identifier: identifier}))
}

func (s *subscriber) connecting(pk *packets.Packet) {
	pk.Properties.ReceiveMaximum = s.receiveMaximum
}

// connected asks again for what was not answered. If the broker has lost the
// session, it asks for all: so one fault isn't counted as loss for ever.
func (s *subscriber) connected(ack *packets.Packet) {
	s.pending = nil
	s.asked = make(map[uint16]request)
	s.unacked = make(map[uint16]key)
	s.times = make(map[key]uint16)
	if !ack.SessionPresent {
		clear(s.receiving)
	}
	for _, w := range s.windows {
		switch {
		case w.granted == 0, w.leaving == 0 && !ack.SessionPresent:
			s.subscribe(w)
		case w.leaving != 0 && w.ended == 0:
			s.unsubscribe(w, true)
		}
	}
}

func (s *subscriber) leaving(bool) {}

func (s *subscriber) tick() bool {
	if len(s.pending) > 0 {
		if begun(s.phases.calm) {
			s.acknowledge(len(s.pending))
		} else {
			s.acknowledge(1)
		}
	}
	if s.roams && len(s.asked) == 0 && s.random.IntN(300) == 0 && !begun(s.phases.calm) {
		s.roam()
	}
	return true
}

// roam ends a subscription and begins it again.
func (s *subscriber) roam() {
	i := s.random.IntN(len(s.windows))
	w := s.windows[i]
	if w.ended == 0 {
		s.to.set(&w.leaving)
		s.unsubscribe(w, false)
		return
	}
	s.windows[i] = s.to.subscribe(window{filter: w.filter, qos: w.qos, identifier: w.identifier})
	s.subscribe(s.windows[i])
}

func (s *subscriber) subscribe(w *window) {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe},
		PacketID:    s.request(),
		Filters:     packets.Subscriptions{{Filter: w.filter, Qos: w.qos}},
	}
	if w.identifier > 0 {
		pk.Properties.SubscriptionIdentifier = []int{w.identifier}
	}
	s.asked[pk.PacketID] = request{window: w}
	s.link.send(&pk)
}

func (s *subscriber) unsubscribe(w *window, again bool) {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe},
		PacketID:    s.request(),
		Filters:     packets.Subscriptions{{Filter: w.filter}},
	}
	s.asked[pk.PacketID] = request{w, again}
	s.link.send(&pk)
}

func (s *subscriber) handle(pk *packets.Packet) {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		s.receive(pk)
	case packets.Pubrel: // an id that is not known is answered all the same
		delete(s.receiving, pk.PacketID)
		s.answer(packets.Pubcomp, pk.PacketID)
	case packets.Suback, packets.Unsuback:
		s.granted(pk)
	default:
		s.unexpected(pk)
	}
}

func (s *subscriber) receive(pk *packets.Packet) {
	stream, number, err := s.ledger.parse(pk.Payload)
	if err != nil || stream.topic != pk.TopicName {
		s.ledger.blame(stray, s.id, -1, "on topic %q: %v", pk.TopicName, err)
		return
	}
	k := key{stream, number}
	s.received++
	s.checkProperties(pk, k)
	s.checkRepeats(pk, k)
	switch pk.FixedHeader.Qos {
	case 1:
		s.unacked[pk.PacketID] = k
		s.answer(packets.Puback, pk.PacketID)
	case 2:
		was, known := s.receiving[pk.PacketID]
		if !known {
			s.receiving[pk.PacketID] = k
		}
		s.answer(packets.Pubrec, pk.PacketID)
		if !known {
			break
		}
		// A repetition, which is not delivered again [MQTT-4.3.3-10]. Nor would
		// any client deliver another message under this id.
		if was != k {
			s.ledger.blame(illegal, s.to.of(stream), number, "message %d came with id %d, which message %d of %q still has: it is discarded",
				number, pk.PacketID, was.number, was.stream.name())
		}
		return
	}
	s.to.receive(delivery{stream, number, pk.FixedHeader.Qos, pk.Properties.SubscriptionIdentifier})
}

// checkRepeats blames a message that comes more often on one connection than
// its publisher sent it, and an id that is used twice at once.
func (s *subscriber) checkRepeats(pk *packets.Packet, k key) {
	if was, used := s.unacked[pk.PacketID]; used {
		s.ledger.blame(illegal, s.to.of(k.stream), k.number, "message %d came with id %d, which message %d of %q still has",
			k.number, pk.PacketID, was.number, was.stream.name())
	}
	if s.times[k] == 0 && s.to.has(k.stream, k.number) && !s.to.shared {
		s.redelivered++
		if !pk.FixedHeader.Dup && k.stream.message(k.number).sends == 1 {
			s.unmarked++
		}
	}
	s.times[k]++
	if sends := k.stream.message(k.number).sends; s.times[k] > sends {
		s.ledger.blame(repeated, s.to.of(k.stream), k.number, "message %d came %d times, sent %d times", k.number, s.times[k], sends)
	}
}

// checkProperties blames a message that came without what it was published
// with.
func (s *subscriber) checkProperties(pk *packets.Packet, k key) {
	if s.version != v5 || !k.stream.properties {
		return
	}
	left := pk.Properties.MessageExpiryInterval
	want := []packets.UserProperty{{Key: "stream", Val: k.stream.name()}}
	if left == 0 || left > messageExpiry || !slices.Equal(pk.Properties.User, want) {
		s.ledger.blame(illegal, s.to.of(k.stream), k.number, "message %d came with expiry %d and user properties %v, want at most %d and %v",
			k.number, left, pk.Properties.User, messageExpiry, want)
	}
}

// answer acknowledges now, or later if the client is slow; always in the order
// of arrival [MQTT-4.6.0-2].
func (s *subscriber) answer(kind byte, id uint16) {
	s.pending = append(s.pending, acknowledgement{kind, id})
	if !s.slow || begun(s.phases.calm) {
		s.acknowledge(len(s.pending))
	}
}

func (s *subscriber) acknowledge(count int) {
	for _, a := range s.pending[:count] {
		if a.kind == packets.Puback {
			delete(s.unacked, a.id)
		}
		s.link.sendAck(a.kind, a.id)
	}
	s.pending = s.pending[count:]
}

// granted takes SUBACK and UNSUBACK. An UNSUBACK that says there was no such
// subscription tells of one that was lost.
func (s *subscriber) granted(pk *packets.Packet) {
	r, ok := s.asked[pk.PacketID]
	if !ok || s.version == v5 && len(pk.ReasonCodes) != 1 {
		s.unexpected(pk)
		return
	}
	delete(s.asked, pk.PacketID)
	w := r.window
	if pk.FixedHeader.Type == packets.Unsuback {
		if s.version == v5 && pk.ReasonCodes[0] != reasonSuccess && !r.again {
			s.ledger.blame(forgotten, s.id, -1, "UNSUBACK 0x%02X for %q, granted at %v", pk.ReasonCodes[0], w.filter, w.granted)
		}
		s.to.set(&w.ended)
		return
	}
	if pk.ReasonCodes[0] != w.qos {
		s.ledger.blame(illegal, s.id, -1, "SUBACK 0x%02X for %q at QoS %d", pk.ReasonCodes[0], w.filter, w.qos)
	}
	s.to.set(&w.granted)
}
