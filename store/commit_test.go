package store

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

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
