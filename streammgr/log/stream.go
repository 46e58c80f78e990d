package log

import (
	"context"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// Message is one message of a stream.
type Message struct {
	// Seq numbers a stream's messages from 0 on, without a gap but where messages
	// were lost. It goes on after a restart.
	Seq uint64
	// Epoch rises when the last numbers may have been given to messages that are
	// gone: epoch and sequence together never name two.
	Epoch uint32
	// Time at which it was appended, in milliseconds, by the machine's clock, which
	// may say 1970.
	Time time.Time
	// Payload is not to be changed.
	Payload []byte
}

// Info is how a stream is.
type Info struct {
	First  uint64 // sequence of the oldest message, Next if there is none
	Next   uint64 // sequence that the next message gets
	Synced uint64 // first sequence that a loss of power may take back
	Epoch  uint32
	Bytes  int64     // that it takes, with what is stored beside the payloads
	Oldest time.Time // of the oldest message; zero if there is none, or none was known
	Queued int       // bytes that wait to be written

	// Counters since the engine was opened.
	Appended      uint64 // messages
	AppendedBytes uint64 // of their payloads
	Written       uint64 // bytes of blocks handed to the disk, or to memory
	Refused       uint64 // messages refused because the stream was full
	Removed       uint64 // messages removed by size, age or purge
	Dropped       uint64 // of those, messages that an exporter did not have
	Lost          uint64 // messages that the disk lost
	Syncs         uint64
}

// Stream is one stream. All methods are safe for concurrent use.
type Stream struct {
	engine  *Engine
	name    string
	server  string // its name at the server
	subject string
	files   *files // nil if its server keeps it, or memory

	ctx   context.Context // ends with stop, whose reason is its cause
	end   context.CancelCauseFunc
	tasks sync.WaitGroup
	kick  chan struct{}
	writer

	syncing sync.Mutex // held by sync
	retain  sync.Mutex // held while messages are removed

	mu       sync.Mutex // guards what follows
	def      Definition
	epoch    uint32
	first    uint64
	next     uint64
	synced   uint64
	firstJS  uint64 // the oldest block at the server
	lastJS   uint64 // the newest, firstJS-1 if there is none
	bytes    int64
	oldest   int64  // ms; 0 unknown
	lostTo   uint64 // messages below were counted if they are lost
	info     Info   // its counters
	rewrites int    // how often files were written again after a failed sync

	queue      []*batch
	queued     int           // their bytes
	flushing   []*batch      // stored, and to be told when synced
	unfinished int           // appends that have not been told how they went
	closing    bool          // no more come
	room       chan struct{} // closed when the queue has got shorter, nil if nobody waits
	changed    chan struct{} // closed when something above has changed, nil if nobody waits

	hints      [hints]hint
	hintAt     int
	expireNext time.Time

	doubted atomic.Bool            // a sync failed: the writer has the server started again
	block   atomic.Pointer[stored] // that a reader stopped in
}

// newStream opens a stream that the server has.
func newStream(e *Engine, d Definition) (*Stream, error) {
	name := e.options.Prefix + serverName(d.Name)
	s := &Stream{engine: e, name: d.Name, server: name, subject: subjectOf(name), def: d, kick: make(chan struct{}, 1)}
	if e.options.URL == "" && !d.Memory {
		s.files = &files{dir: filepath.Join(accountDir(e.options.Dir), name, "msgs"), encrypted: e.options.Key != ""}
	}
	s.ctx, s.end = context.WithCancelCause(context.WithoutCancel(e.ctx))
	st := s.stateOf()
	s.epoch, s.first, s.next = st.Epoch, st.First, st.Synced
	if err := s.attach(); err != nil {
		s.end(err)
		s.detach()
		return nil, err
	}
	if s.files == nil {
		s.synced = s.next
	} else {
		s.synced = min(max(st.Synced, s.first), s.next)
	}
	return s, s.saveState()
}

// stateOf is the stream's part of the engine's state, made if it has none.
func (s *Stream) stateOf() streamState {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	st, ok := e.state.Streams[s.name]
	if !ok {
		st = new(streamState)
		if s.def.Memory {
			st.Memory = &s.def
		}
		e.state.Streams[s.name] = st
	} else if s.def.Memory && e.options.URL == "" {
		st.Epoch, st.First = e.newEpoch(), st.Synced // it is empty, however it ended
	}
	return *st
}

// resume finds out what the server has, at the start and after each failure.
func (s *Stream) resume(ctx context.Context) error {
	state, err := s.serverState(ctx)
	if err != nil {
		return err
	}
	var oldest, newest *stored
	if state.Msgs > 0 {
		if oldest, newest, err = s.ends(ctx, state.FirstSeq, state.LastSeq); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files != nil {
		s.engine.stored.Add(int64(state.Bytes) - s.bytes)
	}
	s.firstJS, s.lastJS, s.bytes = state.FirstSeq, state.LastSeq, int64(state.Bytes)
	// What the stream is known to have had must be there, or it was lost.
	lost := false
	if newest != nil {
		lost = newest.js < state.LastSeq || newest.block.next() < s.next
		s.next = max(s.next, newest.block.next())
		s.first = min(max(s.first, oldest.block.first), s.next)
		s.oldest = oldest.block.base
	} else {
		lost = state.Msgs > 0 || s.first < s.next
		s.firstJS, s.first = s.lastJS+1, s.next
	}
	s.epoch = s.engine.epochAfter(s.epoch, newest, lost)
	if lost {
		s.engine.log.Error("streams: the last messages of a stream can't be read", "stream", s.name, "next", s.next, "epoch", s.epoch)
	}
	s.clearHints()
	return nil
}

// epochAfter is the epoch in which a stream goes on.
func (e *Engine) epochAfter(epoch uint32, newest *stored, lost bool) uint32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if newest != nil {
		e.state.NextEpoch = max(e.state.NextEpoch, newest.block.epoch+1)
		lost = lost || newest.block.epoch > epoch // the state was lost
	}
	if lost || epoch == 0 {
		return e.newEpoch()
	}
	return epoch
}

// saveState puts down what the engine's state has of the stream.
func (s *Stream) saveState() error {
	s.remember()
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	return s.engine.writeState()
}

// remember takes the stream into the engine's state, which is written later.
func (s *Stream) remember() {
	s.mu.Lock()
	epoch, first, synced := s.epoch, s.first, s.synced
	if s.files == nil {
		synced = s.next
	}
	s.mu.Unlock()
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.engine.note(s.name, epoch, first, synced)
}

// note changes the state; the caller holds mu or is alone.
func (e *Engine) note(name string, epoch uint32, first, synced uint64) {
	if st := e.state.Streams[name]; st != nil {
		st.Epoch, st.First, st.Synced = epoch, max(st.First, first), max(st.Synced, synced)
		e.dirty = true
	}
}

// start begins to write.
func (s *Stream) start() { s.tasks.Go(s.writeLoop) }

// stop ends the stream; what waits for it hears why.
func (s *Stream) stop(why error) {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.end(why)
	s.tasks.Wait()
	s.tell()
	s.mu.Lock()
	flushing := s.flushing
	s.flushing = nil
	s.mu.Unlock()
	for _, b := range flushing {
		s.finish(b, why)
	}
}

// Name is the stream's name.
func (s *Stream) Name() string { return s.name }

// Definition is what the stream is to be.
func (s *Stream) Definition() Definition {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.def
	d.Meta = maps.Clone(d.Meta)
	return d
}

// define changes the definition.
func (s *Stream) define(d Definition) {
	s.mu.Lock()
	s.def = d
	s.mu.Unlock()
	s.wake()
}

// Info is how the stream is now.
func (s *Stream) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.info
	i.First, i.Next, i.Synced, i.Epoch, i.Bytes, i.Queued = s.first, s.next, s.synced, s.epoch, s.bytes, s.queued
	if s.oldest != 0 && s.first < s.next {
		i.Oldest = time.UnixMilli(s.oldest)
	}
	return i
}

