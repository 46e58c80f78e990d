package export_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// linkState is what becomes of batches while the stream fills up.
type linkState struct {
	name   string
	answer func(try int, batch []log.Message) (int, error)
	// takes says that everything arrives in the end without the link changing.
	takes bool
}

var linkStates = []linkState{
	{"up", nil, true},
	{"down", func(int, []log.Message) (int, error) { return 0, errors.New("no route to host") }, false},
	{"throttled", func(try int, batch []log.Message) (int, error) {
		if try%2 == 0 {
			return len(batch) / 2, fmt.Errorf("too fast: %w", export.ErrThrottled)
		}
		return len(batch), nil
	}, true},
	{"refused", func(int, []log.Message) (int, error) { return 0, fmt.Errorf("no such stream: %w", export.ErrRefused) }, false},
}

// A full stream by policy, by what the link does meanwhile, and with a restart before
// it is better: what was appended arrives in order, once, without a gap but for what
// drop_oldest has counted; and the stream takes messages again.
func TestFullStreamsHeal(t *testing.T) {
	for _, policy := range []string{log.Reject, log.DropOldest} {
		for _, link := range linkStates {
			for _, restart := range []bool{false, true} {
				for _, memory := range []bool{false, true} {
					if memory && restart {
						continue // a stream in memory is empty then
					}
					t.Run(fmt.Sprintf("%s/%s/restart=%t/memory=%t", policy, link.name, restart, memory), func(t *testing.T) {
						full(t, policy, link, restart, memory)
					})
				}
			}
		}
	}
}

func full(t *testing.T, policy string, link linkState, restart, memory bool) {
	const size, payload, count = 256 << 10, 4 << 10, 200 // three times what it holds
	dir := t.TempDir()
	d := log.Definition{Name: "drive", MaxSize: size, SegmentSize: 16 << 10, WhenFull: policy, Memory: memory}
	e := open(t, dir)
	s := stream(t, e, d)
	f, c := newFar(), quick("a")
	c.BatchSize = 8
	f.script(link.answer)
	o := export.Options{Config: c, Stream: s, Target: f}
	r := start(t, o)

	accepted := 0
	appendOne := func() error {
		text := fmt.Appendf(make([]byte, 0, payload), "%d ", accepted)
		_, err := s.Append(t.Context(), text[:payload])
		if err == nil {
			accepted++
		}
		return err
	}
	refused := 0
	for range count {
		if err := appendOne(); errors.Is(err, log.ErrFull) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case policy == log.Reject && !link.takes && refused == 0:
		t.Fatal("a full stream that nobody empties took everything")
	case policy == log.DropOldest && refused > 0:
		t.Fatalf("%d messages were refused", refused)
	}
	var before export.Status
	if restart {
		stop(t, r)
		before = r.Status(t.Context())
		shut(t, e)
		e = open(t, dir)
		s = stream(t, e, d)
		o.Stream = s
		r = start(t, o)
	}

	f.script(nil) // the link is up, and somebody has mended what was refused
	r.Retry()
	all := s.Info().Next
	if all != uint64(accepted) {
		t.Fatalf("%d messages were accepted, the stream has given %d numbers", accepted, all)
	}
	st := awaitStatus(t, r, "everything", func(st export.Status) bool { return st.Checkpoint == all })
	for i := range 60 { // nearly as much as it holds
		if err := appendOne(); err != nil {
			t.Fatalf("after the link was back, message %d: %v", i, err)
		}
		if i%20 == 19 {
			awaitStatus(t, r, "more", func(st export.Status) bool { return st.Checkpoint == uint64(accepted) })
		}
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	missed, next := uint64(0), uint64(0)
	for _, m := range f.got {
		if m.Seq < next {
			t.Fatalf("message %d comes after %d", m.Seq, next-1)
		}
		missed += m.Seq - next
		next = m.Seq + 1
		if want := strconv.FormatUint(m.Seq, 10) + " "; string(m.Payload[:len(want)]) != want {
			t.Fatalf("message %d is %q", m.Seq, m.Payload[:8])
		}
	}
	if told := before.Missed + st.Missed; next != uint64(accepted) || missed != told {
		t.Errorf("the far side has messages up to %d of %d; %d are missing, and %d were told", next, accepted, missed, told)
	}
	if policy == log.Reject && missed > 0 {
		t.Errorf("%d messages that were accepted are missing", missed)
	}
	if policy == log.DropOldest && !link.takes && missed == 0 {
		t.Error("nothing was dropped, though three times as much came as there is room for")
	}
}

// Every exporter has everything, whatever the others do.
func TestExportersDoNotDependOnOneAnother(t *testing.T) {
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	u := export.NewUplink(0)
	ill, slow, well := newFar(), newFar(), newFar()
	ill.script(linkStates[1].answer)
	slow.script(linkStates[2].answer)
	first := quick("ill")
	first.Priority = 1
	illOne := start(t, export.Options{Config: first, Stream: s, Target: ill, Uplink: u})
	start(t, export.Options{Config: quick("slow"), Stream: s, Target: slow, Uplink: u})
	start(t, export.Options{Config: quick("well"), Stream: s, Target: well, Uplink: u})
	add(t, s, 0, 100)
	well.awaitCount(t, 100)
	slow.awaitCount(t, 100)
	well.wantNumbers(t, 0, 100)
	slow.wantNumbers(t, 0, 100)
	if err := illOne.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	ill.wantNumbers(t, 0, 0)
}
