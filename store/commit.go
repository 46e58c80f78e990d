package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/fascia-edge/fascia/store/seglog"
)

// Sync is how durable a transaction is before its Committed.
type Sync uint8

const (
	SyncInterval Sync = iota // write(2); it survives the death of the process; fsynced every Options.Interval
	SyncAlways               // fdatasync; it survives a power cut
	SyncNever                // write(2), as with SyncInterval, and no fsync for its sake
)

const (
	// busyBytes of transactions not committed yet make the store Busy.
	busyBytes = 4 << 20
	// pieceBytes are written, synced and applied at once: a long backlog of
	// transactions does not make the first of them wait for the last.
	pieceBytes = 1 << 20
	// flushEvery is how late Done reaches the disk.
	flushEvery = 20 * time.Millisecond
	// keepBatch bounds the memory that an idle store keeps for the next batch.
	keepBatch = 64 << 10
)

// batch is a number of transactions in order: their records, one behind the
// other, and what is to be told to whom.
type batch struct {
	buf   []byte // begins with room for an opSynced
	items []item
}

func (b *batch) clear() {
	if cap(b.buf) > keepBatch && len(b.buf) < cap(b.buf)/16 {
		*b = batch{}
	}
	clear(b.items)
	b.items = b.items[:0]
	b.buf = appendSynced(b.buf[:0], offset{})
}

type item struct {
	waiter  Waiter
	end     int // of its record in buf; that of the item before: no record
	message int // offset of opAppend in buf; 0: none
	sync    Sync
	moves   bool // see Tx.Moves
	made    []*Queue
	err     error
}

// Commit ends the transaction; w, which may be nil, is told the result. It
// never blocks: who commits much looks at Busy. Transactions are written,
// applied and told in the order of Commit. An empty one is told after
// everything before it. After Close it is told ErrClosed, from within Commit.
func (tx *Tx) Commit(sync Sync, w Waiter) {
	s := tx.store
	if n := len(tx.buf) + len(tx.message); n > seglog.MaxBody {
		tx.fail(fmt.Errorf("store: transaction of %d bytes: want at most %d", n, seglog.MaxBody))
	}
	if tx.err != nil {
		// In its order among the others, but without a record.
		tx.buf, tx.message = tx.buf[:seglog.HeadSize], tx.message[:0]
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		tx.free()
		if w != nil {
			w.Committed(ErrClosed)
		}
		return
	}
	p := s.pending
	first := len(p.items) == 0
	it := item{waiter: w, sync: sync, moves: tx.moves, made: tx.made, err: tx.err}
	start := len(p.buf)
	if len(tx.buf) > seglog.HeadSize || len(tx.message) > 0 {
		p.buf = append(p.buf, tx.buf...)
		if len(tx.message) > 0 {
			it.message = len(p.buf)
			p.buf = append(p.buf, tx.message...)
		}
		seglog.Finish(p.buf[start:])
	}
	it.end = len(p.buf)
	p.items = append(p.items, it)
	s.pendingBytes.Add(int64(it.end - start))
	s.mu.Unlock()
	tx.free()
	if first {
		s.poke()
	}
}

// Busy reports whether so much waits to be committed that who can should wait.
func (s *Store) Busy() bool { return s.pendingBytes.Load() > busyBytes }

