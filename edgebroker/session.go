package edgebroker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/auth"
)

// session is what the broker keeps for a client id: subscriptions, messages
// under way and waiting, the will. It outlives connections for as long as the
// client asked.
type session struct {
	b      *Broker
	id     string
	online atomic.Bool // has a connection
	drops  atomic.Uint64

	owner *conn // connection that has claimed it; sessions.mu guards it

	subs     map[string]*subscription // by filter; Broker.routing guards it
	subsCost int                      // of subs, see subscriptionCost; Broker.routing guards it

	identity atomic.Pointer[auth.Identity] // of the last connection
	rights   rights

	mu       sync.Mutex // guards what follows; taken with Broker.routing held or free
	conn     *conn      // nil while absent
	remote   string     // of the last connection, for status
	protocol string
	since    time.Time
	expiry   clock // how long it is kept without a connection
	absent   clock // when the connection ended
	will     *Message
	willAt   clock           // when the will is due while absent
	waiting  []outgoing      // QoS 1 and 2, not yet sent
	inflight []outgoing      // sent, in the order of sending [MQTT-4.6.0]
	owed     int             // of inflight, not yet repeated on this connection
	ids      map[uint16]bool // packet ids of inflight
	lastID   uint16
	bytes    int             // of waiting and inflight
	received map[uint16]bool // QoS 2 ids between PUBLISH and PUBREL
}

// outgoing is a message on its way to one client.
type outgoing struct {
	m        *Message
	ids      []uint32 // subscription identifiers
	id       uint16
	qos      byte
	retain   bool
	repeat   bool // sent before, on another connection
	released bool // QoS 2: PUBREC came, PUBREL sent
	owed     bool // to be sent again on this connection
}

// rights remembers decisions for one policy and identity by topic.
type rights struct {
	mu       sync.Mutex
	policy   *auth.Policy
	identity *auth.Identity
	topics   remembered[bool]
}

func newSession(b *Broker, identity *auth.Identity) *session {
	s := &session{
		b:        b,
		id:       identity.Client,
		subs:     make(map[string]*subscription),
		ids:      make(map[uint16]bool),
		received: make(map[uint16]bool),
	}
	s.identity.Store(identity)
	return s
}

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

// deliver takes a message for the client: QoS 0 goes to its socket or is lost,
// QoS 1 and 2 wait for their turn.
func (s *session) deliver(m *Message, qos byte, retain bool, ids []uint32) {
	if !s.mayReceive(m.Topic) {
		return
	}
	out := outgoing{m: m, ids: ids, qos: min(qos, m.QoS), retain: retain}
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.qos == 0 {
		if s.conn != nil {
			s.send(&out)
		}
		return
	}
	s.waiting = append(s.waiting, out)
	s.bytes += m.size()
	limits := &s.b.cfg.Limits
	for len(s.waiting) > 1 && (len(s.waiting) > limits.SessionMessages || s.bytes > int(limits.SessionBytes)) {
		s.drop(&s.b.counters.droppedSession)
		s.shift()
	}
	s.pump()
}

// pump sends what waits while the client's receive window and the socket's
// queue have room. mu is held.
func (s *session) pump() {
	if s.conn == nil {
		return
	}
	s.repeat()
	for len(s.waiting) > 0 && s.owed == 0 && len(s.inflight) < s.conn.window && s.conn.out.hasRoom() {
		out := s.waiting[0]
		s.shift()
		if !s.mayReceive(out.m.Topic) { // no more: its role changed while it waited
			s.drops.Add(1)
			continue
		}
		out.id = s.nextID()
		if s.send(&out) {
			s.ids[out.id] = true
			s.inflight = append(s.inflight, out)
			s.bytes += out.m.size()
		}
	}
}

// send writes one message to the connection's queue. It settles what only
// holds at that moment: the remaining expiry and the client's packet limit.
// mu is held and conn is not nil.
func (s *session) send(out *outgoing) bool {
	left, alive := out.m.left(now())
	if !alive {
		s.drop(&s.b.counters.droppedExpired)
		return false
	}
	p := publishHeader{out, left, s.conn.version}
	size := p.size()
	if size > s.conn.maxPacket {
		s.drop(&s.b.counters.droppedTooLarge)
		return false
	}
	if !s.conn.out.publish(&p, size) {
		s.drop(&s.b.counters.droppedQoS0)
		return false
	}
	s.b.counters.sent.Add(1)
	return true
}

// drop counts a message that this client won't get.
func (s *session) drop(reason *atomic.Uint64) {
	reason.Add(1)
	s.drops.Add(1)
}

// shift removes the first waiting message. mu is held.
func (s *session) shift() {
	s.bytes -= s.waiting[0].m.size()
	s.waiting[0] = outgoing{}
	s.waiting = s.waiting[1:]
	if len(s.waiting) == 0 {
		s.waiting = nil
	}
}

// nextID is a packet id that is not in use. There are at most Limits.Inflight
// of 65,535 in use. mu is held.
func (s *session) nextID() uint16 {
	for {
		s.lastID++
		if s.lastID != 0 && !s.ids[s.lastID] {
			return s.lastID
		}
	}
}

// acknowledged ends the delivery with that id. mu is held.
func (s *session) acknowledged(id uint16) bool {
	i := s.find(id)
	if i < 0 {
		return false
	}
	s.bytes -= s.inflight[i].m.size()
	if s.inflight[i].owed {
		s.owed--
	}
	delete(s.ids, id)
	if i == 0 {
		s.inflight[0] = outgoing{}
		s.inflight = s.inflight[1:]
	} else {
		s.inflight = slices.Delete(s.inflight, i, i+1)
	}
	if len(s.inflight) == 0 {
		s.inflight = nil
	}
	return true
}

func (s *session) find(id uint16) int {
	if !s.ids[id] {
		return -1
	}
	return slices.IndexFunc(s.inflight, func(out outgoing) bool { return out.id == id })
}

// crowded reports whether PublishWait has to wait for this client.
func (s *session) crowded() bool {
	if !s.online.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	limits := &s.b.cfg.Limits
	return len(s.waiting)+len(s.inflight) >= min(limits.Inflight, (limits.SessionMessages+1)/2) ||
		s.bytes > int(limits.SessionBytes)/2
}

// info is what status tells. The caller holds Broker.routing.
func (s *session) info() ClientInfo {
	identity := s.identity.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	info := ClientInfo{
		ID:            s.id,
		Identity:      identity.Name,
		Role:          identity.Role,
		Zone:          identity.Zone,
		Listener:      identity.Listener,
		Connected:     s.conn != nil,
		Protocol:      s.protocol,
		Remote:        s.remote,
		Since:         s.since,
		Subscriptions: len(s.subs),
		Inflight:      len(s.inflight),
		Queued:        len(s.waiting),
		QueueBytes:    s.bytes,
		Dropped:       s.drops.Load(),
	}
	if s.conn != nil {
		info.QueueBytes += s.conn.out.waiting()
	}
	return info
}
