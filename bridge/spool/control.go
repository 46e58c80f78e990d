package spool

import (
	"context"

	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
)

// Stats is the state of a sender.
type Stats struct {
	Unacknowledged int // messages and batches at QoS 1
	Classes        []ClassStats
	Dead           int // dead letters
	DeadBytes      int64
	DeadDropped    uint64 // the oldest, because there was no room
}

// Stats is the state of now. It may read the disk.
func (s *Sender) Stats() Stats {
	st := Stats{Dead: s.dead.Len(), DeadBytes: s.dead.Bytes(), DeadDropped: s.dead.Stats().Dropped}
	s.mu.Lock()
	st.Unacknowledged = s.window.inUse
	s.mu.Unlock()
	for _, c := range s.classes {
		st.Classes = append(st.Classes, c.stats(s.options.Clock))
	}
	return st
}

// Use takes other rules, and other settings of the same classes, into use. Their
// conditions must have been compiled before.
func (s *Sender) Use(rules *rule.Set, classes []ClassConfig, rate Rate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change = func() {
		s.rules.Store(rules)
		s.limiter.use(rate)
		for _, c := range s.classes {
			s.forget(c) // a batch is begun anew by the rule of now
			s.dropLoose(c)
		}
		s.batches = s.batches[:0]
		for i, c := range s.classes {
			if err := c.use(classes[i], s.options.State); err != nil {
				s.options.Log.Error("the class goes on as it was", "error", err)
			}
		}
	}
	s.interrupt()
}

// changed carries out a change of the configuration.
func (s *Sender) changed() {
	s.mu.Lock()
	change := s.change
	s.change = nil
	s.mu.Unlock()
	if change != nil {
		change()
	}
}

// Drain sends nothing new any more, and waits until what was sent is acknowledged,
// the connection is lost or ctx ends. It reports how much is still under way.
func (s *Sender) Drain(ctx context.Context) int {
	s.mu.Lock()
	s.draining = true
	s.alarm.Store(true)
	s.tellIdle()
	s.mu.Unlock()
	select {
	case <-s.idle:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window.inUse
}

// tellIdle ends Drain. mu is held.
func (s *Sender) tellIdle() {
	if s.draining && (s.window.sent == 0 || s.conn == nil) {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// Oldest is when the oldest message of all classes was accepted, 0 if none waits.
func (st *Stats) Oldest() (oldest clock.Time) {
	for _, c := range st.Classes {
		if c.Oldest != 0 && (oldest == 0 || c.Oldest < oldest) {
			oldest = c.Oldest
		}
	}
	return oldest
}
