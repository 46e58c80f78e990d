package spool

import (
	"maps"
	"sync"

	"github.com/fascia-edge/fascia/bridge/rule"
)

// Traffic is what a rule has sent, and what became of the rest.
type Traffic struct {
	Messages uint64            // packets, those sent again too
	Bytes    uint64            // of these packets
	Dropped  map[string]uint64 // messages, by reason
}

// traffic counts by rule.
type traffic struct {
	mu     sync.Mutex // guards the field below
	byRule map[uint32]*Traffic
}

// of is what is counted of a rule. mu is held.
func (t *traffic) of(up *rule.Up) *Traffic {
	of := t.byRule[up.ID()]
	if of == nil {
		of = &Traffic{Dropped: map[string]uint64{}}
		if t.byRule == nil {
			t.byRule = map[uint32]*Traffic{}
		}
		t.byRule[up.ID()] = of
	}
	return of
}

func (t *traffic) sent(up *rule.Up, wire int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.of(up)
	of.Messages++
	of.Bytes += uint64(wire)
}

func (t *traffic) drop(up *rule.Up, reason string, n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(up).Dropped[reason] += n
}

// Traffic is what a rule has sent; safe for concurrent use.
func (s *Sender) Traffic(up *rule.Up) Traffic {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	of := *s.traffic.of(up)
	of.Dropped = maps.Clone(of.Dropped)
	return of
}
