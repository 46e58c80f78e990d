package log

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// wholeFiles is the size from which on a stream gives up whole files only. A
// smaller one would have to lose too much at a time.
const wholeFiles = 64 << 20

// makeRoom sees to it that a block can be stored. It removes what all exporters
// have first, then what may be dropped. The error wraps ErrFull, or is of a server
// that can't remove. The writer calls it.
func (s *Stream) makeRoom(size int) error {
	for {
		lack := s.lack(int64(size))
		if lack == "" {
			return nil
		}
		freed, err := s.free()
		if err != nil {
			return unavailable("make room in", s.name, err)
		}
		if !freed {
			return fmt.Errorf("streams: %q: %w: %s", s.name, ErrFull, lack)
		}
	}
}

// lack is why size bytes have no room, "" if they have.
func (s *Stream) lack(size int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.engine
	if s.bytes+int64(s.weight)+size > s.def.MaxSize {
		return fmt.Sprintf("%d of %d bytes are taken", s.bytes, s.def.MaxSize)
	}
	if s.files == nil {
		return ""
	}
	if stored := e.stored.Load(); e.options.MaxStore > 0 && stored+size > e.options.MaxStore {
		return fmt.Sprintf("all streams take %d of %d bytes", stored, e.options.MaxStore)
	}
	if e.scarce.Load() {
		return fmt.Sprintf("less than %d bytes are free on the file system", e.options.Reserve)
	}
	return ""
}

// free removes a segment, if one may be removed.
func (s *Stream) free() (bool, error) {
	s.retain.Lock()
	defer s.retain.Unlock()
	s.mu.Lock()
	def, first, next := s.def, s.first, s.next
	firstJS, lastJS, bytes := s.firstJS, s.lastJS, s.bytes
	s.mu.Unlock()
	if firstJS > lastJS {
		return false, nil
	}
	limit := next
	if def.WhenFull == Reject {
		limit = first
		if exported, any := s.exported(); any {
			limit = min(max(exported, first), next)
		}
	}
	end := lastJS + 1
	if limit < next {
		var err error
		if end, err = s.locate(s.ctx, limit); err != nil {
			return false, err
		}
	}
	each := max(1, bytes/int64(lastJS-firstJS+1))
	wanted := firstJS + uint64((def.segment()+each-1)/each)
	cut, err := s.cut(def, firstJS, wanted, end)
	if err != nil || cut <= firstJS {
		return false, err
	}
	return true, s.remove(s.ctx, cut)
}

// cut is the block before which to remove: where files end, if the stream is in
// files and large.
func (s *Stream) cut(def Definition, firstJS, wanted, end uint64) (uint64, error) {
	if end <= firstJS {
		return 0, nil
	}
	if s.files != nil && !s.files.encrypted && end <= s.newestJS() {
		at, err := s.files.boundary(firstJS, wanted, end)
		if err != nil || at != 0 || def.MaxSize >= wholeFiles {
			return at, err
		}
	}
	return min(wanted, end), nil
}

