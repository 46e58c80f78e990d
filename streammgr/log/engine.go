package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/clock"
)

// Engine keeps streams. All methods are safe for concurrent use.
type Engine struct {
	options Options
	log     *slog.Logger
	clock   *clock.Clock

	ctx   context.Context // ends with Close
	end   context.CancelFunc
	tasks sync.WaitGroup
	ready chan struct{} // closed when the streams can be used, or never will

	change sync.Mutex // held by Create, Update, Delete and Close, so by one at a time

	mu      sync.Mutex
	streams map[string]*Stream
	state   *state
	dirty   bool // the state differs from its file
	failed  error
	session *session
	closed  bool

	renew   sync.Mutex // held while a session is started
	toSync  chan struct{}
	restart atomic.Uint64
	written atomic.Int64 // bytes of state files
	stored  atomic.Int64 // bytes of all streams on disk
	scarce  atomic.Bool  // less than Reserve is free
}

// Open opens the streams in a folder, which may take long: a stream that was not
// closed is read from end to end. It returns at once, and Ready tells the rest.
// Errors at once wrap ErrInvalid or ErrWrongKey, or are the file system's.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	if err := checkKey(o.Dir, o.Key); err != nil {
		return nil, err
	}
	st, err := readState(o.Dir)
	if st == nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	if err != nil {
		o.Log.Error("streams: a state file is damaged: exporters may send again what they sent last", "error", err)
	}
	e := &Engine{
		options: o, log: o.Log, clock: o.Clock, state: st,
		ready:   make(chan struct{}),
		streams: make(map[string]*Stream),
		toSync:  make(chan struct{}, 1),
	}
	e.ctx, e.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := e.begin(); err != nil {
		e.end()
		return nil, err
	}
	e.tasks.Go(e.recover)
	return e, nil
}

// begin decides on epochs: after a loss of power the last numbers may have named
// messages that are gone.
func (e *Engine) begin() error {
	boot := e.clock.Mark(clock.Now()).Boot
	if !e.state.Clean && e.state.Boot != boot {
		for _, s := range e.state.Streams {
			s.Epoch = e.newEpoch()
		}
	}
	e.state.Clean, e.state.Boot = false, boot
	return e.writeState()
}

// newEpoch is one that no stream had.
func (e *Engine) newEpoch() uint32 {
	epoch := e.state.NextEpoch
	e.state.NextEpoch++
	return epoch
}

// writeState writes the state. The caller holds mu, or is alone.
func (e *Engine) writeState() error {
	n, err := e.state.write(e.options.Dir)
	e.written.Add(int64(n))
	if err != nil {
		return fmt.Errorf("streams: write checkpoints: %w", err)
	}
	e.dirty = false
	return nil
}

// recover starts the server and opens the streams that it has.
func (e *Engine) recover() {
	begun := time.Now()
	err := e.openStreams()
	for wait := time.Second; err != nil && e.options.URL != ""; wait = min(2*wait, maxRetryAfter) {
		// A server elsewhere may come later.
		e.log.Warn("streams: the server is not there yet", "server", redacted(e.options.URL), "error", err)
		e.mu.Lock()
		e.failed = err
		e.mu.Unlock()
		select {
		case <-time.After(wait):
			err = e.openStreams()
		case <-e.ctx.Done():
			close(e.ready)
			return
		}
	}
	e.mu.Lock()
	e.failed = err
	count := len(e.streams)
	e.mu.Unlock()
	if err != nil {
		e.log.Error("streams: can't be opened", "error", err)
	} else {
		e.log.Info("streams: opened", "streams", count, "took", time.Since(begun).Round(time.Millisecond).String())
		e.tasks.Go(e.syncLoop)
		e.tasks.Go(e.keepLoop)
	}
	close(e.ready)
}

