package store

import (
	"encoding/binary"

	"github.com/fascia-edge/fascia/store/seglog"
)

// The committer also writes records of its own: what Done changed, and the
// chunks of long queues that leave memory.

// recordBytes is how large those records grow before the next one is begun.
const recordBytes = 64 << 10

// noteDirty notes a queue whose Done is to be written.
func (s *Store) noteDirty(q *Queue) {
	s.dirtyMu.Lock()
	s.dirty = append(s.dirty, q)
	first := len(s.dirty) == 1
	s.dirtyMu.Unlock()
	if first {
		s.poke()
	}
}

func (s *Store) hasDirty() bool {
	s.dirtyMu.Lock()
	defer s.dirtyMu.Unlock()
	return len(s.dirty) > 0
}

// writeDone writes what is done in each queue that Done changed. If that fails
// the queues stay dirty.
func (s *Store) writeDone() {
	if s.admit(false) != nil {
		return
	}
	s.dirtyMu.Lock()
	dirty := s.dirty
	s.dirty = nil
	s.dirtyMu.Unlock()
	for len(dirty) > 0 {
		buf := seglog.Start(s.own[:0], kindTx)
		n := 0
		for n < len(dirty) && len(buf) < recordBytes {
			buf = dirty[n].appendDone(buf)
			n++
		}
		seglog.Finish(buf)
		s.own = buf
		if _, err := s.write(buf, 1); err != nil {
			s.redirty(dirty)
			return
		}
		dirty = dirty[n:]
	}
	s.syncer.poke()
}

func (s *Store) redirty(list []*Queue) {
	for _, q := range list {
		q.mu.Lock()
		note := !q.dirty && !q.gone
		q.dirty = q.dirty || note
		q.mu.Unlock()
		if note {
			s.noteDirty(q)
		}
	}
}

// appendDone appends the operation that tells what is done: the head, and words
// of bits behind it. It is the whole state and not the change, so that one such
// operation that is lost does no harm.
func (q *Queue) appendDone(buf []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dirty = false
	if q.gone {
		return buf
	}
	words := 0
	q.doneWords(func(uint64, uint64) { words++ })
	buf = append(buf, opDone)
	buf = binary.AppendUvarint(buf, q.id)
	buf = binary.AppendUvarint(buf, q.head)
	buf = binary.AppendUvarint(buf, uint64(words))
	q.doneWords(func(pos, word uint64) {
		buf = binary.AppendUvarint(buf, pos)
		buf = binary.LittleEndian.AppendUint64(buf, word)
	})
	return buf
}

// doneWords calls fn for the words of done bits that reach behind the head.
func (q *Queue) doneWords(fn func(pos, word uint64)) {
	for _, c := range q.chunks {
		if c.bits == nil {
			continue
		}
		for i, word := range c.bits.done {
			if pos := c.first + uint64(i)*64; word != 0 && pos+64 > q.head {
				fn(pos, word)
			}
		}
	}
}

// writeSpills writes the chunks that became the middle of a queue.
func (s *Store) writeSpills() {
	if len(s.spills) == 0 || s.admit(false) != nil {
		return
	}
	list := s.spills
	s.spills = nil
	for i, q := range list {
		buf := q.appendSpills(seglog.Start(s.own[:0], kindTx))
		s.own = buf
		if len(buf) == seglog.HeadSize {
			continue
		}
		seglog.Finish(buf)
		seq, err := s.write(buf, 1)
		if err != nil {
			s.spills = append(s.spills, list[i:]...)
			return
		}
		if err := s.apply(seq, buf[seglog.HeadSize:]); err != nil {
			s.o.Log.Error("store: own record", "error", err)
		}
		s.applied.Store(seq + 1)
	}
	if cap(s.own) > keepBatch {
		s.own = nil
	}
}

// appendSpills appends the chunks in the middle of the queue that no record
// holds yet.
func (q *Queue) appendSpills(buf []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spilling = false
	for i := keepChunks; i < len(q.chunks)-1; i++ {
		c := q.chunks[i]
		if c.at != 0 || c.refs == nil {
			continue
		}
		if len(buf) > recordBytes {
			q.spilling = true
			q.store.spills = append(q.store.spills, q)
			break
		}
		buf = append(buf, opSpill)
		buf = binary.AppendUvarint(buf, q.id)
		buf = c.append(buf)
	}
	return buf
}

// applySpill lets go of the references of a chunk that record seq holds.
func (s *Store) applySpill(d *body, seq uint64) error {
	q := s.byID[d.uvarint()]
	c, err := parseChunk(d)
	if err != nil {
		return err
	}
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i, have := q.chunkOf(c.first); have != nil && have.first == c.first && have.n == c.n {
		have.at = seq
		if i >= keepChunks && i < len(q.chunks)-1 {
			have.refs = nil
		}
	}
	return nil
}
