package log

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// Checkpoint is how far an exporter has got. It is safe for concurrent use.
type Checkpoint struct {
	stream *Stream
	name   string
	seq    atomic.Uint64
}

// Checkpoint is the checkpoint of an exporter, which stands at the oldest message
// for a new one. From then on until Forget the exporter counts among those that
// must have a message before it is removed to make room.
func (s *Stream) Checkpoint(exporter string) *Checkpoint {
	e := s.engine
	s.mu.Lock()
	first, next := s.first, s.next
	s.mu.Unlock()
	c := &Checkpoint{stream: s, name: exporter}
	e.mu.Lock()
	defer e.mu.Unlock()
	st := e.state.Streams[s.name]
	if st == nil {
		return c // deleted meanwhile
	}
	seq, ok := st.Checkpoints[exporter]
	if st.Checkpoints == nil {
		st.Checkpoints = make(map[string]uint64)
	}
	if !ok || seq > next {
		seq = first
		st.Checkpoints[exporter] = seq
		e.dirty = true
	}
	c.seq.Store(seq)
	return c
}

// Get is the first sequence that the exporter does not have.
func (c *Checkpoint) Get() uint64 { return c.seq.Load() }

// Set tells that the exporter has all below seq; it never goes back. It returns at
// once: the checkpoint is on disk Options.CheckpointInterval later, and when the
// engine is closed.
func (c *Checkpoint) Set(seq uint64) {
	e := c.stream.engine
	e.mu.Lock()
	st := e.state.Streams[c.stream.name]
	known := false
	if st != nil {
		_, known = st.Checkpoints[c.name]
	}
	if !known || seq <= st.Checkpoints[c.name] {
		e.mu.Unlock()
		return
	}
	st.Checkpoints[c.name] = seq
	c.seq.Store(seq)
	e.dirty = true
	e.mu.Unlock()
}

// Forget removes an exporter's checkpoint: it holds no message back any more.
func (s *Stream) Forget(exporter string) {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if st := e.state.Streams[s.name]; st != nil {
		delete(st.Checkpoints, exporter)
		e.dirty = true
	}
}

// Checkpoints are those of all exporters, by name. One that is not configured any
// more is to be forgotten, for it keeps a stream full.
func (s *Stream) Checkpoints() map[string]uint64 {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if st := e.state.Streams[s.name]; st != nil {
		return maps.Clone(st.Checkpoints)
	}
	return nil
}

// exported is the first sequence that some exporter does not have; false if there
// is no exporter.
func (s *Stream) exported() (seq uint64, any bool) {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	st := e.state.Streams[s.name]
	if st == nil || len(st.Checkpoints) == 0 {
		return 0, false
	}
	return slices.Min(slices.Collect(maps.Values(st.Checkpoints))), true
}

// keepLoop writes the state at its pace, removes what is too old and looks at the
// room on the file system.
func (e *Engine) keepLoop() {
	tick := time.NewTicker(e.options.CheckpointInterval)
	defer tick.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-tick.C:
			if err := e.save(); err != nil {
				e.log.Error("streams: checkpoints can't be written", "error", err)
			}
		case <-look.C:
			e.look()
			for _, s := range e.Streams() {
				s.expire()
				s.rest()
			}
		case <-e.ctx.Done():
			return
		}
	}
}

// save writes the state if it differs from what is on disk.
func (e *Engine) save() error {
	e.mu.Lock()
	dirty := e.dirty
	e.mu.Unlock()
	if !dirty {
		return nil
	}
	for _, s := range e.Streams() {
		s.remember()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.writeState()
}
