package edgebroker

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/store"
	"github.com/fascia-edge/fascia/topic"
)

// restore takes up what the store has of an earlier process: sessions with
// their subscriptions, queues and QoS 2 ids, wills, retained messages. What
// can't be read is reported and left out.
func (b *Broker) restore() {
	turned := b.store.Begin()
	b.store.Range(record.SessionKeys, func(key string, value []byte) bool {
		b.restoreSession(key[len(record.SessionKeys):], value, turned)
		return true
	})
	turned.Commit(store.SyncAlways, nil) // before a message goes out
	b.store.Range(record.FilterKeys, func(key string, value []byte) bool {
		b.restoreSubscription(key, value)
		return true
	})
	b.store.Range(record.ReceivedKeys, func(key string, value []byte) bool {
		client, id, ok := strings.Cut(key[len(record.ReceivedKeys):], "\x00")
		if s := b.sessions.byID[client]; s != nil && ok && len(id) == 2 && len(value) == 8 {
			if s.received == nil {
				s.received = make(map[uint16]receipt)
			}
			s.received[binary.BigEndian.Uint16([]byte(id))] = receipt{restored: true, digest: binary.BigEndian.Uint64(value)}
		}
		return true
	})
	b.store.Range(record.RetainedKeys, func(key string, value []byte) bool {
		if p, err := record.ReadMessage(value, b.clock); err == nil {
			b.retained.Restore(p)
		} else {
			b.unreadable(key, err)
		}
		return true
	})
	b.dropOrphans()
}

func (b *Broker) unreadable(key string, err error) {
	b.counters.unreadable.Add(1)
	b.log.Error("stored state can't be read and is left out", "key", key, "error", err)
}

func (b *Broker) restoreSession(client string, value []byte, tx *store.Tx) {
	r, err := record.ReadSession(client, value, b.clock)
	if err != nil {
		b.unreadable(record.SessionKeys+client, err)
		return
	}
	s := newSession(b, &r.Identity)
	s.routed = &r.Identity
	s.kept, s.stays, s.expiry, s.will = true, r.Stays, r.Expiry, r.Will
	s.absent, s.since = clock.Now(), time.Now()
	s.willAt = s.absent
	switch {
	case r.Connected && s.will != nil:
		s.willAt += min(s.will.Delay, s.expiry)
	case !r.Connected:
		// Of another boot without trusted time nothing is known: it counts from now.
		if at, known := b.clock.Time(r.Absent); known {
			s.since = s.since.Add(-time.Duration(s.absent - at))
			s.absent = at
		}
		if at, known := b.clock.Time(r.WillAt); known {
			s.willAt = at
		} else if s.will != nil {
			s.willAt += s.will.Delay
		}
	}
	if q := b.store.Queue(record.SessionQueues + client); q != nil {
		window := r.Repeats // as far as the last connection had come
		if r.Connected {
			window = q.Head() + idRoom // as far as it can have come
		}
		s.queue.open(q, window)
		s.queue.turns = r.Turns
		if !b.clock.ThisBoot(r.Absent) {
			s.queue.turnOn()
			s.write(tx, r.Connected)
		}
	} else if s.stays {
		b.unreadable(record.SessionKeys+client, record.ErrForm)
		return
	}
	b.sessions.byID[client] = s
}

func (b *Broker) restoreSubscription(key string, value []byte) {
	client, filter, _ := strings.Cut(key[len(record.FilterKeys):], "\x00")
	s := b.sessions.byID[client]
	if s == nil {
		return
	}
	sub, err := record.ReadSubscription(filter, value)
	if err != nil {
		b.unreadable(key, err)
		return
	}
	group, name, ok := topic.Shared(sub.Filter)
	if !ok || !topic.ValidFilter(name) {
		b.unreadable(key, record.ErrForm)
		return
	}
	s.addSubscription(&request{subscription: &subscription{Subscription: sub}, reason: 0}, group, name)
}

// dropOrphans removes queues whose session or group is gone: those of clients
// that were slow when the process died.
func (b *Broker) dropOrphans() {
	tx := b.store.Begin()
	shared := make(map[string]bool)
	for _, s := range b.sessions.byID {
		for _, g := range s.groups() {
			shared[g.key] = true
		}
	}
	b.store.Queues(func(name string, q *store.Queue) bool {
		client, isSession := strings.CutPrefix(name, record.SessionQueues)
		key, isShared := strings.CutPrefix(name, record.SharedQueues)
		if strings.HasPrefix(name, record.SpilledQueues) || isSession && b.sessions.byID[client] == nil || isShared && !shared[key] {
			tx.DropQueue(q)
		}
		return true
	})
	tx.Commit(store.SyncNever, nil)
}
