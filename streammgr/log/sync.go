package log

import (
	"errors"
	"fmt"
	"time"
)

// flush has what waits for the disk synced now.
func (e *Engine) flush() {
	select {
	case e.toSync <- struct{}{}:
	default:
	}
}

// syncLoop makes last what was written: each interval for all streams, at once for
// those whose appends wait for it. What is appended during an fsync has the next
// one in common.
func (e *Engine) syncLoop() {
	tick := time.NewTicker(e.options.SyncInterval)
	defer tick.Stop()
	for {
		all := false
		select {
		case <-tick.C:
			all = true
		case <-e.toSync:
		case <-e.ctx.Done():
			return
		}
		for _, s := range e.Streams() {
			if all || s.awaitsSync() {
				_ = s.sync() // it is logged, and told to whom it concerns
			}
		}
	}
}

func (s *Stream) awaitsSync() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flushing) > 0
}

// sync makes last what was stored when it was called. If that fails nothing that
// waited for it is acknowledged, and the stream writes what is in doubt to new
// files before it goes on.
func (s *Stream) sync() error {
	if s.files == nil {
		return nil
	}
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	until, waiting, done := s.next, s.flushing, s.synced == s.next
	s.flushing = nil
	s.mu.Unlock()
	if done && len(waiting) == 0 {
		return nil
	}
	err := s.files.sync()
	if err != nil {
		err = fmt.Errorf("streams: sync %q: %w: %w", s.name, ErrUnavailable, err)
		if !errors.Is(err, errDoubtful) {
			s.engine.log.Error("streams: a stream can't be synced", "stream", s.name, "error", err)
		}
		s.doubted.Store(true)
		s.wake()
	} else {
		s.mu.Lock()
		s.synced = max(s.synced, until)
		s.info.Syncs++
		s.mu.Unlock()
		s.tell()
	}
	for _, b := range waiting {
		s.finish(b, err)
	}
	return err
}

// rewrite writes again what could not be synced, while the server is stopped.
func (s *Stream) rewrite() error {
	if s.files == nil {
		return nil
	}
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if !s.files.doubtful {
		return nil
	}
	if err := s.files.rewrite(); err != nil {
		return fmt.Errorf("streams: write %q again: %w", s.name, err)
	}
	s.mu.Lock()
	s.rewrites++
	s.mu.Unlock()
	s.tell()
	return nil
}

// resync makes last what removing messages has written: JetStream cuts a file in
// two by writing it again, without a sync.
func (s *Stream) resync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	numbers, err := s.files.list(0)
	if err != nil || len(numbers) == 0 {
		return err
	}
	if err := s.files.datasync(s.files.path(numbers[0], ".blk")); err != nil {
		return err
	}
	return syncFile(s.files.dir)
}
