package soak

import (
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// lookWithin is the time for a retained value that has to be there.
const lookWithin = 15 * time.Second

// prober looks at the retained values again and again, each time as a new
// subscriber. Its session ends with its connection, so it must never be
// present.
type prober struct {
	client

	kept   map[*stream]int  // newest message that had to be kept when it subscribed
	seen   map[*stream]bool // a value came that is as new
	since  time.Time
	ponged bool

	// Looks are numbered from 1: the last that was begun, and that was ended.
	begun, ended atomic.Int32
}

func newProber(c client) *prober {
	c.brief = true
	return &prober{client: c}
}

func (p *prober) connecting(*packets.Packet) {}

func (p *prober) connected(*packets.Packet) {
	p.begun.Add(1)
	p.since, p.ponged = time.Now(), false
	p.kept, p.seen = make(map[*stream]int), make(map[*stream]bool)
	for _, s := range p.ledger.all() {
		if s.retain {
			p.kept[s] = s.lastKept()
		}
	}
	p.link.send(&packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe},
		PacketID:    p.request(),
		Filters:     packets.Subscriptions{{Filter: "state/#", Qos: 1}, {Filter: "flag/#", Qos: 1}},
	})
	p.link.sendPing()
}

func (p *prober) leaving(bool) {}

func (p *prober) handle(pk *packets.Packet) {
	switch pk.FixedHeader.Type {
	case packets.Suback:
	case packets.Pingresp:
		p.ponged = true
	case packets.Publish:
		if pk.FixedHeader.Qos > 0 {
			p.link.sendAck(packets.Puback, pk.PacketID)
		}
		p.judge(pk)
	default:
		p.unexpected(pk)
	}
}

// judge blames a retained value that is older than it may be. A value that is
// replaced while the subscription begins may come as the new one alone, and then
// without RETAIN.
func (p *prober) judge(pk *packets.Packet) {
	if len(pk.Payload) == 0 && !pk.FixedHeader.Retain {
		return // deleted meanwhile
	}
	s, number, err := p.ledger.parse(pk.Payload)
	if err != nil || s.topic != pk.TopicName {
		p.ledger.blame(stray, p.id, -1, "on topic %q: %v", pk.TopicName, err)
		return
	}
	kept := p.kept[s]
	if pk.FixedHeader.Retain && number < kept {
		p.ledger.blame(stale, s.name(), number, "message %d is retained although message %d was kept, %v", number, kept, times(s.message(kept)))
	}
	if pk.FixedHeader.Retain || number >= kept {
		p.seen[s] = true
	}
}

// tick ends the look when all that has to be retained was seen.
func (p *prober) tick() bool {
	if !p.ponged {
		return true
	}
	late := time.Since(p.since) > lookWithin
	for s, kept := range p.kept {
		if p.seen[s] || kept < 0 || s.clearedSince(kept) {
			continue
		}
		if !late {
			return true
		}
		p.ledger.blame(stale, s.name(), kept, "nothing is retained although message %d was kept, %v", kept, times(s.message(kept)))
	}
	p.ended.Store(p.begun.Load())
	return false
}

// clearedSince tells whether that message or a later one deletes the retained
// value.
func (s *stream) clearedSince(number int) bool {
	for ; number < s.len(); number++ {
		if s.empty(number) {
			return true
		}
	}
	return false
}
