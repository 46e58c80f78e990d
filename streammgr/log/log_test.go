package log

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
)

// open opens an engine that is ready.
func open(t testing.TB, o Options) *Engine {
	t.Helper()
	e := openUnready(t, o)
	<-e.Ready()
	if err := e.Err(); err != nil {
		t.Fatal(err)
	}
	return e
}

func openUnready(t testing.TB, o Options) *Engine {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(&testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	e, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, e) })
	return e
}

// testLog puts what is logged into the test's output.
type testLog struct{ t testing.TB }

func (l *testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

func shut(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func create(t testing.TB, e *Engine, d Definition) *Stream {
	t.Helper()
	if err := e.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return stream(t, e, d.Name)
}

func stream(t testing.TB, e *Engine, name string) *Stream {
	t.Helper()
	s, ok := e.Stream(name)
	if !ok {
		t.Fatalf("no stream %q", name)
	}
	return s
}

func add(t testing.TB, s *Stream, payloads ...string) uint64 {
	t.Helper()
	b := make([][]byte, len(payloads))
	for i, p := range payloads {
		b[i] = []byte(p)
	}
	first, err := s.Append(t.Context(), b...)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// texts reads a stream from a sequence on, as sequence:payload.
func texts(t testing.TB, s *Stream, from uint64) []string {
	t.Helper()
	var got []string
	for {
		before := from
		next, err := s.Read(t.Context(), from, 1000, 1<<20, func(m Message) bool {
			got = append(got, fmt.Sprintf("%d:%s", m.Seq, m.Payload))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if from = next; from == before || from >= s.Info().Next {
			return got
		}
	}
}

func equal(t testing.TB, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAppendReadAndRestart(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	s := create(t, e, Definition{Name: "a, b.c d"})
	equal(t, add(t, s, "zero", "one"), 0)
	equal(t, add(t, s, "two"), 2)
	equal(t, texts(t, s, 0), "[0:zero 1:one 2:two]")
	equal(t, texts(t, s, 1), "[1:one 2:two]")
	if err := s.WaitSynced(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	epoch := s.Info().Epoch
	shut(t, e)
	e = open(t, o)
	s = stream(t, e, "a, b.c d")
	equal(t, add(t, s, "three"), 3)
	equal(t, texts(t, s, 0), "[0:zero 1:one 2:two 3:three]")
	equal(t, s.Info().Epoch, epoch)
}
