// Package streammgr is the vehicle's funnel for what is too much for MQTT: durable
// streams (package log) with their ways in, published messages, recordings, programs at
// a socket and clients of the Stream Manager protocol (package protocol), and their ways
// out (package export).
package streammgr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/log"
	"github.com/fascia-edge/fascia/streammgr/protocol"
	"github.com/fascia-edge/fascia/vehicle"
)

var (
	// ErrNoStream says that no stream has that name.
	ErrNoStream = log.ErrNotFound
	// ErrNoExporter says that the stream has no exporter of that name.
	ErrNoExporter = errors.New("no such exporter")
	// ErrNotReady says that the streams are still being opened.
	ErrNotReady = errors.New("streams are being opened")
	// ErrConfigured says that the stream stands in the configuration.
	ErrConfigured = errors.New("stream stands in the configuration")
)

// Folders in Options.DataDir, where the configuration names no others.
const (
	Folder       = "streams"
	ExportFolder = "export" // of exporters to files
)

// Options are what streams need beside their configuration.
type Options struct {
	DataDir string
	Broker  Broker
	Keeper  export.Keeper
	State   *vehicle.State
	Vehicle Vehicle
	Clock   *clock.Clock
	Version string // told to clients of the protocol
	Log     *slog.Logger
}

// Vehicle is who the vehicle is: what ${vin} and ${thing} stand for.
type Vehicle struct {
	VIN, Thing string // empty for none
}

// fill puts the values of ${vin} and ${thing} into text.
func (v Vehicle) fill(text string) string {
	return strings.NewReplacer("${vin}", v.VIN, "${thing}", v.Thing).Replace(text)
}

// Manager is all streams. Its life is New, Start, Stop; the other methods are safe for
// concurrent use between.
type Manager struct {
	options Options
	log     *slog.Logger
	uplink  *export.Uplink
	server  *protocol.Server // nil without listen
	engine  *log.Engine      // nil before Start
	longest int              // bytes of a message

	ctx     context.Context // ends with Stop
	cancel  context.CancelFunc
	running sync.WaitGroup
	ready   atomic.Bool

	life    sync.Mutex // one change at a time
	config  Config     // guarded by life
	applied bool       // guarded by life: the streams are made

	mu        sync.Mutex // guards the fields below
	streams   map[string]*stream
	listening string // why clients can't be served, "" if they are
}