// WaitRoom waits until the store is not Busy. Its error is the context's.
func (s *Store) WaitRoom(ctx context.Context) error {
	for s.Busy() {
		s.mu.Lock()
		room := s.room
		s.mu.Unlock()
		if !s.Busy() {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// poke wakes the committer.
func (s *Store) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run is the committer: the one goroutine that writes the log and changes the state.
func (s *Store) run() {
	defer close(s.done)
	flush, check := stopped(), stopped()
	defer flush.Stop()
	defer check.Stop()
	flushing, checking := false, false
	for {
		select {
		case <-s.wake:
		case <-flush.C:
			flushing = false
			s.writeDone()
		case <-check.C:
			checking = false
			s.check()
		}
		if s.blocked() == nil && s.log.failed() {
			s.mend()
		}
		// Those who were told of the last batch get the time to join the next one:
		// a sync for two of them costs what one for sixty does.
		runtime.Gosched()
		b, closed := s.swap()
		if s.doneWanted.Swap(false) {
			s.writeDone()
		}
		s.commit(b)
		idle := len(b.items) == 0
		b.clear()
		s.mu.Lock()
		s.spare = b
		if len(s.pending.items) == 0 {
			s.pending.clear() // of an idle store neither is large
		}
		s.mu.Unlock()
		s.writeSpills()
		if closed && idle {
			return
		}
		if closed {
			s.poke()
		}
		if !flushing && s.hasDirty() {
			flushing = true
			flush.Reset(flushEvery)
		}
		if !checking && s.refused.Load() != nil {
			checking = true
			check.Reset(checkEvery)
		}
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// swap takes what is pending.
func (s *Store) swap() (*batch, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.pending
	s.pending = s.spare
	return b, s.closed
}

// commit writes, applies and tells the transactions of b.
func (s *Store) commit(b *batch) {
	start := syncedSize
	if o := s.log.durable(); s.log.marked.before(o) && s.blocked() == nil {
		// What the last sync reached is told with the next write, or by itself.
		appendSynced(b.buf[:0], o)
		start = 0
		if len(b.items) == 0 {
			if _, err := s.write(b.buf[:syncedSize], 1); err == nil {
				s.log.marked = o
			}
			return
		}
		s.log.marked = o
	}
	for items := b.items; len(items) > 0; {
		n, end := 1, items[0].end
		for n < len(items) && items[n].end-start <= pieceBytes {
			end = items[n].end
			n++
		}
		s.commitPiece(b.buf, start, items[:n])
		s.settled(int64(end - max(start, syncedSize)))
		start, items = end, items[n:]
	}
}

// settled takes n bytes off what is pending.
func (s *Store) settled(n int64) {
	after := s.pendingBytes.Add(-n)
	if after <= busyBytes && after+n > busyBytes {
		s.mu.Lock()
		close(s.room)
		s.room = make(chan struct{})
		s.mu.Unlock()
	}
}

// commitPiece does the same for items whose records begin at start.
func (s *Store) commitPiece(buf []byte, start int, items []item) {
	s.checkSpace(int64(items[len(items)-1].end - start))
	records, sync, lasting := 0, false, false
	at := start
	if start == 0 {
		records, at = 1, syncedSize
	}
	end := at
	for i := range items {
		it := &items[i]
		from, size := at, it.end-at
		at = it.end
		sync = sync || it.sync == SyncAlways
		lasting = lasting || it.sync != SyncNever
		if size > 0 {
			it.err = s.admit(it.message > 0 && !it.moves)
		}
		if it.err == nil && it.message > 0 {
			// All of the transaction is there or nothing: one dead queue refuses it.
			if it.err = s.place(buf[it.message:at], 1); it.err != nil {
				_ = s.place(buf[it.message:at], -1)
			}
		}
		if size == 0 || it.err != nil {
			s.abandon(it.made)
			it.end = end
			continue
		}
		// Records close ranks where one before them was refused.
		if from != end {
			copy(buf[end:], buf[from:at])
			if it.message > 0 {
				it.message -= from - end
			}
		}
		end += size
		it.end = end
		records++
	}
	s.applyPiece(buf[start:end], start, items, records, sync)
	if lasting {
		s.syncer.poke()
	}
	for i := range items {
		if items[i].waiter != nil {
			items[i].waiter.Committed(items[i].err)
		}
	}
}

// applyPiece writes the records of items and then applies them.
func (s *Store) applyPiece(buf []byte, start int, items []item, records int, sync bool) {
	seq, err := s.writeSync(buf, records, sync)
	at := start
	if start == 0 {
		at = syncedSize
		seq++
	}
	for i := range items {
		it := &items[i]
		record := buf[at-start : it.end-start]
		at = it.end
		switch {
		case len(record) == 0:
			// The caller's mistake, a barrier, or refused.
			if it.err == nil {
				it.err = err
			}
		case err != nil:
			it.err = err
			if it.message > 0 {
				_ = s.place(buf[it.message-start:it.end-start], -1)
			}
			s.abandon(it.made)
		default:
			if err := s.apply(seq, record[seglog.HeadSize:]); err != nil {
				it.err = err
			}
			s.applied.Store(seq + 1)
			seq++
		}
	}
	s.commits.Add(int64(len(items)))
}

// writeSync appends finished records and makes them durable if that is asked.
// On an error none of them is in the log.
func (s *Store) writeSync(buf []byte, records int, sync bool) (first uint64, err error) {
	if first, err = s.write(buf, records); err != nil || !sync {
		return first, err
	}
	if err = s.syncLog(); err != nil {
		if len(buf) > 0 {
			s.log.rewind(s.log.last().Size()-int64(len(buf)), first)
		}
		s.refuse(err, true)
	}
	return first, err
}

// write appends finished records. On an error none of them is in the log.
func (s *Store) write(buf []byte, records int) (first uint64, err error) {
	if len(buf) == 0 {
		return 0, nil
	}
	first, err = s.log.append(buf, records)
	if err != nil {
		err = fmt.Errorf("store: %w", classify(err))
		s.refuse(err, !errors.Is(err, ErrNoSpace))
		return 0, err
	}
	s.written.Add(int64(len(buf)))
	s.sinceSnapshot.Add(int64(len(buf)))
	if s.sinceSnapshot.Load() > s.snapshotAfter.Load() {
		s.keeper.poke()
	}
	return first, nil
}

// syncLog makes the log durable. Errors are of the classes of Refuses.
func (s *Store) syncLog() error {
	began := time.Now()
	err := s.log.sync()
	s.syncs.Add(1)
	if took := time.Since(began); took > time.Duration(s.slowest.Load()) {
		s.slowest.Store(int64(took))
	}
	if err != nil {
		return fmt.Errorf("store: %w", classify(err))
	}
	return nil
}
