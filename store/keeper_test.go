package store

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// Done in memory alone does not let a message leave the disk: a crash would
// bring back an entry without it.
func TestMessageIsNotDeletedBeforeItsDoneIsDurable(t *testing.T) {
	s := openSmall(t, t.TempDir())
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	commit(t, tx, SyncInterval)
	fill(t, s, q, 2000)
	s.keeping.Lock()
	for range 2 {
		if err := s.snapshot(); err != nil {
			t.Fatal(err)
		}
	}
	for pos := range q.Tail() {
		q.Done(pos)
	}
	live, err := s.liveShare()
	if err == nil {
		err = s.deleteDead(live)
	}
	s.keeping.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	crash := filepath.Join(t.TempDir(), "crash")
	copyStore(t, s, crash)
	if n := len(s.log.list()); n > 3 {
		t.Errorf("%d segments are left", n)
	}
	if n := len(entries(t, open(t, crash).Queue("queue"))); n > 0 {
		t.Errorf("%d entries came back", n)
	}
}

// A snapshot may hold the effect of records that are not durable yet, and of
// one of them a part.
func TestSnapshotIsNoMoreDurableThanItsLog(t *testing.T) {
	o := quiet
	o.Interval = time.Hour
	s, err := Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tx := s.Begin()
	tx.Put("key", []byte("value"))
	commit(t, tx, SyncInterval)
	seg := s.log.last()
	size := seg.Size() // a record that tells how far the log is durable may follow
	if seg.Synced() == size {
		t.Fatal("synced before its time")
	}
	s.keeping.Lock()
	err = s.snapshot()
	s.keeping.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if seg.Synced() < size {
		t.Error("the log is not durable")
	}
}

// Compaction rewrites what is in the way of nothing but the disk's room.
func TestCompactionKeepsPositionsAndOrder(t *testing.T) {
	path := t.TempDir()
	s := openSmall(t, path)
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	other := tx.CreateQueue("other")
	commit(t, tx, SyncInterval)
	const n = 20_000
	for i := range n {
		tx := s.Begin()
		to := []To{{other, nil}}
		if i%50 == 0 {
			to = append(to, To{q, fmt.Append(nil, i)})
		}
		tx.Put("count", fmt.Append(nil, i))
		tx.Append(fmt.Appendf(nil, "message %d", i), to)
		tx.Commit(SyncInterval, nil)
	}
	commit(t, s.Begin(), SyncInterval)
	for pos := range uint64(n) {
		other.Done(pos)
	}
	before := s.Stats().Bytes
	s.keeping.Lock()
	for range 2 {
		if err := s.snapshot(); err != nil {
			t.Fatal(err)
		}
	}
	live, err := s.liveShare()
	if err == nil {
		err = s.compact(live)
	}
	s.keeping.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Compactions == 0 || st.Bytes > before/4 {
		t.Errorf("%d compactions, %d bytes of %d are left", st.Compactions, st.Bytes, before)
	}
	for range 2 {
		i := 0
		if _, err := s.Queue("queue").Read(0, n, func(e Entry) bool {
			if want := fmt.Sprintf("message %d", i*50); e.Pos != uint64(i) || string(e.Message) != want || string(e.Meta) != fmt.Sprint(i*50) || e.Err != nil {
				t.Fatalf("entry %d: got %q %q %v, want %s", e.Pos, e.Meta, e.Message, e.Err, want)
			}
			i++
			return true
		}); err != nil || i != n/50 {
			t.Errorf("read %d entries, %v, want %d", i, err, n/50)
		}
		if s.Queue("other").Len() != 0 || string(s.Get("count")) != fmt.Sprint(n-1) {
			t.Errorf("%d entries in the other queue, count %s", s.Queue("other").Len(), s.Get("count"))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
	}
}

// A queue that was long and is drained gives its room back though little is
// written any more.
func TestDrainedQueueGivesItsRoomBack(t *testing.T) {
	s := openSmall(t, t.TempDir())
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	commit(t, tx, SyncInterval)
	fill(t, s, q, 20_000)
	for pos := range q.Tail() {
		q.Done(pos)
	}
	for range 3 {
		if err := s.tidy(); err != nil {
			t.Fatal(err)
		}
	}
	if size := s.Stats().Bytes; size > 400<<10 {
		t.Errorf("%d bytes are left on disk", size)
	}
}

func TestWhatNobodyNeedsIsDeleted(t *testing.T) {
	s := openSmall(t, t.TempDir())
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	commit(t, tx, SyncInterval)
	var most int64
	for round := range 60 {
		fill(t, s, q, 500)
		for pos := q.Head(); pos < q.Tail(); pos++ {
			q.Done(pos)
		}
		if round%10 == 9 {
			s.keeping.Lock() // the keeper has its turn
			most = max(most, s.diskBytes())
			s.keeping.Unlock()
		}
	}
	if written := s.Stats().Written; most > written/4 {
		t.Errorf("of %d bytes written %d were on disk at once", written, most)
	}
}
