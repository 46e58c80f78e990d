package edgebroker

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/presence"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

// OnPresence calls fn with every presence event from now on, those of client ids
// that no topic can hold among them. The events of one client come in order, those
// of several may come at the same time. fn runs on the connection's goroutine, so
// it must not block; it may publish. An event that is under way when cancel is
// called may still come after it.
func (b *Broker) OnPresence(fn func(presence.Event)) (cancel func()) {
	return b.presence.listeners.Add(fn)
}

// attendances is what the broker has for telling of its clients.
type attendances struct {
	versions  atomic.Uint64 // the last one that was given
	listeners presence.Listeners
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
	c.announce(presence.Event{Kind: presence.Connected})
}

// announceSubscribed tells of the filters that were not refused.
func (c *conn) announceSubscribed(wanted []request) {
	var filters []string
	for i := range wanted {
		if r := &wanted[i]; !r.reason.Failed() {
			filters = append(filters, r.Filter)
		}
	}
	if len(filters) > 0 {
		c.announce(presence.Event{Kind: presence.Subscribed, Topics: filters})
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
		c.announce(presence.Event{Kind: presence.Unsubscribed, Topics: had})
	}
}

// announce tells of an event of this connection.
func (c *conn) announce(e presence.Event) {
	e.At, e.Origin, e.Version = time.Now(), *c.origin, c.attendance.version
	name, heard, stores := c.b.heard(e.Kind, e.Origin.Client)
	if !c.b.presence.listeners.Any() && !heard && !c.attendance.told {
		return
	}
	id := &c.attendance.id
	e.Session = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	if host, _, err := net.SplitHostPort(c.socket.Remote()); err == nil {
		e.Address = host
	}
	c.b.presence.listeners.Tell(e)
	k := &commitment{b: c.b}
	payload := e.Payload()
	switch {
	case e.Kind == presence.Connected && stores:
		c.attendance.told = true
		k.change().Put(record.PresenceKeys+e.Origin.Client, payload)
	case e.Kind == presence.Disconnected && c.attendance.told:
		k.change().Delete(record.PresenceKeys + e.Origin.Client)
	}
	c.b.sendPresence(name, payload, heard, k)
}

// disconnectReason is why c ended; err is what its reader ended with.
func (c *conn) disconnectReason(err error) presence.Reason {
	var bad *wire.Broken
	switch {
	case err == nil, errors.Is(err, errWithWill):
		return presence.ClientInitiated
	case errors.As(err, &bad):
		return presence.ReasonOf(bad.Reason)
	case c.ended.Load() != 0:
		return presence.ReasonOf(wire.Reason(c.ended.Load() - 1))
	case c.silent(err):
		return presence.KeepAliveTimeout
	case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived):
		return presence.ClientInitiated
	case errors.Is(err, store.ErrClosed):
		return presence.ServerError
	}
	return presence.ConnectionLost
}

// heard reports whether an event would reach anybody, and whether anybody would
// have it from the store. name is "" if it can't have a topic.
func (b *Broker) heard(kind presence.Kind, client string) (name string, heard, stores bool) {
	if name = presence.Topic(kind, client); name == "" {
		return "", false, false
	}
	b.routing.RLock()
	defer b.routing.RUnlock()
	list := deliveries.Get().(*[]delivery)
	*list = b.index.match(name, "", (*list)[:0])
	for _, d := range *list {
		heard = true
		switch {
		case d.local != nil:
			stores = stores || d.local.feed != nil
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
	p := &message.Publication{Topic: name, Payload: payload, QoS: 1, Origin: nobody}
	if err := b.send(p, k); err != nil {
		k.discard()
		b.noise.warn(b.log, "presence event lost", "error", err)
	}
}

// startShift is how far the number of a start is above those of its connections:
// 2^21 starts fit into the 53 bits of a JavaScript number.
const startShift = 32

// openPresence begins the versions of this process above those of the one before.
// The number is synced, whatever the policy: a power cut must not bring it back.
func (b *Broker) openPresence() {
	starts, _ := binary.Uvarint(b.store.Get(record.StartsKey))
	starts++
	b.presence.versions.Store(starts << startShift)
	tx := b.store.Begin()
	tx.Put(record.StartsKey, binary.AppendUvarint(nil, starts))
	tx.Commit(store.SyncAlways, nil)
}

// mournClients tells of those whose connection died with an earlier process. Who
// has it in a stored queue that a client came hears that it went: a view of the
// fleet would otherwise show it as connected for ever. The reason is that the
// server failed, since nothing is known of the client.
func (b *Broker) mournClients() {
	lost := make(map[string][]byte)
	b.store.Range(record.PresenceKeys, func(key string, value []byte) bool {
		lost[key[len(record.PresenceKeys):]] = slices.Clone(value)
		return true
	})
	for client, came := range lost {
		k := &commitment{b: b}
		k.change().Delete(record.PresenceKeys + client)
		name, heard, _ := b.heard(presence.Disconnected, client)
		payload, err := presence.Lost(came, time.Now())
		if err != nil {
			b.unreadable(record.PresenceKeys+client, err)
			heard = false
		}
		b.sendPresence(name, payload, heard, k)
	}
}
