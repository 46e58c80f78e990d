package bridge

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// feeds lead messages into the queues of a link, one feed for each rule up.
type feeds struct {
	mu     sync.Mutex // guards the fields below
	list   []*feed
	change context.CancelFunc // tells of other rules
}

// feed is the rule up that takes what is published on a filter. The rule may be
// changed while messages come in.
type feed struct {
	id            uint32
	filter, class string
	rule          atomic.Pointer[rule.Up] // nil for none any more
	cancel        func()
}

// use makes the rules of a set take messages in place of those before. A rule whose
// filter or class has changed has two feeds for a moment: rather twice than not at
// all.
func (fs *feeds) use(w *worker, set *rule.Set) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var next []*feed
	var failed error
	for _, up := range set.Ups() {
		i := slices.IndexFunc(fs.list, func(f *feed) bool {
			return f.id == up.ID() && f.filter == up.Filter() && f.class == up.Class()
		})
		if i >= 0 {
			fs.list[i].rule.Store(up)
			next = append(next, fs.list[i])
			continue
		}
		f := &feed{id: up.ID(), filter: up.Filter(), class: up.Class()}
		f.rule.Store(up)
		if err := w.feed(f); err != nil {
			failed = err
			continue
		}
		next = append(next, f)
	}
	for _, f := range fs.list {
		if !slices.Contains(next, f) {
			f.rule.Store(nil)
			f.cancel()
		}
	}
	fs.list = next
	if fs.change != nil {
		fs.change()
	}
	return failed
}

// onChange has the next change of rules call fn.
func (fs *feeds) onChange(fn context.CancelFunc) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.change = fn
}

func (fs *feeds) close() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		f.cancel()
	}
	fs.list = nil
}

// feed begins a feed into the queue of its class.
func (w *worker) feed(f *feed) (err error) {
	for i, class := range w.classes {
		if class.Name == f.class {
			f.cancel, err = w.queues[i].Feed(f.filter, false, func(p *message.Publication) ([]byte, bool) {
				up := f.rule.Load()
				if up == nil || !up.Take(p, 0) {
					return nil, false
				}
				return w.metaOf(up, p)
			})
		}
	}
	return err
}

// metaOf is what is stored beside a message that a rule has taken. One that is to go
// at QoS 0 is not stored: the sender has it then.
func (w *worker) metaOf(up *rule.Up, p *message.Publication) (meta []byte, stored bool) {
	m := up.Meta(p, w.marks.At(clock.Now()))
	meta = m.Append(nil)
	if min(p.QoS, up.QoS()) == 0 {
		w.sender.Push(up.Class(), p, meta)
		return nil, false
	}
	return meta, true
}
