package edgebroker

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/auth"
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
		if s == nil || s.owner == nil {
			break // with the lock
		}
		old := s.owner
		b.sessions.mu.Unlock()
		old.end(reasonSessionTakenOver)
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

// sameOwner tells whether a session of one identity may go to another.
// Anonymous clients have proved nothing, so they are told apart by the role of
// their listener: a web page must not have the queue of a local program.
func sameOwner(had, asks *auth.Identity) bool {
	return had.Name == asks.Name && (had.Name != auth.Anonymous || had.Role == asks.Role)
}

// attach gives a claimed session its connection: from here on messages flow.
// accept writes the CONNACK, which comes before any of them.
func (s *session) attach(c *conn, identity *auth.Identity, accept func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity.Store(identity)
	s.expiry, s.will = c.expiry, c.will
	s.conn, s.since = c, time.Now()
	s.remote, s.protocol = c.remote, c.protocol()
	s.online.Store(true)
	accept()
	s.owe()
	s.pump()
}

// detach takes the connection away. The will stays with the session for its
// delay, the session for its expiry.
func (s *session) detach(c *conn, sendWill bool) {
	b := s.b
	s.mu.Lock()
	s.online.Store(false)
	s.conn, s.since, s.absent = nil, time.Now(), now()
	s.expiry = c.expiry
	var will *Message
	switch {
	case !sendWill:
		s.will = nil
	case c.willDelay == 0 || s.expiry == 0:
		will, s.will = s.will, nil
	default:
		s.willAt = s.absent + min(c.willDelay, s.expiry)
	}
	ends := s.expiry == 0
	s.mu.Unlock()

	b.room.free()
	if will != nil {
		b.publishWill(s, will)
	}
	b.sessions.mu.Lock()
	s.owner = nil
	if ends {
		delete(b.sessions.byID, s.id)
	}
	b.sessions.mu.Unlock()
	if ends {
		b.forget(s)
	}
}

// forget ends a session that is in the table no more.
func (b *Broker) forget(s *session) {
	s.mu.Lock()
	will := s.will
	s.will, s.waiting, s.inflight = nil, nil, nil // caches of receivers may know the session a while
	s.mu.Unlock()
	if will != nil {
		b.publishWill(s, will) // its session ended before its delay [MQTT-3.1.2-8]
	}
	b.routing.RLock()
	filters := slices.Collect(maps.Keys(s.subs))
	b.routing.RUnlock()
	s.removeSubscriptions(filters)
}

// publishWill sends a will, if the policy of now still allows it.
func (b *Broker) publishWill(s *session, will *Message) {
	if d := b.mayPublish(s.identity.Load(), will.Topic); !d.Allow {
		b.counters.publishesRefused.Add(1)
		b.log.Warn("will refused", "client", s.id, "topic", will.Topic, "rule", d.Rule)
		return
	}
	if err := b.publish(will); err != nil {
		b.log.Warn("will lost", "client", s.id, "error", err)
	}
}

// expireSessions sends wills that are due and ends sessions whose time is over.
func (b *Broker) expireSessions(at clock) {
	for _, s := range b.sessions.all() {
		s.mu.Lock()
		var will *Message
		if s.conn == nil && s.will != nil && at >= s.willAt {
			will, s.will = s.will, nil
		}
		s.mu.Unlock()
		if will != nil {
			b.publishWill(s, will)
		}
		if b.expireSession(s, at) {
			b.forget(s)
		}
	}
}

func (b *Broker) expireSession(s *session, at clock) bool {
	b.sessions.mu.Lock()
	defer b.sessions.mu.Unlock()
	if s.owner != nil || b.sessions.byID[s.id] != s {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at < s.absent+s.expiry {
		return false
	}
	delete(b.sessions.byID, s.id)
	return true
}
