package edgebroker

import (
	"errors"
	"sync"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

const (
	heldBytes   = 128 << 10 // of messages that one session holds in memory ahead of their turn
	loadEntries = 256       // read from the store at once
)

var formsPool = sync.Pool{New: func() any { return new(message.Forms) }}

// deliverNow sends p at QoS 0, or loses it. f are the encodings of p, nil for a
// single receiver.
func (s *session) deliverNow(p *message.Publication, retain bool, ids []uint32, left uint32, f *message.Forms, later *stream.Burst) {
	c := s.link.Load()
	if c == nil {
		return
	}
	var packet []byte
	if f == nil || retain || ids != nil && c.version == 5 {
		out := p.Outgoing(0, retain, left)
		out.Version, out.SubscriptionIDs = c.version, ids
		packet = out.Append(nil)
	} else {
		packet = f.Of(p, left, c.version)
	}
	if len(packet) > c.maxPacket {
		s.drop(&s.b.counters.droppedTooLarge)
		return
	}
	ok, owed := c.out.Publish(packet)
	if !ok {
		s.drop(&s.b.counters.droppedQoS0)
		return
	}
	s.b.counters.sent.Add(1)
	later.Add(c.out, owed)
}

// accept takes p at QoS 1 or 2 into the memory of the session. When it belongs
// into the store instead, it gives the queue there: the caller commits p to it,
// and then tells stored or unstored.
func (s *session) accept(p *message.Publication, e entry, later *stream.Burst) *store.Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.queue
	if s.ended {
		return nil
	}
	if q.stored == nil && s.overflows(p.Size()) {
		s.spill()
	}
	if q.stored != nil {
		q.given++
		return q.stored
	}
	s.trust()
	e.p = p
	q.push(e)
	q.tail++
	s.pump(later)
	if p.Borrowed && q.waiting() > 0 {
		if last := q.entries.at(q.entries.len() - 1); last.p == p {
			last.p = p.Keep()
		}
	}
	return nil
}

// overflows reports whether what waits in memory is enough; what the store has is
// kept to the limits of a session. mu is held.
func (s *session) overflows(size int) bool {
	q, limits := &s.queue, &s.b.cfg.Limits
	return q.held > 0 && q.held+size > min(heldBytes, int(limits.SessionBytes)) || q.waiting() >= limits.SessionMessages
}

// trust notes that what comes now was found allowed by the policy of now, which
// saves asking again for as long as that one holds. mu is held.
func (s *session) trust() {
	policy := s.b.policy.Load()
	if s.queue.waiting() == 0 {
		s.trusted = policy
	} else if s.trusted != policy {
		s.trusted = nil
	}
}

// open reports whether a message could be sent at once. mu is held.
func (s *session) open() bool {
	c := s.link.Load()
	return c != nil && s.queue.inflight < c.window && s.queue.next-s.queue.base < idRoom && c.out.HasRoom()
}

// spill gives a session that lives in memory a queue in the store, for a client
// that is slower than what it subscribed to. mu is held.
func (s *session) spill() {
	tx := s.b.store.Begin()
	s.queue.stored, s.queue.shift = tx.CreateQueue(record.SpilledQueues+s.id), s.queue.tail
	tx.Commit(store.SyncNever, nil)
}

// unspill goes back to memory when the client has caught up. mu is held.
func (s *session) unspill() {
	q := &s.queue
	if s.stays || q.stored == nil || q.given > 0 || q.waiting() > 0 {
		return
	}
	tx := s.b.store.Begin()
	tx.DropQueue(q.stored)
	tx.Commit(store.SyncNever, nil)
	q.stored = nil
}

// stored tells that a message given to the store is committed, as the next of
// the session's queue.
func (s *session) stored(p *message.Publication, e entry, later *stream.Burst) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.queue
	q.given--
	if s.ended {
		return
	}
	if q.loaded() == q.tail && s.online() && (q.held == 0 || q.held+p.Size() <= heldBytes) {
		s.trust()
		e.p = p
		q.push(e)
	}
	q.tail++
	limits := &s.b.cfg.Limits
	for q.waiting() > 1 && (q.waiting() > limits.SessionMessages || q.bytes() > int(limits.SessionBytes)) {
		s.drop(&s.b.counters.droppedSession)
		q.skip()
	}
	s.pump(later)
}

// unstored tells that the store has refused the message. A spilled queue that
// could not even be made is given up; the next message tries again.
func (s *session) unstored(in *store.Queue, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.b.room.free()
	s.queue.given--
	if errors.Is(err, store.ErrNoQueue) && !s.stays && s.queue.stored == in {
		s.queue.stored = nil
	}
}

