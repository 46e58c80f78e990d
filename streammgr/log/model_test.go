package log

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

var modelSteps = flag.Int("steps", 400, "steps of the model test")

// model is what a stream should be: a plain list.
type model struct {
	first    uint64
	messages []string // from first on
	exported uint64
}

func (m *model) next() uint64 { return m.first + uint64(len(m.messages)) }

// A stream is what a plain list is, whatever is done to it: appended in one and in
// many, read from anywhere, purged, filled, exported, and opened again.
func TestStreamIsLikeAList(t *testing.T) {
	for _, memory := range []bool{false, true} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("memory %t, seed %d", memory, seed), func(t *testing.T) { runModel(t, memory, seed) })
		}
	}
}

func runModel(t *testing.T, memory bool, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	o := Options{Dir: t.TempDir()}
	d := Definition{Name: "list", MaxSize: 64 << 10, Memory: memory}
	e := open(t, o)
	s := create(t, e, d)
	c := s.Checkpoint("exporter")
	var m model
	for range *modelSteps {
		switch action := random.IntN(20); {
		case action < 10:
			payloads := make([]string, random.IntN(5))
			b := make([][]byte, len(payloads))
			for i := range payloads {
				payloads[i] = fmt.Sprintf("%d-%0*d", m.next()+uint64(i), random.IntN(3000), 0)
				b[i] = []byte(payloads[i])
			}
			first, err := s.Append(t.Context(), b...)
			if errors.Is(err, ErrFull) {
				if m.exported == m.next() {
					t.Fatalf("full with all exported: %+v", s.Info())
				}
				continue
			}
			if err != nil || first != m.next() {
				t.Fatalf("appended at %d, %v, want %d", first, err, m.next())
			}
			m.messages = append(m.messages, payloads...)
		case action < 14:
			from := uint64(random.Int64N(int64(m.next() + 1)))
			m.read(t, s, from, 1+random.IntN(20))
		case action < 16:
			if m.exported = max(m.exported, m.first+uint64(random.IntN(len(m.messages)+1))); m.exported > c.Get() {
				c.Set(m.exported)
			}
		case action < 17:
			before := m.first + uint64(random.IntN(len(m.messages)+1))
			if err := s.Purge(t.Context(), before); err != nil {
				t.Fatal(err)
			}
			m.cut(t, s, before)
		case action < 18 && random.IntN(4) == 0:
			shut(t, e)
			e = open(t, o)
			s = stream(t, e, "list")
			if memory {
				m = model{first: m.next()}
			}
			c = s.Checkpoint("exporter")
			m.exported = c.Get()
		}
		// What all have may have been removed to make room, and nothing else.
		if first := s.Info().First; first > m.first {
			if first > m.exported {
				t.Fatalf("removed to %d, and only %d are exported", first, m.exported)
			}
			m.cut(t, s, first)
		}
	}
	m.read(t, s, 0, len(m.messages)+1)
}

func (m *model) cut(t *testing.T, s *Stream, first uint64) {
	t.Helper()
	if got := s.Info().First; got != max(first, m.first) {
		t.Fatalf("first is %d, want %d", got, first)
	}
	if first > m.first {
		m.messages = m.messages[first-m.first:]
		m.first = first
	}
}

// read compares what a read gives.
func (m *model) read(t *testing.T, s *Stream, from uint64, limit int) {
	t.Helper()
	var got []string
	next, err := s.Read(t.Context(), from, limit, 1<<20, func(msg Message) bool {
		got = append(got, string(msg.Payload))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	from = max(from, m.first, s.Info().First)
	want := m.messages[from-m.first:]
	want = want[:min(limit, len(want))]
	if !slices.Equal(got, want) || next != from+uint64(len(want)) {
		t.Fatalf("read %d from %d: got %d to %d, want %d", limit, from, len(got), next, len(want))
	}
}
