package canbus

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/record"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/vehicle"
)

// reopenAfter is how long a bus that went down waits before it is tried again.
const reopenAfter = time.Second

// lookEvery is how often, while frames come, the bus looks whether the source had
// to drop some, in nanoseconds.
const lookEvery = int64(10 * time.Second)

// bus receives the frames of one bus and hands them to its decoder. One
// goroutine owns it; reload and status reach in through atomics.
type bus struct {
	name   string
	source string // as configured
	open   func() (source.Source, error)
	live   bool // frames come when they come; a log can wait for its readers
	waits  bool // for an interface that is not there: down, not an error
	log    *slog.Logger
	health *health

	taps      []*record.Tap // of the recordings that want its frames
	decoder   atomic.Pointer[decoder]
	narrowing sync.Mutex // held while the open source's filters follow the decoder
	control   controller
	counts    counters
	faults    faults
	first     atomic.Int64 // moments of the first and last frame, in nanoseconds by CLOCK_BOOTTIME
	last      atomic.Int64
}

// counters count frames since the start; each frame is in frames and in one of
// the next six.
type counters struct {
	frames  atomic.Uint64
	decoded atomic.Uint64
	unused  atomic.Uint64 // of messages that are neither mapped nor published
	unknown atomic.Uint64 // with an id that no DBC has
	short   atomic.Uint64 // with fewer bytes than their message
	other   atomic.Uint64 // remote and error frames: they carry no signals
	own     atomic.Uint64 // sent by the transmit gate, and heard back

	invalid atomic.Uint64 // values, not frames: outside their type, range or enumeration
	skipped atomic.Uint64 // values, not frames, that a mapping of KUKSA's leaves out
}

// run receives until ctx ends or a log does. src is the source if it is open
// already. One that fails is opened again, unless it is a log.
func (b *bus) run(ctx context.Context, src source.Source) {
	for {
		var err error
		if src == nil {
			src, err = b.open()
		}
		if err == nil {
			b.health.set(stateAtOpening(src), "")
			err = b.receive(ctx, src)
			src = nil
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			b.log.Info("the log has ended", "frames", b.counts.frames.Load())
			b.health.set(busEnded, "")
			return
		}
		changed := b.health.set(busDown, err.Error())
		if !b.live {
			b.log.Error("the bus is down: the log can't be read", "error", err)
			return // it would be the same again
		}
		if changed {
			b.log.Warn("the bus is down; it is tried again every second and when an interface changes", "error", err)
		}
		source.AwaitLink(ctx, reopenAfter)
	}
}

// receive hands on frames until the source ends, which is no error where a log
// does.
func (b *bus) receive(ctx context.Context, src source.Source) error {
	stop := context.AfterFunc(ctx, func() { _ = src.Close() })
	defer func() {
		stop()
		_ = src.Close()
		if first := b.faults.end(); first != "" {
			b.log.Warn("the source had faults; the counters tell how many", "first", first)
		}
	}()
	b.faults.begin(src)
	b.narrow(src)
	now, sinceBoot, dropped, looked := int64(0), int64(0), uint64(0), int64(0)
	for waited := true; src.Receive(); waited = !src.Buffered() {
		if waited {
			now = vehicle.BootNow()
			sinceBoot = time.Now().UnixNano() - now
			b.first.CompareAndSwap(0, now)
			b.last.Store(now)
			if now-looked > lookEvery {
				looked, dropped = now, b.lookForDropped(src, dropped)
			}
		}
		frame, wall := src.Frame(), src.Time()
		b.counts.frames.Add(1)
		boot := moment(wall-sinceBoot, now)
		if err := b.record(ctx, &frame, wall, boot); err != nil {
			return err
		}
		if frame.Has(can.Error) {
			b.control.report(&frame, boot)
		}
		if err := b.decoder.Load().frame(ctx, &frame, wall, boot); err != nil {
			return err
		}
	}
	return src.Err()
}

// mostLate is how long a frame may have waited to be received. One that seems to
// have waited longer was stamped before the clock was set.
const mostLate = int64(time.Second)

// moment is when a frame came, by CLOCK_BOOTTIME: what its own stamp says, since
// frames of one batch did not come at once, and one that came before a request was
// sent is no answer to it.
func moment(stamped, now int64) int64 {
	if late := now - stamped; late < 0 || late > mostLate {
		return now
	}
	return stamped
}

// lookForDropped tells when the source has dropped more frames than before.
func (b *bus) lookForDropped(src source.Source, before uint64) uint64 {
	dropped := src.Counters().Dropped
	if dropped > before {
		b.log.Warn("frames came faster than they were received", "dropped", dropped-before)
	}
	return dropped
}

func (b *bus) status() BusStatus {
	state, reason, since := b.health.get()
	c := &b.counts
	s := BusStatus{
		Name: b.name, Source: b.source, State: state, Reason: reason, Since: since,
		Frames: c.frames.Load(), Decoded: c.decoded.Load(), Unused: c.unused.Load(),
		Unknown: c.unknown.Load(), Short: c.short.Load(), Other: c.other.Load(), Own: c.own.Load(), Invalid: c.invalid.Load(), Skipped: c.skipped.Load(),
	}
	// The first frame may come just now: one of the moments is then still 0.
	if first, last := b.first.Load(), b.last.Load(); first > 0 && last > first {
		s.Seconds = time.Duration(last - first).Seconds()
	}
	f := b.faults.total()
	s.TornLines, s.ClockJumps, s.BadDatagrams, s.Dropped, s.FirstFault = f.TornLines, f.ClockJumps, f.BadDatagrams, f.Dropped, f.First
	s.Errors = b.control.errors()
	return s
}
