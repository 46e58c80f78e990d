package store

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/fascia-edge/fascia/store/seglog"
)

// What a record's body is made of: operations, one behind the other. opAppend
// is the last of its record: the message is what is left.
const (
	opPut    = 1  // key, value
	opDelete = 2  // key
	opCreate = 3  // queue id, name
	opDrop   = 4  // queue id
	opMark   = 5  // queue id, position
	opDone   = 6  // queue id, head, then words of done bits behind it
	opSpill  = 7  // queue id, a chunk's references
	opSynced = 8  // segment, offset up to which the log is known to be durable
	opQueue  = 9  // in snapshots: a queue's state
	opIDs    = 10 // in snapshots: the id of the next queue
	opAppend = 11 // queues with positions and meta, message
)

const (
	kindTx  seglog.Kind = 1 // one transaction
	kindEnd seglog.Kind = 2 // the end of a snapshot
)

const (
	maxKey  = 160 << 10 // two MQTT strings and what says which
	maxMeta = 64 << 10
	// keepTx bounds the buffers that go back to the pool.
	keepTx = 64 << 10
)

// To is a queue that an appended message goes to, with a few opaque bytes of
// that receiver, at most 64 KiB.
type To struct {
	Queue *Queue
	Meta  []byte
}

// Waiter is told the end of a transaction.
type Waiter interface {
	// Committed is called on the store's goroutine in the order of Commit, after
	// the transaction was applied, or with the reason why it was not. It must not
	// block; it may Commit.
	Committed(err error)
}

// Tx is one atomic change: after a crash all of it is there or nothing. It is
// built by one goroutine and ends with Commit or Discard. Its methods copy what
// they are given.
type Tx struct {
	store   *Store
	buf     []byte // the record up to the message
	message []byte // opAppend and all behind it
	made    []*Queue
	moves   bool  // the message takes the place of another
	err     error // what the caller did wrong, told by Commit
}

var txs = sync.Pool{New: func() any { return new(Tx) }}

// Begin starts a transaction.
func (s *Store) Begin() *Tx {
	tx := txs.Get().(*Tx)
	tx.store = s
	tx.buf = seglog.Start(tx.buf[:0], kindTx)
	return tx
}

// Discard gives the transaction up. Queues that it made must not be used.
func (tx *Tx) Discard() {
	for _, q := range tx.made {
		tx.store.takeUnborn(q.id)
	}
	tx.free()
}

func (tx *Tx) free() {
	if cap(tx.buf) > keepTx {
		tx.buf = nil
	}
	if cap(tx.message) > keepTx {
		tx.message = nil
	}
	*tx = Tx{buf: tx.buf, message: tx.message[:0]}
	txs.Put(tx)
}

// Put sets the value of a key, which has 1 byte to 160 KiB. Values are kept in
// memory.
func (tx *Tx) Put(key string, value []byte) {
	tx.checkKey(key)
	tx.buf = append(tx.buf, opPut)
	tx.buf = appendString(tx.buf, key)
	tx.buf = binary.AppendUvarint(tx.buf, uint64(len(value)))
	tx.buf = append(tx.buf, value...)
}

// Delete removes a key; it need not exist.
func (tx *Tx) Delete(key string) {
	tx.checkKey(key)
	tx.buf = append(tx.buf, opDelete)
	tx.buf = appendString(tx.buf, key)
}

// CreateQueue makes an empty queue. It may be used in transactions begun from
// now on, without waiting for this one's commit. A queue that has the name
// already is dropped in the same step.
func (tx *Tx) CreateQueue(name string) *Queue {
	tx.checkKey(name)
	q := tx.store.newQueue(name)
	tx.made = append(tx.made, q)
	tx.buf = append(tx.buf, opCreate)
	tx.buf = binary.AppendUvarint(tx.buf, q.id)
	tx.buf = appendString(tx.buf, name)
	return q
}

// DropQueue removes a queue with all that is in it. What is appended to it
// later is lost.
func (tx *Tx) DropQueue(q *Queue) {
	tx.buf = append(tx.buf, opDrop)
	tx.buf = binary.AppendUvarint(tx.buf, q.id)
}

// Mark sets the one durable bit of an entry. An entry that is done is left alone.
func (tx *Tx) Mark(q *Queue, pos uint64) {
	tx.buf = append(tx.buf, opMark)
	tx.buf = binary.AppendUvarint(tx.buf, q.id)
	tx.buf = binary.AppendUvarint(tx.buf, pos)
}

// Moves is Mark for an entry whose message goes on in this transaction's Append.
// A full store takes that too: it is full no longer when the entry is done.
func (tx *Tx) Moves(q *Queue, pos uint64) {
	tx.Mark(q, pos)
	tx.moves = true
}

// Append stores a message once, as the next entry of each queue in to; a queue that
// is in it twice gets two. There is at most one Append in a transaction.
func (tx *Tx) Append(message []byte, to []To) {
	if len(tx.message) > 0 {
		tx.fail(fmt.Errorf("store: second Append in one transaction"))
		return
	}
	b := append(tx.message, opAppend)
	b = binary.AppendUvarint(b, uint64(len(to)))
	for i := range to {
		if len(to[i].Meta) > maxMeta {
			tx.fail(fmt.Errorf("store: meta of %d bytes for queue %q: want at most %d", len(to[i].Meta), to[i].Queue.name, maxMeta))
		}
		b = binary.AppendUvarint(b, to[i].Queue.id)
		b = append(b, 0, 0, 0, 0) // the position, see place
		b = binary.AppendUvarint(b, uint64(len(to[i].Meta)))
		b = append(b, to[i].Meta...)
	}
	tx.message = append(b, message...)
}

func (tx *Tx) checkKey(key string) {
	if key == "" || len(key) > maxKey {
		tx.fail(fmt.Errorf("store: key of %d bytes: want 1 to %d", len(key), maxKey))
	}
}

func (tx *Tx) fail(err error) {
	if tx.err == nil {
		tx.err = err
	}
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