func (e *Engine) openStreams() error {
	if ss := e.current(); ss == nil {
		ss, err := startSession(&e.options)
		if err != nil {
			return err
		}
		e.mu.Lock()
		e.session = ss
		e.mu.Unlock()
	}
	ss := e.current()
	e.look()
	infos := ss.js.ListStreams(e.ctx)
	for info := range infos.Info() {
		d, ok := definitionOf(info.Config.Metadata)
		if !ok || info.Config.Name != e.options.Prefix+serverName(d.Name) {
			continue // somebody else's, or of another vehicle
		}
		if _, ok := e.Stream(d.Name); ok {
			continue // opened when this was tried before
		}
		if err := e.open(d); err != nil {
			return err
		}
	}
	if err := infos.Err(); err != nil {
		return err
	}
	return e.openMemory()
}

// openMemory makes the streams in memory again, which are empty.
func (e *Engine) openMemory() error {
	var forgotten []Definition
	e.mu.Lock()
	for name, st := range e.state.Streams {
		if st.Memory != nil && e.streams[name] == nil {
			forgotten = append(forgotten, *st.Memory)
		}
	}
	e.mu.Unlock()
	for _, d := range forgotten {
		if err := d.complete(); err != nil {
			return err
		}
		if err := e.open(d); err != nil {
			return err
		}
	}
	return nil
}

// open makes a stream that the server has.
func (e *Engine) open(d Definition) error {
	s, err := newStream(e, d)
	if err != nil {
		return fmt.Errorf("streams: open %q: %w", d.Name, err)
	}
	e.mu.Lock()
	e.streams[d.Name] = s
	e.mu.Unlock()
	s.start()
	return nil
}

// Ready is closed when the streams can be used, or can't be opened, which Err tells;
// a server elsewhere is tried again until it is there. Until then Stream finds none,
// and Create, Update and Delete wait.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Err is why the streams could not be opened, nil if they were or may be.
func (e *Engine) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

// Stream is the stream of that name, if it is there.
func (e *Engine) Stream(name string) (*Stream, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.streams[name]
	return s, ok
}

// Streams are all streams, by name.
func (e *Engine) Streams() []*Stream {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*Stream, 0, len(e.streams))
	for _, s := range e.streams {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *Stream) int { return strings.Compare(a.name, b.name) })
	return list
}

// Stats is how the engine is.
type Stats struct {
	Bytes    int64  // that all streams on disk take
	Scarce   bool   // less than Options.Reserve is free
	Restarts uint64 // of the embedded server, after a failure
	// StateWritten is how many bytes of checkpoints were written, in pages of a few
	// hundred bytes to some kB.
	StateWritten int64
}

// Stats is how the engine is now. Counters begin with Open.
func (e *Engine) Stats() Stats {
	return Stats{e.stored.Load(), e.scarce.Load(), e.restart.Load(), e.written.Load()}
}

// Close makes all that was appended last, and stops. What is appended meanwhile is
// refused with ErrClosed. The error is of what could not be made to last.
func (e *Engine) Close(ctx context.Context) error {
	e.change.Lock()
	defer e.change.Unlock()
	e.mu.Lock()
	again := e.closed
	e.closed = true
	e.mu.Unlock()
	if again {
		return nil
	}
	e.end()
	e.tasks.Wait()
	var failed error
	for _, s := range e.Streams() {
		failed = errors.Join(failed, s.drain(ctx), s.sync())
		s.stop(fmt.Errorf("streams: %w", ErrClosed))
	}
	for _, s := range e.Streams() {
		s.remember()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session != nil {
		e.session.stop()
	}
	e.state.Clean = failed == nil && e.failed == nil
	return errors.Join(failed, e.writeState())
}

// unavailable is what a caller hears when JetStream did not do as it was asked.
func unavailable(what, stream string, err error) error {
	return fmt.Errorf("streams: %s %q: %w: %w", what, stream, ErrUnavailable, err)
}

// look takes note of the room on the file system.
func (e *Engine) look() {
	var fs unix.Statfs_t
	if e.options.URL != "" || unix.Statfs(e.options.Dir, &fs) != nil {
		return
	}
	free := int64(fs.Bavail) * fs.Bsize
	if scarce := free < e.options.Reserve; e.scarce.Swap(scarce) != scarce {
		if scarce {
			e.log.Error("streams: no room on the file system: streams are full", "free", free, "reserve", e.options.Reserve)
		} else {
			e.log.Info("streams: room on the file system again", "free", free)
		}
	}
}
