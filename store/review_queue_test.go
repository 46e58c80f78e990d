package store

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// A message that one of its queues can't take is in none of them.
func TestMessageToAQueueThatCouldNotBeMadeIsNowhere(t *testing.T) {
	s, disk := openBad(t, t.TempDir())
	tx := s.Begin()
	good := tx.CreateQueue("good")
	commit(t, tx, SyncInterval)
	fault := error(unix.ENOSPC)
	disk.write.Store(&fault)
	tx = s.Begin()
	bad := tx.CreateQueue("bad")
	if err := result(tx, SyncInterval); err == nil {
		t.Fatal("the disk took it")
	}
	disk.write.Store(nil)
	healed(t, s)
	tx = s.Begin()
	tx.Put("key", nil)
	tx.Append([]byte("refused"), []To{{good, nil}, {bad, nil}})
	if err := result(tx, SyncInterval); !errors.Is(err, ErrNoQueue) {
		t.Errorf("got %v, want %v", err, ErrNoQueue)
	}
	if err := appendTo(s, good, "taken", SyncInterval); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(entries(t, good)); got != "[taken]" && good.Len() != 1 || s.Get("key") != nil {
		t.Errorf("got %s in %d entries: want the message that was taken alone, and no key", got, good.Len())
	}
	if good.Tail() != 1 {
		t.Errorf("tail %d, want 1", good.Tail())
	}
}
