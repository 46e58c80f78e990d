package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/store/seglog"
)

var (
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrFull says that the log has the size that it may have.
	ErrFull = errors.New("store is full")
	// ErrNoSpace says that the file system has no room left.
	ErrNoSpace = errors.New("no space left on the file system")
	// ErrReadOnly says that the file system can't be written.
	ErrReadOnly = errors.New("file system is read-only")
	// ErrNoQueue says that a message went to a queue whose CreateQueue failed.
	ErrNoQueue = errors.New("queue could not be made")
	// ErrIO says that the disk failed.
	ErrIO = errors.New("disk failed")
)

// Options of a store; zero values mean the defaults.
type Options struct {
	// Interval between fsyncs of what was committed with SyncInterval; 100 ms.
	Interval time.Duration
	// Size in bytes that the log may take on disk; 1 GiB, at least 32 MiB.
	Size int64
	// FreeSpace in bytes that is left on the file system; 64 MiB.
	FreeSpace int64
	// Log is told what an operator should know; slog.Default().
	Log *slog.Logger
}

// Store is a log of transactions, and the state that they led to: small values
// by key, and queues of messages. All methods are safe for concurrent use.
type Store struct {
	path string
	o    Options

	mu      sync.Mutex // guards pending, spare, room, closed
	pending *batch
	spare   *batch        // empty, the next one pending
	room    chan struct{} // closed when the store is Busy no more
	closed  bool

	pendingBytes atomic.Int64
	wake         chan struct{}
	done         chan struct{} // closed when the committer has ended

	log    *journal
	syncer background // makes the log durable every Options.Interval
	keeper background // takes snapshots, deletes and rewrites segments

	state     sync.RWMutex // guards keys, byID, queues; the committer, their only writer, reads them without
	keys      keys
	byID      map[uint64]*Queue
	queues    map[string]*Queue
	nextQueue atomic.Uint64

	unbornMu sync.Mutex        // guards unborn
	unborn   map[uint64]*Queue // made by a Tx that is not applied yet

	dirtyMu sync.Mutex // guards dirty
	dirty   []*Queue   // with Done that is not on disk yet

	doneWanted atomic.Bool // Done is to be written with the next batch

	refused atomic.Pointer[refusal]
	space   space
	figures

	// The committer's.
	spills    []*Queue        // with chunks that are to leave memory
	abandoned map[uint64]bool // ids of queues whose CreateQueue failed
	own       []byte          // for records of its own

	keeping     sync.Mutex // held while files are changed in the background; guards what follows
	snapshotMin int64      // bytes of log that a snapshot is worth
	covered     [2]uint64  // first sequence number that snapshot and snapshot.old do not cover
}

// Open opens the store in a folder of its own and makes it if it is missing.
// Damage in it never keeps it from opening: what can be read is there, what
// can't is told in the log and in Stats, and kept in the folder quarantine.
func Open(path string, o Options) (*Store, error) { return openOn(seglog.OS{}, path, o) }

func openOn(disk seglog.Disk, path string, o Options) (*Store, error) {
	if o.Interval <= 0 {
		o.Interval = 100 * time.Millisecond
	}
	if o.Size <= 0 {
		o.Size = 1 << 30
	}
	if o.FreeSpace <= 0 {
		o.FreeSpace = 64 << 20
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Store{
		path:      path,
		o:         o,
		pending:   new(batch),
		spare:     new(batch),
		room:      make(chan struct{}),
		wake:      make(chan struct{}, 1),
		done:      make(chan struct{}),
		log:       newJournal(disk, path, o.Size),
		syncer:    newBackground(),
		keeper:    newBackground(),
		byID:      map[uint64]*Queue{},
		queues:    map[string]*Queue{},
		unborn:    map[uint64]*Queue{},
		abandoned: map[uint64]bool{},

		snapshotMin: min(snapshotMin, o.Size/8),
	}
	s.pending.clear()
	s.spare.clear()
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	s.checkSpace(0)
	s.poke()
	s.keeper.poke()
	go s.run()
	go s.runSyncer()
	go s.runKeeper()
	return s, nil
}

// Close commits what is pending, takes a snapshot and makes all durable. It
// waits for that; what is not durable then is its error.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.syncer.end()
	s.poke()
	<-s.done
	s.keeper.end()
	// From here on there is one goroutine.
	s.writeDone()
	err := s.syncLog()
	s.applied.Store(s.log.next)
	if err == nil && s.blocked() == nil && s.sinceSnapshot.Load() > 0 {
		err = s.snapshot()
	}
	for _, seg := range s.log.segments {
		seg.Release()
	}
	return err
}

// background is a goroutine that works when it is poked.
type background struct {
	wake chan struct{}
	stop chan struct{}
	done chan struct{}
}

func newBackground() background {
	return background{make(chan struct{}, 1), make(chan struct{}), make(chan struct{})}
}

func (b background) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b background) end() {
	close(b.stop)
	<-b.done
}

// runSyncer makes the log durable Options.Interval after something was written.
func (s *Store) runSyncer() {
	defer close(s.syncer.done)
	for {
		select {
		case <-s.syncer.wake:
		case <-s.syncer.stop:
			return
		}
		select {
		case <-time.After(s.o.Interval):
		case <-s.syncer.stop:
			return
		}
		// An error is seen by the committer, which mends the log.
		_ = s.syncLog()
		s.poke()
	}
}

// Get is the value of a key, nil if there is none. It is shared: never modify it.
func (s *Store) Get(key string) []byte {
	s.state.RLock()
	defer s.state.RUnlock()
	return s.keys.get(key)
}

// Range calls fn for each key that begins with prefix, in the order of the
// keys, until it returns false. fn may use the store. What changes meanwhile is
// seen or not.
func (s *Store) Range(prefix string, fn func(key string, value []byte) bool) {
	from := prefix
	var pairs []pair
	for {
		s.state.RLock()
		pairs = s.keys.after(from, pairs[:0])
		s.state.RUnlock()
		for _, p := range pairs {
			if len(p.key) < len(prefix) || p.key[:len(prefix)] != prefix || !fn(p.key, p.value) {
				return
			}
		}
		if len(pairs) == 0 {
			return
		}
		from = pairs[len(pairs)-1].key + "\x00"
	}
}

// Queue is the queue of that name, nil if there is none.
func (s *Store) Queue(name string) *Queue {
	s.state.RLock()
	defer s.state.RUnlock()
	return s.queues[name]
}

// Queues calls fn for each queue, in no order, until it returns false. fn may
// use the store.
func (s *Store) Queues(fn func(name string, q *Queue) bool) {
	s.state.RLock()
	all := make([]*Queue, 0, len(s.queues))
	for _, q := range s.queues {
		all = append(all, q)
	}
	s.state.RUnlock()
	for _, q := range all {
		if !fn(q.name, q) {
			return
		}
	}
}
