package export_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/log"
	"github.com/fascia-edge/fascia/vehicle"
)

func TestEverythingGoesInOrderAndOnce(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 100)
	f, c := newFar(), quick("a")
	c.BatchSize = 7
	r := start(t, export.Options{Config: c, Stream: s, Target: f})
	f.awaitCount(t, 100)
	add(t, s, 100, 150)
	f.awaitCount(t, 150)
	f.wantNumbers(t, 0, 150)
	if m := slices.Max(f.batches); m > 7 {
		t.Errorf("a batch of %d, want at most 7", m)
	}
	for i, m := range f.got {
		if m.Seq != uint64(i) {
			t.Fatalf("message %d has the sequence %d", i, m.Seq)
		}
	}
	st := awaitStatus(t, r, "no lag", func(st export.Status) bool { return st.Checkpoint == 150 })
	if st.LagMessages != 0 || st.LagBytes != 0 || st.LagSeconds != 0 || st.Messages != 150 || st.BytesIn != 10+90*2+50*3 || st.BytesOut != st.BytesIn || st.Errors != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestBytesOfABatchAreBounded(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	for range 20 {
		if _, err := s.Append(t.Context(), make([]byte, 600)); err != nil {
			t.Fatal(err)
		}
	}
	f, c := newFar(), quick("a")
	c.BatchBytes = 1300
	start(t, export.Options{Config: c, Stream: s, Target: f})
	f.awaitCount(t, 20)
	if m := slices.Max(f.batches); m != 2 {
		t.Errorf("batches %v, want at most 2 messages of 600 bytes", f.batches)
	}
}

func TestAFailureIsTriedAgainWithTheSameBatch(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 10)
	f := newFar()
	f.script(func(try int, batch []log.Message) (int, error) {
		if try < 3 {
			return 0, errors.New("far side is ill")
		}
		return len(batch), nil
	})
	r := start(t, export.Options{Config: quick("a"), Stream: s, Target: f})
	f.awaitBatches(t, 1)
	add(t, s, 10, 20) // more comes meanwhile
	f.awaitCount(t, 20)
	f.wantNumbers(t, 0, 20)
	if !slices.Equal(f.batches[:4], []int{10, 10, 10, 10}) {
		t.Errorf("batches %v, want four times the same", f.batches)
	}
	st := r.Status(t.Context())
	if st.Errors != 3 || !strings.Contains(st.LastError, "ill") || st.LastErrorAt.IsZero() {
		t.Errorf("status %+v", st)
	}
}

func TestAPartOfABatchCounts(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 50)
	f := newFar()
	f.script(func(try int, batch []log.Message) (int, error) {
		if n := (len(batch) + 1) / 2; n < len(batch) {
			return n, fmt.Errorf("shard 1: %w", export.ErrThrottled)
		}
		return len(batch), nil
	})
	r := start(t, export.Options{Config: quick("a"), Stream: s, Target: f})
	f.awaitCount(t, 50)
	f.wantNumbers(t, 0, 50)
	if st := r.Status(t.Context()); st.Throttled == 0 || st.Throttled != st.Errors {
		t.Errorf("status %+v, want errors by throttling", st)
	}
}

// lines counts what is logged.
type lines struct{ n atomic.Int64 }

func (l *lines) Write(b []byte) (int, error) {
	l.n.Add(1)
	return len(b), nil
}

func TestAFarSideThatComesAndGoesDoesNotFloodTheLog(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 20)
	f, c, logged := newFar(), quick("a"), &lines{}
	c.BatchSize = 1
	f.script(func(try int, batch []log.Message) (int, error) {
		if try%2 == 0 {
			return 0, errors.New("far side is ill")
		}
		return len(batch), nil
	})
	r := start(t, export.Options{Config: c, Stream: s, Target: f, Log: slog.New(slog.NewTextHandler(logged, nil))})
	f.awaitCount(t, 20)
	stop(t, r)
	if n := logged.n.Load(); n != 2 {
		t.Errorf("%d lines, want one for the first error and one for its end", n)
	}
}

func TestARefusalIsSaidAndNothingIsLost(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 5)
	f, c := newFar(), quick("a")
	c.BackOff.Refused = config.Duration(time.Hour)
	f.script(func(int, []log.Message) (int, error) {
		return 0, fmt.Errorf("kinesis stream %q does not exist: %w", "fleet", export.ErrRefused)
	})
	r := start(t, export.Options{Config: c, Stream: s, Target: f})
	st := awaitStatus(t, r, "refused", func(st export.Status) bool { return st.State == export.Refused })
	if !strings.Contains(st.LastError, `"fleet" does not exist`) || st.LagMessages != 5 || st.LagBytes <= 0 || st.Checkpoint != 0 {
		t.Errorf("status %+v", st)
	}
	f.script(nil) // somebody makes it, and says so
	r.Retry()
	f.awaitCount(t, 5)
	f.wantNumbers(t, 0, 5)
}

