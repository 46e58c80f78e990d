package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/store/seglog"
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
	if seg.Synced() == seg.Size() {
		t.Fatal("synced before its time")
	}
	s.keeping.Lock()
	err = s.snapshot()
	s.keeping.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if seg.Synced() < seg.Size() {
		t.Error("the log is not durable")
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

// A list of references that can't be read any more is made again from the log.
func TestDamagedSpillCostsNoMessage(t *testing.T) {
	s := open(t, t.TempDir())
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	commit(t, tx, SyncInterval)
	fill(t, s, q, 6*chunkSize)
	var at uint64
	q.mu.Lock()
	at = q.chunks[keepChunks].at
	q.mu.Unlock()
	seg := s.log.of(at)
	sc := seglog.NewScanner(seg)
	rec, err := sc.Find(at)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(seg.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{rec.Body[9] ^ 1}, rec.Off+seglog.HeadSize+9); err != nil {
		t.Fatal(err)
	}
	f.Close()
	sc.Close()
	seg.Release()
	n := 0
	if _, err := q.Read(0, 6*chunkSize, func(e Entry) bool {
		if e.Err != nil || e.Pos != uint64(n) || len(e.Message) != 100 {
			t.Fatalf("entry %d, want %d: %v", e.Pos, n, e.Err)
		}
		n++
		q.Done(e.Pos)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if n != 6*chunkSize || q.Len() != 0 || q.Bytes() != 0 {
		t.Errorf("read %d entries, %d left, %d bytes", n, q.Len(), q.Bytes())
	}
}

// order notes who was told when.
type order struct {
	mu   *sync.Mutex
	list *[]int
	n    int
}

func (o order) Committed(error) {
	o.mu.Lock()
	*o.list = append(*o.list, o.n)
	o.mu.Unlock()
}

func TestWaitersAreToldInTheOrderOfCommit(t *testing.T) {
	s := open(t, t.TempDir())
	tx := s.Begin()
	q := tx.CreateQueue("queue") // used before it is committed
	tx.Commit(SyncNever, nil)
	var mu sync.Mutex
	var list []int
	for i := range 1000 {
		tx := s.Begin()
		if i%3 > 0 { // else a barrier
			tx.Append([]byte("message"), []To{{q, nil}})
		}
		tx.Commit(Sync(i%7%3), order{&mu, &list, i})
	}
	tx = s.Begin()
	tx.Append(nil, []To{{q, nil}})
	tx.Append(nil, []To{{q, nil}})
	if err := result(tx, SyncInterval); err == nil || !strings.Contains(err.Error(), "second Append") {
		t.Errorf("got %v, want the caller's mistake", err)
	}
	if len(list) != 1000 || !slices.IsSorted(list) {
		t.Errorf("told %d, in order: %v", len(list), slices.IsSorted(list))
	}
	if q.Len() != 666 {
		t.Errorf("%d entries, want 666", q.Len())
	}
}

func TestCloseCommitsWhatIsPendingAndNothingLater(t *testing.T) {
	path := t.TempDir()
	s := open(t, path)
	tx := s.Begin()
	tx.Put("key", []byte("value"))
	tx.Commit(SyncNever, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	tx = s.Begin()
	tx.Put("key", []byte("later"))
	if err := result(tx, SyncAlways); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	for range 3 {
		s = open(t, path)
		if string(s.Get("key")) != "value" {
			t.Errorf("got %q", s.Get("key"))
		}
		written := s.Stats().Written
		s.Close()
		if s.Stats().Written != written {
			t.Error("a store where nothing changed is written anew")
		}
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

func TestRangeSeesAPrefixInOrder(t *testing.T) {
	s := open(t, t.TempDir())
	tx := s.Begin()
	for i := range 2000 {
		tx.Put(fmt.Sprintf("a/%04d", (i*7919)%2000), nil)
		tx.Put(fmt.Sprintf("b/%04d", i), nil)
	}
	commit(t, tx, SyncInterval)
	n := 0
	s.Range("a/", func(key string, _ []byte) bool {
		if want := fmt.Sprintf("a/%04d", n); key != want {
			t.Fatalf("got %s, want %s", key, want)
		}
		n++
		// It may change what it walks over.
		tx := s.Begin()
		tx.Delete(key)
		tx.Commit(SyncNever, nil)
		return true
	})
	commit(t, s.Begin(), SyncNever)
	if n != 2000 {
		t.Errorf("saw %d keys, want 2000", n)
	}
	s.Range("a/", func(key string, _ []byte) bool {
		t.Errorf("%s is still there", key)
		return false
	})
}