// New makes the streams of a validated configuration. It opens nothing.
func New(cfg Config, options Options) (*Manager, error) {
	m := &Manager{
		options: options,
		log:     options.Log,
		uplink:  export.NewUplink(int64(cfg.Rate)),
		longest: int(cfg.MaxMessage),
		config:  cfg,
		streams: map[string]*stream{},
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	for _, c := range cfg.Streams {
		m.streams[c.Name] = m.newStream(c)
	}
	if cfg.Listen != "" {
		server, err := protocol.New(protocol.Options{
			Listen:      cfg.Listen,
			Auth:        cfg.Auth,
			Tokens:      cfg.Tokens,
			Plaintext:   cfg.Plaintext,
			Unsupported: cfg.UnsupportedExports,
			Version:     options.Version,
			MaxMessage:  int(cfg.MaxMessage),
			Log:         options.Log,
		}, clients{m})
		if err != nil {
			return nil, err
		}
		m.server = server
	}
	return m, nil
}

// Start opens the ways in, so that nothing which is handed in from now on is missed,
// and the streams behind them, for which it does not wait: Ready tells. It is called
// when the broker has its store and before it serves clients.
func (m *Manager) Start() (err error) {
	m.life.Lock()
	defer m.life.Unlock()
	c := &m.config
	dir := c.Dir
	if dir == "" {
		dir = filepath.Join(m.options.DataDir, Folder)
	}
	m.engine, err = log.Open(m.ctx, log.Options{
		Dir:          filepath.Clean(dir),
		URL:          c.URL,
		Prefix:       m.options.Vehicle.fill(c.Prefix),
		Replicas:     c.Replicas,
		Key:          c.Key,
		SyncInterval: time.Duration(c.Interval),
		MaxStore:     int64(c.Size),
		MaxMemory:    int64(c.Memory),
		Reserve:      int64(c.FreeSpace),
		MaxMessage:   longest(c),
		Listen:       c.ListenNATS,
		Log:          m.log,
		Clock:        m.options.Clock,
	})
	if err != nil {
		return err
	}
	for _, s := range m.inOrder() {
		if err := s.open(); err != nil {
			m.abandon()
			return err
		}
	}
	m.tellOrphans()
	m.running.Go(m.run)
	return nil
}

// largestBlock is more than a recording's block takes, however badly it compresses.
const largestBlock = 4 << 20

// longest is how long a message may be for the log: blocks of recordings are no
// messages of programs, and may be longer.
func longest(c *Config) int {
	if len(c.Recordings()) > 0 {
		return max(int(c.MaxMessage), largestBlock)
	}
	return int(c.MaxMessage)
}

// abandon undoes a start that has failed.
func (m *Manager) abandon() {
	m.cancel()
	for _, s := range m.inOrder() {
		s.close(m.ctx)
	}
	_ = m.engine.Close(m.ctx) // nothing was appended
}

// Stop takes nothing more, waits until ctx ends for what is under way, and closes the
// streams. What was handed in is in them, or still with the broker.
func (m *Manager) Stop(ctx context.Context) {
	m.ready.Store(false)
	if m.server != nil {
		if err := m.server.Stop(ctx); err != nil {
			m.log.Warn("clients of the stream manager were cut off", "error", err)
		}
	}
	m.cancel() // before the lock: what waits for the streams with it held gives up
	m.running.Wait()
	m.life.Lock()
	defer m.life.Unlock()
	var stopping sync.WaitGroup
	for _, s := range m.inOrder() {
		stopping.Go(func() { s.close(ctx) })
	}
	stopping.Wait()
	if err := m.engine.Close(ctx); err != nil {
		m.log.Error("the streams were not closed in order; they are recovered at the next start", "error", err)
	}
}

// Ready reports whether the streams of the configuration can be used.
func (m *Manager) Ready() bool { return m.ready.Load() }

// tick is how often the streams are looked at.
const (
	tick      = time.Second
	mendEvery = 10 * time.Second // what could not be made is tried again
)

// run makes the streams when the engine is ready, and looks after them until Stop.
func (m *Manager) run() {
	select {
	case <-m.engine.Ready():
	case <-m.ctx.Done():
		return
	}
	if m.engine.Err() != nil {
		return // the engine has told; without streams nothing is ready
	}
	m.life.Lock()
	m.apply()
	m.life.Unlock()
	m.listen()
	m.ready.Store(true)
	look, mend := time.NewTicker(tick), time.NewTicker(mendEvery)
	defer look.Stop()
	defer mend.Stop()
	for {
		m.tell()
		select {
		case <-look.C:
		case <-mend.C:
			m.mend()
		case <-m.ctx.Done():
			m.tell()
			return
		}
	}
}

// listen lets clients in.
func (m *Manager) listen() {
	if m.server == nil || m.server.Addr() != nil {
		return
	}
	problem := ""
	if err := m.server.Start(); err != nil {
		problem = err.Error()
		m.log.Error("clients of the stream manager can't be served; it is tried again", "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listening = problem
}

// apply makes the streams of the configuration, and takes those that clients have
// made. life is held.
func (m *Manager) apply() {
	m.applied = true
	for _, s := range m.inOrder() {
		s.make(m.ctx, nil)
	}
	for _, l := range m.engine.Streams() {
		if _, there := m.stream(l.Name()); there {
			continue
		}
		if d, ok := clientDefinition(l); ok {
			m.adopt(l.Name(), byClient, m.config.ClientExports.exporters(d), nil)
			continue
		}
		m.log.Warn(keptWithout, "stream", l.Name(), "remove", "fascia streams purge --delete "+l.Name())
		m.adopt(l.Name(), byNobody, nil, nil)
	}
}

const keptWithout = "a stream that is not configured any more is kept"

// adopt takes a stream that the engine has and the configuration has not. life is
// held.
func (m *Manager) adopt(name, owner string, exporters []ExporterConfig, starts map[string]uint64) {
	s := m.newStream(StreamConfig{Name: name, Exporters: exporters})
	s.configured, s.owner = false, owner
	m.mu.Lock()
	m.streams[name] = s
	m.mu.Unlock()
	s.make(m.ctx, starts)
}

// mend tries again what could not be made.
func (m *Manager) mend() {
	m.listen()
	if !m.life.TryLock() {
		return // somebody changes something; it is tried again anyway
	}
	defer m.life.Unlock()
	for _, s := range m.inOrder() {
		s.mend(m.ctx)
	}
}

// Use takes another configuration into use: streams may come, go and change, and so
// may their feeds and exporters, but for what Fixed says. A stream that goes keeps its
// messages. What can't be done now, such as binding a socket, is told and tried again.
func (m *Manager) Use(cfg Config) {
	m.life.Lock()
	defer m.life.Unlock()
	m.config = cfg
	m.uplink.SetRate(int64(cfg.Rate))
	if m.engine == nil { // Start opens them
		m.streams = map[string]*stream{}
		for _, c := range cfg.Streams {
			m.streams[c.Name] = m.newStream(c)
		}
		return
	}
	for _, s := range m.inOrder() {
		if s.configured && !slices.ContainsFunc(cfg.Streams, func(c StreamConfig) bool { return c.Name == s.name }) {
			m.release(s)
		}
	}
	for _, c := range cfg.Streams {
		s, there := m.stream(c.Name)
		if !there {
			s = m.newStream(c)
			m.mu.Lock()
			m.streams[c.Name] = s
			m.mu.Unlock()
		}
		s.setConfig(c)
		if m.applied {
			s.make(m.ctx, nil)
		} else if err := s.open(); err != nil {
			s.logger.Error("not all ways into a stream are open; it is tried again", "error", err)
		}
	}
}

// release leaves a stream alone that is not configured any more. life is held.
func (m *Manager) release(s *stream) {
	m.log.Warn(keptWithout, "stream", s.name, "remove", "fascia streams purge --delete "+s.name)
	ctx, cancel := context.WithTimeout(m.ctx, changeWithin)
	defer cancel()
	s.close(ctx)
	s.gone()
	m.mu.Lock()
	delete(m.streams, s.name)
	m.mu.Unlock()
	if _, there := m.engine.Stream(s.name); there {
		m.adopt(s.name, byNobody, nil, nil)
	}
}

// changeWithin is how long an exporter that is changed may take to end a batch.
const changeWithin = 5 * time.Second

// Delete removes a stream with all that is in it. The error wraps ErrNoStream,
// ErrConfigured or the log's.
func (m *Manager) Delete(ctx context.Context, name string) error {
	m.life.Lock()
	defer m.life.Unlock()
	return m.remove(ctx, name)
}

// remove is Delete with life held.
func (m *Manager) remove(ctx context.Context, name string) error {
	s, err := m.named(name)
	if err != nil {
		return err
	}
	if s.configured {
		return fmt.Errorf("stream %q: %w: %w", name, protocol.ErrUpdateNotAllowed, ErrConfigured)
	}
	if err := m.engine.Delete(ctx, name); err != nil {
		return err
	}
	s.close(ctx)
	s.gone()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.streams, name)
	return nil
}

// named is stream with an error, which wraps ErrNoStream.
func (m *Manager) named(name string) (*stream, error) {
	s, there := m.stream(name)
	if !there {
		return nil, fmt.Errorf("stream %q: %w", name, ErrNoStream)
	}
	return s, nil
}

// stream is the stream of that name.
func (m *Manager) stream(name string) (*stream, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, there := m.streams[name]
	return s, there
}

// inOrder are all streams by name.
func (m *Manager) inOrder() []*stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*stream, 0, len(m.streams))
	for _, s := range m.streams {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *stream) int { return strings.Compare(a.name, b.name) })
	return list
}

// tellOrphans logs which streams have left published messages with the broker.
func (m *Manager) tellOrphans() {
	for _, name := range m.options.Broker.StoredQueues(queuePrefix) {
		stream := strings.TrimPrefix(name, queuePrefix)
		if s, there := m.stream(stream); there && s.published != nil {
			continue
		}
		q, err := m.options.Broker.OpenQueue(name, QueueLimits{Bytes: 1 << 40, Messages: mostQueued})
		if err != nil {
			continue // it is open
		}
		if q.Len() == 0 {
			err = q.Drop()
		} else {
			m.log.Warn("a stream without a filter any more has left published messages with the broker; they come when it has one again", "stream", stream, "messages", q.Len())
			q.Close()
		}
		if err != nil {
			m.log.Warn("an empty queue can't be removed", "stream", stream, "error", err)
		}
	}
}
