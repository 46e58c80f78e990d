package edgebroker

import (
	"errors"
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/store"
	"github.com/fascia-edge/fascia/topic"
)

// The queue of a shared subscription that a kept session takes part in. A
// message goes straight to such a member while one has room and nothing waits;
// else into the group's queue, from which members get it in its order as they
// have room. A member that keeps its session takes a message over for good: it
// moves to its own queue in one change. Any other has it on loan, and what it
// does not finish goes to the next (MQTT 5.0 §4.8.2).

// loan is how an entry of a session came from a group.
type loan struct {
	group *group
	pos   uint64 // in the group's queue
	moved bool   // it is the member's own, and stays with it as long as its session
}

// keep gives the group its queue. The caller holds Broker.routing.
func (g *group) keep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stored == nil {
		g.makeQueue()
	}
}

// makeQueue makes the queue, or finds it as it was before a restart. mu is held.
func (g *group) makeQueue() {
	if g.stored = g.b.store.Queue(record.SharedQueues + g.key); g.stored != nil {
		g.next = g.stored.Head()
		return
	}
	tx := g.b.store.Begin()
	g.stored = tx.CreateQueue(record.SharedQueues + g.key)
	tx.Commit(g.b.sync, nil)
}

// drop ends the queue of a group without members.
func (g *group) drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stored == nil {
		return
	}
	tx := g.b.store.Begin()
	tx.DropQueue(g.stored)
	tx.Commit(g.b.sync, nil)
	g.stored = nil
}

// take finds who gets a message of QoS 1 or 2 that is published now: a member, or
// the group's queue. The caller holds Broker.routing.
func (g *group) take(name string) (to *delivery, stored *store.Queue) {
	if !g.waits() {
		to = g.pick(name)
		if stored = g.queue(); stored == nil || to != nil && to.session.stays && to.session.idle() {
			return to, nil
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stored == nil {
		return to, nil
	}
	g.given++
	return nil, g.stored
}

func (g *group) queue() *store.Queue {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stored
}

// waits reports whether messages wait in the group's queue.
func (g *group) waits() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stored != nil && (g.given > 0 || len(g.returned) > 0 || g.next < g.stored.Tail())
}

// committed tells that a message is in the group's queue, or was refused.
func (g *group) committed(in *store.Queue, err error) {
	g.mu.Lock()
	g.given--
	if errors.Is(err, store.ErrNoQueue) && g.stored == in {
		g.stored = nil // it could not be made
		g.makeQueue()
	}
	limits := &g.b.cfg.Limits
	for err == nil && g.stored != nil && g.stored.Len() > 1 && (g.stored.Len() > limits.SessionMessages || g.stored.Bytes() > int64(limits.SessionBytes)) {
		g.b.counters.droppedSession.Add(1)
		g.stored.Done(g.stored.Head())
	}
	g.mu.Unlock()
	g.wake()
}

// finished ends a loan whose message was delivered or dropped.
func (g *group) finished(pos uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stored != nil {
		g.stored.Done(pos)
	}
}

// giveBack ends a loan whose message goes to another member.
func (g *group) giveBack(pos uint64) {
	g.takeBack(pos)
	g.wake()
}

func (g *group) takeBack(pos uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.returned = append(g.returned, pos)
}

// wakeGroups hands out what could not be handed out before.
func (b *Broker) wakeGroups() {
	for _, s := range b.sessions.all() {
		for _, g := range s.groups() {
			g.wake()
		}
	}
}

// wake has a goroutine hand out what waits.
func (g *group) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stored == nil || len(g.returned) == 0 && g.next >= g.stored.Tail() || g.b.stop.Err() != nil {
		return
	}
	g.again = true
	if !g.feeding {
		g.feeding = true
		g.b.workers.Go(g.feed)
	}
}

// feed hands out messages until none waits or no member has room; the next that
// has room wakes it again.
func (g *group) feed() {
	var later stream.Burst
	for g.more() {
		for g.handOut(&later) {
		}
		later.Flush()
	}
}

func (g *group) more() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.feeding, g.again = g.again, false
	return g.feeding
}

