package edgebroker

import (
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/names"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/store"
)

// expiryLooks is how many retained messages are looked at a second for whether they
// have outlived their expiry. Nobody gets one that has; what comes late is only that
// it makes room.
const expiryLooks = 1 << 16

// expireRetained removes retained messages whose life is over, from the store too.
func (b *Broker) expireRetained(at clock.Time) {
	for range expiryLooks / names.Step {
		topics, more := b.retained.Expire(at)
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
	b.retained.Lock()
	defer b.retained.Unlock()
	if !b.retained.Has(name) {
		tx := b.store.Begin()
		tx.Delete(record.RetainedKeys + name)
		tx.Commit(store.SyncNever, nil)
	}
}

// retain keeps p and puts that into the change. The caller has locked the
// retained messages and holds Broker.routing.
func (b *Broker) retain(p *message.Publication, k *commitment) error {
	if err := b.retained.Put(p, b.index.generation); err != nil {
		b.counters.retainedRefused.Add(1)
		return err
	}
	if len(p.Payload) == 0 {
		k.change().Delete(record.RetainedKeys + p.Topic)
	} else {
		k.change().Put(record.RetainedKeys+p.Topic, record.AppendMessage(nil, p, true, b.clock))
	}
	return nil
}
