package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// fill appends n messages of 100 bytes to q without waiting for each.
func fill(t *testing.T, s *Store, q *Queue, n int) {
	t.Helper()
	message := make([]byte, 100)
	to := []To{{q, []byte("meta")}}
	for range n {
		tx := s.Begin()
		tx.Append(message, to)
		tx.Commit(SyncInterval, nil)
		if s.Busy() {
			if err := s.WaitRoom(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit(t, s.Begin(), SyncInterval)
}

// An outage may be long, the memory of a gateway is small.
func TestLongQueueTakesLittleMemory(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 200_000
	}
	path := t.TempDir()
	s := open(t, path)
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	commit(t, tx, SyncInterval)
	fill(t, s, q, 10_000)
	runtime.GC()
	before := heapInUse()
	fill(t, s, q, n-10_000)
	commit(t, s.Begin(), SyncInterval)
	if grown := heapInUse() - before; grown > 6<<20 {
		t.Errorf("%d entries take %d bytes of memory", n, grown)
	}
	if q.Len() != n || q.Bytes() != int64(n)*100 {
		t.Errorf("%d entries of %d bytes, want %d", q.Len(), q.Bytes(), n)
	}
	q.mu.Lock()
	resident := 0
	for _, c := range q.chunks {
		if c.refs != nil {
			resident++
		}
	}
	q.mu.Unlock()
	// The last one that filled up is on its way.
	if resident > keepChunks+2 {
		t.Errorf("%d chunks are in memory, want %d", resident, keepChunks+1)
	}
	drain := func(upTo int) {
		want := q.Head()
		for pos := want; pos < uint64(upTo); {
			var err error
			if pos, err = q.Read(pos, 1000, func(e Entry) bool {
				if e.Pos != want || e.Err != nil || len(e.Message) != 100 {
					t.Fatalf("entry %d: %v, want %d", e.Pos, e.Err, want)
				}
				want++
				q.Done(e.Pos)
				return true
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	drain(n / 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	q = s.Queue("queue")
	if q.Head() != uint64(n/2) || q.Len() != n/2 {
		t.Errorf("after the next start: head %d, %d entries, want %d", q.Head(), q.Len(), n/2)
	}
	drain(n)
	if q.Len() != 0 || q.Bytes() != 0 || q.Head() != q.Tail() || q.Tail() != uint64(n) {
		t.Errorf("drained: head %d, tail %d, %d entries, %d bytes", q.Head(), q.Tail(), q.Len(), q.Bytes())
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // the first one only moves what pools hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestDoneOutOfOrderIsKeptFarBehindTheHead(t *testing.T) {
	s := open(t, t.TempDir())
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	commit(t, tx, SyncInterval)
	const n = 10 * chunkSize
	fill(t, s, q, n)
	var want []uint64
	for pos := range uint64(n) {
		if pos%3 != 0 {
			q.Done(pos)
			q.Done(pos) // twice is harmless
		} else {
			want = append(want, pos)
		}
	}
	q.Done(n + 5) // so is what is not there
	if err := s.settleDone(); err != nil {
		t.Fatal(err)
	}
	// A crash, with the log alone; then a regular end, with a snapshot.
	crash := filepath.Join(t.TempDir(), "crash")
	copyStore(t, s, crash)
	s = open(t, crash)
	q = s.Queue("queue")
	for range 2 {
		if q.Len() != len(want) {
			t.Errorf("%d entries, want %d", q.Len(), len(want))
		}
		var got []uint64
		next, err := q.Read(0, n, func(e Entry) bool {
			got = append(got, e.Pos)
			return true
		})
		if err != nil || next != n || !slices.Equal(got, want) {
			t.Errorf("read %d entries up to %d, %v, want %d", len(got), next, err, len(want))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, crash)
		q = s.Queue("queue")
	}
}

func TestDoneReachesTheDiskSoon(t *testing.T) {
	s := open(t, t.TempDir())
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	commit(t, tx, SyncInterval)
	fill(t, s, q, 10)
	written := s.Stats().Written
	for pos := range uint64(7) {
		q.Done(pos)
	}
	for s.Stats().Written == written {
		runtime.Gosched()
	}
	if one := s.Stats().Written - written; one > 100 {
		t.Errorf("%d bytes for one change of a queue", one)
	}
	path := filepath.Join(t.TempDir(), "crash")
	if err := os.CopyFS(path, os.DirFS(s.path)); err != nil {
		t.Fatal(err)
	}
	if head := open(t, path).Queue("queue").Head(); head != 7 {
		t.Errorf("after a crash the head is %d, want 7", head)
	}
}

func TestQueueOfTheSameNameTakesThePlace(t *testing.T) {
	path := t.TempDir()
	s := open(t, path)
	var q *Queue
	for range 3 {
		tx := s.Begin()
		old := q
		q = tx.CreateQueue("queue")
		commit(t, tx, SyncInterval)
		if old != nil {
			// Its messages go nowhere, and are no error: it was given up.
			if err := appendTo(s, old, "late", SyncInterval); err != nil || old.Len() > 0 {
				t.Errorf("%d entries, %v", old.Len(), err)
			}
		}
		if err := appendTo(s, q, "message", SyncInterval); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if got := fmt.Sprint(entries(t, s.Queue("queue"))); got != "[0  message false]" {
			t.Error(got)
		}
		s.Close()
		s = open(t, path)
	}
	tx := s.Begin()
	tx.DropQueue(s.Queue("queue"))
	commit(t, tx, SyncInterval)
	s.Close()
	if q := open(t, path).Queue("queue"); q != nil {
		t.Errorf("dropped, and there: %d entries", q.Len())
	}
}
