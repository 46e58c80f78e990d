package edgebroker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/topic"
)

// valuePrefix begins the topics that are last known values whoever publishes
// to them.
const valuePrefix = "vss/"

// LastValue is the last known value of one topic. Setting it costs a copy of
// the payload when nobody listens; a new subscriber gets the value at once
// with RETAIN set. It can't be cleared and doesn't outlive the broker. Safe
// for concurrent use.
type LastValue struct {
	b     *Broker
	topic string

	// mu is taken with Broker.routing held and guards what follows.
	mu          sync.Mutex
	payload     []byte // own buffer; empty before the first value
	contentType string
	origin      Origin
	stored      uint64 // generation of the index when it was set
	generation  uint64 // of the index when receivers were found
	receivers   []delivery
}

// values are the last known values by topic.
type values struct {
	bytes  atomic.Int64 // of topics and payloads
	mu     sync.RWMutex
	topics map[string]*LastValue
}

func (v *values) init() { v.topics = make(map[string]*LastValue) }

func (v *values) len() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.topics)
}

func (v *values) get(name string) *LastValue {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.topics[name]
}

// LastValue is the last known value of a topic, the same for every call with
// that topic. A caller that sets it often keeps it. The topic must be a valid
// name; LastValue panics on any other, since topics come from checked
// configuration.
func (b *Broker) LastValue(name string) *LastValue {
	if lv := b.values.get(name); lv != nil {
		return lv
	}
	if !topic.ValidName(name) {
		panic(fmt.Sprintf("edgebroker: last value of %q: want a topic name", name))
	}
	b.values.mu.Lock()
	defer b.values.mu.Unlock()
	lv := b.values.topics[name]
	if lv == nil {
		name = strings.Clone(name)
		lv = &LastValue{b: b, topic: name}
		b.values.bytes.Add(int64(len(name) + messageOverhead))
		b.values.topics[name] = lv
	}
	return lv
}

// Set stores a value and sends it to those subscribed, at QoS 1 or what they
// asked for if that is less. The payload is copied; it may not be empty. Set
// does not block.
func (lv *LastValue) Set(payload []byte, contentType string) error {
	return lv.set(payload, contentType, Origin{})
}

func (lv *LastValue) set(payload []byte, contentType string, origin Origin) error {
	if len(payload) == 0 {
		lv.b.counters.valuesRefused.Add(1)
		return fmt.Errorf("topic %q: %w", lv.topic, ErrEmptyValue)
	}
	b := lv.b
	b.routing.RLock()
	lv.mu.Lock()
	had := cap(lv.payload)
	lv.payload = append(lv.payload[:0], payload...)
	if grown := cap(lv.payload) - had; grown > 0 {
		b.values.bytes.Add(int64(grown))
	}
	lv.stored = b.index.generation
	lv.contentType = contentType
	lv.origin = origin
	receivers := lv.match(origin.Client)
	var later []*local
	var m *Message
	if len(receivers) > 0 {
		m = lv.message()
		later = b.deliver(m, receivers, nil)
	}
	lv.mu.Unlock()
	b.routing.RUnlock()
	for _, l := range later {
		l.fn(*m)
	}
	return nil
}

// Forget makes the topic one that has no value: a new subscriber gets none until
// the next Set. It does not block.
func (lv *LastValue) Forget() {
	lv.b.routing.RLock()
	defer lv.b.routing.RUnlock()
	lv.mu.Lock()
	defer lv.mu.Unlock()
	lv.payload = lv.payload[:0] // its memory stays counted, for the next value
}

// match finds the receivers; for values of this process it does so only after
// a change of subscriptions.
func (lv *LastValue) match(origin string) []delivery {
	if origin != "" {
		return lv.b.index.match(lv.topic, origin, nil)
	}
	if lv.generation != lv.b.index.generation {
		clear(lv.receivers)
		lv.receivers = lv.b.index.match(lv.topic, "", lv.receivers[:0])
		lv.generation = lv.b.index.generation
	}
	return lv.receivers
}

// takeValue says whether a client's value may be set: while there is room, and
// if whoever knows its form takes it.
func (b *Broker) takeValue(m *Message) error {
	if err := b.admitValue(m); err != nil {
		b.counters.retainedRefused.Add(1)
		return err
	}
	if b.provide == nil {
		return nil
	}
	if err := b.provide(*m); err != nil {
		b.counters.valuesRefused.Add(1)
		return fmt.Errorf("topic %q: %w", m.Topic, err)
	}
	return nil
}

// admitValue keeps clients from making last values without end: they have the
// limits of retained messages. Values of this process count, and are never
// refused.
func (b *Broker) admitValue(m *Message) error {
	limits := &b.cfg.Limits
	lv, more := b.values.get(m.Topic), len(m.Payload)
	switch {
	case lv != nil:
		more -= lv.room()
	case b.values.len() >= limits.RetainedMessages:
		return fmt.Errorf("topic %q: %w: want at most %d last values", m.Topic, ErrRetainedFull, limits.RetainedMessages)
	default:
		more += len(m.Topic) + messageOverhead
	}
	if more > 0 && b.values.bytes.Load()+int64(more) > int64(limits.RetainedBytes) {
		return fmt.Errorf("topic %q: %w: want at most %d bytes of last values", m.Topic, ErrRetainedFull, limits.RetainedBytes)
	}
	return nil
}

// room is how long a payload may be without costing more memory.
func (lv *LastValue) room() int {
	lv.mu.Lock()
	defer lv.mu.Unlock()
	return cap(lv.payload)
}

func (lv *LastValue) message() *Message {
	return &Message{
		Topic:       lv.topic,
		Payload:     slices.Clone(lv.payload),
		QoS:         1,
		ContentType: lv.contentType,
		Origin:      lv.origin,
	}
}

// matching are the topics that a subscription to filter may get a value of.
func (v *values) matching(filter string) (list []*LastValue) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if !strings.ContainsAny(filter, "+#") {
		if lv := v.topics[filter]; lv != nil {
			list = append(list, lv)
		}
		return list
	}
	for name, lv := range v.topics {
		if topic.Match(filter, name) {
			list = append(list, lv)
		}
	}
	return list
}

// give calls fn with the value if there is one that was set before that
// generation of the index.
func (lv *LastValue) give(before uint64, fn func(*Message)) {
	lv.mu.Lock()
	defer lv.mu.Unlock()
	if len(lv.payload) > 0 && lv.stored < before {
		fn(lv.message())
	}
}
