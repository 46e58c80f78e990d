package store

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// checkEvery is how soon a store that refuses looks whether it still has to.
	checkEvery = time.Second
	// lookEvery bytes written the free space is looked at, or after checkEvery.
	lookEvery = 1 << 20
)

// refusal is why something can't be stored now.
type refusal struct {
	err   error
	since time.Time
	all   bool // nothing can be written, and not only no messages
}

// space is what the committer knows of the disk's room.
type space struct {
	looked  time.Time
	written int64 // bytes since then
}

// Refuses is nil, or why messages can't be stored now: it wraps ErrFull,
// ErrNoSpace, ErrReadOnly or ErrIO. Committing one would fail with the same
// error. Small state, Mark and Done pass while the disk takes them, except
// under ErrReadOnly and ErrIO. It costs one atomic load.
func (s *Store) Refuses() error {
	if r := s.refused.Load(); r != nil {
		return r.err
	}
	return nil
}

// admit is why a transaction, one with a message or without, can't be written.
func (s *Store) admit(message bool) error {
	if r := s.refused.Load(); r != nil && (r.all || message) {
		return r.err
	}
	return nil
}

// blocked is why nothing can be written.
func (s *Store) blocked() error { return s.admit(false) }

// classify names the kind of an error of the file system.
func classify(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return fmt.Errorf("%w: %w", ErrIO, err)
}

// class is which of the errors of Refuses err is.
func class(err error) error {
	for _, c := range []error{ErrFull, ErrNoSpace, ErrReadOnly, ErrIO} {
		if errors.Is(err, c) {
			return c
		}
	}
	return nil
}

// refuse begins to refuse messages, or everything. It logs a change alone.
func (s *Store) refuse(err error, all bool) {
	r := &refusal{err: err, since: time.Now(), all: all}
	if old := s.refused.Load(); old != nil && errors.Is(old.err, class(err)) {
		r.since = old.since
		r.all = r.all || old.all
	} else {
		s.o.Log.Error("store refuses messages", "path", s.path, "error", err)
	}
	s.refused.Store(r)
	s.keeper.poke()
}

func (s *Store) accept() {
	if old := s.refused.Swap(nil); old != nil {
		s.o.Log.Info("store takes messages again", "path", s.path, "refused_for", time.Since(old.since).Round(time.Millisecond).String())
	}
}

// checkSpace refuses messages if n bytes more would leave too little room.
func (s *Store) checkSpace(n int64) {
	if s.refused.Load() != nil {
		return
	}
	if size := s.diskBytes(); size+n > s.o.Size {
		s.refuse(s.errFull(size), false)
		return
	}
	s.space.written += n
	if s.space.written < lookEvery && time.Since(s.space.looked) < checkEvery {
		return
	}
	s.space.looked, s.space.written = time.Now(), 0
	if free, err := s.freeBytes(); err == nil && free < s.o.FreeSpace {
		s.refuse(s.errFloor(free), false)
	}
}

// check looks whether the reason to refuse is still there.
func (s *Store) check() {
	r := s.refused.Load()
	if r == nil {
		return
	}
	if r.all {
		if s.log.failed() && !s.mend() {
			return
		}
		o := s.log.durable()
		if _, err := s.writeSync(appendSynced(s.own[:0], o), 1, true); err != nil {
			return
		}
		s.log.marked = o
	}
	if size := s.diskBytes(); size > s.o.Size-s.o.Size/16 {
		s.refuseAnew(s.errFull(size))
		return
	}
	free, err := s.freeBytes()
	if err != nil {
		s.refuseAnew(fmt.Errorf("store: %w", classify(err)))
		return
	}
	// A little more than the floor, so as not to come and go with each write.
	if free < s.o.FreeSpace+lookEvery {
		s.refuseAnew(s.errFloor(free))
		return
	}
	s.accept()
}

// refuseAnew refuses messages alone, whatever was refused before.
func (s *Store) refuseAnew(err error) {
	if old := s.refused.Load(); old != nil && old.all {
		s.refused.Store(&refusal{err: old.err, since: old.since})
	}
	s.refuse(err, false)
}

// mend replaces what a failed sync left in doubt.
func (s *Store) mend() bool {
	lost, err := s.log.replace()
	if err != nil {
		s.refuse(fmt.Errorf("store: %w", classify(err)), true)
		return false
	}
	s.corrupt.Add(int64(lost))
	s.o.Log.Error("store: the disk failed to sync: what was in doubt was written again", "path", s.path, "records_lost", lost)
	return true
}

func (s *Store) errFull(size int64) error {
	return fmt.Errorf("store: %w: %d bytes, want at most %d", ErrFull, size, s.o.Size)
}

func (s *Store) errFloor(free int64) error {
	return fmt.Errorf("store: %w: %d bytes free, want at least %d", ErrNoSpace, free, s.o.FreeSpace)
}

// diskBytes is what the store takes on disk.
func (s *Store) diskBytes() int64 { return s.log.size() + s.snapshotBytes.Load() }

// freeBytes is what the file system has left for us.
func (s *Store) freeBytes() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.path, &st); err != nil {
		return 0, fmt.Errorf("%s: free space: %w", s.path, err)
	}
	free := int64(st.Bavail) * st.Bsize
	s.free.Store(free)
	return free, nil
}
