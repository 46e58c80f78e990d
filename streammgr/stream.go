package streammgr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// stream is one stream with its ways in and out.
type stream struct {
	manager *Manager
	name    string
	logger  *slog.Logger

	made chan struct{} // closed when log is there
	log  *log.Stream   // read by others once made is closed

	// Guarded by Manager.life.
	config     StreamConfig
	configured bool       // in the configuration; else a client has made it, or it was left
	published  *published // nil without filters
	sockets    []*socket

	ways atomic.Pointer[ways] // published and sockets, for whoever looks
	said said                 // of the goroutine that tells

	mu        sync.Mutex // guards the fields below
	owner     string
	exporters []*exporter
	problem   string // why the stream can't be made
	full      bool   // it has refused something just now
}

// ways are the ways in, as they were opened last.
type ways struct {
	published  *published
	filters    []string
	sockets    []*socket
	recordings []string
}

// Who has made a stream.
const (
	byConfiguration = "configuration"
	byClient        = "client"
	byNobody        = "none" // any more
)

func (m *Manager) newStream(c StreamConfig) *stream {
	return &stream{manager: m, name: c.Name, logger: m.log.With("stream", c.Name), made: make(chan struct{}), config: c, configured: true, owner: byConfiguration}
}

// setConfig takes another configuration, which open and make then carry out. A stream
// that was a client's, or left, is the configuration's from then on. life is held.
func (s *stream) setConfig(c StreamConfig) {
	s.config, s.configured = c, true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner = byConfiguration
}

// await waits until the stream is there.
func (s *stream) await(ctx context.Context) (*log.Stream, error) {
	select {
	case <-s.made:
		return s.log, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("stream %q: %w", s.name, ErrNotReady)
	}
}

// open opens the ways in, or those of another configuration. life is held.
func (s *stream) open() error {
	filters := slices.ContainsFunc(s.config.Feeds, func(f FeedConfig) bool { return f.Filter != "" })
	var failed error
	if filters && s.published == nil {
		s.published, failed = openPublished(s)
	}
	if s.published != nil {
		failed = errors.Join(failed, s.published.use(&s.config))
	}
	failed = errors.Join(failed, s.openSockets())
	s.note()
	return failed
}

// note takes down the ways in for whoever looks.
func (s *stream) note() {
	w := &ways{published: s.published, sockets: s.sockets}
	for _, f := range s.config.Feeds {
		if f.Filter != "" {
			w.filters = append(w.filters, f.Filter)
		}
		if f.Recording != "" {
			w.recordings = append(w.recordings, f.Recording)
		}
	}
	s.ways.Store(w)
}

// openSockets opens sockets that are new, and closes those that are not there any
// more.
func (s *stream) openSockets() error {
	var failed error
	var next []*socket
	for _, f := range s.config.Feeds {
		if f.Socket == "" {
			continue
		}
		i := slices.IndexFunc(s.sockets, func(k *socket) bool { return k.path == f.Socket })
		if i >= 0 {
			failed = errors.Join(failed, s.sockets[i].use(f))
			next = append(next, s.sockets[i])
			continue
		}
		k, err := openSocket(s, f)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		next = append(next, k)
	}
	for _, k := range s.sockets {
		if !slices.Contains(next, k) {
			k.close()
		}
	}
	s.sockets = next
	return failed
}

// make makes the stream as it is to be, and its exporters; new ones begin at starts.
// What can't be made is told, and tried again by mend. life is held.
func (s *stream) make(ctx context.Context, starts map[string]uint64) {
	if s.configured {
		err := errors.Join(s.open(), s.define(ctx))
		s.mu.Lock()
		news := err != nil && s.problem != err.Error()
		s.problem = ""
		if err != nil {
			s.problem = err.Error()
		}
		s.mu.Unlock()
		if news {
			s.logger.Error("a stream is not as it should be; it is tried again", "error", err)
		}
	}
	l, there := s.manager.engine.Stream(s.name)
	if !there {
		return
	}
	if s.log == nil {
		s.log = l
		close(s.made)
	}
	s.begin(starts)
	s.useExporters(ctx, s.config.Exporters)
}

// define creates the stream in the log, or changes it.
func (s *stream) define(ctx context.Context) error {
	e := s.manager.engine
	def := s.config.definition(s.manager.config.Sync == syncAlways)
	l, there := e.Stream(s.name)
	switch {
	case !there:
		return e.Create(ctx, def)
	case !reflect.DeepEqual(l.Definition(), def):
		return e.Update(ctx, def)
	}
	return nil
}

// begin sets the checkpoints of exporters that are new.
func (s *stream) begin(starts map[string]uint64) {
	there := s.log.Checkpoints()
	for name, seq := range starts {
		if _, old := there[name]; !old {
			s.log.Checkpoint(name).Set(seq)
		}
	}
}

// useExporters makes the exporters of a configuration in place of those before. One
// that is not there any more holds back nothing any more. life is held.
func (s *stream) useExporters(ctx context.Context, list []ExporterConfig) {
	s.config.Exporters = list
	before := s.running()
	var next []*exporter
	for _, c := range list {
		i := slices.IndexFunc(before, func(x *exporter) bool { return x.config.Name == c.Name })
		if i >= 0 && before[i].same(c) {
			next = append(next, before[i])
			continue
		}
		if i >= 0 {
			s.end(ctx, before[i])
		}
		next = append(next, s.newExporter(c))
	}
	s.mu.Lock()
	s.exporters = next
	s.mu.Unlock()
	named := func(name string) func(ExporterConfig) bool {
		return func(c ExporterConfig) bool { return c.Name == name }
	}
	for _, x := range before {
		if !slices.ContainsFunc(list, named(x.config.Name)) {
			s.end(ctx, x)
		}
	}
	for name, seq := range s.log.Checkpoints() {
		if !slices.ContainsFunc(list, named(name)) {
			s.logger.Info("an exporter is not configured any more: what it did not have may go", "exporter", name, "from", seq)
			s.log.Forget(name)
		}
	}
}

// end ends an exporter that is changed or removed.
func (s *stream) end(ctx context.Context, x *exporter) {
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	x.stop(ctx, s)
}

// running are the exporters of now.
func (s *stream) running() []*exporter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.exporters)
}

// exporter is the exporter of that name.
func (s *stream) exporter(name string) (*exporter, error) {
	list := s.running()
	i := slices.IndexFunc(list, func(x *exporter) bool { return x.config.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("stream %q: exporter %q: %w", s.name, name, ErrNoExporter)
	}
	if list[i].runner == nil {
		return nil, fmt.Errorf("stream %q: exporter %q: %s", s.name, name, list[i].problem)
	}
	return list[i], nil
}

// mend tries again what could not be made. life is held.
func (s *stream) mend(ctx context.Context) {
	s.mu.Lock()
	ill := s.problem != "" || slices.ContainsFunc(s.exporters, func(x *exporter) bool { return x.runner == nil })
	s.mu.Unlock()
	if ill {
		s.make(ctx, nil)
	}
}

// close ends the ways in and out, and waits until ctx ends for what is under way.
func (s *stream) close(ctx context.Context) {
	for _, k := range s.sockets {
		k.close()
	}
	s.sockets = nil
	if s.published != nil {
		s.published.close(ctx)
		s.published = nil
	}
	s.note()
	var stopping sync.WaitGroup
	for _, x := range s.running() {
		stopping.Go(func() { x.stop(ctx, s) })
	}
	stopping.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exporters = nil
}

// batchBytes is how many bytes of messages are stored whole or not at all.
func (s *stream) batchBytes() int {
	return min(batchBytes, int(s.log.Definition().MaxSize/8))
}
