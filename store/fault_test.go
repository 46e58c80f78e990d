package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/store/seglog"
)

// badDisk fails and waits as it is told.
type badDisk struct {
	seglog.OS
	write, sync atomic.Pointer[error] // what writes and syncs fail with
	short       atomic.Bool           // writes that fail write half
	stuck       sync.RWMutex          // held to keep syncs waiting
}

func (d *badDisk) WriteAt(f *os.File, b []byte, off int64) (int, error) {
	if err := d.write.Load(); err != nil {
		n := 0
		if d.short.Load() {
			n, _ = d.OS.WriteAt(f, b[:len(b)/2], off)
		}
		return n, *err
	}
	return d.OS.WriteAt(f, b, off)
}

func (d *badDisk) Sync(f *os.File) error {
	d.stuck.RLock()
	defer d.stuck.RUnlock()
	if err := d.sync.Load(); err != nil {
		return *err
	}
	return d.OS.Sync(f)
}

func openBad(t *testing.T, path string) (*Store, *badDisk) {
	t.Helper()
	d := new(badDisk)
	o := quiet
	o.Interval = time.Millisecond
	s, err := openOn(d, path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, d
}

func result(tx *Tx, policy Sync) error {
	done := make(told, 1)
	tx.Commit(policy, done)
	return <-done
}

func appendTo(s *Store, q *Queue, message string, policy Sync) error {
	tx := s.Begin()
	tx.Append([]byte(message), []To{{q, nil}})
	return result(tx, policy)
}

// healed waits until the store takes messages again by itself.
func healed(t *testing.T, s *Store) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); s.Refuses() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still refuses: %v", s.Refuses())
		}
	}
}

func TestFailedWriteIsToldAndHealsByItself(t *testing.T) {
	for name, c := range map[string]struct {
		fault error
		want  error
		state bool // small state is refused too
	}{
		"disk full":    {unix.ENOSPC, ErrNoSpace, true},
		"quota":        {unix.EDQUOT, ErrNoSpace, true},
		"read-only":    {unix.EROFS, ErrReadOnly, true},
		"input/output": {unix.EIO, ErrIO, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			s, disk := openBad(t, path)
			tx := s.Begin()
			q := tx.CreateQueue("queue")
			commit(t, tx, SyncAlways)
			if err := appendTo(s, q, "before", SyncAlways); err != nil {
				t.Fatal(err)
			}
			disk.short.Store(true)
			disk.write.Store(&c.fault)
			if err := appendTo(s, q, "refused", SyncInterval); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err := s.Refuses(); !errors.Is(err, c.want) {
				t.Errorf("Refuses: got %v, want %v", err, c.want)
			}
			tx = s.Begin()
			tx.Put("key", nil)
			if err := result(tx, SyncInterval); err == nil {
				t.Error("state was stored on a disk that fails")
			}
			if s.Get("key") != nil || q.Len() != 1 {
				t.Error("what was not written was applied")
			}
			// The one that failed gives its queue up: nothing is promised for it.
			tx = s.Begin()
			unmade := tx.CreateQueue("unmade")
			if err := result(tx, SyncInterval); err == nil {
				t.Error("a queue was made on a disk that fails")
			}
			disk.write.Store(nil)
			healed(t, s)
			if err := appendTo(s, unmade, "lost", SyncInterval); !errors.Is(err, ErrNoQueue) {
				t.Errorf("message to a queue that was not made: got %v, want ErrNoQueue", err)
			}
			if err := appendTo(s, q, "after", SyncAlways); err != nil {
				t.Fatal(err)
			}
			want := "[0  before false 1  after false]"
			if got := fmt.Sprint(entries(t, q)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			crash := filepath.Join(t.TempDir(), "crash")
			copyStore(t, s, crash)
			again := open(t, crash)
			if got := fmt.Sprint(entries(t, again.Queue("queue"))); got != want || again.Stats().Corrupt > 0 {
				t.Errorf("after a crash: got %s, %d damaged, want %s", got, again.Stats().Corrupt, want)
			}
		})
	}
}

