package edgebroker

import (
	"fmt"
	"sync"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/retained"
	"github.com/fascia-edge/fascia/topic"
)

// local is a receiver in this process.
type local struct {
	filter string
	fn     func(Message)
	feed   *feed        // in place of fn
	begun  sync.RWMutex // held for writing while fn is given what is stored
}

// call gives fn a message, after what was stored before it.
func (l *local) call(m Message) {
	l.begun.RLock()
	defer l.begun.RUnlock()
	l.fn(m)
}

// Subscribe calls fn with every message that filter matches, beginning with
// the retained ones and last known values of now (Retain set), which come
// before Subscribe returns; publishers of others wait for that. fn runs on the
// publisher's goroutine, so it must not block; it may publish, but not to what
// filter matches before Subscribe has returned. Messages of one publisher come in
// order, those of several may come at the same time. A message that is under way
// when cancel is called may still come after it. The error wraps ErrFilter.
func (b *Broker) Subscribe(filter string, fn func(Message)) (cancel func(), err error) {
	l := &local{filter: filter, fn: fn}
	l.begun.Lock()
	defer l.begun.Unlock()
	var snapshot []Message
	added, err := b.addLocal(l)
	if err != nil {
		return nil, err
	}
	b.giveLocal(l, added, func(int) bool { return true }, func(p *message.Publication) { snapshot = append(snapshot, p.Message()) })
	for _, m := range snapshot {
		fn(m)
	}
	return sync.OnceFunc(func() { b.removeLocal(l) }), nil
}

// addLocal puts l into the index and tells the generation with it.
func (b *Broker) addLocal(l *local) (added uint64, err error) {
	if !topic.ValidFilter(l.filter) || topic.Levels(l.filter) > b.cfg.Limits.TopicLevels {
		return 0, fmt.Errorf("subscribe to %.100q: %w: want at most %d levels, `+` and `#` filling one", l.filter, ErrFilter, b.cfg.Limits.TopicLevels)
	}
	b.routing.Lock()
	defer b.routing.Unlock()
	b.index.addLocal(l)
	return b.index.generation, nil
}

// giveLocal calls give with what is older than l, which was added in that
// generation; wait is as in giveStored.
func (b *Broker) giveLocal(l *local, added uint64, wait func(size int) bool, give func(*message.Publication)) {
	b.giveStored(l.filter, added, wait, func(p *message.Publication) {
		stored := *p.Keep()
		stored.Retain = true
		give(&stored)
	})
}

func (b *Broker) removeLocal(l *local) {
	b.routing.Lock()
	defer b.routing.Unlock()
	b.index.removeLocal(l)
}

// giveStored calls fn with every retained message and last known value that a
// subscription to filter gets which was added in that generation of the index:
// all that is older. Each is one step with its publishers; before it comes wait,
// with about its size in bytes, and after each step of the search wait with 0,
// which says whether to go on.
func (b *Broker) giveStored(filter string, added uint64, wait func(size int) bool, fn func(*message.Publication)) {
	var messages []retained.Kept
	for from, more := "", true; more; {
		messages, from, more = b.retained.Matching(filter, from, messages[:0])
		for _, m := range messages {
			if !wait(m.Size()) {
				return
			}
			b.retained.Give(m.Publication, added, fn)
		}
		more = more && wait(0)
	}
	var values []*LastValue
	for from, more := "", true; more; {
		values, from, more = b.values.matching(filter, from, values[:0])
		for _, lv := range values {
			if !wait(lv.room()) {
				return
			}
			lv.give(added, fn)
		}
		more = more && wait(0)
	}
}