// pump sends what waits while the client's receive window and the socket's queue
// have room, in the order of the queue [MQTT-4.6.0-1]. mu is held.
func (s *session) pump(later *stream.Burst) {
	c, q := s.link.Load(), &s.queue
	if c == nil {
		return
	}
	for q.next < q.tail && s.open() {
		if q.next == q.loaded() {
			break
		}
		e := q.entries.at(int(q.next - q.base))
		q.next++
		if e.done {
			q.finish(q.next - 1) // moves base, if it was the first
			continue
		}
		s.transmit(c, q.next-1, e, later)
	}
	short := int(q.loaded()-q.next) < loadEntries/2 && (q.held == 0 || q.held < heldBytes/2)
	if q.stored != nil && q.loaded() < q.tail && !q.loading && short {
		q.loading = true
		s.b.workers.Go(func() { s.load(c) })
	}
	s.unspill()
	if q.waiting() == 0 {
		s.b.room.free()
		for _, g := range s.groups() {
			g.wake()
		}
	}
}

// transmit sends the entry at pos. It settles what only holds at that moment:
// the remaining expiry, the client's rights and its packet limit. mu is held.
func (s *session) transmit(c *conn, pos uint64, e *entry, later *stream.Burst) {
	q := &s.queue
	if e.released {
		later.Add(c.out, c.out.Ack(wire.Pubrel, q.idOf(pos), wire.Success, c.version))
		q.inflight++
		return
	}
	left, alive := e.p.Left()
	again := pos < q.repeats
	if again {
		left, alive = max(left, 1), true // the client may have half of the handshake
		if e.p.Expires == 0 {
			left = 0
		}
	}
	out := e.p.Outgoing(e.qos, e.retain, left)
	out.Version, out.ID, out.Dup = c.version, q.idOf(pos), again
	if c.version == 5 {
		out.SubscriptionIDs = e.ids
	}
	switch {
	case !alive:
		s.drop(&s.b.counters.droppedExpired)
	case s.trusted != s.b.policy.Load() && !s.mayReceive(e.p.Topic): // no more: its role changed while it waited
		s.drop(&s.b.counters.droppedRights)
	case out.Size() > c.maxPacket:
		s.drop(&s.b.counters.droppedTooLarge)
	default:
		later.Add(c.out, c.out.Message(&out))
		s.b.counters.sent.Add(1)
		q.inflight++
		q.free(e)
		return
	}
	q.finish(pos)
}

// load reads what comes next from the store, on a goroutine of its own.
func (s *session) load(c *conn) {
	var later stream.Burst
	for more := true; more; later.Flush() {
		s.mu.Lock()
		stored, from := s.queue.stored, s.queue.loaded()
		at := from - s.queue.shift
		s.mu.Unlock()
		var list []entry
		if stored != nil {
			var err error
			if list, err = s.read(stored, at); err != nil && !s.b.pause(err) {
				stored = nil
			}
		}
		s.mu.Lock()
		more = s.take(c, from, list, stored != nil, &later)
		s.mu.Unlock()
	}
}

// read gives the entries from a position of the stored queue on: a window's
// worth, those that are done or can't be read among them.
func (s *session) read(stored *store.Queue, from uint64) (list []entry, err error) {
	bytes := 0
	next, err := stored.Read(from, loadEntries, func(found store.Entry) bool {
		for from+uint64(len(list)) < found.Pos {
			list = append(list, entry{done: true})
		}
		e, err := s.b.readEntry(found)
		if err != nil {
			s.drop(&s.b.counters.droppedCorrupt)
			s.b.noise.warn(s.b.log, "a stored message can't be read", "client", s.id, "error", err)
			e = entry{done: true}
		} else {
			bytes += e.p.Size()
		}
		list = append(list, e)
		return bytes < heldBytes
	})
	for from+uint64(len(list)) < next {
		list = append(list, entry{done: true})
	}
	return list, err
}

// take puts what was read from position from on into the queue and sends it. It
// reports whether to read again. mu is held.
func (s *session) take(c *conn, from uint64, list []entry, able bool, later *stream.Burst) (again bool) {
	q := &s.queue
	if dropped := q.loaded() - from; from < q.loaded() && dropped < uint64(len(list)) {
		list, from = list[dropped:], q.loaded() // the oldest went while it was read
	}
	if able && s.link.Load() == c && (from != q.loaded() || len(list) == 0) && from < q.tail {
		return true // something was dropped meanwhile, or the disk is slow to heal
	}
	q.loading = false
	if able && s.link.Load() == c && from == q.loaded() {
		s.trusted = nil
		for _, e := range list {
			q.push(e)
		}
	}
	if able {
		s.pump(later)
	}
	return false
}
