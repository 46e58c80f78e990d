package edgebroker

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/listen"
)

// Stats are the broker's counters since the start and its state of now.
type Stats struct {
	Connections   int // open, CONNECT or not
	Clients       int // connected
	Sessions      int // connected or kept
	Subscriptions int
	Retained      int // messages
	RetainedBytes int
	Values        int            // last known values
	Listeners     []listen.Stats // in the order of the configuration

	ConnectionsAccepted  uint64
	ConnectionsRefused   uint64 // over a limit, by handshake or by CONNECT
	MessagesReceived     uint64 // PUBLISH of clients
	MessagesSent         uint64 // PUBLISH to clients
	BytesReceived        uint64
	BytesSent            uint64
	PublishesRefused     uint64 // not authorised
	SubscriptionsRefused uint64
	ValuesRefused        uint64 // payloads that are no last known value
	RetainedRefused      uint64 // retained store full
	DroppedQoS0          uint64 // queue of a connection full
	DroppedSession       uint64 // session full
	DroppedExpired       uint64
	DroppedTooLarge      uint64 // larger than the receiver takes
	DroppedRights        uint64 // the receiver's role allows it no more
	DroppedCorrupt       uint64 // can't be read from the store
	DroppedStore         uint64 // values that the store was too slow for
	DroppedEnded         uint64 // in the queue of a session that ended: its time was over, or its client began a new one
	DroppedPurged        uint64 // in the queue of a session that an operator ended
	Rejected             uint64 // publishes refused because they could not be stored or a queue that rejects was full
	Unreadable           uint64 // stored sessions, subscriptions and retained messages that can't be read
}

// ClientInfo is one session, connected or kept for an absent client.
type ClientInfo struct {
	ID            string    `json:"id"`
	Identity      string    `json:"identity"`
	Role          string    `json:"role"`
	Zone          string    `json:"zone,omitempty"`
	Listener      string    `json:"listener"`
	Connected     bool      `json:"connected"`
	Protocol      string    `json:"protocol"` // "3.1", "3.1.1", "5.0"
	Remote        string    `json:"remote,omitempty"`
	Since         time.Time `json:"since"` // of the connection, or of its end
	Subscriptions int       `json:"subscriptions"`
	Inflight      int       `json:"inflight"`    // sent and not acknowledged
	Queued        int       `json:"queued"`      // QoS 1 and 2 messages waiting in the session
	QueueBytes    int       `json:"queue_bytes"` // of those and of what waits for the socket
	Dropped       uint64    `json:"dropped"`     // messages lost by a full queue or session, or expired
	ExpirySeconds int64     `json:"expiry_s"`    // that the session is kept without a connection; for an absent client, what is left
}

// counters are the running part of Stats.
type counters struct {
	clients                                                           atomic.Int64
	received, sent, bytesReceived, bytesSent                          atomic.Uint64
	publishesRefused, subscriptionsRefused, valuesRefused             atomic.Uint64
	retainedRefused, droppedQoS0, droppedSession, droppedExpired      atomic.Uint64
	droppedRights, droppedCorrupt, droppedStore, rejected, unreadable atomic.Uint64
	droppedTooLarge, droppedEnded, droppedPurged                      atomic.Uint64
}

// Dropped is how many messages were lost on the way to a receiver, for whatever
// reason.
func (s *Stats) Dropped() (total uint64) {
	for _, n := range s.DroppedByReason() {
		total += n
	}
	return total
}

// DroppedByReason are the messages lost on the way to a receiver, by the reason's
// name in metrics.
func (s *Stats) DroppedByReason() map[string]uint64 {
	return map[string]uint64{
		"connection_full": s.DroppedQoS0,
		"session_full":    s.DroppedSession,
		"session_ended":   s.DroppedEnded,
		"purged":          s.DroppedPurged,
		"expired":         s.DroppedExpired,
		"too_large":       s.DroppedTooLarge,
		"rights":          s.DroppedRights,
		"corrupt":         s.DroppedCorrupt,
		"store_behind":    s.DroppedStore,
	}
}

// Stats is the state of now; safe for concurrent use.
func (b *Broker) Stats() Stats {
	c := &b.counters
	st := Stats{
		Connections:          b.listeners.Open(),
		Clients:              int(c.clients.Load()),
		Listeners:            b.listeners.Stats(),
		MessagesReceived:     c.received.Load(),
		MessagesSent:         c.sent.Load(),
		BytesReceived:        c.bytesReceived.Load(),
		BytesSent:            c.bytesSent.Load(),
		PublishesRefused:     c.publishesRefused.Load(),
		SubscriptionsRefused: c.subscriptionsRefused.Load(),
		ValuesRefused:        c.valuesRefused.Load(),
		RetainedRefused:      c.retainedRefused.Load(),
		DroppedQoS0:          c.droppedQoS0.Load(),
		DroppedSession:       c.droppedSession.Load(),
		DroppedExpired:       c.droppedExpired.Load(),
		DroppedTooLarge:      c.droppedTooLarge.Load(),
		DroppedRights:        c.droppedRights.Load(),
		DroppedCorrupt:       c.droppedCorrupt.Load(),
		DroppedStore:         c.droppedStore.Load(),
		DroppedEnded:         c.droppedEnded.Load(),
		DroppedPurged:        c.droppedPurged.Load(),
		Rejected:             c.rejected.Load(),
		Unreadable:           c.unreadable.Load(),
	}
	for _, l := range st.Listeners {
		st.ConnectionsAccepted += l.Accepted
		for _, n := range l.Refused {
			st.ConnectionsRefused += n
		}
	}
	st.Sessions = b.sessions.len()
	b.routing.RLock()
	defer b.routing.RUnlock()
	st.Subscriptions = b.index.count
	st.Retained, st.RetainedBytes = b.retained.Size()
	st.Values = b.values.len()
	return st
}

// Clients lists the sessions by client id; safe for concurrent use.
func (b *Broker) Clients() []ClientInfo {
	var list []ClientInfo
	for _, s := range b.sessions.all() {
		b.routing.RLock()
		list = append(list, s.info())
		b.routing.RUnlock()
	}
	slices.SortFunc(list, func(a, b ClientInfo) int { return strings.Compare(a.ID, b.ID) })
	return list
}
