// Package retained keeps retained messages in memory, in the order of their topics.
package retained

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/names"
)

// ErrFull says that there is no room for another message.
var ErrFull = errors.New("retained messages are full")

// Set are the retained messages by topic, in memory; the store has them too.
// Publishers lock it until a message is both kept and handed out, so that these are
// one step. It is safe for concurrent use.
type Set struct {
	mu          sync.Mutex // guards what follows
	messages    names.Map[Kept]
	bytes       int
	expiring    int    // messages that have an expiry
	expired     string // where the look for expired messages goes on
	maxMessages int
	maxBytes    int
}

// Kept is a message of a Set.
type Kept struct {
	*message.Publication
	generation uint64 // of the index when it was kept
}

// NewSet makes an empty set for so many messages and so many bytes of them, each
// counted as message.Publication.Size.
func NewSet(messages, bytes int) *Set {
	return &Set{maxMessages: messages, maxBytes: bytes}
}

// Lock holds the set, so that keeping a message and handing it out are one step.
func (r *Set) Lock() { r.mu.Lock() }

// Unlock ends what Lock began.
func (r *Set) Unlock() { r.mu.Unlock() }

// Has reports whether a topic has a message. The set is locked by the caller.
func (r *Set) Has(name string) bool { return r.messages.Get(name).Publication != nil }

// Put keeps p for its topic; an empty payload clears it [MQTT-3.3.1-6]. generation is
// that of the index now. The set is locked by the caller. The error wraps ErrFull.
func (r *Set) Put(p *message.Publication, generation uint64) error {
	old := r.messages.Get(p.Topic).Publication
	if len(p.Payload) == 0 {
		r.remove(old)
		return nil
	}
	messages, bytes := r.messages.Len()+1, r.bytes+p.Size()
	if old != nil {
		messages--
		bytes -= old.Size()
	}
	if messages > r.maxMessages || bytes > r.maxBytes {
		return fmt.Errorf("topic %q: %w: want at most %d messages and %d bytes", p.Topic, ErrFull, r.maxMessages, r.maxBytes)
	}
	r.count(old, -1)
	r.add(p.Keep(), generation)
	return nil
}

// Restore keeps what the store has, whatever the limits of now are. It is called
// before anything else.
func (r *Set) Restore(p *message.Publication) { r.add(p, 0) }

func (r *Set) add(p *message.Publication, generation uint64) {
	r.messages.Put(p.Topic, Kept{p, generation})
	r.count(p, 1)
}

func (r *Set) remove(p *message.Publication) {
	if p != nil {
		r.messages.Delete(p.Topic)
		r.count(p, -1)
	}
}

// count counts what p takes, if there is a p.
func (r *Set) count(p *message.Publication, sign int) {
	if p == nil {
		return
	}
	r.bytes += sign * p.Size()
	if p.Expires != 0 {
		r.expiring += sign
	}
}

// Matching is a step of the search for the messages that a subscription to filter
// gets; see names.Map.Match.
func (r *Set) Matching(filter, from string, list []Kept) (found []Kept, next string, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !strings.ContainsAny(filter, "+#") {
		if m := r.messages.Get(filter); m.Publication != nil {
			list = append(list, m)
		}
		return list, "", false
	}
	return r.messages.Match(filter, from, names.Step, list)
}

// Give calls fn with p unless it was replaced or kept after that generation of the
// index. The set is locked while fn runs.
func (r *Set) Give(p *message.Publication, before uint64, fn func(*message.Publication)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.messages.Get(p.Topic); m.Publication == p && m.generation < before {
		fn(p)
	}
}

// Expire is a step of the removal of what has outlived its expiry, and gives the
// topics. more is false when all were looked at.
func (r *Set) Expire(at clock.Time) (topics []string, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.expiring == 0 {
		return nil, false
	}
	list, next, more := r.messages.After(r.expired, names.Step, nil)
	r.expired = next
	for _, m := range list {
		if m.Expires != 0 && at >= m.Expires {
			r.remove(m.Publication)
			topics = append(topics, m.Topic)
		}
	}
	return topics, more
}

// Size is how many messages there are, and what they take in bytes.
func (r *Set) Size() (messages, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages.Len(), r.bytes
}
