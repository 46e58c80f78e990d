package export_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// testLog puts what is logged into the test's output.
type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

func logTo(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// open opens an engine that syncs and writes checkpoints quickly.
func open(t testing.TB, dir string) *log.Engine {
	t.Helper()
	e, err := log.Open(t.Context(), log.Options{Dir: dir, SyncInterval: time.Millisecond, CheckpointInterval: time.Millisecond, Log: logTo(t)})
	if err != nil {
		t.Fatal(err)
	}
	<-e.Ready()
	if err := e.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, e) })
	return e
}

func shut(t testing.TB, e *log.Engine) {
	t.Helper()
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func stream(t testing.TB, e *log.Engine, d log.Definition) *log.Stream {
	t.Helper()
	if err := e.Create(t.Context(), d); err != nil && !errors.Is(err, log.ErrExists) {
		t.Fatal(err)
	}
	s, ok := e.Stream(d.Name)
	if !ok {
		t.Fatalf("no stream %q", d.Name)
	}
	return s
}

// add appends messages that say their numbers, from..to-1.
func add(t testing.TB, s *log.Stream, from, to int) {
	t.Helper()
	var payloads [][]byte
	for i := from; i < to; i++ {
		payloads = append(payloads, []byte(strconv.Itoa(i)))
	}
	if _, err := s.Append(t.Context(), payloads...); err != nil {
		t.Fatal(err)
	}
}

// far is a scripted far side. It keeps what it acknowledged.
type far struct {
	mu      sync.Mutex
	got     []log.Message
	batches []int // how long each batch was
	answer  func(try int, batch []log.Message) (int, error)
	closed  bool
	changed chan struct{}
}

func newFar() *far { return &far{changed: make(chan struct{})} }

func (f *far) Send(ctx context.Context, batch []log.Message) (export.Sent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	done, err := len(batch), ctx.Err()
	if f.answer != nil {
		done, err = f.answer(len(f.batches), batch)
	}
	f.batches = append(f.batches, len(batch))
	sent := export.Sent{Done: done}
	for _, m := range batch {
		sent.Bytes += int64(len(m.Payload))
	}
	f.got = append(f.got, batch[:done]...)
	close(f.changed)
	f.changed = make(chan struct{})
	return sent, err
}

func (f *far) Close(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

// script sets what the next batches hear; try counts all batches from 0.
func (f *far) script(answer func(try int, batch []log.Message) (int, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// messages are what was acknowledged, by payload.
func (f *far) messages() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var texts []string
	for _, m := range f.got {
		texts = append(texts, string(m.Payload))
	}
	return texts
}

// await waits until held says so of the far side.
func (f *far) await(t testing.TB, what string, held func(f *far) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		f.mu.Lock()
		ok, changed := held(f), f.changed
		f.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited for %s; it has %v", what, f.messages())
		}
	}
}

func (f *far) awaitCount(t testing.TB, n int) {
	t.Helper()
	f.await(t, fmt.Sprintf("%d messages", n), func(f *far) bool { return len(f.got) >= n })
}

func (f *far) awaitBatches(t testing.TB, n int) {
	t.Helper()
	f.await(t, fmt.Sprintf("%d batches", n), func(f *far) bool { return len(f.batches) >= n })
}

// wantNumbers checks that exactly from..to-1 was acknowledged, in order.
func (f *far) wantNumbers(t testing.TB, from, to int) {
	t.Helper()
	var want []string
	for i := from; i < to; i++ {
		want = append(want, strconv.Itoa(i))
	}
	if got := f.messages(); !slices.Equal(got, want) {
		t.Errorf("the far side has %v, want %v", got, want)
	}
}

// quick is a configuration that waits for nothing.
func quick(name string) export.Config {
	ms := config.Duration(10 * time.Millisecond)
	return export.Config{Name: name, BackOff: export.BackOff{Min: ms, Max: ms, Refused: ms}}
}

// start starts an exporter, which ends with the test if not before.
func start(t testing.TB, o export.Options) *export.Runner {
	t.Helper()
	r, err := export.New(completed(t, o))
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	t.Cleanup(func() { stop(t, r) })
	return r
}

func completed(t testing.TB, o export.Options) export.Options {
	if o.Log == nil {
		o.Log = logTo(t)
	}
	if o.Clock == nil {
		o.Clock = clock.New(clock.TrustAlways)
	}
	return o
}

func stop(t testing.TB, r *export.Runner) {
	t.Helper()
	if err := r.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// awaitStatus waits until an exporter is as told.
func awaitStatus(t testing.TB, r *export.Runner, what string, held func(export.Status) bool) export.Status {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		st := r.Status(t.Context())
		if held(st) {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %+v", what, st)
		}
	}
}

// shelf is a keeper in memory.
type shelf struct {
	mu     sync.Mutex
	values map[string][]byte
	err    error
}

func (s *shelf) Get(key string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key]
}

func (s *shelf) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.values[key] = value
	}
	return s.err
}
