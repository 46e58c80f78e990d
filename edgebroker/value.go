package edgebroker

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/names"
	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/topic"
)

// valuePrefix begins the topics that are last known values whoever publishes
// to them.
const valuePrefix = "vss/"

// isValue tells the topics that are last known values whoever publishes to them.
func isValue(name string) bool { return strings.HasPrefix(name, valuePrefix) }

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
	properties  []byte // the content type as it is sent
	origin      *Origin
	generation  uint64              // of the index when it was set
	route       *route              // of values of this process; nil before the first
	passing     message.Publication // on its way; borrowed
}

var nobody = &Origin{}

// values are the last known values by topic.
type values struct {
	bytes  atomic.Int64 // of topics and payloads
	mu     sync.RWMutex
	topics names.Map[*LastValue]
}

func (v *values) len() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.topics.Len()
}

func (v *values) get(name string) *LastValue {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.topics.Get(name)
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
	lv := b.values.topics.Get(name)
	if lv == nil {
		name = strings.Clone(name)
		lv = &LastValue{b: b, topic: name}
		b.values.bytes.Add(int64(len(name) + message.Overhead))
		b.values.topics.Put(name, lv)
	}
	return lv
}

// Set stores a value and sends it to those subscribed, at QoS 1 or what they
// asked for if that is less. The payload is copied; it may not be empty. Set
// does not block.
func (lv *LastValue) Set(payload []byte, contentType string) error {
	return lv.set(payload, contentType, nobody, nil)
}

// set is Set for any publisher; k is as in Broker.offer.
func (lv *LastValue) set(payload []byte, contentType string, origin *Origin, k *commitment) error {
	if len(payload) == 0 {
		lv.b.counters.valuesRefused.Add(1)
		return fmt.Errorf("topic %q: %w", lv.topic, ErrEmptyValue)
	}
	var later stream.Burst
	p, calls, err := lv.pass(payload, contentType, origin, k, &later)
	later.HandOver()
	for _, l := range calls {
		l.call(p.Message())
	}
	return err
}

// pass keeps the value and hands it to its receivers. Those in this process that
// are called come back, with the value to call them with.
func (lv *LastValue) pass(payload []byte, contentType string, origin *Origin, k *commitment, later *stream.Burst) (p *message.Publication, calls []*local, err error) {
	b := lv.b
	b.routing.RLock()
	defer b.routing.RUnlock()
	lv.mu.Lock()
	defer lv.mu.Unlock()
	r := lv.receivers(origin)
	if len(r.feeds) > 0 {
		p = lv.publication(payload, lv.propertiesOf(contentType), origin)
		if k, err = b.feed(p, r, k, origin != nobody); err != nil {
			return nil, nil, err
		}
	}
	lv.keep(payload, contentType)
	lv.generation = b.index.generation
	lv.origin = origin
	if len(r.receivers) > 0 {
		if k == nil {
			k = &commitment{b: b}
		}
		if p == nil {
			p = lv.publication(payload, lv.properties, origin)
		}
		calls = b.pass(p, r, k, later)
	}
	lv.commit(r, p, k)
	if len(calls) > 0 {
		p = p.Keep()
	}
	if p != nil {
		lv.passing = message.Publication{} // its payload is the caller's
	}
	return p, calls, nil
}

// keep takes the value over. mu is held.
func (lv *LastValue) keep(payload []byte, contentType string) {
	had := cap(lv.payload)
	lv.payload = append(lv.payload[:0], payload...)
	if grown := cap(lv.payload) - had; grown > 0 {
		lv.b.values.bytes.Add(int64(grown))
	}
	lv.contentType, lv.properties = contentType, lv.propertiesOf(contentType)
}

// propertiesOf are those that a value of that content type is sent with. mu is held.
func (lv *LastValue) propertiesOf(contentType string) []byte {
	if lv.contentType == contentType && lv.properties != nil {
		return lv.properties
	}
	props := wire.Properties{ContentType: contentType}
	return props.Append([]byte{})
}

// commit stores the value for those that have it from the store. A value that
// the store is too slow for is lost for them, and counted: a newer one comes.
func (lv *LastValue) commit(r *route, p *message.Publication, k *commitment) {
	if k == nil || len(k.targets) == 0 && k.tx == nil {
		return
	}
	if k.c == nil && k.tx == nil && lv.b.store.Busy() {
		for i := range k.targets {
			k.targets[i].settled(nil, errBusy, nil)
		}
		lv.b.counters.droppedStore.Add(uint64(len(k.targets)))
		return
	}
	k.message(p)
	k.commit(r.sync)
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

// receivers finds who gets the value; for values of this process it does so only
// after a change of subscriptions. mu is held.
func (lv *LastValue) receivers(origin *Origin) *route {
	if origin != nobody {
		r := lv.b.newRoute(lv.topic)
		lv.b.refresh(r, origin.Client, allowed)
		return r
	}
	if lv.route == nil {
		lv.route = lv.b.newRoute(lv.topic)
	}
	lv.b.refresh(lv.route, "", allowed)
	return lv.route
}

// publishValue is how a message on the topic of a last known value is published.
// k is as in offer.
func (b *Broker) publishValue(p *message.Publication, k *commitment) error {
	m := p.Message()
	if p.Origin.Client != "" {
		if err := b.takeValue(&m); err != nil {
			return err
		}
	}
	return b.LastValue(p.Topic).set(p.Payload, m.ContentType, p.Origin, k)
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
		more += len(m.Topic) + message.Overhead
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

// publication is a value that is good while mu is held. mu is held.
func (lv *LastValue) publication(payload, properties []byte, origin *Origin) *message.Publication {
	lv.passing = message.Publication{Topic: lv.topic, Properties: properties, Payload: payload, QoS: 1, Origin: origin, Borrowed: true}
	return &lv.passing
}

// matching is a step of the search for the topics that a subscription to filter
// may get a value of; see names.Map.Match.
func (v *values) matching(filter, from string, list []*LastValue) (found []*LastValue, next string, more bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if !strings.ContainsAny(filter, "+#") {
		if lv := v.topics.Get(filter); lv != nil {
			list = append(list, lv)
		}
		return list, "", false
	}
	return v.topics.Match(filter, from, names.Step, list)
}

// give calls fn with the value if there is one that was set before that
// generation of the index.
func (lv *LastValue) give(before uint64, fn func(*message.Publication)) {
	lv.mu.Lock()
	defer lv.mu.Unlock()
	if len(lv.payload) > 0 && lv.generation < before {
		fn(lv.publication(lv.payload, lv.properties, lv.origin))
	}
}
