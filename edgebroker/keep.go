package edgebroker

import (
	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/store"
)

// record is the session of now. mu is held.
func (s *session) record(connected bool) *record.Session {
	r := &record.Session{
		Identity:  *s.identity.Load(),
		Stays:     s.stays,
		Connected: connected,
		Expiry:    s.expiry,
		Will:      s.will,
		Repeats:   max(s.queue.repeats, s.queue.next),
		Turns:     s.queue.turns,
		Absent:    s.b.clock.Mark(clock.Now()),
	}
	if !connected {
		r.Absent, r.WillAt = s.b.clock.Mark(s.absent), s.b.clock.Mark(s.willAt)
	}
	return r
}

// write puts the session of now into a change. mu is held.
func (s *session) write(tx *store.Tx, connected bool) {
	tx.Put(record.SessionKeys+s.id, s.record(connected).Append(nil, s.b.clock))
}

// keep writes what a new connection makes of the session, if anything of it is
// to outlive the process, and waits until it is stored. The caller has claimed
// the session.
func (s *session) keep(c *conn, identity *auth.Identity) error {
	s.mu.Lock()
	tx := s.b.store.Begin()
	had, expiry, will, kept, stays := s.identity.Load(), s.expiry, s.will, s.kept, s.stays
	s.identity.Store(identity)
	s.expiry, s.will = c.expiry, c.will
	if c.expiry > 0 && !s.stays {
		s.stays = true
		s.queue.stored = tx.CreateQueue(record.SessionQueues + s.id)
	}
	keeps := s.stays || s.will != nil
	if keeps {
		s.kept = true
		s.write(tx, true)
	}
	s.mu.Unlock()
	if !keeps {
		tx.Discard()
		return nil
	}
	err := s.b.settle(tx)
	if err != nil { // the connection is refused, and the session is what it was
		s.mu.Lock()
		defer s.mu.Unlock()
		s.identity.Store(had)
		s.expiry, s.will, s.kept = expiry, will, kept
		if s.stays != stays {
			s.stays, s.queue.stored = false, nil
		}
	}
	return err
}

// erase removes the session from the store. mu is held, the filters are those
// that it had.
func (s *session) erase(tx *store.Tx, filters []string) {
	tx.Delete(record.SessionKeys + s.id)
	for _, f := range filters {
		tx.Delete(record.FilterKey(s.id, f))
	}
	for id := range s.received {
		tx.Delete(record.ReceivedKey(s.id, id))
	}
	if s.queue.stored != nil {
		tx.DropQueue(s.queue.stored)
	}
}
