package streammgr

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/streammgr/export"
)

// Status is what the streams do.
type Status struct {
	State   string         `json:"state"`             // opening, ready, failed
	Problem string         `json:"problem,omitempty"` // why it failed, or why clients can't be served
	Clients *ClientsStatus `json:"clients,omitempty"` // of the Stream Manager protocol; absent without listen
	Streams []StreamStatus `json:"streams"`           // by name
}

// The states of all streams together.
const (
	stateOpening = "opening"
	stateReady   = "ready"
	stateFailed  = "failed"
)

// Ready reports whether the streams can be used.
func (s *Status) Ready() bool { return s.State == stateReady }

// ClientsStatus is how the server of the Stream Manager protocol is. Counters are since
// the start.
type ClientsStatus struct {
	Address      string `json:"address,omitempty"` // absent while it does not listen
	Connected    int    `json:"connected"`
	Refused      uint64 `json:"refused"`      // connections, of too many
	Unauthorised uint64 `json:"unauthorised"` // connections without a valid token
	Requests     uint64 `json:"requests"`
	Failed       uint64 `json:"failed"` // requests that were answered with an error
}

// The states of a stream.
const (
	StreamOK      = "ok"
	StreamOpening = "opening" // not there yet
	StreamFull    = "full"    // it refuses what comes
	StreamFailed  = "failed"  // it can't be made as it is configured: Problem
)

// StreamStates are all states of a stream.
var StreamStates = []string{StreamOK, StreamOpening, StreamFull, StreamFailed}

// StreamStatus is how a stream is. Counters are since the start.
type StreamStatus struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Problem  string `json:"problem,omitempty"`
	Owner    string `json:"owner"`   // configuration, client, or none for a stream that is not configured any more
	Storage  string `json:"storage"` // file, memory, server
	WhenFull string `json:"when_full"`
	Flush    bool   `json:"flush"`
	Size     int64  `json:"size"`          // that it may have
	Age      string `json:"age,omitempty"` // that messages reach at most

	First    uint64  `json:"first"` // sequence of the oldest message, Next if there is none
	Next     uint64  `json:"next"`  // sequence that the next message gets
	Synced   uint64  `json:"synced"`
	Epoch    uint32  `json:"epoch"`
	Messages uint64  `json:"messages"`
	Bytes    int64   `json:"bytes"`    // with what is stored beside the payloads
	Oldest   float64 `json:"oldest_s"` // age of the oldest message
	Queued   int     `json:"queued_bytes"`

	Appended      uint64 `json:"appended"`
	AppendedBytes uint64 `json:"appended_bytes"`
	Refused       uint64 `json:"refused"` // the stream was full
	Removed       uint64 `json:"removed"` // by size, age or purge
	Dropped       uint64 `json:"dropped"` // of those, messages that an exporter did not have
	Lost          uint64 `json:"lost"`    // that the disk lost
	Syncs         uint64 `json:"syncs"`

	Feeds     []FeedStatus     `json:"feeds"`
	Exporters []ExporterStatus `json:"exporters"`
}

// FeedStatus is one way into a stream.
type FeedStatus struct {
	Filters   []string          `json:"filters,omitempty"`
	Recording string            `json:"recording,omitempty"`
	Socket    string            `json:"socket,omitempty"`
	Programs  int               `json:"programs,omitempty"` // connected to the socket
	Waiting   int               `json:"waiting,omitempty"`  // published messages
	Bytes     int64             `json:"bytes,omitempty"`    // of those
	Messages  uint64            `json:"messages,omitempty"` // of programs, taken in
	Dropped   map[string]uint64 `json:"dropped,omitempty"`  // by reason
	Problem   string            `json:"problem,omitempty"`  // why nothing is taken now
}

// Name tells the feeds of a stream apart.
func (f *FeedStatus) Name() string {
	switch {
	case f.Recording != "":
		return "recording " + f.Recording
	case f.Socket != "":
		return "socket " + f.Socket
	}
	return "filters"
}

// ExporterStatus is one way out of a stream.
type ExporterStatus struct {
	export.Status
	Kind    string `json:"kind"`              // of its target
	Problem string `json:"problem,omitempty"` // why it can't be made
}