// Wait returns when the message with that sequence can be read, at once if it was
// ever there. The error is ctx's, or wraps ErrDeleted or ErrClosed.
func (s *Stream) Wait(ctx context.Context, seq uint64) error {
	return s.await(ctx, func() bool { return s.next > seq })
}

// WaitSynced is like Wait, for a message that a loss of power does not take back.
func (s *Stream) WaitSynced(ctx context.Context, seq uint64) error {
	return s.await(ctx, func() bool { return s.synced > seq })
}

// await returns when held, which is called with mu held, is true.
func (s *Stream) await(ctx context.Context, held func() bool) error {
	for {
		s.mu.Lock()
		if held() {
			s.mu.Unlock()
			return nil
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// tell wakes those who wait for next or synced.
func (s *Stream) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// wake has the writer look again.
func (s *Stream) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// current is the session of now.
func (e *Engine) current() *session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.session
}

// renewSession starts the server again, unless somebody did since that session: a
// server whose disk has failed once, or was full, refuses from then on.
func (e *Engine) renewSession(failed *session) error {
	e.renew.Lock()
	defer e.renew.Unlock()
	if e.current() != failed || failed.server == nil {
		return nil
	}
	failed.stop()
	for _, s := range e.Streams() {
		if err := s.rewrite(); err != nil {
			return err
		}
	}
	ss, err := startSession(&e.options)
	if err != nil {
		return err
	}
	e.restart.Add(1)
	e.mu.Lock()
	e.session = ss
	e.mu.Unlock()
	return nil
}

// age is how old what a mark was made for is.
func (e *Engine) age(m clock.Mark) (age time.Duration, known bool) {
	t, known := e.clock.Time(m)
	return time.Duration(clock.Now() - t), known
}
