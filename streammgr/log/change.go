package log

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Create makes a stream. It waits until the engine is ready, and until the stream
// is on disk. Errors wrap ErrExists, ErrInvalid, ErrClosed or ErrUnavailable.
func (e *Engine) Create(ctx context.Context, d Definition) error {
	if err := d.complete(); err != nil {
		return err
	}
	ss, err := e.changes(ctx)
	if err != nil {
		return err
	}
	defer e.change.Unlock()
	if _, ok := e.Stream(d.Name); ok {
		return fmt.Errorf("streams: %q: %w", d.Name, ErrExists)
	}
	if err := e.memoryFor(d); err != nil {
		return err
	}
	if _, err := ss.js.CreateStream(ctx, e.config(d)); err != nil {
		return unavailable("create", d.Name, err)
	}
	if err := e.syncMeta(d); err != nil {
		return fmt.Errorf("streams: create %q: %w", d.Name, err)
	}
	return e.open(d)
}

// Update changes what a stream is to be, at once. Whether it is in memory can't
// be changed. Errors wrap ErrNotFound, ErrInvalid, ErrClosed or ErrUnavailable.
func (e *Engine) Update(ctx context.Context, d Definition) error {
	if err := d.complete(); err != nil {
		return err
	}
	ss, err := e.changes(ctx)
	if err != nil {
		return err
	}
	defer e.change.Unlock()
	s, ok := e.Stream(d.Name)
	if !ok {
		return fmt.Errorf("streams: %q: %w", d.Name, ErrNotFound)
	}
	if old := s.Definition(); old.Memory != d.Memory {
		return fmt.Errorf("streams: %w definition of %q: memory %t: a stream stays where it is", ErrInvalid, d.Name, d.Memory)
	}
	if err := e.memoryFor(d); err != nil {
		return err
	}
	if _, err := ss.js.UpdateStream(ctx, e.config(d)); err != nil {
		return unavailable("update", d.Name, err)
	}
	if err := e.syncMeta(d); err != nil {
		return fmt.Errorf("streams: update %q: %w", d.Name, err)
	}
	s.define(d)
	if !d.Memory {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state.Streams[d.Name].Memory = &d
	return e.writeState()
}

// Delete removes a stream, its messages and its checkpoints. Whoever waits for it
// hears ErrDeleted. Errors wrap ErrNotFound, ErrClosed or ErrUnavailable.
func (e *Engine) Delete(ctx context.Context, name string) error {
	ss, err := e.changes(ctx)
	if err != nil {
		return err
	}
	defer e.change.Unlock()
	s, ok := e.Stream(name)
	if !ok {
		return fmt.Errorf("streams: %q: %w", name, ErrNotFound)
	}
	s.stop(fmt.Errorf("streams: %q: %w", name, ErrDeleted))
	err = ss.js.DeleteStream(ctx, s.server)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		// It can't be used any more and is there again after a restart.
		err = unavailable("delete", name, err)
	} else {
		err = nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, name)
	delete(e.state.Streams, name)
	return errors.Join(err, e.writeState())
}

// changes waits until streams can be changed, and by nobody else; the caller
// unlocks change.
func (e *Engine) changes(ctx context.Context) (*session, error) {
	select {
	case <-e.ready:
	case <-e.ctx.Done():
		return nil, fmt.Errorf("streams: %w", ErrClosed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.change.Lock()
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.failed
	if e.closed {
		err = fmt.Errorf("streams: %w", ErrClosed)
	}
	if err != nil {
		e.change.Unlock()
		return nil, err
	}
	return e.session, nil
}

// memoryFor tells whether a stream in memory has room beside the others.
func (e *Engine) memoryFor(d Definition) error {
	if !d.Memory || e.options.URL != "" {
		return nil
	}
	sum := d.MaxSize
	for _, s := range e.Streams() {
		if other := s.Definition(); other.Memory && other.Name != d.Name {
			sum += other.MaxSize
		}
	}
	if sum > e.options.MaxMemory {
		return fmt.Errorf("streams: %w definition of %q: streams in memory would take %d bytes: want at most %d", ErrInvalid, d.Name, sum, e.options.MaxMemory)
	}
	return nil
}

// minDuplicates is the shortest time for which JetStream looks for messages that
// came twice, which needs a mark that blocks don't have. At a start it reads all of
// that time.
const minDuplicates = 100 * time.Millisecond

// config is a stream as JetStream has it. Size and age are kept by this package,
// which knows what has been exported.
func (e *Engine) config(d Definition) jetstream.StreamConfig {
	name := e.options.Prefix + serverName(d.Name)
	c := jetstream.StreamConfig{
		Name:        name,
		Subjects:    []string{subjectOf(name)},
		Storage:     jetstream.FileStorage,
		Replicas:    e.options.Replicas,
		MaxMsgs:     -1,
		MaxBytes:    -1,
		MaxMsgSize:  -1,
		Discard:     jetstream.DiscardNew,
		AllowDirect: true,
		Duplicates:  minDuplicates,
		Metadata:    d.encode(),
	}
	if d.Memory {
		c.Storage = jetstream.MemoryStorage
	}
	return c
}

// subjectOf is where a stream's blocks go.
func subjectOf(serverName string) string { return "fascia.stream." + serverName }
