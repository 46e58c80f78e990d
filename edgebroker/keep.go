package edgebroker

import (
	"encoding/binary"
	"strings"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/store"
)

// What the broker keeps in the store, by key or by the name of a queue. No client
// id and no filter holds a NUL [MQTT-1.5.4-2].
const (
	sessionKeys   = "session/"  // + client id
	filterKeys    = "filter/"   // + client id NUL filter
	receivedKeys  = "received/" // + client id NUL packet id: QoS 2 between PUBLISH and PUBREL
	retainedKeys  = "retained/" // + topic
	sessionQueues = "session/"  // + client id
	spilledQueues = "spilled/"  // + client id: of sessions that end with their connection
	sharedQueues  = "shared/"   // + $share/name/filter
	durableQueues = "receiver/" // + name
)

func filterKey(client, filter string) string { return filterKeys + client + "\x00" + filter }

func receivedKey(client string, id uint16) string {
	return string(binary.BigEndian.AppendUint16([]byte(receivedKeys+client+"\x00"), id))
}

// record is what a session is kept as.
type record struct {
	identity  auth.Identity
	stays     bool // it has a queue; without one it was kept for its will alone
	connected bool
	expiry    clock.Time
	absent    clock.Mark // since when, or of when the record is if connected
	repeats   uint64
	turns     []turn
	will      *will
	willAt    clock.Mark // unless connected
}

const recordVersion = 1

const (
	recordStays = 1 << iota
	recordConnected
	recordWill
)

func (b *Broker) appendRecord(buf []byte, r *record) []byte {
	flags := byte(0)
	for bit, set := range map[byte]bool{recordStays: r.stays, recordConnected: r.connected, recordWill: r.will != nil} {
		if set {
			flags |= bit
		}
	}
	buf = append(buf, recordVersion, flags)
	for _, text := range []string{r.identity.Name, r.identity.Role, r.identity.Zone, r.identity.Listener} {
		buf = appendText(buf, text)
	}
	buf = binary.AppendUvarint(buf, uint64(r.expiry))
	buf = r.absent.Append(buf)
	buf = binary.AppendUvarint(buf, r.repeats)
	buf = binary.AppendUvarint(buf, uint64(len(r.turns)))
	for _, t := range r.turns {
		buf = binary.AppendUvarint(binary.AppendUvarint(buf, t.from), t.by)
	}
	if r.will != nil {
		buf = binary.AppendUvarint(buf, uint64(r.will.delay))
		buf = binary.AppendUvarint(buf, uint64(r.will.expiry))
		buf = r.willAt.Append(buf)
		buf = b.appendStored(buf, &r.will.publication, true)
	}
	return buf
}

func (b *Broker) readRecord(client string, data []byte) (*record, error) {
	in := fields{rest: data}
	if in.byte() != recordVersion {
		return nil, errStored
	}
	flags := in.byte()
	r := &record{stays: flags&recordStays != 0, connected: flags&recordConnected != 0}
	r.identity.Client = client
	for _, text := range []*string{&r.identity.Name, &r.identity.Role, &r.identity.Zone, &r.identity.Listener} {
		*text = string(in.text())
	}
	r.expiry = clock.Time(in.number())
	r.absent = in.mark()
	r.repeats = in.number()
	for n := in.number(); n > 0 && !in.short; n-- {
		r.turns = append(r.turns, turn{in.number(), in.number()})
	}
	if flags&recordWill != 0 {
		w := &will{delay: clock.Time(in.number()), expiry: uint32(in.number())}
		r.willAt = in.mark()
		p, err := b.readStored(in.rest)
		if err != nil {
			return nil, err
		}
		w.publication, r.will = *p, w
	}
	if in.short {
		return nil, errStored
	}
	return r, nil
}

// record is the session of now. mu is held.
func (s *session) record(connected bool) *record {
	r := &record{
		identity:  *s.identity.Load(),
		stays:     s.stays,
		connected: connected,
		expiry:    s.expiry,
		will:      s.will,
		repeats:   max(s.queue.repeats, s.queue.next),
		turns:     s.queue.turns,
		absent:    s.b.clock.Mark(clock.Now()),
	}
	if !connected {
		r.absent, r.willAt = s.b.clock.Mark(s.absent), s.b.clock.Mark(s.willAt)
	}
	return r
}

// write puts the session of now into a change. mu is held.
func (s *session) write(tx *store.Tx, connected bool) {
	tx.Put(sessionKeys+s.id, s.b.appendRecord(nil, s.record(connected)))
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
		s.queue.stored = tx.CreateQueue(sessionQueues + s.id)
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
	tx.Delete(sessionKeys + s.id)
	for _, f := range filters {
		tx.Delete(filterKey(s.id, f))
	}
	for id := range s.received {
		tx.Delete(receivedKey(s.id, id))
	}
	if s.queue.stored != nil {
		tx.DropQueue(s.queue.stored)
	}
}

// How a subscription is kept: its options as MQTT has them (§3.8.3.1), its
// identifier.
func (sub *subscription) append(buf []byte) []byte {
	options := sub.qos | sub.retainHandling<<4
	if sub.noLocal {
		options |= 1 << 2
	}
	if sub.retainAsPublished {
		options |= 1 << 3
	}
	return binary.AppendUvarint(append(buf, options), uint64(sub.id))
}

func readSubscription(filter string, data []byte) (*subscription, error) {
	in := fields{rest: data}
	options := in.byte()
	sub := &subscription{
		filter:            strings.Clone(filter),
		qos:               options & 3,
		noLocal:           options&(1<<2) != 0,
		retainAsPublished: options&(1<<3) != 0,
		retainHandling:    options >> 4,
		id:                uint32(in.number()),
	}
	if in.short {
		return nil, errStored
	}
	return sub, nil
}
