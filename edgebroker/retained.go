package edgebroker

import (
	"fmt"
	"strings"
	"sync"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/names"
	"github.com/fascia-edge/fascia/store"
)

const (
	// searchStep is how many names are looked at with one hold of the lock that
	// their publishers wait for: some 13 µs at most.
	searchStep = 64
	// expiryLooks is how many retained messages are looked at a second for whether
	// they have outlived their expiry. Nobody gets one that has; what comes late is
	// only that it makes room.
	expiryLooks = 1 << 16
)

// retained are the retained messages by topic, in memory; the store has them
// too. Publishers hold mu until a message is both kept and handed out, so that
// these are one step.
type retained struct {
	mu          sync.Mutex // taken with Broker.routing held or free
	messages    names.Map[retainedMessage]
	bytes       int
	expiring    int    // messages that have an expiry
	expired     string // where the look for expired messages goes on
	maxMessages int
	maxBytes    int
}

type retainedMessage struct {
	*publication
	generation uint64 // of the index when it was kept
}

func (r *retained) init(limits Limits) {
	r.maxMessages, r.maxBytes = limits.RetainedMessages, int(limits.RetainedBytes)
}

// put keeps p for its topic; an empty payload clears it [MQTT-3.3.1-6]. mu is
// held.
func (r *retained) put(p *publication, generation uint64) error {
	old := r.messages.Get(p.topic).publication
	if len(p.payload) == 0 {
		r.remove(old)
		return nil
	}
	messages, bytes := r.messages.Len()+1, r.bytes+p.size()
	if old != nil {
		messages--
		bytes -= old.size()
	}
	if messages > r.maxMessages || bytes > r.maxBytes {
		return fmt.Errorf("topic %q: %w: want at most %d messages and %d bytes", p.topic, ErrRetainedFull, r.maxMessages, r.maxBytes)
	}
	r.count(old, -1)
	r.add(p.keep(), generation)
	return nil
}

// restore keeps what the store has, whatever the limits of now are.
func (r *retained) restore(p *publication) { r.add(p, 0) }

func (r *retained) add(p *publication, generation uint64) {
	r.messages.Put(p.topic, retainedMessage{p, generation})
	r.count(p, 1)
}

func (r *retained) remove(p *publication) {
	if p != nil {
		r.messages.Delete(p.topic)
		r.count(p, -1)
	}
}

// count counts what p takes, if there is a p.
func (r *retained) count(p *publication, sign int) {
	if p == nil {
		return
	}
	r.bytes += sign * p.size()
	if p.expires != 0 {
		r.expiring += sign
	}
}

// matching is a step of the search for the messages that a subscription to filter
// gets; see names.Map.Match.
func (r *retained) matching(filter, from string, list []retainedMessage) (found []retainedMessage, next string, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !strings.ContainsAny(filter, "+#") {
		if m := r.messages.Get(filter); m.publication != nil {
			list = append(list, m)
		}
		return list, "", false
	}
	return r.messages.Match(filter, from, searchStep, list)
}

// give calls fn with p unless it was replaced or kept after that generation of
// the index.
func (r *retained) give(p *publication, before uint64, fn func(*publication)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.messages.Get(p.topic); m.publication == p && m.generation < before {
		fn(p)
	}
}

// expire is a step of the removal of what has outlived its expiry, and gives their
// topics. more is false when all were looked at.
func (r *retained) expire(at clock.Time) (topics []string, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.expiring == 0 {
		return nil, false
	}
	list, next, more := r.messages.After(r.expired, searchStep, nil)
	r.expired = next
	for _, m := range list {
		if m.expires != 0 && at >= m.expires {
			r.remove(m.publication)
			topics = append(topics, m.topic)
		}
	}
	return topics, more
}

func (r *retained) size() (messages, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages.Len(), r.bytes
}

// expireRetained removes retained messages whose life is over, from the store too.
func (b *Broker) expireRetained(at clock.Time) {
	for range expiryLooks / searchStep {
		topics, more := b.retained.expire(at)
		for _, name := range topics {
			b.forgetRetained(name)
		}
		if !more {
			return
		}
	}
}

// forgetRetained removes the message from the store unless a new one came
// meanwhile.
func (b *Broker) forgetRetained(name string) {
	b.retained.mu.Lock()
	defer b.retained.mu.Unlock()
	if b.retained.messages.Get(name).publication == nil {
		tx := b.store.Begin()
		tx.Delete(retainedKeys + name)
		tx.Commit(store.SyncNever, nil)
	}
}

// retain keeps p and puts that into the change. The caller holds retained.mu and
// Broker.routing.
func (b *Broker) retain(p *publication, k *commitment) error {
	if err := b.retained.put(p, b.index.generation); err != nil {
		b.counters.retainedRefused.Add(1)
		return err
	}
	if len(p.payload) == 0 {
		k.change().Delete(retainedKeys + p.topic)
	} else {
		k.change().Put(retainedKeys+p.topic, b.appendStored(nil, p, true))
	}
	return nil
}