func TestAMessageThatDoesNotFitIsLeftOutAndCounted(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 9)
	f := newFar()
	f.script(func(_ int, batch []log.Message) (int, error) {
		for i, m := range batch {
			if n := string(m.Payload); n == "0" || n == "4" || n == "5" || n == "8" {
				return i, fmt.Errorf("message of 1 byte: %w", export.ErrUnfit)
			}
		}
		return len(batch), nil
	})
	r := start(t, export.Options{Config: quick("a"), Stream: s, Target: f})
	st := awaitStatus(t, r, "the end", func(st export.Status) bool { return st.Checkpoint == 9 })
	if got := strings.Join(f.messages(), " "); got != "1 2 3 6 7" {
		t.Errorf("got %s", got)
	}
	if st.Unfit != 4 || st.Messages != 5 || st.Missed != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestTheFarSideIsLeftAloneAsLongAsItWants(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 1)
	f := newFar()
	f.script(func(int, []log.Message) (int, error) {
		return 0, fmt.Errorf("slow down: %w", export.After(time.Hour, export.ErrThrottled))
	})
	r := start(t, export.Options{Config: quick("a"), Stream: s, Target: f})
	awaitStatus(t, r, "retrying", func(st export.Status) bool { return st.State == export.Retrying })
	time.Sleep(100 * time.Millisecond) // ten times the longest wait of its own
	if len(f.batches) != 1 {
		t.Errorf("%d tries, want 1", len(f.batches))
	}
}

func TestABatchWaitsToFillUp(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	f, c := newFar(), quick("a")
	c.BatchSize, c.BatchInterval = 10, config.Duration(time.Hour)
	r := start(t, export.Options{Config: c, Stream: s, Target: f})
	add(t, s, 0, 9)
	awaitStatus(t, r, "filling", func(st export.Status) bool { return st.State == export.Filling })
	if len(f.messages()) > 0 {
		t.Error("it went before the batch was full")
	}
	add(t, s, 9, 10)
	f.awaitCount(t, 10)
	if !slices.Equal(f.batches, []int{10}) {
		t.Errorf("batches %v", f.batches)
	}

	c.Name, c.BatchInterval = "b", config.Duration(50*time.Millisecond)
	f = newFar()
	start(t, export.Options{Config: c, Stream: s, Target: f})
	add(t, s, 10, 13)
	f.awaitCount(t, 13)
}

func TestAPauseOutlivesARestart(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	f, k := newFar(), &shelf{values: map[string][]byte{}}
	o := export.Options{Config: quick("a"), Stream: s, Target: f, Keeper: k}
	r := start(t, o)
	add(t, s, 0, 3)
	f.awaitCount(t, 3)
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	add(t, s, 3, 6)
	if st := awaitStatus(t, r, "paused", func(st export.Status) bool { return st.State == export.Paused }); st.LagMessages != 3 {
		t.Errorf("status %+v", st)
	}
	stop(t, r)
	r = start(t, o)
	awaitStatus(t, r, "paused again", func(st export.Status) bool { return st.State == export.Paused })
	k.err = errors.New("disk full")
	if err := r.Resume(); !errors.Is(err, k.err) {
		t.Errorf("got %v", err)
	}
	k.err = nil
	f.wantNumbers(t, 0, 3)
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	f.awaitCount(t, 6)
	f.wantNumbers(t, 0, 6)
}

func TestAConditionHoldsAnExporter(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 3)
	state := vehicle.NewState()
	metered := state.Slot("Link.cloud.metered")
	f, c := newFar(), quick("a")
	c.When = "!Link.cloud.metered"
	r := start(t, export.Options{Config: c, Stream: s, Target: f, State: state})
	st := awaitStatus(t, r, "held while the value is missing", func(st export.Status) bool { return st.State == export.Held })
	if !strings.Contains(st.Held, c.When) {
		t.Errorf("held by %q", st.Held)
	}
	metered.Set(vehicle.Bool(false), 1, vehicle.BootNow())
	f.awaitCount(t, 3)
	metered.Set(vehicle.Bool(true), 1, vehicle.BootNow())
	add(t, s, 3, 4)
	awaitStatus(t, r, "held on a metered link", func(st export.Status) bool { return st.State == export.Held })
	f.wantNumbers(t, 0, 3)
}

