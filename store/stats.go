package store

import (
	"sync/atomic"
	"time"
)

// figures are counted where things happen.
type figures struct {
	written       atomic.Int64
	commits       atomic.Int64
	syncs         atomic.Int64
	slowest       atomic.Int64
	snapshots     atomic.Int64
	snapshotBytes atomic.Int64 // of both files
	snapshotAfter atomic.Int64 // bytes of log after which the next one is taken
	sinceSnapshot atomic.Int64 // bytes of log written since the last one
	compactions   atomic.Int64
	corrupt       atomic.Int64
	lost          atomic.Int64
	free          atomic.Int64
	applied       atomic.Uint64 // sequence number of the next record to be applied
}

// Stats is what an operator wants to know. Counters begin with Open.
type Stats struct {
	// What the store takes on disk, in bytes.
	Bytes int64
	// Messages that wait in queues, in bytes; one counts in each queue.
	Queued int64
	// Keys and values in memory, in bytes.
	State int64
	// Bytes written: the wear of the flash.
	Written int64
	// Transactions committed.
	Commits int64
	// Syncs of the log, and the longest one.
	Syncs       int64
	SlowestSync time.Duration
	// Snapshots taken and segments rewritten.
	Snapshots, Compactions int64
	// Damaged records found, and entries of queues that they cost.
	Corrupt, Lost int64
	// Bytes free on the file system when last looked at.
	Free int64
	// Why messages are refused, empty if they are not, and since when.
	Refuses string
	Since   time.Time
}

// Stats is a look at the store now. It takes the lock of each queue for a moment.
func (s *Store) Stats() Stats {
	st := Stats{
		Bytes:       s.diskBytes(),
		Written:     s.written.Load(),
		Commits:     s.commits.Load(),
		Syncs:       s.syncs.Load(),
		SlowestSync: time.Duration(s.slowest.Load()),
		Snapshots:   s.snapshots.Load(),
		Compactions: s.compactions.Load(),
		Corrupt:     s.corrupt.Load(),
		Lost:        s.lost.Load(),
		Free:        s.free.Load(),
	}
	s.Queues(func(_ string, q *Queue) bool {
		st.Queued += q.Bytes()
		return true
	})
	s.state.RLock()
	st.State = s.keys.bytes
	s.state.RUnlock()
	if r := s.refused.Load(); r != nil {
		st.Refuses, st.Since = r.err.Error(), r.since
	}
	return st
}
