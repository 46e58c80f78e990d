package store

import (
	"sort"
	"sync"
)

// Queue is a durable receiver's line of entries, numbered 0, 1, 2… in the order
// of Commit for ever: a number is never used twice, across restarts neither.
// All methods are safe for concurrent use.
type Queue struct {
	store *Store
	id    uint64 // never used again, as names are
	name  string
	next  uint64 // position for the next entry that is written; the committer's

	mu     sync.Mutex // guards what follows
	head   uint64     // first position not done, or tail
	tail   uint64
	chunks []*chunk // in order; positions between them were lost and count as done
	len    int
	bytes  int64
	loaded []*chunk // whose references were read back, oldest first
	dirty  bool     // in the store's list of queues with Done to be written
	gone   bool     // dropped

	spilling bool // in the store's list of queues with chunks to spill; the committer's
}

// Name is the name that CreateQueue gave it.
func (q *Queue) Name() string { return q.name }

// Head is the first position that is not done, or Tail if there is none.
func (q *Queue) Head() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.head
}

// Tail is the position that the next entry gets.
func (q *Queue) Tail() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tail
}

// Len is the number of entries that are not done.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.len
}

// Bytes is the size of the messages of those entries. An entry far behind the
// head may count until the head comes near.
func (q *Queue) Bytes() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// Done ends an entry: it is not read again. It takes effect in memory at once
// and on disk at most flushEvery later; until then a crash brings it back.
// Doing it twice is harmless: first is false for an entry that is done or was
// never there.
func (q *Queue) Done(pos uint64) (first bool) {
	q.mu.Lock()
	changed := q.done(pos)
	note := changed && !q.dirty && !q.gone
	if note {
		q.dirty = true
	}
	q.mu.Unlock()
	if note {
		q.store.noteDirty(q)
	}
	return changed
}

// push adds the entry of record seq. Of its position the lower 32 bits are
// known. It returns how many entries before it are missing.
func (q *Queue) push(seq uint64, low uint32, size uint32) (lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ahead := int64(int32(low - uint32(q.tail)))
	if ahead < 0 || q.gone {
		return 0 // there already
	}
	pos := q.tail + uint64(ahead)
	if q.head == q.tail {
		q.head = pos
	}
	c := q.last()
	if c == nil || !c.takes(pos, seq) {
		c = &chunk{first: pos, base: seq}
		q.chunks = append(q.chunks, c)
		if len(q.chunks) > keepChunks+1 && !q.spilling {
			q.spilling = true
			q.store.spills = append(q.store.spills, q)
		}
	}
	c.refs = append(c.refs, ref{uint32(seq - c.base), size})
	c.n++
	c.live++
	c.bytes += int64(size)
	q.len++
	q.bytes += int64(size)
	q.tail = pos + 1
	return uint64(ahead)
}

func (q *Queue) last() *chunk {
	if len(q.chunks) == 0 {
		return nil
	}
	return q.chunks[len(q.chunks)-1]
}

// chunkOf is the chunk that holds pos, or the first one behind it; nil: none.
func (q *Queue) chunkOf(pos uint64) (int, *chunk) {
	if len(q.chunks) > 0 && pos < q.chunks[0].end() {
		return 0, q.chunks[0]
	}
	i := sort.Search(len(q.chunks), func(i int) bool { return pos < q.chunks[i].end() })
	if i == len(q.chunks) {
		return i, nil
	}
	return i, q.chunks[i]
}

func (q *Queue) isDone(pos uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, c := q.chunkOf(pos)
	return pos < q.head || c == nil || pos < c.first || c.isDone(int(pos-c.first))
}

// done ends the entry at pos and tells whether that changed anything. q.mu is held.
func (q *Queue) done(pos uint64) bool {
	if pos < q.head || pos >= q.tail {
		return false
	}
	_, c := q.chunkOf(pos)
	if c == nil || pos < c.first {
		return false
	}
	i := int(pos - c.first)
	if c.isDone(i) {
		return false
	}
	q.len--
	c.live--
	if c.refs != nil {
		size := int64(c.refs[i].size)
		c.bytes -= size
		q.bytes -= size
	}
	if pos != q.head {
		c.setDone(i)
		return true
	}
	q.head++
	q.advance()
	return true
}

// advance moves the head over what is done and forgets the chunks behind it.
func (q *Queue) advance() {
	for len(q.chunks) > 0 {
		c := q.chunks[0]
		q.head = max(q.head, c.first)
		for q.head < c.end() && c.isDone(int(q.head-c.first)) {
			q.head++
		}
		if q.head < c.end() {
			return
		}
		q.bytes -= c.bytes
		if len(q.chunks) == 1 && c.at == 0 && c.n < chunkSize/8 {
			// A queue that is emptied again and again keeps its one small chunk.
			*c = chunk{first: q.tail, base: c.base + uint64(c.refs[c.n-1].delta), refs: c.refs[:0]}
			break
		}
		q.chunks[0] = nil
		q.chunks = q.chunks[1:]
	}
	if q.len == 0 {
		q.head = q.tail
	}
}

// applyHead ends all entries before head.
func (q *Queue) applyHead(head uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head < head && q.head < q.tail {
		q.done(q.head)
	}
}

// applyDone ends the entries of a word of bits whose first is pos.
func (q *Queue) applyDone(pos, word uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ; word != 0; pos, word = pos+1, word>>1 {
		if word&1 == 1 {
			q.done(pos)
		}
	}
}

func (q *Queue) applyMark(pos uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if pos < q.head || pos >= q.tail {
		return
	}
	if _, c := q.chunkOf(pos); c != nil && pos >= c.first {
		c.setMarked(int(pos - c.first))
	}
}

func (q *Queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gone = true
	q.chunks, q.loaded, q.len, q.bytes, q.head = nil, nil, 0, 0, q.tail
}