func TestAScheduleHoldsAnExporter(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 3)
	closed := time.Now().UTC().Add(2*time.Hour).Format("15:04") + "-" + time.Now().UTC().Add(3*time.Hour).Format("15:04")
	for _, test := range []struct {
		name, window string
		trust        clock.Trust
		held         string
	}{
		{"closed", closed, clock.TrustAlways, "its schedule"},
		{"open", "00:00-24:00", clock.TrustAlways, ""},
		{"unknown", "00:00-24:00", clock.TrustNever, "the time of day is not known"},
	} {
		f, c := newFar(), quick(test.name)
		c.Schedule = &export.Schedule{Windows: []string{test.window}}
		r := start(t, export.Options{Config: c, Stream: s, Target: f, Clock: clock.New(test.trust)})
		if test.held == "" {
			f.awaitCount(t, 3)
			continue
		}
		if st := awaitStatus(t, r, test.name, func(st export.Status) bool { return st.State == export.Held }); st.Held != test.held {
			t.Errorf("%s: held by %q, want %q", test.name, st.Held, test.held)
		}
	}
}

func TestARateHolds(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	for range 10 {
		if _, err := s.Append(t.Context(), make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	f, c := newFar(), quick("a")
	c.BatchSize, c.Rate = 1, 100
	r := start(t, export.Options{Config: c, Stream: s, Target: f})
	if st := awaitStatus(t, r, "held by its rate", func(st export.Status) bool { return st.State == export.Held && st.Held == "its rate" }); st.Messages != 1 {
		t.Errorf("%d messages of 1000 bytes at 100 bytes a second, want 1", st.Messages)
	}
}

func TestOfADeletedStreamTheExporterEnds(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 3)
	f, sending, deleted := newFar(), make(chan struct{}), make(chan struct{})
	f.script(func(int, []log.Message) (int, error) {
		close(sending)
		<-deleted
		return 3, nil
	})
	r := start(t, export.Options{Config: quick("a"), Stream: s, Target: f})
	<-sending
	if err := e.Delete(t.Context(), "drive"); err != nil {
		t.Fatal(err)
	}
	close(deleted)
	awaitStatus(t, r, "deleted", func(st export.Status) bool { return st.State == export.Deleted })
	stop(t, r)

	// One of the same name begins anew, with an epoch of its own.
	epoch := f.got[0].Epoch
	s = stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 100, 102)
	f = newFar()
	start(t, export.Options{Config: quick("a"), Stream: s, Target: f})
	f.awaitCount(t, 2)
	f.wantNumbers(t, 100, 102)
	if m := f.got[0]; m.Seq != 0 || m.Epoch == epoch {
		t.Errorf("it begins with message %d of epoch %d, as the deleted one did", m.Seq, m.Epoch)
	}
}

func TestWhatWasPurgedIsMissedAndCounted(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 10)
	k := &shelf{values: map[string][]byte{"export/drive/a": []byte("paused")}}
	f := newFar()
	r := start(t, export.Options{Config: quick("a"), Stream: s, Target: f, Keeper: k})
	if err := s.Purge(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	f.awaitCount(t, 4)
	f.wantNumbers(t, 6, 10)
	if st := awaitStatus(t, r, "the end", func(st export.Status) bool { return st.Checkpoint == 10 }); st.Missed != 6 {
		t.Errorf("missed %d, want 6", st.Missed)
	}
}

func TestStopLetsTheBatchUnderWayEnd(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 3)
	f, sending, acknowledged := newFar(), make(chan struct{}), make(chan struct{})
	f.script(func(int, []log.Message) (int, error) {
		close(sending)
		<-acknowledged
		return 3, nil
	})
	r := start(t, export.Options{Config: quick("a"), Stream: s, Target: f})
	<-sending
	stopped := make(chan error)
	go func() { stopped <- r.Stop(context.Background()) }()
	close(acknowledged)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if st := r.Status(t.Context()); st.Checkpoint != 3 || st.State != export.Stopped || !f.closed {
		t.Errorf("status %+v, target closed %t", st, f.closed)
	}
}

// hung is a target that never answers.
type hung struct{ sending chan struct{} }

func (h hung) Send(ctx context.Context, _ []log.Message) (export.Sent, error) {
	close(h.sending)
	<-ctx.Done()
	return export.Sent{}, ctx.Err()
}

func (hung) Close(context.Context) error { return nil }

func TestStopGivesUpABatchThatHangs(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 3)
	h := hung{make(chan struct{})}
	r, err := export.New(completed(t, export.Options{Config: quick("a"), Stream: s, Target: h}))
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	<-h.sending
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if st := r.Status(t.Context()); st.Errors != 0 || st.Checkpoint != 0 {
		t.Errorf("status %+v, want no error and nothing done", st)
	}
}

func TestAConfigurationThatCantBeUsedIsRefused(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	for want, c := range map[string]export.Config{
		"want a name":       {Name: "a b"},
		"no state":          {Name: "a", When: "Link.cloud.up"},
		"two different tim": {Name: "a", Schedule: &export.Schedule{Windows: []string{"8:00"}}},
	} {
		_, err := export.New(export.Options{Config: c, Stream: s, Target: newFar()})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `stream "drive": exporter "a`) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if len(s.Checkpoints()) > 0 {
		t.Error("an exporter that was refused has a checkpoint, and keeps the stream full")
	}
}
