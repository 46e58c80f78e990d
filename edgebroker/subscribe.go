package edgebroker

import (
	"fmt"
	"sync"

	"github.com/fascia-edge/fascia/topic"
)

// local is a receiver in this process.
type local struct {
	filter  string
	fn      func(Message)
	durable *durable // in place of fn
}

// Subscribe calls fn with every message that filter matches, beginning with
// the retained ones and last known values of now (Retain set), which come
// before Subscribe returns. fn runs on the publisher's goroutine, so it must
// not block; it may publish. Messages of one publisher come in order, those of
// several may come at the same time. A message that is under way when cancel
// is called may still come after it. The error wraps ErrFilter.
func (b *Broker) Subscribe(filter string, fn func(Message)) (cancel func(), err error) {
	l := &local{filter: filter, fn: fn}
	snapshot, err := b.addLocal(l)
	if err != nil {
		return nil, err
	}
	for _, m := range snapshot {
		fn(m)
	}
	return sync.OnceFunc(func() { b.removeLocal(l) }), nil
}

// addLocal puts l into the index and gives what it has to know first; a
// durable receiver has it in its queue already.
func (b *Broker) addLocal(l *local) (snapshot []Message, err error) {
	if !topic.ValidFilter(l.filter) || topic.Levels(l.filter) > b.cfg.Limits.TopicLevels {
		return nil, fmt.Errorf("subscribe to %.100q: %w: want at most %d levels, `+` and `#` filling one", l.filter, ErrFilter, b.cfg.Limits.TopicLevels)
	}
	b.routing.Lock()
	defer b.routing.Unlock()
	b.index.addLocal(l)
	b.giveStored(l.filter, b.index.generation, func(int) {}, func(p *publication) {
		stored := *p.keep()
		stored.retain = true
		if l.durable != nil {
			l.durable.give(&stored)
		} else {
			snapshot = append(snapshot, stored.message())
		}
	})
	return snapshot, nil
}

func (b *Broker) removeLocal(l *local) {
	b.routing.Lock()
	defer b.routing.Unlock()
	b.index.removeLocal(l)
}

// giveStored calls fn with every retained message and last known value that a
// subscription to filter gets which was added in that generation of the index:
// all that is older. Each is one step with its publishers; before it comes wait,
// with about its size in bytes, and after each step of the search wait with 0.
func (b *Broker) giveStored(filter string, added uint64, wait func(size int), fn func(*publication)) {
	var messages []retainedMessage
	for from, more := "", true; more; {
		messages, from, more = b.retained.matching(filter, from, messages[:0])
		for _, m := range messages {
			wait(m.size())
			b.retained.give(m.publication, added, fn)
		}
		wait(0)
	}
	var values []*LastValue
	for from, more := "", true; more; {
		values, from, more = b.values.matching(filter, from, values[:0])
		for _, lv := range values {
			wait(lv.room())
			lv.give(added, fn)
		}
		wait(0)
	}
}
