package edgebroker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// session is what the broker keeps for a client id: subscriptions, messages
// under way and waiting, the will. It outlives connections for as long as the
// client asked; one that does, outlives the process too.
type session struct {
	b     *Broker
	id    string
	link  atomic.Pointer[conn] // the accepted connection; nil while absent
	drops atomic.Uint64

	owner  *conn         // connection that has claimed it; sessions.mu guards it
	ending chan struct{} // it is absent, and its will is sent or it is forgotten, until this is closed; sessions.mu guards it

	subs     map[string]*subscription // by filter; Broker.routing guards it
	subsCost int                      // of subs, see subscriptionCost; Broker.routing guards it
	routed   *auth.Identity           // by which publishers find what it may receive; Broker.routing guards it

	identity atomic.Pointer[auth.Identity] // of the last connection
	rights   rights
	sharing  atomic.Pointer[[]*group] // groups that it is in; Broker.routing guards the writing

	mu       sync.Mutex // guards what follows; taken with Broker.routing held or free
	ended    bool       // it takes nothing any more
	purged   bool       // an operator ends it
	lost     int        // messages that were not acknowledged when it ended
	stays    bool       // it outlives its connection, with a queue in the store
	kept     bool       // it has a record in the store, for its will alone if it does not stay
	remote   string     // of the last connection, for status
	protocol string
	since    time.Time  // when it came or went
	expiry   clock.Time // how long it is kept without a connection
	absent   clock.Time // when the connection ended
	will     *message.Will
	willAt   clock.Time // when the will is due while absent
	queue    queue
	trusted  *auth.Policy       // by which all that waits in memory was found allowed
	received map[uint16]receipt // QoS 2 ids between PUBLISH and PUBREL
}

// receipt is a QoS 2 message that was taken and waits for its PUBREL. What a
// power cut takes back may leave the id of an older message behind, which the
// client has since used anew: one of before a restart counts for a message that
// is the same alone.
type receipt struct {
	restored bool
	digest   uint64 // of topic and payload, of sessions that stay
}

// rights remembers decisions for one policy and identity by topic.
type rights struct {
	mu       sync.Mutex
	policy   *auth.Policy
	identity *auth.Identity
	topics   remembered[bool]
}

func newSession(b *Broker, identity *auth.Identity) *session {
	s := &session{b: b, id: identity.Client}
	s.identity.Store(identity)
	return s
}

// online reports whether the client is connected.
func (s *session) online() bool { return s.link.Load() != nil }

// mayReceive asks the policy of now, once a topic.
func (s *session) mayReceive(name string) bool {
	policy, identity := s.b.policy.Load(), s.identity.Load()
	r := &s.rights
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.policy != policy || r.identity != identity {
		r.policy, r.identity = policy, identity
		r.topics.clear()
	}
	allow, known := r.topics.get(name)
	if !known {
		allow = policy.CanReceive(identity, name).Allow
		r.topics.put(name, allow)
	}
	return allow
}

// drop counts a message that this client won't get.
func (s *session) drop(reason *atomic.Uint64) {
	reason.Add(1)
	s.drops.Add(1)
}

// idle reports whether a message would be sent to the client at once.
func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, q := s.link.Load(), &s.queue
	return c != nil && q.waiting() == 0 && q.given+q.inflight < c.window
}

// crowded reports whether PublishWait has to wait for this client.
func (s *session) crowded() bool {
	if !s.online() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	limits := &s.b.cfg.Limits
	return s.queue.waiting()+s.queue.given+s.queue.inflight >= min(limits.Inflight, (limits.SessionMessages+1)/2) ||
		s.queue.bytes() > int(limits.SessionBytes)/2
}

// inStore reports whether what comes now goes into the store.
func (s *session) inStore() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.stored != nil
}

// full reports whether a queue that rejects has no room for size more bytes.
func (s *session) full(size int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	limits := &s.b.cfg.Limits
	return s.queue.waiting()+s.queue.given >= limits.SessionMessages || s.queue.bytes()+size > int(limits.SessionBytes)
}

// unfinished is how many messages are not acknowledged, without those of a shared
// subscription that are on loan. mu is held.
func (s *session) unfinished() (messages int) {
	q := &s.queue
	if q.stored != nil {
		return q.stored.Len() + q.given
	}
	for i := range q.entries.len() {
		if e := q.entries.at(i); !e.done && (e.from == nil || e.from.moved) {
			messages++
		}
	}
	return messages
}

// expiresIn is how long the session is kept without a connection: what is left of
// it for a client that is absent. mu is held.
func (s *session) expiresIn() clock.Time {
	if s.online() {
		return s.expiry
	}
	return max(0, s.absent+s.expiry-clock.Now())
}

// info is what status tells. The caller holds Broker.routing.
func (s *session) info() ClientInfo {
	identity := s.identity.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.link.Load()
	info := ClientInfo{
		ID:            s.id,
		Identity:      identity.Name,
		Role:          identity.Role,
		Zone:          identity.Zone,
		Listener:      identity.Listener,
		Connected:     c != nil,
		Protocol:      s.protocol,
		Remote:        s.remote,
		Since:         s.since,
		Subscriptions: len(s.subs),
		Inflight:      s.queue.inflight,
		Queued:        s.queue.waiting(),
		QueueBytes:    s.queue.bytes(),
		Dropped:       s.drops.Load(),
		ExpirySeconds: int64(s.expiresIn() / clock.Second),
	}
	if c != nil {
		info.QueueBytes += c.out.Waiting()
	}
	return info
}
