package edgebroker

import (
	"sync"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

// commitment is what happens once a change is in the store: receivers get the
// message, the publisher its acknowledgement. Those of one connection come in
// the order of their packets [MQTT-4.6.0-2].
type commitment struct {
	b       *Broker
	tx      *store.Tx // nil while nothing is to be stored
	p       *message.Publication
	targets []target

	c      *conn // to acknowledge to, nil for none
	kind   wire.Kind
	id     uint16
	reason wire.Reason

	done func(error) // beside or in place of it; it must not block
	err  error
}

// change is the transaction, begun when it is first needed.
func (k *commitment) change() *store.Tx {
	if k.tx == nil {
		k.tx = k.b.store.Begin()
	}
	return k.tx
}

// message puts p into the transaction, for all targets at once.
func (k *commitment) message(p *message.Publication) {
	if len(k.targets) == 0 {
		return
	}
	k.p = p.Keep()
	scratch := scratches.Get().(*scratch)
	scratch.meta, scratch.to = scratch.meta[:0], scratch.to[:0]
	origin := false
	for i := range k.targets {
		t := &k.targets[i]
		origin = origin || t.receiver != nil
		from := len(scratch.meta)
		scratch.meta = t.appendMeta(scratch.meta)
		scratch.to = append(scratch.to, store.To{Queue: t.queue, Meta: scratch.meta[from:len(scratch.meta):len(scratch.meta)]})
	}
	scratch.message = record.AppendMessage(scratch.message[:0], p, origin, k.b.clock)
	k.change().Append(scratch.message, scratch.to)
	clear(scratch.to)
	scratches.Put(scratch)
}

type scratch struct {
	message, meta []byte
	to            []store.To
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// release gives up the places in queues that were claimed; k may be nil.
func (k *commitment) release() {
	if k == nil {
		return
	}
	for i := range k.targets {
		k.targets[i].receiver.release(k.targets[i].size)
	}
	k.targets = nil
}

// discard gives up what was not committed.
func (k *commitment) discard() {
	if k.tx != nil {
		k.tx.Discard()
		k.tx = nil
	}
}

// commit ends the transaction; the rest happens when the store has it.
func (k *commitment) commit(sync store.Sync) {
	if k.c != nil {
		k.c.outstanding.Add(1)
	}
	k.change().Commit(sync, k)
}

// Committed implements store.Waiter.
func (k *commitment) Committed(err error) {
	k.err = err
	k.b.completions.put(k)
}

func (k *commitment) complete(later *stream.Burst) {
	if k.err != nil {
		k.b.counters.rejected.Add(1)
	}
	for i := range k.targets {
		k.targets[i].settled(k.p, k.err, later)
	}
	if k.done != nil {
		k.done(k.err)
	}
	if k.c != nil {
		k.c.committed(k, later)
	}
}

// completions carry out what was committed, in order, many at a time, so that
// the store's goroutine goes on to the next commit and every connection is
// written to once. Their number is bounded by what connections may have under
// way.
type completions struct {
	b       *Broker
	mu      sync.Mutex // guards what follows
	list    []*commitment
	running bool
}

func (cs *completions) put(k *commitment) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.list = append(cs.list, k)
	if !cs.running {
		cs.running = true
		go cs.run()
	}
}

// run ends when nothing is left; who waits for a commitment waits for it.
func (cs *completions) run() {
	var later stream.Burst
	var spare []*commitment
	for {
		cs.mu.Lock()
		list := cs.list
		cs.list = spare
		cs.running = len(list) > 0
		cs.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for i, k := range list {
			k.complete(&later)
			list[i] = nil
		}
		later.Flush()
		spare = list[:0]
	}
}

// settle commits tx and waits for it. The commitments before it are completed
// when it returns.
func (b *Broker) settle(tx *store.Tx) error {
	done := make(chan error, 1)
	k := &commitment{b: b, tx: tx, done: func(err error) { done <- err }}
	k.commit(b.sync)
	return <-done
}

// awaitCompletions waits until all that was committed before is completed, or
// was refused.
func (b *Broker) awaitCompletions() {
	if b.store != nil { // else nothing was ever committed
		_ = b.settle(b.store.Begin()) // an error is of what others committed, and they know it
	}
}
