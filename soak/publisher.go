package soak

import (
	"slices"
	"sync/atomic"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// publishWindow is how many messages a publisher has under way at most.
	publishWindow = 20
	// messageExpiry is longer than any run, in seconds.
	messageExpiry = 7 * 24 * 3600
)

// publisher publishes to its streams at random, and forgets nothing that was
// not acknowledged.
type publisher struct {
	client
	streams []*stream
	perTick float64 // messages, on average
	// lowest takes the lowest free packet id, as many clients do: so ids are
	// used again at once. Else they go round.
	lowest bool

	flights []*flight // in the order of first sending [MQTT-4.6.0]
	lastID  uint16
	credit  float64
	queue   []*stream // to be published to in the quiet

	// rounds is how often one message more to each stream was asked for, in the
	// quiet; done is the same when all is acknowledged, and else another number.
	rounds, done atomic.Int32
	served       int32
}

// flight is a message on its way to the broker.
type flight struct {
	stream   *stream
	number   int
	id       uint16
	released bool // QoS 2: PUBREC read, PUBREL written
}

func (p *publisher) connecting(*packets.Packet) {}

// connected sends again what was not acknowledged, with the ids it had
// [MQTT-4.4.0-1]. If the broker has lost the session, it is all new to it.
func (p *publisher) connected(ack *packets.Packet) {
	if !ack.SessionPresent {
		p.flights = slices.DeleteFunc(p.flights, func(f *flight) bool {
			if f.released {
				f.stream.completed(f.number)
			}
			return f.released
		})
	}
	for _, f := range p.flights {
		if f.released {
			p.link.sendAck(packets.Pubrel, f.id)
			continue
		}
		f.stream.resent(f.number)
		p.publish(f, ack.SessionPresent)
	}
}

func (p *publisher) leaving(bool) {}

func (p *publisher) tick() bool {
	if begun(p.phases.quiet) {
		p.serveRounds()
		return true
	}
	p.credit += p.perTick
	if p.random.IntN(50) == 0 { // a burst
		p.credit += publishWindow
	}
	for ; p.credit >= 1 && len(p.flights) < publishWindow; p.credit-- {
		p.start(p.streams[p.random.IntN(len(p.streams))])
	}
	p.credit = min(p.credit, publishWindow)
	return true
}

// serveRounds publishes what was asked for in the quiet.
func (p *publisher) serveRounds() {
	if asked := p.rounds.Load(); p.served < asked {
		p.served++
		p.queue = append(p.queue, p.streams...)
	}
	for len(p.queue) > 0 && len(p.flights) < publishWindow {
		p.start(p.queue[0])
		p.queue = p.queue[1:]
	}
	if len(p.queue) > 0 || len(p.flights) > 0 {
		p.done.Store(-1)
	} else {
		p.done.Store(p.served)
	}
}

// start publishes the next message of a stream.
func (p *publisher) start(s *stream) {
	f := &flight{stream: s, id: p.freeID(), number: s.next()}
	p.flights = append(p.flights, f)
	p.publish(f, false)
}

func (p *publisher) publish(f *flight, dup bool) {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: f.stream.qos, Dup: dup, Retain: f.stream.retain},
		PacketID:    f.id,
		TopicName:   f.stream.topic,
		Payload:     f.stream.payload(f.number),
	}
	pk.Properties.MessageExpiryInterval = messageExpiry
	pk.Properties.User = []packets.UserProperty{{Key: "stream", Val: f.stream.name()}}
	p.link.send(&pk)
}

func (p *publisher) freeID() uint16 {
	if p.lowest {
		p.lastID = 0
	}
	for {
		p.lastID++
		if p.lastID != 0 && p.find(p.lastID) < 0 {
			return p.lastID
		}
	}
}

func (p *publisher) find(id uint16) int {
	return slices.IndexFunc(p.flights, func(f *flight) bool { return f.id == id })
}

// handle takes an acknowledgement.
func (p *publisher) handle(pk *packets.Packet) {
	p.ledger.progress.Add(1)
	i := p.find(pk.PacketID)
	if i < 0 || !p.fits(p.flights[i], pk) {
		p.unexpected(pk)
		return
	}
	f := p.flights[i]
	if pk.ReasonCode >= reasonFailure && pk.FixedHeader.Type != packets.Pubcomp {
		p.ledger.blame(illegal, p.id, f.number, "%s for message %d of %q", describe(pk), f.number, f.stream.name())
		p.flights = slices.Delete(p.flights, i, i+1)
		return
	}
	switch pk.FixedHeader.Type {
	case packets.Puback:
		f.stream.acked(f.number)
		f.stream.completed(f.number)
		p.flights = slices.Delete(p.flights, i, i+1)
	case packets.Pubrec:
		f.stream.acked(f.number)
		f.released = true
		p.link.sendAck(packets.Pubrel, f.id)
	case packets.Pubcomp:
		f.stream.completed(f.number)
		p.flights = slices.Delete(p.flights, i, i+1)
	}
}

// fits tells whether that acknowledgement is the next of this message.
func (p *publisher) fits(f *flight, pk *packets.Packet) bool {
	switch pk.FixedHeader.Type {
	case packets.Puback:
		return f.stream.qos == 1
	case packets.Pubrec:
		return f.stream.qos == 2 && !f.released
	case packets.Pubcomp: // 0x92 is right if the broker had completed it before
		return f.released
	}
	return false
}

// verdict blames what the broker never acknowledged.
func (p *publisher) verdict() {
	for _, f := range p.flights {
		p.ledger.blame(unanswered, p.id+" to "+f.stream.name(), f.number, "message %d with id %d, released %v, %v",
			f.number, f.id, f.released, times(f.stream.message(f.number)))
	}
}
