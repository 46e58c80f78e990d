package store

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
)

var quiet = Options{Log: slog.New(slog.DiscardHandler)}

type told chan error

func (t told) Committed(err error) { t <- err }

func commit(t *testing.T, tx *Tx, sync Sync) {
	t.Helper()
	done := make(told, 1)
	tx.Commit(sync, done)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// entries reads all that is in q.
func entries(t *testing.T, q *Queue) (list []string) {
	t.Helper()
	_, err := q.Read(0, 1<<30, func(e Entry) bool {
		if e.Err != nil {
			t.Errorf("entry %d: %v", e.Pos, e.Err)
		}
		list = append(list, fmt.Sprintf("%d %s %s %v", e.Pos, e.Meta, e.Message, e.Marked))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestWhatWasCommittedIsThereAfterOpeningAgain(t *testing.T) {
	path := t.TempDir()
	s := open(t, path)
	tx := s.Begin()
	tx.Put("a", []byte("1"))
	tx.Put("b", []byte("2"))
	a := tx.CreateQueue("qa")
	b := tx.CreateQueue("qb")
	commit(t, tx, SyncAlways)
	for i := range 5 {
		tx := s.Begin()
		tx.Append(fmt.Appendf(nil, "m%d", i), []To{{a, []byte("x")}, {b, nil}})
		commit(t, tx, SyncInterval)
	}
	a.Done(0)
	a.Done(2)
	tx = s.Begin()
	tx.Mark(b, 3)
	tx.Delete("a")
	commit(t, tx, SyncInterval)
	for range 2 {
		if got := fmt.Sprint(entries(t, s.Queue("qa"))); got != "[1 x m1 false 3 x m3 false 4 x m4 false]" {
			t.Error(got)
		}
		if got := fmt.Sprint(entries(t, s.Queue("qb"))); got != "[0  m0 false 1  m1 false 2  m2 false 3  m3 true 4  m4 false]" {
			t.Error(got)
		}
		if s.Get("a") != nil || string(s.Get("b")) != "2" {
			t.Error(s.Get("a"), s.Get("b"))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
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