// Status is how everything is now; safe for concurrent use. It may read the disk.
func (m *Manager) Status() Status {
	st := Status{State: stateOpening, Streams: []StreamStatus{}}
	if m.Ready() {
		st.State = stateReady
	}
	m.mu.Lock()
	st.Problem = m.listening
	m.mu.Unlock()
	if m.engine != nil && m.engine.Err() != nil {
		st.State, st.Problem = stateFailed, m.engine.Err().Error()
	}
	if m.server != nil {
		s := m.server.Status()
		st.Clients = &ClientsStatus{Connected: s.Connections, Refused: s.Refused, Unauthorised: s.Unauthorised, Requests: s.Requests, Failed: s.Failed}
		if a := m.server.Addr(); a != nil {
			st.Clients.Address = a.String()
		}
	}
	for _, s := range m.inOrder() {
		st.Streams = append(st.Streams, s.status(m.ctx))
	}
	return st
}

// Describe is how one stream is. The error wraps ErrNoStream.
func (m *Manager) Describe(name string) (StreamStatus, error) {
	s, err := m.named(name)
	if err != nil {
		return StreamStatus{}, err
	}
	return s.status(m.ctx), nil
}

func (s *stream) status(ctx context.Context) StreamStatus {
	st := StreamStatus{Name: s.name, State: StreamOpening, Feeds: s.feedStatus(), Exporters: []ExporterStatus{}}
	s.mu.Lock()
	if s.problem != "" {
		st.State, st.Problem = StreamFailed, s.problem
	}
	st.Owner = s.owner
	full := s.full
	s.mu.Unlock()
	select {
	case <-s.made:
		s.describe(&st)
		if full && st.State == StreamOK {
			st.State = StreamFull
		}
	default:
	}
	for _, x := range s.running() {
		e := ExporterStatus{Kind: x.config.kind(), Problem: x.problem}
		if x.runner != nil {
			e.Status = x.runner.Status(ctx)
		} else {
			e.Status = export.Status{Name: x.config.Name, Stream: s.name, State: export.Stopped}
		}
		st.Exporters = append(st.Exporters, e)
	}
	return st
}

// describe fills in what the log knows.
func (s *stream) describe(st *StreamStatus) {
	d, i := s.log.Definition(), s.log.Info()
	if st.State == StreamOpening {
		st.State = StreamOK
	}
	st.Storage, st.WhenFull, st.Flush, st.Size = "file", d.WhenFull, d.Flush, d.MaxSize
	if d.Memory {
		st.Storage = storageMemory
	}
	if d.Age > 0 {
		st.Age = d.Age.String()
	}
	st.First, st.Next, st.Synced, st.Epoch = i.First, i.Next, i.Synced, i.Epoch
	st.Messages, st.Bytes, st.Queued = i.Next-i.First, i.Bytes, i.Queued
	if !i.Oldest.IsZero() {
		st.Oldest = max(0, time.Since(i.Oldest).Seconds())
	}
	st.Appended, st.AppendedBytes, st.Refused = i.Appended, i.AppendedBytes, i.Refused
	st.Removed, st.Dropped, st.Lost, st.Syncs = i.Removed, i.Dropped, i.Lost, i.Syncs
}

// feedStatus are the ways in; all filters are one.
func (s *stream) feedStatus() []FeedStatus {
	list := []FeedStatus{}
	f := s.ways.Load()
	if f == nil {
		return list
	}
	if p := f.published; p != nil {
		q := p.queue.Stats()
		st := FeedStatus{Filters: f.filters, Waiting: p.queue.Len(), Bytes: p.queue.Bytes(), Problem: textOf(&p.problem)}
		st.Dropped = counted(map[string]uint64{
			"full": q.Dropped, "refused": q.Refused, "store": q.Failed,
			"too_large": p.tooLarge.Load(), "expired": p.expired.Load(), "unreadable": p.unreadable.Load()})
		list = append(list, st)
	}
	for _, k := range f.sockets {
		list = append(list, FeedStatus{Socket: k.path, Programs: k.programs(), Messages: k.messages.Load(), Problem: textOf(&k.problem),
			Dropped: counted(map[string]uint64{"not_admitted": k.refused.Load(), "broken": k.broken.Load()})})
	}
	for _, name := range f.recordings {
		list = append(list, FeedStatus{Recording: name})
	}
	return list
}

func textOf(p *atomic.Pointer[string]) string {
	if text := p.Load(); text != nil {
		return *text
	}
	return ""
}

// counted leaves out what was never counted.
func counted(reasons map[string]uint64) map[string]uint64 {
	maps.DeleteFunc(reasons, func(_ string, n uint64) bool { return n == 0 })
	return reasons
}