// remove removes the blocks before one. The caller holds retain.
func (s *Stream) remove(ctx context.Context, js uint64) error {
	ss := s.engine.current()
	all := js > s.newestJS()
	var oldest *stored
	if !all {
		b, err := s.good(ctx, js, s.newestJS()+1)
		if err != nil {
			return err
		}
		oldest = b
	}
	first := s.advance(oldest)
	if all {
		// The numbers would go with the last block.
		s.mu.Lock()
		s.synced = s.next
		s.mu.Unlock()
		if err := s.saveState(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	stream, err := ss.js.Stream(ctx, s.server)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSequence(js))
	}
	if err != nil {
		return err
	}
	state, err := s.serverState(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	before := s.bytes
	s.firstJS, s.bytes = max(state.FirstSeq, js), int64(state.Bytes)
	freed := before - s.bytes
	s.mu.Unlock()
	if s.files != nil {
		s.engine.stored.Add(-freed)
		if err := s.resync(); err != nil {
			return err
		}
	}
	s.engine.log.Debug("streams: removed messages", "stream", s.name, "first", first, "bytes", freed)
	return nil
}

// advance moves the oldest sequence to a block's first, past the newest for nil,
// and counts.
func (s *Stream) advance(oldest *stored) uint64 {
	s.mu.Lock()
	to, at := s.next, int64(0)
	if oldest != nil {
		to, at = oldest.block.first, oldest.block.base
	}
	s.mu.Unlock()
	return s.advanceTo(to, at)
}

func (s *Stream) advanceTo(to uint64, at int64) uint64 {
	exported, any := s.exported()
	defer s.tell()
	s.mu.Lock()
	defer s.mu.Unlock()
	if to <= s.first {
		return s.first
	}
	s.info.Removed += to - s.first
	if any && exported < to {
		s.info.Dropped += to - max(exported, s.first)
	}
	s.first, s.oldest = to, at
	return s.first
}

// expire removes what is older than the stream's age. What no reader gets any more
// leaves the disk with the file that it is in.
func (s *Stream) expire() {
	s.retain.Lock()
	defer s.retain.Unlock()
	s.mu.Lock()
	age, firstJS, lastJS, now := s.def.Age, s.firstJS, s.lastJS, time.Now()
	due := age > 0 && firstJS <= lastJS && now.After(s.expireNext)
	if due {
		s.expireNext = now.Add(min(age/10, time.Minute))
	}
	s.mu.Unlock()
	if !due {
		return
	}
	if err := s.removeOlder(age, firstJS, lastJS); err != nil && s.ctx.Err() == nil {
		s.engine.log.Warn("streams: old messages can't be removed", "stream", s.name, "error", err)
	}
}

// removeOlder finds the first block that is young enough, by halving.
func (s *Stream) removeOlder(age time.Duration, firstJS, lastJS uint64) error {
	lo, hi := firstJS, lastJS+1
	var young *stored
	for lo < hi {
		mid := lo
		if hi != lastJS+1 || lo != firstJS { // the oldest is looked at first: mostly it is young
			mid = lo + (hi-lo)/2
		}
		b, err := s.good(s.ctx, mid, hi)
		if err != nil {
			return err
		}
		if b == nil {
			hi = mid
			continue
		}
		if is, known := s.engine.age(b.block.mark); known && is > age {
			lo = b.js + 1
		} else {
			young, hi = b, mid
		}
	}
	if lo == firstJS {
		return nil
	}
	if young == nil && lo <= lastJS { // those behind can't be read
		return nil
	}
	s.advance(young)
	s.remember()
	cut, err := s.cut(s.Definition(), firstJS, lo, lo)
	if err != nil || cut <= firstJS {
		return err
	}
	return s.remove(s.ctx, cut)
}

// Purge removes the messages before a sequence, exported or not; one beyond the
// end removes all. No reader gets them any more when it returns, and no restart
// brings them back; their room is free when the file that they are in ends before
// that sequence. Errors are as for Read.
func (s *Stream) Purge(ctx context.Context, before uint64) error {
	s.retain.Lock()
	defer s.retain.Unlock()
	first, next := s.bounds()
	before = min(before, next)
	if before <= first {
		return nil
	}
	js := s.newestJS() + 1
	at := int64(0)
	if before < next {
		var err error
		if js, err = s.locate(ctx, before); err != nil {
			return s.readError(err)
		}
	}
	s.advanceTo(before, at)
	if err := s.saveState(); err != nil {
		return err
	}
	s.mu.Lock()
	firstJS := s.firstJS
	s.mu.Unlock()
	cut, err := s.cut(s.Definition(), firstJS, js, js)
	if err == nil && cut > firstJS {
		err = s.remove(ctx, cut)
	}
	if err != nil {
		return s.readError(err)
	}
	s.wake()
	return nil
}
