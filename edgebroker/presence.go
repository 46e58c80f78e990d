package edgebroker

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

// PresenceKind is what a presence event tells of.
type PresenceKind string

// The kinds of presence events.
const (
	Connected    PresenceKind = "connected"
	Disconnected PresenceKind = "disconnected"
	Subscribed   PresenceKind = "subscribed"
	Unsubscribed PresenceKind = "unsubscribed"
)

// presenceTopics are what the topics of a kind's events begin with; the client
// id follows.
var presenceTopics = map[PresenceKind]string{
	Connected:    eventsPrefix + "presence/connected/",
	Disconnected: eventsPrefix + "presence/disconnected/",
	Subscribed:   eventsPrefix + "subscriptions/subscribed/",
	Unsubscribed: eventsPrefix + "subscriptions/unsubscribed/",
}

// eventsPrefix begins the topics of what the broker tells of its clients, as in
// AWS IoT ("Lifecycle events" in its developer guide).
const eventsPrefix = "$aws/events/"

// PresenceEvent tells that a client came, went, or changed its subscriptions.
type PresenceEvent struct {
	Kind    PresenceKind
	At      time.Time // by the wall clock, which may be wrong: Version gives the order
	Origin  Origin    // the client
	Address string    // its IP address; "" for a Unix socket
	Session string    // UUID of the connection
	// Version is one number for all events of a connection. That of a later
	// connection is higher, whichever client it is of, after a restart too.
	Version uint64
	Reason  DisconnectReason // of Disconnected
	Topics  []string         // of Subscribed and Unsubscribed: the filters, as the client wrote them
}

// OnPresence calls fn with every presence event from now on, those of client ids
// that no topic can hold among them. The events of one client come in order, those
// of several may come at the same time. fn runs on the connection's goroutine, so
// it must not block; it may publish. An event that is under way when cancel is
// called may still come after it.
func (b *Broker) OnPresence(fn func(PresenceEvent)) (cancel func()) {
	l := &presenceListener{fn}
	b.presence.change(func(list []*presenceListener) []*presenceListener { return append(list, l) })
	return sync.OnceFunc(func() {
		b.presence.change(func(list []*presenceListener) []*presenceListener {
			return slices.DeleteFunc(list, func(other *presenceListener) bool { return other == l })
		})
	})
}

// presence is what the broker has for telling of its clients.
type presence struct {
	versions atomic.Uint64 // the last one that was given
	mu       sync.Mutex    // held to change listeners
	list     atomic.Pointer[[]*presenceListener]
}

type presenceListener struct{ fn func(PresenceEvent) }

