package edgebroker

import (
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/store"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

const (
	idSpan = 65535 // how many packet ids there are
	// How far ids move on when a power cut may have taken some back: by the golden
	// section, so that twelve moves in a row lead to ids that are all idRoom or more
	// from each other. A client may hold an id of before the first cut for long.
	idTurn = 25033
	idRoom = 3600 // most positions from base to next, so that an id names one of them
)

// queue is the way of QoS 1 and 2 messages to one client: positions in a row,
// numbered from the first message of the session on. Those below next were sent,
// the rest waits. A position has the packet id that follows from its number, so
// ids need no memory of their own, survive a restart with the queue, and are
// acknowledged without a search.
//
// Behind the queue of a session that outlives its connection, or of one whose
// client is slow, stands one in the store. entries are then the part that is in
// memory, beginning with the first that is not done; what they end before is
// read from the store when its turn comes.
type queue struct {
	stored *store.Queue // nil while all is in memory
	shift  uint64       // position of the stored queue's first entry

	entries  ring[entry] // from position base on
	base     uint64
	next     uint64        // first that was not sent on this connection
	tail     uint64        // first that has not come yet
	repeats  uint64        // first that was surely never sent, on any connection
	turns    []record.Turn // how ids follow from positions, in order; none: as they are
	inflight int           // sent and not done
	held     int           // bytes of the messages in entries
	given    int           // to the store, and not yet told of
	loading  bool          // a goroutine reads from the store
}

// entry is a message on its way to one client.
type entry struct {
	p        *message.Publication // nil when it was sent: what is sent again is read again
	ids      []uint32             // subscription identifiers
	from     *loan                // how it came from a shared subscription, nil if it did not
	qos      byte
	retain   bool
	released bool // QoS 2: PUBREC came, PUBREL is due
	done     bool
}

// turnOn moves the ids of what comes from now on. Under a policy that acknowledges
// before the disk has it, a power cut takes back the last messages of a queue. A
// client that has such a message half way, with its id, would take the next one
// with that id for the same and drop it [MQTT-4.3.3-10]. What is under way keeps
// its ids.
func (q *queue) turnOn() {
	by := uint64(idTurn)
	for len(q.turns) > 1 && q.turns[1].From <= q.base {
		q.turns = q.turns[1:]
	}
	if n := len(q.turns); n > 0 {
		by = (q.turns[n-1].By + idTurn) % idSpan
	}
	if n := len(q.turns); n > 0 && q.turns[n-1].From == q.tail {
		q.turns[n-1].By = by
		return
	}
	q.turns = append(q.turns, record.Turn{From: q.tail, By: by})
}

// idOf is the packet id of a position.
func (q *queue) idOf(pos uint64) uint16 {
	for i := len(q.turns) - 1; i >= 0; i-- {
		if pos >= q.turns[i].From {
			return uint16((pos+q.turns[i].By)%idSpan) + 1
		}
	}
	return uint16(pos%idSpan) + 1
}

// find is the position that was sent with that packet id.
func (q *queue) find(id uint16) (pos uint64, e *entry) {
	if id == 0 {
		return 0, nil
	}
	t := record.Turn{}
	for i := 0; ; i++ {
		end := q.next
		if i < len(q.turns) {
			end = min(end, q.turns[i].From)
		}
		begin := max(q.base, t.From)
		pos = begin + (uint64(id)-1+idSpan-(begin+t.By)%idSpan)%idSpan
		if pos < end {
			if e = q.entries.at(int(pos - q.base)); !e.done {
				return pos, e
			}
		}
		if i == len(q.turns) {
			return 0, nil
		}
		t = q.turns[i]
	}
}

// loaded is the first position that is not in memory.
func (q *queue) loaded() uint64 { return q.base + uint64(q.entries.len()) }

// push puts an entry at the end of those in memory.
func (q *queue) push(e entry) {
	if e.p != nil {
		q.held += e.p.Size()
	}
	q.entries.push(e)
}

// free forgets the message of an entry, which was sent or will not be.
func (q *queue) free(e *entry) {
	if e.p != nil {
		q.held -= e.p.Size()
		e.p, e.ids = nil, nil
	}
}

// finish ends the entry at a position below next.
func (q *queue) finish(pos uint64) {
	e := q.entries.at(int(pos - q.base))
	q.free(e)
	e.done = true
	if e.from != nil && !e.from.moved {
		e.from.group.finished(e.from.pos)
	}
	if q.stored != nil && pos >= q.shift {
		q.stored.Done(pos - q.shift)
	}
	for q.entries.len() > 0 && q.base < q.next && q.entries.at(0).done {
		q.entries.pop()
		q.base++
	}
}

// skip ends the entry at next, which was not sent.
func (q *queue) skip() {
	if q.next == q.loaded() {
		q.push(entry{})
	}
	q.next++
	q.finish(q.next - 1)
}

// waiting is how many messages are not sent.
func (q *queue) waiting() int { return int(q.tail - q.next) }

// bytes is what is not done costs, by the store's count or in memory.
func (q *queue) bytes() int {
	if q.stored != nil {
		return int(q.stored.Bytes())
	}
	return q.held
}

// rewind begins again with all that is not done, for the next connection.
func (q *queue) rewind() {
	q.repeats = max(q.repeats, q.next)
	q.entries.clear()
	q.base = q.shift + q.stored.Head()
	q.next, q.inflight, q.held = q.base, 0, 0
	q.tail = max(q.tail, q.base)
}

// open takes a stored queue as it was found after a restart. Messages below
// repeats may have been sent.
func (q *queue) open(stored *store.Queue, repeats uint64) {
	q.stored = stored
	q.base, q.tail = stored.Head(), stored.Tail()
	q.next, q.repeats = q.base, min(repeats, q.tail)
}
