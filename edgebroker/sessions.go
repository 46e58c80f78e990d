package edgebroker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/presence"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// errSessionsFull refuses a CONNECT, errForeignSession one whose client id
// belongs to another identity: taking a session over means reading its queue.
var (
	errSessionsFull   = errors.New("too many sessions")
	errForeignSession = errors.New("client id belongs to another identity")
)

// sessions are the sessions by client id.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
}

func (ss *sessions) init() { ss.byID = make(map[string]*session) }

func (ss *sessions) len() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.byID)
}

func (ss *sessions) all() []*session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	list := make([]*session, 0, len(ss.byID))
	for _, s := range ss.byID {
		list = append(list, s)
	}
	return list
}

// remove takes out a session that was absent and forgotten.
func (ss *sessions) remove(s *session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.byID[s.id] == s {
		delete(ss.byID, s.id)
	}
	close(s.ending)
}

// claim makes c the owner of its client's session. An older connection is told
// and waited for, until all it had accepted is routed: so two connections never
// work on one session [MQTT-3.1.4-3].
// The clean session of a client takes the place of the one it had.
func (b *Broker) claim(c *conn, identity *auth.Identity, clean bool) (s *session, present bool, err error) {
	for {
		b.sessions.mu.Lock()
		s = b.sessions.byID[identity.Client]
		if s != nil && !sameOwner(s.identity.Load(), identity) {
			b.sessions.mu.Unlock()
			return nil, false, errForeignSession
		}
		if s == nil || s.owner == nil && s.ending == nil {
			break // with the lock
		}
		old, ending := s.owner, s.ending
		b.sessions.mu.Unlock()
		if old == nil {
			<-ending
			continue
		}
		old.end(wire.SessionTakenOver)
		<-old.detached
	}
	if s != nil && !clean {
		s.owner = c
		b.sessions.mu.Unlock()
		return s, true, nil
	}
	if s == nil && len(b.sessions.byID) >= b.cfg.Limits.Sessions {
		b.sessions.mu.Unlock()
		return nil, false, errSessionsFull
	}
	fresh := newSession(b, identity)
	fresh.owner = c
	b.sessions.byID[identity.Client] = fresh
	b.sessions.mu.Unlock()
	if s != nil {
		b.forget(s)
	}
	return fresh, false, nil
}

// disclaim undoes a claim: the connection was not accepted.
func (b *Broker) disclaim(s *session) {
	s.mu.Lock()
	s.absent = clock.Now()
	ends := !s.stays
	s.mu.Unlock()
	b.sessions.mu.Lock()
	s.owner = nil
	if ends {
		delete(b.sessions.byID, s.id)
	}
	b.sessions.mu.Unlock()
}

// sameOwner tells whether a session of one identity may go to another.
// Anonymous clients have proved nothing, so they are told apart by the role of
// their listener: a web page must not have the queue of a local program.
func sameOwner(had, asks *auth.Identity) bool {
	return had.Name == asks.Name && (had.Name != auth.Anonymous || had.Role == asks.Role)
}

// attach gives a claimed session its connection: from here on messages flow,
// behind the CONNACK.
func (s *session) attach(c *conn, identity *auth.Identity, ack []byte) {
	_ = c.socket.SetReadDeadline(time.Time{}) // that of CONNECT; a socket that is gone fails to be read
	s.mu.Lock()
	s.since = time.Now()
	s.remote, s.protocol = c.socket.Remote(), c.protocol()
	s.trusted = nil
	if s.queue.stored != nil {
		s.queue.rewind()
	}
	c.later.Add(c.out, c.out.Packet(ack))
	c.session.Store(s) // after the CONNACK, since end sends a DISCONNECT from here on [MQTT-3.14.0-1]
	s.link.Store(c)
	s.pump(&c.later)
	s.mu.Unlock()
	c.later.Flush()
	s.b.rerouted(s, identity)
	c.arrive()
}

// rerouted makes publishers look again at what a session may receive, when it
// came back as somebody else than it left.
func (b *Broker) rerouted(s *session, identity *auth.Identity) {
	b.routing.Lock()
	defer b.routing.Unlock()
	if had := s.routed; had == nil || *had == *identity {
		s.routed = identity
		return
	}
	s.routed = identity
	b.index.generation++
}

