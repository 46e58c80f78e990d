package log

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// fill appends messages of 1,000 bytes, more for a large stream, until it is full,
// or n are in.
func fill(t *testing.T, s *Stream, n int) (appended int) {
	t.Helper()
	payload := []byte(strings.Repeat("x", max(1000, int(s.Definition().MaxSize/1000))))
	for i := range n {
		if _, err := s.Append(t.Context(), payload); errors.Is(err, ErrFull) {
			return i
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestFullStreamHealsOnceTheLinkIsBack(t *testing.T) {
	for _, size := range []int64{2500, 100 << 10, 1 << 20, 70 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			e := open(t, Options{Dir: t.TempDir()})
			s := create(t, e, Definition{Name: "stream", MaxSize: size})
			c := s.Checkpoint("cloud")
			n := fill(t, s, math.MaxInt)
			if n == 0 || fill(t, s, 1) != 0 {
				t.Fatalf("%d messages went in, and then one more", n)
			}
			equal(t, s.Info().First, 0)
			equal(t, s.Info().Refused, 2)
			c.Set(uint64(n)) // the link is back
			for range 3 {
				equal(t, fill(t, s, (n+1)/2), (n+1)/2)
				c.Set(s.Info().Next)
			}
			equal(t, s.Info().Dropped, 0)
			if s.Info().Bytes > size {
				t.Errorf("takes %d bytes of %d", s.Info().Bytes, size)
			}
		})
	}
}

func TestFullStreamKeepsWhatAnExporterDoesNotHave(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	s := create(t, e, Definition{Name: "stream", MaxSize: 200 << 10})
	fast, slow := s.Checkpoint("fast"), s.Checkpoint("slow")
	n := fill(t, s, math.MaxInt)
	fast.Set(uint64(n))
	slow.Set(10)
	fill(t, s, n)
	if first := s.Info().First; first > 10 {
		t.Errorf("removed up to %d, and an exporter has 10", first)
	}
	s.Forget("slow")
	if fill(t, s, n/2) != n/2 {
		t.Error("is held back by an exporter that is no more")
	}
}

func TestFullStreamDropsTheOldestAndCounts(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	s := create(t, e, Definition{Name: "stream", MaxSize: 200 << 10, WhenFull: DropOldest})
	s.Checkpoint("cloud").Set(0)
	equal(t, fill(t, s, 1000), 1000)
	i := s.Info()
	if i.First < 700 || i.First > 950 || i.Dropped != i.First || i.Removed != i.First {
		t.Errorf("got %+v, want some 200 messages left and the rest dropped", i)
	}
	equal(t, i.Refused, 0)
}

func TestRejectWithoutExportersKeepsAll(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	s := create(t, e, Definition{Name: "stream", MaxSize: 100 << 10})
	n := fill(t, s, math.MaxInt)
	equal(t, s.Info().First, 0)
	if err := s.Purge(t.Context(), uint64(n)); err != nil {
		t.Fatal(err)
	}
	if fill(t, s, 5) != 5 {
		t.Error("is full after a purge")
	}
	equal(t, s.Info().First, n)
}

func TestOldMessagesAreRemoved(t *testing.T) {
	o := Options{Dir: t.TempDir(), Clock: clock.New(clock.TrustAlways)}
	e := open(t, o)
	const age = 1500 * time.Millisecond
	s := create(t, e, Definition{Name: "stream", Age: age})
	begun := clock.Now()
	add(t, s, "zero", "one")
	if err := s.await(t.Context(), func() bool { return s.first == 2 }); err != nil {
		t.Fatal(err)
	}
	if is := time.Duration(clock.Now() - begun); is < age {
		t.Errorf("removed when %v old", is)
	}
	equal(t, add(t, s, "two"), 2)
	equal(t, texts(t, s, 0), "[2:two]")
	shut(t, e)
	e = open(t, o)
	equal(t, add(t, stream(t, e, "stream"), "three"), 3)
}

func TestFullFileSystemIsAFullStream(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir(), Reserve: math.MaxInt64})
	s := create(t, e, Definition{Name: "stream"})
	if _, err := s.Append(t.Context(), []byte("x")); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	m := create(t, e, Definition{Name: "memory", Memory: true, MaxSize: 1 << 20})
	add(t, m, "x")
}

func TestAllStreamsTogetherAreBounded(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir(), MaxStore: 100 << 10})
	a := create(t, e, Definition{Name: "a", MaxSize: 1e6})
	b := create(t, e, Definition{Name: "b", MaxSize: 1e6})
	fill(t, a, 60)
	if n := fill(t, b, 60); n == 0 || n > 40 {
		t.Errorf("%d messages of 1,000 bytes beside 60 others in 100 kB", n)
	}
	if err := a.Purge(t.Context(), 60); err != nil {
		t.Fatal(err)
	}
	equal(t, fill(t, b, 20), 20)
}

func TestSizeCanBeChanged(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	d := Definition{Name: "stream", MaxSize: 100 << 10}
	s := create(t, e, d)
	n := fill(t, s, math.MaxInt)
	d.MaxSize *= 2
	if err := e.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if more := fill(t, s, math.MaxInt); more < n/2 {
		t.Errorf("%d and then %d messages", n, more)
	}
	d.Memory = true
	if err := e.Update(t.Context(), d); !errors.Is(err, ErrInvalid) {
		t.Errorf("moved into memory: got %v, want ErrInvalid", err)
	}
	shut(t, e)
	e = open(t, o)
	equal(t, stream(t, e, "stream").Definition().MaxSize, 200<<10)
}