// handOut gives the message whose turn it is to a member with room. It reports
// whether there may be another.
func (g *group) handOut(later *stream.Burst) bool {
	stored, pos, ok := g.first()
	if !ok {
		return false
	}
	var p *message.Publication
	moved, there := false, false
	_, err := stored.Read(pos, 1, func(e store.Entry) bool {
		if there = e.Pos == pos; !there {
			return false // it was dropped
		}
		if moved = e.Marked; e.Err == nil && !moved {
			p, e.Err = record.ReadMessage(e.Message, g.b.clock)
		}
		if e.Err != nil {
			g.b.counters.droppedCorrupt.Add(1)
			g.b.noise.warn(g.b.log, "a stored message can't be read", "group", g.key, "error", e.Err)
		}
		return false
	})
	switch {
	case err != nil:
		g.b.noise.warn(g.b.log, "the store can't be read", "group", g.key, "error", err)
		return false
	case p != nil:
		if !g.give(p, stored, pos, later) {
			return false
		}
	case there:
		stored.Done(pos) // a member has it since before a restart, or nobody can
	}
	g.advance(pos)
	return true
}

// give hands p to a member with room, if there is one.
func (g *group) give(p *message.Publication, stored *store.Queue, pos uint64, later *stream.Burst) bool {
	g.b.routing.RLock()
	defer g.b.routing.RUnlock()
	to := g.pick(p.Topic)
	if to == nil || !to.session.idle() {
		return false
	}
	e := entry{qos: min(to.qos, p.QoS), retain: p.Retain && to.retainAsPublished, ids: to.ids, from: &loan{group: g, pos: pos}}
	if e.qos == 0 {
		left, alive := p.Left()
		if !alive {
			g.b.counters.droppedExpired.Add(1)
			g.finished(pos)
			return true
		}
		to.session.deliverNow(p, e.retain, e.ids, left, nil, later)
		g.finished(pos)
		return true
	}
	own := to.session.accept(p, e, later)
	if own == nil {
		return true
	}
	e.from.moved = true
	k := &commitment{b: g.b, targets: []target{{queue: own, session: to.session, entry: e}}}
	k.done = func(err error) {
		if err == nil {
			g.finished(pos)
		} else {
			g.takeBack(pos) // housekeeping tries again
		}
	}
	k.change().Moves(stored, pos)
	k.message(p)
	k.commit(g.b.syncOf(p.Topic))
	return true
}

// first is the position whose turn it is.
func (g *group) first() (stored *store.Queue, pos uint64, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.stored == nil:
		return nil, 0, false
	case len(g.returned) > 0:
		return g.stored, g.returned[0], true
	}
	g.next = max(g.next, g.stored.Head())
	return g.stored, g.next, g.next < g.stored.Tail()
}

// advance leaves a position that was handed out, or is there no more.
func (g *group) advance(pos uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.returned) > 0 && g.returned[0] == pos {
		g.returned = g.returned[1:]
	} else {
		g.next = max(g.next, pos+1)
	}
}

// returnLoans gives what an ended session had of groups to their other members.
// A message of QoS 2 that was sent goes to nobody else [MQTT-4.8.2-5]. mu is
// held.
func (s *session) returnLoans() {
	q := &s.queue
	for i := range q.entries.len() {
		e := q.entries.at(i)
		switch sent := q.base+uint64(i) < q.next; {
		case e.from == nil || e.from.moved || e.done:
		case e.qos == 2 && sent:
			e.from.group.finished(e.from.pos)
		default:
			e.from.group.giveBack(e.from.pos)
		}
	}
}

// reshare publishes to the groups of an ended session what had moved to its
// queue and was not delivered. Filters are those that it had.
func (b *Broker) reshare(stored *store.Queue, repeats uint64, filters []string) {
	sharing := slices.ContainsFunc(filters, func(f string) bool { return strings.HasPrefix(f, "$share/") })
	if stored == nil || !sharing {
		return
	}
	for from, more := stored.Head(), true; more; {
		next, err := stored.Read(from, loadEntries, func(found store.Entry) bool {
			if r, err := record.ReadReceiver(found.Meta); err == nil && r.Group != "" && found.Err == nil {
				if p, err := record.ReadMessage(found.Message, b.clock); err == nil && (p.QoS < 2 || found.Pos >= repeats) {
					b.shareAgain(r.Group, p)
				}
			}
			return true
		})
		more = err == nil && next > from && next < stored.Tail()
		from = next
	}
}

// shareAgain publishes p to one group alone, if it is still there.
func (b *Broker) shareAgain(key string, p *message.Publication) {
	name, filter, _ := topic.Shared(key)
	b.routing.RLock()
	defer b.routing.RUnlock()
	g := b.index.group(name, filter)
	if g == nil {
		return
	}
	var later stream.Burst
	k := &commitment{b: b}
	b.pass(p, &route{topic: p.Topic, receivers: []delivery{{group: g}}}, k, &later)
	if k.message(p); k.tx != nil {
		k.commit(b.syncOf(p.Topic))
	}
	later.HandOver()
}
