package export_test

import (
	"context"
	"testing"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// shelved is a far side that delivers what it has taken when it is told to.
type shelved struct {
	*far
	from, next uint64 // open; guarded by mu
	finish     bool
}

func (s *shelved) Send(ctx context.Context, batch []log.Message) (export.Sent, error) {
	s.mu.Lock()
	if s.finish {
		s.from, s.next, s.finish = 0, 0, false
	}
	if len(batch) > 0 {
		if s.next == 0 {
			s.from = batch[0].Seq
		}
		s.next = batch[len(batch)-1].Seq + 1
	}
	s.mu.Unlock()
	return s.far.Send(ctx, batch)
}

func (s *shelved) Held() (checkpoint, next uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.from, s.next
}

func TestWhatIsHeldStaysInTheStream(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 10)
	f := &shelved{far: newFar()}
	r := start(t, export.Options{Config: quick("a"), Stream: s, Target: f})
	f.awaitCount(t, 10)
	add(t, s, 10, 15)
	f.awaitCount(t, 15)
	if st := awaitStatus(t, r, "idle", func(st export.Status) bool { return st.State == export.Idle }); st.Checkpoint != 0 || st.LagMessages != 15 || st.Messages != 15 {
		t.Errorf("while it is held: %+v", st)
	}
	// It is asked without a message now and then, and may finish.
	f.mu.Lock()
	f.finish = true
	f.mu.Unlock()
	awaitStatus(t, r, "the end of what is held", func(st export.Status) bool { return st.Checkpoint == 15 })
	f.wantNumbers(t, 0, 15)
}

// Messages that wait for a batch to fill up keep nothing open.
func TestWhatIsHeldIsFinishedWhileABatchFillsUp(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 10)
	f, c := &shelved{far: newFar()}, quick("a")
	c.BatchSize, c.BatchInterval = 10, config.Duration(1<<60)
	r := start(t, export.Options{Config: c, Stream: s, Target: f})
	f.awaitCount(t, 10)
	add(t, s, 10, 11)
	f.mu.Lock()
	f.finish = true
	f.mu.Unlock()
	awaitStatus(t, r, "the end of what is held", func(st export.Status) bool { return st.Checkpoint == 10 })
	f.wantNumbers(t, 0, 10)
}

func TestAHolderGoesOnAfterARestart(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 10)
	for _, test := range []struct {
		name       string
		from, next uint64 // what it has kept
		begin      int
	}{
		{"it has kept a part", 0, 4, 4},
		{"it has kept nothing", 0, 0, 0},
		{"it has kept what is not in the stream", 0, 400, 0},
	} {
		f := &shelved{far: newFar(), from: test.from, next: test.next}
		r := start(t, export.Options{Config: quick("a"), Stream: s, Target: f})
		f.awaitCount(t, 10-test.begin)
		f.wantNumbers(t, test.begin, 10)
		stop(t, r)
		s.Forget("a")
	}
}
