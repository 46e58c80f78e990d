package store

import (
	"context"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// benchDir is on a real disk: a temporary folder may be in memory.
func benchDir(b *testing.B) string {
	dir := b.TempDir()
	if root := os.Getenv("FASCIA_BENCH_DIR"); root != "" {
		var err error
		if dir, err = os.MkdirTemp(root, "store"); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	return dir
}

func benchStore(b *testing.B) (*Store, *Queue) {
	o := quiet
	o.Size = 4 << 30
	s, err := Open(benchDir(b), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	done := make(told, 1)
	tx.Commit(SyncAlways, done)
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return s, q
}

func benchWriters(b *testing.B, writers int, policy Sync) {
	s, q := benchStore(b)
	message := make([]byte, 256)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			to := []To{{q, nil}}
			done := make(told, 1)
			for left.Add(-1) >= 0 {
				tx := s.Begin()
				tx.Append(message, to)
				tx.Commit(policy, done)
				if err := <-done; err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkAlways1(b *testing.B)    { benchWriters(b, 1, SyncAlways) }
func BenchmarkAlways64(b *testing.B)   { benchWriters(b, 64, SyncAlways) }
func BenchmarkInterval1(b *testing.B)  { benchWriters(b, 1, SyncInterval) }
func BenchmarkInterval64(b *testing.B) { benchWriters(b, 64, SyncInterval) }

// counter is a Waiter as the broker's are: without a goroutine that waits.
type counter struct {
	left atomic.Int64
	done chan struct{}
}

func (c *counter) Committed(err error) {
	if c.left.Add(-1) == 0 {
		close(c.done)
	}
}

// BenchmarkBacklog appends b.N messages of 100 bytes for an absent receiver, opens
// the store again and drains them.
func BenchmarkBacklog(b *testing.B) {
	dir := benchDir(b)
	o := quiet
	o.Size = 4 << 30
	s, err := Open(dir, o)
	if err != nil {
		b.Fatal(err)
	}
	tx := s.Begin()
	to := []To{{tx.CreateQueue("queue"), make([]byte, 4)}}
	tx.Commit(SyncInterval, nil)
	message := make([]byte, 100)
	idle := heap()
	all := &counter{done: make(chan struct{})}
	all.left.Store(int64(b.N))
	began := time.Now()
	b.ResetTimer()
	for range b.N {
		tx := s.Begin()
		tx.Append(message, to)
		tx.Commit(SyncInterval, all)
		if s.Busy() {
			_ = s.WaitRoom(context.Background())
		}
	}
	<-all.done
	filled := time.Since(began)
	b.ReportMetric(float64(b.N)/filled.Seconds(), "appends/s")
	b.ReportMetric(float64(heap()-idle)/1e6, "MB")
	b.ReportMetric(float64(s.Stats().Written)/float64(b.N), "written/op")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	began = time.Now()
	if s, err = Open(dir, o); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportMetric(float64(time.Since(began).Microseconds())/1e3, "ms/open")
	q := s.Queue("queue")
	began = time.Now()
	n := 0
	for pos := uint64(0); n < b.N; {
		pos, err = q.Read(pos, 1024, func(e Entry) bool {
			if e.Err != nil {
				b.Fatal(e.Err)
			}
			q.Done(e.Pos)
			n++
			return true
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "drained/s")
	b.ReportMetric(float64(heap()-idle)/1e6, "MB-drained")
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// BenchmarkCommit is a transaction by itself, without waiting.
func BenchmarkCommit(b *testing.B) {
	s, q := benchStore(b)
	message := make([]byte, 100)
	to := []To{{q, nil}}
	key := "key"
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		tx := s.Begin()
		tx.Put(key, message[:8])
		tx.Append(message, to)
		tx.Commit(SyncInterval, nil)
		if s.Busy() {
			_ = s.WaitRoom(context.Background())
		}
	}
}
