package streammgr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// ErrFull says that a stream has no room.
var ErrFull = log.ErrFull

// Append puts messages into a stream, by name, in order, and waits until they are as
// durable as the stream promises. It waits for a stream that is still being opened.
// first is the sequence of the first one. Errors wrap ErrNoStream, ErrNotReady if ctx
// has ended before the stream was there, ErrFull, or the log's.
func (m *Manager) Append(ctx context.Context, name string, messages ...[]byte) (first uint64, err error) {
	s, err := m.named(name)
	if err != nil {
		return 0, err
	}
	l, err := s.await(ctx)
	if err != nil {
		return 0, err
	}
	return l.Append(ctx, messages...)
}

// takeWithin is how long Take may wait.
const takeWithin = 5 * time.Second

// Take puts a published message into a stream as an Envelope, within a few seconds.
// Errors are those of Append.
func (m *Manager) Take(name string, message message.Message) error {
	ctx, cancel := context.WithTimeout(m.ctx, takeWithin)
	defer cancel()
	_, err := m.Append(ctx, name, envelope(&message, time.Now()))
	return err
}

// Open gives a stream that is there, to read from and to purge. The error wraps
// ErrNoStream or ErrNotReady.
func (m *Manager) Open(name string) (*log.Stream, error) {
	s, err := m.named(name)
	if err != nil {
		return nil, err
	}
	select {
	case <-s.made:
		return s.log, nil
	default:
		return nil, fmt.Errorf("stream %q: %w", name, ErrNotReady)
	}
}

// Recording is the way of a recording's blocks into its stream: one message is one
// block. It is for one goroutine.
type Recording struct {
	manager *Manager
	stream  *stream
}

// Recording is the way of a recording into the stream that takes it; false if none
// does.
func (m *Manager) Recording(name string) (*Recording, bool) {
	m.life.Lock()
	stream, taken := m.config.Recordings()[name]
	m.life.Unlock()
	s, there := m.stream(stream)
	return &Recording{m, s}, taken && there
}

// Append puts a block into the stream, and waits for a stream that is still being
// opened. The block is the caller's again afterwards. The error wraps ErrFull, or says
// that the streams are being closed.
func (r *Recording) Append(block []byte) error {
	l, err := r.stream.await(r.manager.ctx)
	if err != nil {
		return err
	}
	_, err = l.Append(r.manager.ctx, block)
	return err
}

// Info is how the stream is; all zero while it is not there.
func (r *Recording) Info() log.Info {
	select {
	case <-r.stream.made:
		return r.stream.log.Info()
	default:
		return log.Info{}
	}
}

// Purge removes messages below a sequence, exported or not.
func (m *Manager) Purge(ctx context.Context, name string, before uint64) error {
	l, err := m.Open(name)
	if err != nil {
		return err
	}
	return l.Purge(ctx, before)
}

// Exporter does something with an exporter: pause, resume or retry. The error wraps
// ErrNoStream or ErrNoExporter, or is the store's.
func (m *Manager) Exporter(name, exporter, what string) error {
	s, err := m.named(name)
	if err != nil {
		return err
	}
	x, err := s.exporter(exporter)
	if err != nil {
		return err
	}
	switch what {
	case "pause":
		return x.runner.Pause()
	case "resume":
		return x.runner.Resume()
	case "retry":
		x.runner.Retry()
		return nil
	}
	return errors.New("want pause, resume or retry")
}