// detach takes the connection away; err is why it ended. The will stays with the
// session for its delay, the session for its expiry.
func (s *session) detach(c *conn, err error) {
	b := s.b
	s.mu.Lock()
	s.link.Store(nil)
	s.since, s.absent = time.Now(), clock.Now()
	s.expiry = c.expiry
	ends := s.expiry == 0 || s.purged
	due := err != nil && s.will != nil && (ends || s.will.Delay == 0)
	if err == nil {
		s.will = nil
	} else if s.will != nil && !due {
		s.willAt = s.absent + min(s.will.Delay, s.expiry)
	}
	if s.stays && !ends {
		s.queue.rewind()
		if !due {
			tx := b.store.Begin()
			s.write(tx, false)
			tx.Commit(b.sync, nil)
		}
	}
	s.mu.Unlock()

	b.room.free()
	c.announce(presence.Event{Kind: presence.Disconnected, Reason: c.disconnectReason(err)})
	switch {
	case ends:
		b.forget(s)
	case due:
		b.sendWill(s)
	}
	b.sessions.mu.Lock()
	s.owner = nil
	if ends && b.sessions.byID[s.id] == s {
		delete(b.sessions.byID, s.id)
	}
	b.sessions.mu.Unlock()
}

// forget ends a session that nobody can claim meanwhile: what the store has of it
// is gone before its client gets another. Its will is sent, if it has one
// [MQTT-3.1.2-8]; what it had of shared subscriptions goes to their other members;
// what else waits in it is lost.
func (b *Broker) forget(s *session) {
	b.routing.RLock()
	filters := slices.Collect(maps.Keys(s.subs))
	b.routing.RUnlock()
	s.removeSubscriptions(filters)
	b.sendWill(s)
	s.mu.Lock()
	s.ended = true
	s.returnLoans()
	stored, repeats := s.queue.stored, max(s.queue.repeats, s.queue.next)
	s.mu.Unlock()
	b.reshare(stored, repeats, filters)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = s.unfinished() // before the queue is dropped
	reason := &b.counters.droppedEnded
	if s.purged {
		reason = &b.counters.droppedPurged
	}
	reason.Add(uint64(s.lost))
	if s.kept || stored != nil {
		tx := b.store.Begin()
		s.erase(tx, filters)
		tx.Commit(b.sync, nil)
	}
	s.queue = queue{}
}

// sendWill sends the will of a session whose client is absent, if the policy of
// now still allows it. That it was sent is one change with the message, so a
// restart neither loses nor repeats it.
func (b *Broker) sendWill(s *session) {
	s.mu.Lock()
	w := s.will
	if w == nil {
		s.mu.Unlock()
		return
	}
	s.will = nil
	k := &commitment{b: b}
	if s.expiry > 0 {
		s.write(k.change(), false)
	} else if !s.stays {
		k.change().Delete(record.SessionKeys + s.id)
	}
	s.mu.Unlock()

	p := w.Publication
	p.Expires = message.EndOf(w.Expiry)
	err := error(nil)
	if d := b.mayPublish(s.identity.Load(), p.Topic); !d.Allow {
		b.counters.publishesRefused.Add(1)
		err = fmt.Errorf("topic %q: not allowed any more: %s", p.Topic, d.Rule)
	} else if isValue(p.Topic) {
		err = b.publishValue(&p, k)
	} else {
		err = b.send(&p, k)
	}
	if err != nil && k.tx != nil {
		k.commit(b.sync)
	}
	if err != nil {
		b.log.Warn("will lost", "client", s.id, "error", err)
	}
}

// expireSessions sends wills that are due and ends sessions whose time is over.
func (b *Broker) expireSessions(at clock.Time) {
	for _, s := range b.sessions.all() {
		switch due, over := b.sessions.holdDue(s, at); {
		case over:
			b.forget(s) // and sends its will
			b.sessions.remove(s)
		case due:
			b.sendWill(s)
			b.sessions.letGo(s)
		}
	}
}

// holdDue keeps an absent session from being claimed if its will is due or its
// time is over: else the will could be that of a connection that came meanwhile.
func (ss *sessions) holdDue(s *session, at clock.Time) (due, over bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s.owner != nil || s.ending != nil || ss.byID[s.id] != s {
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	due, over = s.will != nil && at >= s.willAt, at >= s.absent+s.expiry
	if due || over {
		s.ending = make(chan struct{})
	}
	return due, over
}

// letGo lets a session that was held be claimed again.
func (ss *sessions) letGo(s *session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	close(s.ending)
	s.ending = nil
}