// After a failed fsync the kernel calls the pages clean and the next fsync says
// that all is well. They must be written again elsewhere.
func TestFailedSyncIsNeverTrustedAgain(t *testing.T) {
	for _, policy := range []Sync{SyncAlways, SyncInterval} {
		t.Run(fmt.Sprint("policy ", policy), func(t *testing.T) {
			path := t.TempDir()
			s, disk := openBad(t, path)
			tx := s.Begin()
			q := tx.CreateQueue("queue")
			commit(t, tx, SyncAlways)
			if err := appendTo(s, q, "durable", SyncAlways); err != nil {
				t.Fatal(err)
			}
			eio := error(unix.EIO)
			disk.sync.Store(&eio)
			want := "[0  durable false 1  again false]"
			if policy == SyncAlways {
				if err := appendTo(s, q, "in doubt", SyncAlways); !errors.Is(err, ErrIO) {
					t.Errorf("got %v, want ErrIO", err)
				}
			} else {
				// It was acknowledged, so it is written again.
				if err := appendTo(s, q, "acknowledged", SyncInterval); err != nil {
					t.Fatal(err)
				}
				want = "[0  durable false 1  acknowledged false 2  again false]"
			}
			for s.Refuses() == nil {
				time.Sleep(time.Millisecond)
			}
			disk.sync.Store(nil)
			healed(t, s)
			if err := appendTo(s, q, "again", SyncAlways); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(entries(t, q)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			// All that counts is in the new file: the old one may be gone bad.
			if n := len(s.log.list()); n < 2 {
				t.Errorf("%d segments, want a new one", n)
			}
			crash := filepath.Join(t.TempDir(), "crash")
			copyStore(t, s, crash)
			again := open(t, crash)
			if got := fmt.Sprint(entries(t, again.Queue("queue"))); got != want || again.Stats().Corrupt > 0 {
				t.Errorf("after a crash: got %s, %d damaged, want %s", got, again.Stats().Corrupt, want)
			}
		})
	}
}

// A disk that sticks keeps nobody waiting but those who asked for it.
func TestStuckDiskBlocksNobodyButItsWaiters(t *testing.T) {
	s, disk := openBad(t, t.TempDir())
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	tx.Put("key", []byte("value"))
	commit(t, tx, SyncAlways)
	disk.stuck.Lock()
	waiting := make(told, 3)
	tx = s.Begin()
	tx.Append([]byte("message"), []To{{q, nil}})
	tx.Commit(SyncAlways, waiting)
	for range 2 {
		tx = s.Begin()
		tx.Append(make([]byte, busyBytes), []To{{q, nil}})
		tx.Commit(SyncInterval, waiting)
	}
	if !s.Busy() {
		t.Error("not busy")
	}
	late, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := s.WaitRoom(late); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that there is no room", err)
	}
	if string(s.Get("key")) != "value" || q.Len() != 0 || s.Refuses() != nil {
		t.Error("memory can't be read")
	}
	_ = s.Stats()
	if len(waiting) > 0 {
		t.Error("told before it was so")
	}
	disk.stuck.Unlock()
	if err := s.WaitRoom(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
}

func TestFullStoreRefusesMessagesAndTakesStateAndDone(t *testing.T) {
	o := quiet
	o.Size = 8 << 20
	path := t.TempDir()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	commit(t, tx, SyncInterval)
	message := strings.Repeat("m", 16<<10)
	n := 0
	for err = nil; err == nil; n++ {
		err = appendTo(s, q, message, SyncInterval)
	}
	n--
	if !errors.Is(err, ErrFull) || !errors.Is(s.Refuses(), ErrFull) {
		t.Fatalf("after %d messages: got %v, want ErrFull", n, err)
	}
	if st := s.Stats(); st.Bytes > o.Size || st.Bytes < o.Size/2 || st.Refuses == "" {
		t.Errorf("takes %d bytes, refuses %q", st.Bytes, st.Refuses)
	}
	tx = s.Begin()
	tx.Put("key", []byte("value"))
	tx.Mark(q, 0)
	commit(t, tx, SyncAlways)
	if q.Len() != n {
		t.Errorf("%d entries, want %d", q.Len(), n)
	}
	// Room comes back when messages are done, in the middle of the log too.
	for pos := range uint64(n) {
		if pos%16 != 0 {
			q.Done(pos)
		}
	}
	healed(t, s)
	if err := appendTo(s, q, message, SyncInterval); err != nil {
		t.Error(err)
	}
	if got := len(entries(t, q)); got != (n+15)/16+1 {
		t.Errorf("%d entries are left, want %d", got, (n+15)/16+1)
	}
}

// mount puts a file system of the test's own at path, which takes root.
func mount(t *testing.T, path, options string) {
	t.Helper()
	err := unix.Mount("tmpfs", path, "tmpfs", 0, options)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("mount: ", err)
	}
	if err != nil {
		t.Skip("mount: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

// The real thing: a file system of 4 MiB.
func TestFullFileSystemIsSurvived(t *testing.T) {
	path := t.TempDir()
	mount(t, path, "size=4m")
	o := quiet
	o.FreeSpace = 1
	s, err := Open(filepath.Join(path, "store"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	commit(t, tx, SyncInterval)
	for err = nil; err == nil; {
		err = appendTo(s, q, strings.Repeat("m", 50000), SyncAlways)
	}
	if !errors.Is(err, ErrNoSpace) {
		t.Fatalf("got %v, want ErrNoSpace", err)
	}
	kept := len(entries(t, q))
	if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	healed(t, s)
	if err := appendTo(s, q, "after", SyncAlways); err != nil {
		t.Fatal(err)
	}
	if got := len(entries(t, q)); got != kept+1 {
		t.Errorf("%d entries, want %d", got, kept+1)
	}
}

func TestReadOnlyFileSystemOpensAndHeals(t *testing.T) {
	path := t.TempDir()
	mount(t, path, "size=64m")
	o := quiet
	o.FreeSpace = 1
	folder := filepath.Join(path, "store")
	s, err := Open(folder, o)
	if err != nil {
		t.Fatal(err)
	}
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	tx.Put("key", []byte("value"))
	commit(t, tx, SyncInterval)
	if err := appendTo(s, q, "before", SyncAlways); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, "size=64m"); err != nil {
		t.Fatal(err)
	}
	s, err = Open(folder, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	q = s.Queue("queue")
	if got := fmt.Sprint(entries(t, q)); got != "[0  before false]" || string(s.Get("key")) != "value" {
		t.Errorf("got %s", got)
	}
	if err := appendTo(s, q, "refused", SyncInterval); !errors.Is(err, ErrReadOnly) {
		t.Errorf("got %v, want ErrReadOnly", err)
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	healed(t, s)
	if err := appendTo(s, q, "after", SyncAlways); err != nil {
		t.Error(err)
	}
}
