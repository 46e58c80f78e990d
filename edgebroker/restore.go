package edgebroker

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/store"
	"github.com/fascia-edge/fascia/topic"
)

// restore takes up what the store has of an earlier process: sessions with
// their subscriptions, queues and QoS 2 ids, wills, retained messages. What
// can't be read is reported and left out.
func (b *Broker) restore() {
	turned := b.store.Begin()
	b.store.Range(sessionKeys, func(key string, value []byte) bool {
		b.restoreSession(key[len(sessionKeys):], value, turned)
		return true
	})
	turned.Commit(store.SyncAlways, nil) // before a message goes out
	b.store.Range(filterKeys, func(key string, value []byte) bool {
		b.restoreSubscription(key, value)
		return true
	})
	b.store.Range(receivedKeys, func(key string, value []byte) bool {
		client, id, ok := strings.Cut(key[len(receivedKeys):], "\x00")
		if s := b.sessions.byID[client]; s != nil && ok && len(id) == 2 && len(value) == 8 {
			if s.received == nil {
				s.received = make(map[uint16]receipt)
			}
			s.received[binary.BigEndian.Uint16([]byte(id))] = receipt{restored: true, digest: binary.BigEndian.Uint64(value)}
		}
		return true
	})
	b.store.Range(retainedKeys, func(key string, value []byte) bool {
		if p, err := b.readStored(value); err == nil {
			b.retained.restore(p)
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
	r, err := b.readRecord(client, value)
	if err != nil {
		b.unreadable(sessionKeys+client, err)
		return
	}
	s := newSession(b, &r.identity)
	s.routed = &r.identity
	s.kept, s.stays, s.expiry, s.will = true, r.stays, r.expiry, r.will
	s.absent, s.since = clock.Now(), time.Now()
	s.willAt = s.absent
	switch {
	case r.connected && s.will != nil:
		s.willAt += min(s.will.delay, s.expiry)
	case !r.connected:
		// Of another boot without trusted time nothing is known: it counts from now.
		if at, known := b.clock.Time(r.absent); known {
			s.since = s.since.Add(-time.Duration(s.absent - at))
			s.absent = at
		}
		if at, known := b.clock.Time(r.willAt); known {
			s.willAt = at
		} else if s.will != nil {
			s.willAt += s.will.delay
		}
	}
	if q := b.store.Queue(sessionQueues + client); q != nil {
		window := r.repeats // as far as the last connection had come
		if r.connected {
			window = q.Head() + idRoom // as far as it can have come
		}
		s.queue.open(q, window)
		s.queue.turns = r.turns
		if !b.clock.ThisBoot(r.absent) {
			s.queue.turnOn()
			s.write(tx, r.connected)
		}
	} else if s.stays {
		b.unreadable(sessionKeys+client, errStored)
		return
	}
	b.sessions.byID[client] = s
}

func (b *Broker) restoreSubscription(key string, value []byte) {
	client, filter, _ := strings.Cut(key[len(filterKeys):], "\x00")
	s := b.sessions.byID[client]
	if s == nil {
		return
	}
	sub, err := readSubscription(filter, value)
	if err != nil {
		b.unreadable(key, err)
		return
	}
	group, name, ok := topic.Shared(sub.filter)
	if !ok || !topic.ValidFilter(name) {
		b.unreadable(key, errStored)
		return
	}
	s.addSubscription(&request{subscription: sub, reason: 0}, group, name)
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
		client, isSession := strings.CutPrefix(name, sessionQueues)
		key, isShared := strings.CutPrefix(name, sharedQueues)
		if strings.HasPrefix(name, spilledQueues) || isSession && b.sessions.byID[client] == nil || isShared && !shared[key] {
			tx.DropQueue(q)
		}
		return true
	})
	tx.Commit(store.SyncNever, nil)
}
