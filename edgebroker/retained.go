package edgebroker

import (
	"fmt"
	"strings"
	"sync"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/store"
	"github.com/fascia-edge/fascia/topic"
)

// retained are the retained messages by topic, in memory; the store has them
// too. Publishers hold mu until a message is both kept and handed out, so that
// these are one step.
type retained struct {
	mu          sync.Mutex // taken with Broker.routing held or free
	messages    map[string]retainedMessage
	bytes       int
	maxMessages int
	maxBytes    int
}

type retainedMessage struct {
	*publication
	generation uint64 // of the index when it was kept
}

func (r *retained) init(limits Limits) {
	r.messages = make(map[string]retainedMessage)
	r.maxMessages, r.maxBytes = limits.RetainedMessages, int(limits.RetainedBytes)
}

// put keeps p for its topic; an empty payload clears it [MQTT-3.3.1-6]. mu is
// held.
func (r *retained) put(p *publication, generation uint64) error {
	old, had := r.messages[p.topic]
	if len(p.payload) == 0 {
		r.remove(old.publication)
		return nil
	}
	messages, bytes := len(r.messages)+1, r.bytes+p.size()
	if had {
		messages--
		bytes -= old.size()
	}
	if messages > r.maxMessages || bytes > r.maxBytes {
		return fmt.Errorf("topic %q: %w: want at most %d messages and %d bytes", p.topic, ErrRetainedFull, r.maxMessages, r.maxBytes)
	}
	r.messages[p.topic] = retainedMessage{p.keep(), generation}
	r.bytes = bytes
	return nil
}

// restore keeps what the store has, whatever the limits of now are.
func (r *retained) restore(p *publication) {
	r.messages[p.topic] = retainedMessage{p, 0}
	r.bytes += p.size()
}

func (r *retained) remove(p *publication) {
	if p != nil {
		delete(r.messages, p.topic)
		r.bytes -= p.size()
	}
}

// matching are the messages that a subscription to filter gets.
func (r *retained) matching(filter string) (list []*publication) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !strings.ContainsAny(filter, "+#") {
		if m, ok := r.messages[filter]; ok {
			list = append(list, m.publication)
		}
		return list
	}
	for name, m := range r.messages {
		if topic.Match(filter, name) {
			list = append(list, m.publication)
		}
	}
	return list
}

// give calls fn with p unless it was replaced or kept after that generation of
// the index.
func (r *retained) give(p *publication, before uint64, fn func(*publication)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.messages[p.topic]; m.publication == p && m.generation < before {
		fn(p)
	}
}

// expire removes what has outlived its expiry and gives their topics.
func (r *retained) expire(at clock.Time) (topics []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		if m.expires != 0 && at >= m.expires {
			r.remove(m.publication)
			topics = append(topics, m.topic)
		}
	}
	return topics
}

func (r *retained) size() (messages, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.messages), r.bytes
}

// expireRetained removes retained messages whose life is over, from the store
// too: unless a new one came meanwhile.
func (b *Broker) expireRetained(at clock.Time) {
	for _, name := range b.retained.expire(at) {
		b.retained.mu.Lock()
		if _, again := b.retained.messages[name]; !again {
			tx := b.store.Begin()
			tx.Delete(retainedKeys + name)
			tx.Commit(store.SyncNever, nil)
		}
		b.retained.mu.Unlock()
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
