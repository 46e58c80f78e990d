package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/store/seglog"
)

// model is what a store must be, in the plainest way.
type model struct {
	keys   map[string]string
	queues map[string]*modelQueue
}

type modelQueue struct {
	entries []string // meta and message
	marked  map[int]bool
	done    map[int]bool // Done was called
}

func (m *model) clone() *model {
	c := &model{maps.Clone(m.keys), map[string]*modelQueue{}}
	for name, q := range m.queues {
		c.queues[name] = &modelQueue{slices.Clip(q.entries), maps.Clone(q.marked), q.done}
	}
	return c
}

// differs tells in what s is not m. An entry that was Done may be back.
func (m *model) differs(s *Store) error {
	keys := map[string]string{}
	s.Range("", func(key string, value []byte) bool {
		keys[key] = string(value)
		return true
	})
	for key := range m.keys {
		if keys[key] != m.keys[key] {
			return fmt.Errorf("key %s: got %.20q, want %.20q", key, keys[key], m.keys[key])
		}
	}
	if len(keys) != len(m.keys) {
		return fmt.Errorf("got %d keys, want %d", len(keys), len(m.keys))
	}
	var got []string
	s.Queues(func(name string, _ *Queue) bool {
		got = append(got, name)
		return true
	})
	sort.Strings(got)
	if want := slices.Sorted(maps.Keys(m.queues)); !slices.Equal(got, want) {
		return fmt.Errorf("queues: got %v, want %v", got, want)
	}
	for name, want := range m.queues {
		if err := want.differs(s.Queue(name)); err != nil {
			return fmt.Errorf("queue %s: %w", name, err)
		}
	}
	return nil
}

func (m *modelQueue) differs(q *Queue) error {
	if q.Tail() != uint64(len(m.entries)) {
		return fmt.Errorf("tail: got %d, want %d", q.Tail(), len(m.entries))
	}
	next, n := 0, 0
	var size int64
	var wrong error
	check := func(e Entry) bool {
		for ; next < int(e.Pos); next++ {
			if !m.done[next] {
				wrong = fmt.Errorf("entry %d is missing", next)
				return false
			}
		}
		if got := string(e.Meta) + "|" + string(e.Message); e.Err != nil || got != m.entries[next] || e.Marked != m.marked[next] {
			wrong = fmt.Errorf("entry %d: got %.40q %v (%w), want %.40q %v", next, got, e.Marked, e.Err, m.entries[next], m.marked[next])
			return false
		}
		next++
		n++
		size += int64(len(e.Message))
		return true
	}
	if _, err := q.Read(0, 1<<30, check); err != nil || wrong != nil {
		return fmt.Errorf("%w, %w", wrong, err)
	}
	for ; next < len(m.entries); next++ {
		if !m.done[next] {
			return fmt.Errorf("entry %d is missing at the end", next)
		}
	}
	if q.Len() != n {
		return fmt.Errorf("len: got %d, read %d", q.Len(), n)
	}
	if q.Bytes() < size {
		return fmt.Errorf("bytes: got %d, read %d", q.Bytes(), size)
	}
	return nil
}

// step does one random transaction to store and model.
func (m *model) step(r *rand.Rand, s *Store) *Tx {
	tx := s.Begin()
	names := slices.Sorted(maps.Keys(m.queues))
	if len(names) < 2 || len(names) < 5 && r.IntN(50) == 0 {
		name := fmt.Sprint("queue", r.IntN(100))
		tx.CreateQueue(name)
		m.queues[name] = &modelQueue{marked: map[int]bool{}, done: map[int]bool{}}
		return tx
	}
	for range r.IntN(4) {
		key := fmt.Sprint("key", r.IntN(60))
		if r.IntN(3) == 0 {
			tx.Delete(key)
			delete(m.keys, key)
		} else {
			value := strings.Repeat("v", r.IntN(100)) + fmt.Sprint(r.IntN(1e6))
			tx.Put(key, []byte(value))
			m.keys[key] = value
		}
	}
	if r.IntN(2000) == 0 {
		name := names[0]
		tx.DropQueue(s.Queue(name))
		delete(m.queues, name)
		return tx
	}
	name := names[r.IntN(len(names))]
	q, mq := s.Queue(name), m.queues[name]
	if n := len(mq.entries); n > 0 && r.IntN(5) == 0 {
		pos := r.IntN(n)
		tx.Mark(q, uint64(pos))
		mq.marked[pos] = true
	}
	if r.IntN(4) > 0 {
		message := fmt.Sprintf("%s%d", strings.Repeat("m", r.IntN(200)), r.IntN(1e9))
		var to []To
		for i := range 2 * len(names) {
			name := names[i/2]
			if i%2 == 0 && r.IntN(3) > 0 || i%2 == 1 && r.IntN(9) == 0 { // twice to one queue, now and then
				meta := fmt.Sprint(r.IntN(100))
				to = append(to, To{s.Queue(name), []byte(meta)})
				m.queues[name].entries = append(m.queues[name].entries, meta+"|"+message)
			}
		}
		tx.Append([]byte(message), to)
	}
	return tx
}