func (p *presence) listeners() []*presenceListener {
	if list := p.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (p *presence) change(fn func([]*presenceListener) []*presenceListener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := fn(slices.Clone(p.listeners()))
	p.list.Store(&list)
}

// attendance is what the events of one connection have in common.
type attendance struct {
	id      [16]byte
	version uint64
	told    bool // the store knows that somebody has it in the store that the client came
}

// arrive tells that the client is connected.
func (c *conn) arrive() {
	a := &c.attendance
	_, _ = rand.Read(a.id[:])                               // never fails
	a.id[6], a.id[8] = a.id[6]&0x0F|0x40, a.id[8]&0x3F|0x80 // a version 4 UUID (RFC 9562 §5.4)
	a.version = c.b.presence.versions.Add(1)
	c.announce(PresenceEvent{Kind: Connected})
}

// announceSubscribed tells of the filters that were not refused.
func (c *conn) announceSubscribed(wanted []request) {
	var filters []string
	for i := range wanted {
		if r := &wanted[i]; !r.reason.Failed() {
			filters = append(filters, r.filter)
		}
	}
	if len(filters) > 0 {
		c.announce(PresenceEvent{Kind: Subscribed, Topics: filters})
	}
}

// announceUnsubscribed tells of the filters that the session had.
func (c *conn) announceUnsubscribed(filters []string, reasons []wire.Reason) {
	var had []string
	for i, reason := range reasons {
		if reason == wire.Success {
			had = append(had, strings.Clone(filters[i])) // a part of the packet
		}
	}
	if len(had) > 0 {
		c.announce(PresenceEvent{Kind: Unsubscribed, Topics: had})
	}
}

// announce tells of an event of this connection.
func (c *conn) announce(e PresenceEvent) {
	e.At, e.Origin, e.Version = time.Now(), *c.origin, c.attendance.version
	listeners := c.b.presence.listeners()
	name, heard, stores := c.b.heard(e.Kind, e.Origin.Client)
	if len(listeners) == 0 && !heard && !c.attendance.told {
		return
	}
	id := &c.attendance.id
	e.Session = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	if host, _, err := net.SplitHostPort(c.socket.Remote()); err == nil {
		e.Address = host
	}
	for _, l := range listeners {
		l.fn(e)
	}
	k := &commitment{b: c.b}
	payload := e.payload()
	switch {
	case e.Kind == Connected && stores:
		c.attendance.told = true
		k.change().Put(presenceKeys+e.Origin.Client, payload)
	case e.Kind == Disconnected && c.attendance.told:
		k.change().Delete(presenceKeys + e.Origin.Client)
	}
	c.b.sendPresence(name, payload, heard, k)
}

// heard reports whether an event would reach anybody, and whether anybody would
// have it from the store. name is "" if it can't have a topic.
func (b *Broker) heard(kind PresenceKind, client string) (name string, heard, stores bool) {
	if strings.ContainsAny(client, "+#/") {
		return "", false, false
	}
	name = presenceTopics[kind] + client
	b.routing.RLock()
	defer b.routing.RUnlock()
	list := deliveries.Get().(*[]delivery)
	*list = b.index.match(name, "", (*list)[:0])
	for _, d := range *list {
		heard = true
		switch {
		case d.local != nil:
			stores = stores || d.local.durable != nil
		case d.session != nil:
			stores = stores || d.qos > 0 && d.session.inStore()
		default:
			stores = true // a shared group: its members may be absent
		}
	}
	clear(*list)
	deliveries.Put(list)
	return name, heard, stores
}

// sendPresence sends an event, and commits what k has to change with it. An event
// that can't be stored now is lost, and its change with it: of a connection whose
// end nobody was told, the next start tells.
func (b *Broker) sendPresence(name string, payload []byte, heard bool, k *commitment) {
	if !heard {
		if k.tx != nil {
			k.commit(b.sync)
		}
		return
	}
	p := &publication{topic: name, payload: payload, qos: 1, origin: nobody}
	if err := b.send(p, k); err != nil {
		k.discard()
		b.noise.warn(b.log, "presence event lost", "error", err)
	}
}

// How the store knows of connections: their number of starts, which gives the
// upper half of their versions, and by client the event that it came, if that
// went into somebody's stored queue.
const (
	startsKey    = "starts"
	presenceKeys = "presence/" // + client id
	startShift   = 32          // 2^21 starts fit into the 53 bits of a JavaScript number
)

// openPresence begins the versions of this process above those of the one before.
// The number is synced, whatever the policy: a power cut must not bring it back.
func (b *Broker) openPresence() {
	in := fields{rest: b.store.Get(startsKey)}
	starts := in.number() + 1
	b.presence.versions.Store(starts << startShift)
	tx := b.store.Begin()
	tx.Put(startsKey, binary.AppendUvarint(nil, starts))
	tx.Commit(store.SyncAlways, nil)
}

// mournClients tells of those whose connection died with an earlier process. Who
// has it in a stored queue that a client came hears that it went: a view of the
// fleet would otherwise show it as connected for ever. The reason is that the
// server failed, since nothing is known of the client.
func (b *Broker) mournClients() {
	lost := make(map[string][]byte)
	b.store.Range(presenceKeys, func(key string, value []byte) bool {
		lost[key[len(presenceKeys):]] = slices.Clone(value)
		return true
	})
	for client, came := range lost {
		k := &commitment{b: b}
		k.change().Delete(presenceKeys + client)
		name, heard, _ := b.heard(Disconnected, client)
		var form presenceForm
		if err := json.Unmarshal(came, &form); err != nil {
			b.unreadable(presenceKeys+client, err)
			heard = false
		}
		form.Kind, form.Timestamp = Disconnected, time.Now().UnixMilli()
		form.Reason, form.ClientInitiated = ServerError, new(bool)
		b.sendPresence(name, form.encode(), heard, k)
	}
}

// presenceForm is an event as AWS writes it.
type presenceForm struct {
	Client          string           `json:"clientId"`
	Timestamp       int64            `json:"timestamp"` // Unix time in ms
	Kind            PresenceKind     `json:"eventType"`
	ClientInitiated *bool            `json:"clientInitiatedDisconnect,omitempty"`
	Reason          DisconnectReason `json:"disconnectReason,omitempty"`
	Session         string           `json:"sessionIdentifier"`
	Principal       string           `json:"principalIdentifier"`
	Address         string           `json:"ipAddress,omitempty"`
	Version         uint64           `json:"versionNumber,omitzero"`
	Topics          []string         `json:"topics,omitempty"`
}

func (e *PresenceEvent) payload() []byte {
	form := presenceForm{
		Client:    e.Origin.Client,
		Timestamp: e.At.UnixMilli(),
		Kind:      e.Kind,
		Session:   e.Session,
		Principal: e.Origin.Identity,
		Topics:    e.Topics,
	}
	switch e.Kind {
	case Disconnected:
		initiated := e.Reason == ClientInitiated
		form.ClientInitiated, form.Reason = &initiated, e.Reason
		fallthrough
	case Connected:
		form.Address, form.Version = e.Address, e.Version
	}
	return form.encode()
}

func (f *presenceForm) encode() []byte {
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // strings, numbers and booleans always have a form
	}
	return text
}
