package store

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errForm says that the bytes of a record are not what this program writes.
var errForm = errors.New("record has a form that this version does not know")

// body reads the fields of a record's body from the front. A field that is not
// there sets bad and reads as zero.
type body struct {
	b   []byte
	bad bool
}

func (d *body) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *body) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *body) string() []byte { return d.bytes(d.uvarint()) }

func (d *body) op() byte {
	b := d.bytes(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (d *body) uint32() uint32 {
	b := d.bytes(4)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

func (d *body) uint64() uint64 {
	b := d.bytes(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (d *body) fail() { d.bad, d.b = true, nil }

// apply does what record seq says. It is the only way into the state, live and
// when a log is read again, and doing it twice is doing it once: what is there
// already is passed over by its position. It runs on the committer, or in Open.
func (s *Store) apply(seq uint64, record []byte) error {
	d := &body{b: record}
	for len(d.b) > 0 {
		switch op := d.op(); op {
		case opPut:
			key, value := d.string(), d.string()
			if d.bad || len(key) == 0 {
				return errForm
			}
			s.state.Lock()
			s.keys.put(key, value)
			s.state.Unlock()
		case opDelete:
			key := d.string()
			s.state.Lock()
			s.keys.delete(key)
			s.state.Unlock()
		case opCreate:
			id, name := d.uvarint(), d.string()
			if d.bad || len(name) == 0 {
				return errForm
			}
			s.applyCreate(id, string(name))
		case opDrop:
			s.applyDrop(s.byID[d.uvarint()])
		case opMark:
			q, pos := s.byID[d.uvarint()], d.uvarint()
			if q != nil && !d.bad {
				q.applyMark(pos)
			}
		case opDone:
			if err := s.applyDone(d); err != nil {
				return err
			}
		case opAppend:
			if err := s.applyAppend(d, seq); err != nil {
				return err
			}
		case opSpill:
			if err := s.applySpill(d, seq); err != nil {
				return err
			}
		case opSynced:
			d.uint32()
			d.uint64()
		case opQueue:
			if err := s.applyQueue(d); err != nil {
				return err
			}
		case opIDs:
			s.raiseID(d.uvarint())
		default:
			return fmt.Errorf("%w: operation %d", errForm, op)
		}
	}
	if d.bad {
		return errForm
	}
	return nil
}

func (s *Store) applyCreate(id uint64, name string) {
	if s.byID[id] != nil {
		return
	}
	q := s.takeUnborn(id)
	if q == nil {
		q = &Queue{store: s, id: id, name: name}
	}
	s.applyDrop(s.queues[name])
	s.state.Lock()
	s.byID[id] = q
	s.queues[name] = q
	s.state.Unlock()
	s.raiseID(id + 1)
}

// raiseID keeps the ids below next from being given again.
func (s *Store) raiseID(next uint64) {
	if next > s.nextQueue.Load() {
		s.nextQueue.Store(next)
	}
}

func (s *Store) applyDrop(q *Queue) {
	if q == nil {
		return
	}
	s.state.Lock()
	delete(s.byID, q.id)
	if s.queues[q.name] == q {
		delete(s.queues, q.name)
	}
	s.state.Unlock()
	q.drop()
}

func (s *Store) applyDone(d *body) error {
	q, head, words := s.byID[d.uvarint()], d.uvarint(), d.uvarint()
	if words > uint64(len(d.b)) {
		return errForm
	}
	if q != nil && !d.bad {
		q.applyHead(head)
	}
	for range words {
		pos, bits := d.uvarint(), d.uint64()
		if q != nil && !d.bad {
			q.applyDone(pos, bits)
		}
	}
	return nil
}

func (s *Store) applyAppend(d *body, seq uint64) error {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		return errForm
	}
	receivers := *d
	for range n {
		d.uvarint()
		d.uint32()
		d.string()
	}
	if d.bad {
		return errForm
	}
	size := uint32(len(d.b))
	for range n {
		q, pos := s.byID[receivers.uvarint()], receivers.uint32()
		receivers.string()
		if q != nil {
			s.lost.Add(int64(q.push(seq, pos, size)))
		}
	}
	d.b = nil
	return nil
}

// place writes into the opAppend of a record the position that its message gets
// in each queue: only now, in the order of the log, are they known. With them a
// log that lost a record in its middle still knows which entry is which. step
// is 1, or -1 to take the positions of a record back that was not written. The
// error tells of a queue whose CreateQueue failed.
func (s *Store) place(appendOp []byte, step int) (err error) {
	d := &body{b: appendOp[1:]}
	for range d.uvarint() {
		id := d.uvarint()
		pos := d.bytes(4)
		d.string()
		q := s.byID[id]
		if q == nil {
			if q = s.unbornQueue(id); q == nil && s.abandoned[id] {
				err = ErrNoQueue
			}
		}
		if q == nil {
			continue
		}
		if step > 0 {
			binary.LittleEndian.PutUint32(pos, uint32(q.next))
		}
		q.next += uint64(step)
	}
	return err
}

// newQueue is a queue that no applied transaction has made yet.
func (s *Store) newQueue(name string) *Queue {
	q := &Queue{store: s, id: s.nextQueue.Add(1) - 1, name: name}
	s.unbornMu.Lock()
	s.unborn[q.id] = q
	s.unbornMu.Unlock()
	return q
}

func (s *Store) unbornQueue(id uint64) *Queue {
	s.unbornMu.Lock()
	defer s.unbornMu.Unlock()
	return s.unborn[id]
}

func (s *Store) takeUnborn(id uint64) *Queue {
	s.unbornMu.Lock()
	defer s.unbornMu.Unlock()
	q := s.unborn[id]
	delete(s.unborn, id)
	return q
}

// abandon gives up queues whose CreateQueue failed. What is sent to them from
// now on fails.
func (s *Store) abandon(made []*Queue) {
	for _, q := range made {
		if s.takeUnborn(q.id) != nil {
			s.abandoned[q.id] = true
			q.drop()
		}
	}
}
