package edgebroker

import (
	"fmt"
	"strings"
	"sync"

	"github.com/fascia-edge/fascia/topic"
)

// retained are the retained messages by topic, in memory. Publishers hold mu
// until a message is both stored and handed out, so that these are one step.
type retained struct {
	mu          sync.Mutex // taken with Broker.routing held or free
	messages    map[string]*Message
	bytes       int
	maxMessages int
	maxBytes    int
}

func (r *retained) init(limits Limits) {
	r.messages = make(map[string]*Message)
	r.maxMessages, r.maxBytes = limits.RetainedMessages, int(limits.RetainedBytes)
}

// store keeps m for its topic; an empty payload clears it [MQTT-3.3.1-6]. mu is
// held.
func (r *retained) store(m *Message) error {
	old := r.messages[m.Topic]
	if len(m.Payload) == 0 {
		r.remove(old)
		return nil
	}
	messages, bytes := len(r.messages)+1, r.bytes+m.size()
	if old != nil {
		messages--
		bytes -= old.size()
	}
	if messages > r.maxMessages || bytes > r.maxBytes {
		return fmt.Errorf("topic %q: %w: want at most %d messages and %d bytes", m.Topic, ErrRetainedFull, r.maxMessages, r.maxBytes)
	}
	r.messages[m.Topic] = m
	r.bytes = bytes
	return nil
}

func (r *retained) remove(m *Message) {
	if m != nil {
		delete(r.messages, m.Topic)
		r.bytes -= m.size()
	}
}

// matching are the messages that a subscription to filter gets.
func (r *retained) matching(filter string) (list []*Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !strings.ContainsAny(filter, "+#") {
		if m := r.messages[filter]; m != nil {
			list = append(list, m)
		}
		return list
	}
	for name, m := range r.messages {
		if topic.Match(filter, name) {
			list = append(list, m)
		}
	}
	return list
}

// give calls fn with m unless it was replaced or stored after that generation
// of the index.
func (r *retained) give(m *Message, before uint64, fn func(*Message)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.messages[m.Topic] == m && m.stored < before {
		fn(m)
	}
}

// expire removes what has outlived its expiry.
func (r *retained) expire(at clock) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		if _, alive := m.left(at); !alive {
			r.remove(m)
		}
	}
}

func (r *retained) size() (messages, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.messages), r.bytes
}
