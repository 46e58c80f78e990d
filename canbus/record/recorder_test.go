package record

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/record/block"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

const second = int64(time.Second)

// memorySink keeps blocks in memory, or refuses them with refuse.
type memorySink struct {
	mu     sync.Mutex
	blocks [][]byte
	refuse error
	kept   chan struct{} // has one for each block, if it is not nil
}

func (s *memorySink) Append(packed []byte, _ block.Header) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	s.blocks = append(s.blocks, bytes.Clone(packed))
	if s.kept != nil {
		s.kept <- struct{}{}
	}
	return nil
}

func (s *memorySink) Usage() Usage { return Usage{} }

// ids gives the identifiers of all frames, block by block.
func (s *memorySink) ids(t *testing.T) [][]uint32 {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all [][]uint32
	r := block.NewReader(bufio.NewReader(bytes.NewReader(bytes.Join(s.blocks, nil))))
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var ids []uint32
		var fr can.Frame
		for b.Left() > 0 {
			b.Next(&fr)
			ids = append(ids, fr.ID)
		}
		all = append(all, ids)
	}
}

func defaults(t *testing.T, text string) Config {
	t.Helper()
	var c Config
	if _, err := config.Decode("test.yaml", []byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func newRecorder(t *testing.T, text string) (*Recorder, *memorySink) {
	t.Helper()
	c := defaults(t, text)
	o := Options{Log: slog.New(slog.DiscardHandler)}
	if c.When != "" {
		condition, err := vehicle.NewState().CompileCondition(c.When)
		if err != nil {
			t.Fatal(err)
		}
		o.Condition = condition
	}
	r, sink := New(c, o), &memorySink{}
	r.Open(sink)
	return r, sink
}

// frameAt has the second it came in as its identifier.
func frameAt(at float64) (fr *can.Frame, wall, boot int64) {
	return &can.Frame{ID: uint32(at), Len: 1}, int64(at * 1e9), int64(at * 1e9)
}

func equalIDs(t *testing.T, got [][]uint32, want ...[]uint32) {
	t.Helper()
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got blocks of %v, want %v", got, want)
	}
}

func TestAnEventKeepsExactlyWhatIsBeforeAndAfter(t *testing.T) {
	r, sink := newRecorder(t, "{name: a, when: Vehicle.Speed > 1, before: 3s, after: 2s}")
	tap := r.Tap("can0")
	on := func(at int64) bool { return at == 10 || at == 11 } // the condition
	for at := range int64(20) {
		for _, late := range []int64{-1, 0, 1} { // just before the second, at it, just after
			boot := at*second + late
			tap.Take(&can.Frame{ID: uint32(at*10 + late + 1)}, boot, boot)
		}
		r.step(at*second+second/2, on(at))
	}
	// On from 10.5 s to 11.5 s: from 7.5 s to 13.5 s is kept.
	equalIDs(t, sink.ids(t), []uint32{80, 81, 82, 90, 91, 92, 100, 101, 102, 110, 111, 112, 120, 121, 122, 130, 131, 132})

	// On the nanosecond.
	r, sink = newRecorder(t, "{name: a, when: Vehicle.Speed > 1, before: 3s, after: 2s}")
	tap = r.Tap("can0")
	for i, boot := range []int64{7*second - 1, 7 * second, 10 * second} {
		tap.Take(&can.Frame{ID: uint32(i)}, boot, boot)
	}
	r.step(10*second, true)
	for i, boot := range []int64{12 * second, 12*second + 1} {
		tap.Take(&can.Frame{ID: uint32(10 + i)}, boot, boot)
	}
	r.step(12*second+2, false)
	equalIDs(t, sink.ids(t), []uint32{1, 2, 10})
	if s := r.Status(); s.Events != 1 || s.State != "waiting" || s.Frames != 3 || s.Dropped() != 0 {
		t.Errorf("got %+v, want one event of 3 frames that is over", s)
	}
}

func TestEveryKindOfFrameGoesThroughQueueAndRing(t *testing.T) {
	r, sink := newRecorder(t, "{name: a, when: Vehicle.Speed > 1}")
	tap := r.Tap("can0")
	frames := []can.Frame{{ID: 1, Flags: can.Remote, Len: 8}, {ID: 2, Flags: can.FD | can.BRS, Len: 64}, {ID: 3},
		{ID: 4, Flags: can.Error, Len: 8}, {ID: 5, Flags: can.Extended, Len: 3, Data: [can.MaxDataFD]byte{1, 2, 3}}}
	frames[1].Data[63] = 7
	for i := range frames {
		tap.Take(&frames[i], int64(i)*1000, second)
	}
	r.step(second, false) // into the ring
	r.step(second, true)
	r.flush()
	b, err := block.NewReader(bufio.NewReader(bytes.NewReader(sink.blocks[0]))).Next()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range frames {
		var got can.Frame
		if bus, stamp, ok := b.Next(&got); !ok || got != want || bus != "can0" || stamp != int64(i)*1000 {
			t.Errorf("got %v on %q at %d, want %v", got, bus, stamp, want)
		}
	}
}

func TestASecondEventRepeatsNothingOfTheFirst(t *testing.T) {
	r, sink := newRecorder(t, "{name: a, when: Vehicle.Speed > 1, before: 5s, after: 1s}")
	tap := r.Tap("can0")
	for at := range int64(12) {
		tap.Take(frameAt(float64(at)))
		r.step(at*second, at == 4 || at == 8)
	}
	equalIDs(t, sink.ids(t), []uint32{0, 1, 2, 3, 4, 5}, []uint32{6, 7, 8, 9})
	if s := r.Status(); s.Events != 2 {
		t.Errorf("got %d events, want 2", s.Events)
	}
}

func TestFramesThatWaitedThroughAStallAreNotBeforeTheEvent(t *testing.T) {
	r, sink := newRecorder(t, "{name: a, when: Vehicle.Speed > 1, before: 2s, after: 1s}")
	tap := r.Tap("can0")
	for at := range 10 {
		tap.Take(frameAt(float64(at)))
	}
	r.step(9*second, true) // the first look for nine seconds
	r.step(20*second, false)
	equalIDs(t, sink.ids(t), []uint32{7, 8, 9})
}

func TestMemoryForTheTimeBeforeIsBoundedAndCounted(t *testing.T) {
	r, sink := newRecorder(t, "{name: a, when: Vehicle.Speed > 1, before: 60s, memory: 256KiB}")
	tap := r.Tap("can0")
	const frames = 20_000 // of 31 bytes: 620 kB
	for i := range frames {
		tap.Take(&can.Frame{ID: uint32(i), Flags: can.Extended, Len: 8}, int64(i), int64(i))
		if i%1000 == 999 {
			r.step(int64(i), false)
		}
	}
	r.step(frames, true)
	r.flush()
	kept := slices.Concat(sink.ids(t)...)
	dropped := int(r.Status().Crowded)
	if r.ring.made > 4 || len(kept)+dropped != frames || len(kept) < 6000 || kept[0] != uint32(dropped) || kept[len(kept)-1] != frames-1 {
		t.Errorf("got %d frames from %d on and %d dropped in %d chunks, want the newest that 256 KiB hold", len(kept), kept[0], dropped, r.ring.made)
	}
}

func TestABlockHoldsAtMostItsTime(t *testing.T) {
	r, sink := newRecorder(t, "{name: a, block: 2s}")
	tap := r.Tap("can0")
	for _, at := range []float64{1, 2.999999999, 3} { // 3 is two seconds after the first
		tap.Take(frameAt(at))
	}
	r.step(3*second, false)
	equalIDs(t, sink.ids(t), []uint32{1, 2})
	// The last goes when it is nearly two seconds old though nothing follows it.
	r.step(5*second-int64(lookEvery)-1, false)
	equalIDs(t, sink.ids(t), []uint32{1, 2})
	r.step(5*second-int64(lookEvery), false)
	equalIDs(t, sink.ids(t), []uint32{1, 2}, []uint32{3})
}

func TestAFullBlockIsNotTheEnd(t *testing.T) {
	r, sink := newRecorder(t, "{name: a}")
	tap := r.Tap("can0")
	for i := range block.MaxFrames + 10 {
		tap.Take(&can.Frame{ID: 1}, int64(i), 0)
	}
	r.step(0, false)
	r.flush()
	if got := sink.ids(t); len(got) != 2 || len(got[0]) != block.MaxFrames || len(got[1]) != 10 {
		t.Errorf("got %d blocks, want a full one and one of 10 frames", len(got))
	}
}

func TestWhatIsLeftIsKeptAtTheEnd(t *testing.T) {
	for _, text := range []string{"{name: a}", "{name: a, when: Vehicle.Speed > 1}"} {
		r, sink := newRecorder(t, text)
		tap := r.Tap("can0")
		if r.condition != nil {
			r.step(vehicle.BootNow(), true)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		now := vehicle.BootNow()
		tap.Take(&can.Frame{ID: 7}, now, now)
		r.Run(ctx)
		equalIDs(t, sink.ids(t), []uint32{7})
	}
}

func TestARecordingRunsByItself(t *testing.T) {
	state := vehicle.NewState()
	condition, err := state.CompileCondition("Vehicle.Speed > 50")
	if err != nil {
		t.Fatal(err)
	}
	told := make(lineWriter)
	r := New(defaults(t, "{name: a, when: Vehicle.Speed > 50, after: 0s}"), Options{Log: slog.New(slog.NewTextHandler(told, nil)), Condition: condition})
	sink := &memorySink{kept: make(chan struct{}, 1)}
	r.Open(sink)
	tap := r.Tap("can0")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	now := vehicle.BootNow()
	tap.Take(&can.Frame{ID: 1}, now, now)
	state.Slot("Vehicle.Speed").Set(vehicle.Float(60), now, now)
	if line := <-told; !strings.Contains(line, "recording begins") || r.Status().Events != 1 || !r.Status().Active() {
		t.Errorf("got %q and %+v, want the begin of an event", line, r.Status())
	}
	state.Slot("Vehicle.Speed").Set(vehicle.Float(40), now, now)
	<-sink.kept
	if line := <-told; !strings.Contains(line, "recording ends") {
		t.Errorf("got %q, want the end of the event", line)
	}
	equalIDs(t, sink.ids(t), []uint32{1})
	cancel()
	<-done
}

func TestWhatCanNotBeKeptUpWithIsCounted(t *testing.T) {
	r, sink := newRecorder(t, "{name: a}")
	tap := r.Tap("can0")
	fr := &can.Frame{ID: 1, Flags: can.FD, Len: 64}
	const frames = queueBytes/(entryHead+64) + 100
	for range frames {
		tap.Take(fr, 0, 0)
	}
	r.step(0, false)
	r.flush()
	if s := r.Status(); s.Late != 100 || s.Frames != frames-100 || len(slices.Concat(sink.ids(t)...)) != frames-100 {
		t.Errorf("got %d frames and %d too late, want %d and 100", s.Frames, s.Late, frames-100)
	}
}

func TestALogWaitsForTheRecorder(t *testing.T) {
	r, _ := newRecorder(t, "{name: a}")
	tap := r.Tap("can0")
	fr := &can.Frame{ID: 1, Flags: can.FD, Len: 64}
	const frames = 3 * queueBytes / (entryHead + 64)
	put := make(chan error)
	go func() {
		for range frames {
			if err := tap.TakeWait(t.Context(), fr, 0, 0); err != nil {
				put <- err
				return
			}
		}
		put <- nil
	}()
	for waiting := true; waiting; {
		select {
		case err := <-put:
			if err != nil {
				t.Fatal(err)
			}
			waiting = false
		case <-r.queue.wake:
			r.step(0, false)
		}
	}
	r.step(0, false)
	r.flush()
	if s := r.Status(); s.Late != 0 || s.Frames != frames {
		t.Errorf("got %d frames and %d too late, want all %d", s.Frames, s.Late, frames)
	}

	for range queueBytes / (entryHead + 64) {
		tap.Take(fr, 0, 0)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tap.TakeWait(ctx, fr, 0, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v with a full queue, want the context's end", err)
	}
}

func TestARefusedBlockIsCountedAndTheNextIsKept(t *testing.T) {
	r, sink := newRecorder(t, "{name: a}")
	tap := r.Tap("can0")
	sink.refuse = errors.New("the disk is full")
	tap.Take(frameAt(1))
	r.step(20*second, false)
	if s := r.Status(); s.Refused != 1 || s.Frames != 0 || s.Fault != "the disk is full" {
		t.Errorf("got %+v, want one frame refused and why", s)
	}
	sink.refuse = nil
	tap.Take(frameAt(20))
	r.step(40*second, false)
	if s := r.Status(); s.Refused != 1 || s.Frames != 1 || s.Fault != "" {
		t.Errorf("got %+v, want the second frame kept and no fault", s)
	}
}

func TestOnlySelectedFramesAreTaken(t *testing.T) {
	r, sink := newRecorder(t, "{name: a}")
	tap := r.Tap("can0")
	standard, _ := ParseIdentifier("0x7FF")
	extended, _ := ParseIdentifier("0x000007FE")
	group := source.Filter{ID: 0x18FEF100, Mask: 0x3FFFF00, Extended: true}
	wide := source.Filter{ID: 0x10000123, Mask: 0x7FF, Extended: true} // of the lower bits alone
	r.Use(map[string]*Selection{"can0": Select([]source.Filter{standard, extended, group, wide})})
	for _, fr := range []can.Frame{
		{ID: 0x7FF}, {ID: 0x7FF, Flags: can.Extended}, {ID: 0x7FE}, {ID: 0x7FE, Flags: can.Extended},
		{ID: 0x7FF, Flags: can.Remote}, {ID: 0x7FF, Flags: can.Error},
		{ID: 0x123}, {ID: 0x123, Flags: can.Extended}, {ID: 0xCFEF117, Flags: can.Extended | can.FD}, {ID: 0xCFEF217, Flags: can.Extended},
	} {
		tap.Take(&fr, 0, 0)
	}
	r.step(0, false)
	r.flush()
	equalIDs(t, sink.ids(t), []uint32{0x7FF, 0x7FE, 0x123, 0xCFEF117})
	if got := tap.Filters(); len(got) != 4 {
		t.Errorf("got filters %v, want the four", got)
	}

	r.Use(map[string]*Selection{"can0": Select(nil)})
	tap.Take(&can.Frame{ID: 1}, 0, 0)
	r.step(0, false)
	if got := tap.Filters(); r.builder.Frames() != 0 || got == nil || len(got) != 0 {
		t.Errorf("got %d frames and filters %v of an empty selection, want none", r.builder.Frames(), got)
	}
	r.Use(nil)
	tap.Take(&can.Frame{ID: 1, Flags: can.Error}, 0, 0)
	r.step(0, false)
	if r.builder.Frames() != 1 || tap.Filters() != nil {
		t.Error("without a selection not everything is taken")
	}
}

func TestAnIdentifierIsWrittenAsCandumpDoes(t *testing.T) {
	for text, want := range map[string]source.Filter{
		"0x2A0":      {ID: 0x2A0, Mask: can.MaxStandardID},
		"0x7ff":      {ID: 0x7FF, Mask: can.MaxStandardID},
		"0x000002A0": {ID: 0x2A0, Mask: can.MaxExtendedID, Extended: true},
		"0x1FFFFFFF": {ID: can.MaxExtendedID, Mask: can.MaxExtendedID, Extended: true},
	} {
		if got, ok := ParseIdentifier(text); !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "0x", "2A0", "0x800", "0x20000000", "0x2A", "0x02A0", "0xZZZ", "TCU2"} {
		if got, ok := ParseIdentifier(text); ok {
			t.Errorf("%s: got %v, want it refused", text, got)
		}
	}
}

func TestATapAllocatesNothing(t *testing.T) {
	r, _ := newRecorder(t, "{name: a}")
	tap := r.Tap("can0")
	fr := &can.Frame{ID: 1, Len: 8}
	take := func() {
		for range 1000 {
			tap.Take(fr, 0, 0)
		}
	}
	for range 2 { // both buffers grow once
		take()
		r.step(0, false)
	}
	if n := testing.AllocsPerRun(10, func() { take(); r.used = r.queue.swap(r.used) }); n != 0 {
		t.Errorf("got %v allocations in 1000 frames, want none", n)
	}
}

// BenchmarkRecorder is the whole way of a frame, from its bus into a block.
func BenchmarkRecorder(b *testing.B) {
	r := New(Config{Name: "a", Block: config.Duration(10 * time.Second)}, Options{Log: slog.New(slog.DiscardHandler)})
	r.Open(&memorySink{refuse: errors.New("none is kept")})
	tap := r.Tap("can0")
	fr := &can.Frame{Len: 8}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fr.ID, fr.Data[0], fr.Data[7] = uint32(i%40), byte(i/40), byte(i*i)
		tap.Take(fr, int64(i)*125_000, int64(i)*125_000) // 8,000 frames/s
		if i%800 == 0 {
			r.step(int64(i)*125_000, false)
		}
	}
}
