package log

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// maxQueued is how many bytes wait to be gathered: appends wait from then on.
const maxQueued = 4 << 20

// batch is what one append brought.
type batch struct {
	payloads [][]byte
	size     int
	at       int64 // ms
	given    int   // payloads that are in a block
	first    uint64
	done     func(first uint64, err error)
	ended    bool
}

// finish tells how an append went, once.
func (s *Stream) finish(b *batch, err error) {
	if b.ended {
		return
	}
	b.ended = true
	b.done(b.first, err)
	s.mu.Lock()
	s.unfinished--
	last := s.unfinished == 0
	s.mu.Unlock()
	if last {
		s.tell()
	}
}

// Append appends messages, in one go and in order, and waits until they are as
// durable as the stream is to be. first is the sequence of the first one. While
// too much waits to be written it waits for its turn. A context that ends while
// they are being written does not take them back. Errors wrap ErrFull, ErrTooLarge,
// ErrDeleted, ErrClosed or ErrUnavailable; the first messages may be stored then,
// and after ErrUnavailable all of them.
func (s *Stream) Append(ctx context.Context, payloads ...[]byte) (first uint64, err error) {
	type result struct {
		first uint64
		err   error
	}
	told := make(chan result, 1)
	done := func(first uint64, err error) { told <- result{first, err} }
	for {
		room, err := s.enqueue(payloads, done)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrBusy) {
			return 0, err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-s.ctx.Done():
			return 0, context.Cause(s.ctx)
		}
	}
	select {
	case r := <-told:
		return r.first, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// AppendAsync appends messages and never blocks: done is called later, once, and
// must not block either. Until then the payloads must not be changed. Errors wrap
// ErrBusy, ErrTooLarge, ErrDeleted or ErrClosed, and done is not called then.
func (s *Stream) AppendAsync(payloads [][]byte, done func(first uint64, err error)) error {
	_, err := s.enqueue(payloads, done)
	return err
}

// enqueue gives messages to the writer. With ErrBusy comes what is closed when
// trying again is worth it.
func (s *Stream) enqueue(payloads [][]byte, done func(uint64, error)) (room <-chan struct{}, err error) {
	b := &batch{payloads: payloads, done: done, at: time.Now().UnixMilli()}
	largest := 0
	for _, p := range payloads {
		largest = max(largest, len(p))
		b.size += len(p) + minFrame
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := min(s.engine.options.MaxMessage, int(s.def.MaxSize)-s.overhead())
	switch {
	case largest > limit:
		return nil, fmt.Errorf("streams: %q: message of %d bytes: %w: want at most %d", s.name, largest, ErrTooLarge, limit)
	case s.closing:
		if err := context.Cause(s.ctx); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("streams: %q: %w", s.name, ErrClosed)
	case s.queued > 0 && s.queued+b.size > maxQueued:
		if s.room == nil {
			s.room = make(chan struct{})
		}
		return s.room, fmt.Errorf("streams: %q: %w", s.name, ErrBusy)
	}
	s.queue = append(s.queue, b)
	s.queued += b.size
	s.unfinished++
	s.wake()
	return nil, nil
}

// drain refuses what comes and waits until what has come is acknowledged.
func (s *Stream) drain(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	return s.await(ctx, func() bool { return s.unfinished == len(s.flushing) })
}