// finish ends some entries, most of them at the head.
func (m *model) finish(r *rand.Rand, s *Store) {
	for name, mq := range m.queues {
		q := s.Queue(name)
		head := int(q.Head())
		for range r.IntN(4) {
			pos := head + r.IntN(3)
			if r.IntN(8) == 0 {
				pos = head + r.IntN(len(mq.entries)-head+1)
			}
			if pos < len(mq.entries) {
				mq.done[pos] = true
				q.Done(uint64(pos))
			}
		}
	}
}

// A crash at any place of what was not acknowledged as durable yet leaves a
// prefix of the transactions, with all that were.
func TestCrashLeavesAPrefix(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) { crashOnce(t, uint64(round)) })
	}
}

func crashOnce(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	path := t.TempDir()
	s := openSmall(t, path)
	m := &model{map[string]string{}, map[string]*modelQueue{}}
	type moment struct {
		state *model
		at    offset // end of the log
	}
	var history []moment
	const last = 4000
	for i := range last {
		policy := []Sync{SyncInterval, SyncAlways, SyncNever}[min(r.IntN(20), 2)]
		commit(t, m.step(r, s), policy)
		if i > last-200 {
			seg := s.log.last()
			history = append(history, moment{m.clone(), offset{seg.Num, seg.Size()}})
		} else if i%3 == 0 {
			m.finish(r, s)
		}
		if i == last/2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openSmall(t, path)
		}
	}
	if s.Stats().Snapshots == 0 {
		t.Error("no snapshot was taken on the way")
	}
	crash := filepath.Join(t.TempDir(), "crash")
	durable, end := copyStore(t, s, crash)
	info, err := os.Stat(filepath.Join(crash, filepath.Base(end.Path())))
	if err != nil {
		t.Fatal(err)
	}
	// What was synced is there after any crash.
	from := int64(0)
	for _, o := range []offset{history[0].at, durable} {
		if o.num == end.Num {
			from = max(from, o.off)
		}
	}
	for range 8 {
		cut := from + r.Int64N(info.Size()-from+1)
		torn := filepath.Join(t.TempDir(), "torn")
		if err := os.CopyFS(torn, os.DirFS(crash)); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(torn, filepath.Base(end.Path())), cut); err != nil {
			t.Fatal(err)
		}
		at := offset{end.Num, cut}
		i := 0
		for i+1 < len(history) && !at.before(history[i+1].at) {
			i++
		}
		if at.before(history[i].at) {
			continue
		}
		again := openSmall(t, torn)
		err := history[i].state.differs(again)
		// The log may have grown by records of the store's own before its end was
		// noted, so that the next transaction may be there.
		if err != nil && i+1 < len(history) && history[i+1].state.differs(again) == nil {
			err = nil
		}
		if err != nil {
			t.Fatalf("cut at %v of %d, transaction %d: %v", at, info.Size(), i, err)
		}
		if st := again.Stats(); st.Lost != 0 || st.Corrupt != 0 {
			t.Errorf("a torn tail is no damage: %+v", st)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// openSmall opens a store whose files are small, so that a test sees many.
func openSmall(t *testing.T, path string) *Store {
	t.Helper()
	s := open(t, path)
	s.log.segmentSize = 32 << 10
	s.snapshotMin = 64 << 10
	s.snapshotAfter.Store(64 << 10)
	return s
}

// copyStore copies a store's folder while nothing but the keeper works on it. It
// tells how far the log is durable, and its last segment.
func copyStore(t *testing.T, s *Store, to string) (offset, *seglog.Segment) {
	t.Helper()
	s.keeping.Lock()
	defer s.keeping.Unlock()
	durable := s.log.durable()
	if err := os.CopyFS(to, os.DirFS(s.path)); err != nil {
		t.Fatal(err)
	}
	return durable, s.log.last()
}
