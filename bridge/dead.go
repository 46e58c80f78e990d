package bridge

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/bridge/spool"
)

// Dead calls fn for each dead letter of a link, from an id on, the oldest first, until
// it returns false. The error wraps ErrNoLink, or is of a disk that can't be read.
func (b *Bridge) Dead(name string, from uint64, fn func(DeadLetter) bool) error {
	w, err := b.link(name)
	if err != nil {
		return err
	}
	_, err = w.dead.Read(from, math.MaxInt, func(it Item) bool { return fn(w.letter(it)) })
	return err
}

func (w *worker) letter(it Item) DeadLetter {
	d := DeadLetter{ID: it.Pos, Topic: it.Message.Topic, Size: len(it.Message.Payload), Payload: it.Message.Payload}
	o, err := spool.ReadObituary(it.Meta)
	if it.Err != nil || err != nil {
		d.Reason = "the letter is damaged"
		return d
	}
	d.Class, d.Rule, d.Remote, d.Reason = o.Class, o.Rule, o.Remote, o.Reason
	d.Time = rule.Moment(w.options.Clock, o.Died)
	return d
}

// Retry puts dead letters back into their class, the named ones or all, and reports
// how many. Those of a class or rule that is not configured any more stay. The error
// wraps ErrNoLink, or is of the store.
func (b *Bridge) Retry(name string, ids ...uint64) (retried int, err error) {
	w, err := b.link(name)
	if err != nil {
		return 0, err
	}
	err = w.eachDead(ids, func(it Item) error {
		o, err := spool.ReadObituary(it.Meta)
		if err != nil {
			return nil
		}
		class := slices.IndexFunc(w.classes, func(c spool.ClassConfig) bool { return c.Name == o.Class })
		meta, err := rule.ReadMeta(o.Meta)
		if class < 0 || err != nil || w.rules.Load().Up(meta) == nil {
			return nil
		}
		if err := w.dead.Move(it.Pos, w.queues[class], slices.Clone(o.Meta)); err != nil {
			return err
		}
		retried++
		return nil
	})
	return retried, err
}

// Purge removes dead letters, the named ones or all, and reports how many. Of a link
// that is not configured any more it removes all that is in the store. The error wraps
// ErrNoLink, or is of the store.
func (b *Bridge) Purge(name string, ids ...uint64) (purged int, err error) {
	w, err := b.link(name)
	if err != nil && len(ids) == 0 {
		return b.purgeLeft(name, err)
	}
	if err != nil {
		return 0, err
	}
	err = w.eachDead(ids, func(it Item) error {
		w.dead.Done(it.Pos)
		purged++
		return nil
	})
	return purged, err
}

// eachDead calls fn for the letters there are now, or those named.
func (w *worker) eachDead(ids []uint64, fn func(Item) error) error {
	end := w.dead.Tail()
	var failed error
	_, err := w.dead.Read(0, math.MaxInt, func(it Item) bool {
		if it.Pos >= end {
			return false
		}
		if len(ids) == 0 || slices.Contains(ids, it.Pos) {
			failed = fn(it)
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// purgeLeft removes the queues of a link that is not configured.
func (b *Bridge) purgeLeft(name string, missing error) (purged int, err error) {
	for _, stored := range b.options.Broker.StoredQueues(queuePrefix + name + "/") {
		q, err := b.options.Broker.OpenQueue(stored, Limits{Bytes: math.MaxInt, Messages: math.MaxInt})
		if err != nil {
			return purged, err
		}
		purged += q.Len()
		missing = nil
		if err := q.Drop(); err != nil {
			return purged, fmt.Errorf("queue %s: %w", strings.TrimPrefix(stored, queuePrefix), err)
		}
	}
	return purged, missing
}
