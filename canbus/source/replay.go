package source

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/canlog"
)

const (
	// maxSilence is the longest gap between two stamps that is replayed. A bus
	// that is awake is never silent that long, so a longer gap is a clock that
	// was set, or another drive: the replay goes on at once.
	maxSilence = 10 * time.Second

	// maxDisorder is how far back a stamp may lie without being a jump. candump
	// reads several interfaces in turn, so frames of two buses stand in its logs
	// a little out of order.
	maxDisorder = 10 * time.Millisecond

	// napTime is the shortest sleep. What comes due within it goes out together,
	// up to that much late and never early, instead of by a timer for each frame.
	napTime = time.Millisecond
)

// Replay is the Source of a log file. Frames come at the pace of their stamps,
// a multiple of it, or as fast as they are taken.
type Replay struct {
	spec   Spec
	log    *canlog.Reader // replaced under mu
	err    error
	passed uint64 // frames handed on in this pass over the file
	torn   uint64 // of log.Skipped, how many are counted

	// The pace: a frame stamped from is due at start, the others from there on.
	start  time.Time
	from   int64
	latest int64 // the highest stamp since from
	paced  bool  // the three are set

	now   time.Time // when the current frame was injected
	timer *time.Timer
	done  chan struct{} // closed by Close

	mu       sync.Mutex // guards the fields below, and log while it is replaced
	closed   bool
	counters Counters
}

// OpenReplay opens the log that spec names, relative to the working directory.
// It refuses a file without frames, and one without stamps unless the speed is
// MaxSpeed.
func OpenReplay(spec Spec) (*Replay, error) {
	if spec.Speed == 0 {
		spec.Speed = 1
	}
	r := &Replay{spec: spec, done: make(chan struct{}), timer: time.NewTimer(0)}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	var err error
	if r.log, err = canlog.Open(spec.File); err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	return r, nil
}

// check reads as far as the first frame, so that the wrong file is told at once.
func (r *Replay) check() error {
	log, err := canlog.Open(r.spec.File)
	if err != nil {
		return err
	}
	defer log.Close()
	if !log.Scan() {
		return fmt.Errorf("%s: %w", r.spec.File, log.Err())
	}
	return r.pacable(log.Record())
}

func (r *Replay) pacable(rec *canlog.Record) error {
	if !rec.HasStamp && !math.IsInf(r.spec.Speed, 1) {
		return fmt.Errorf("%s:%d: a frame without a time stamp can't be replayed at speed %g: want speed=max, or a log with stamps (candump -l)",
			r.spec.File, rec.Line, r.spec.Speed)
	}
	return nil
}

// Receive implements Source.
func (r *Replay) Receive() bool {
	if r.err != nil || !r.begin() {
		return false
	}
	for {
		select {
		case <-r.done:
			return false
		default:
		}
		found := r.log.Scan()
		r.countTorn()
		if !found {
			if !r.again() {
				return false
			}
			continue
		}
		rec := r.log.Record()
		if r.spec.Bus != "" && rec.Bus != r.spec.Bus {
			continue
		}
		if err := r.pacable(rec); err != nil {
			r.err = fmt.Errorf("replay: %w", err)
			return false
		}
		if !r.wait(rec) {
			return false
		}
		r.passed++
		return true
	}
}

// begin holds the first frame back for the delay. It returns false after Close.
func (r *Replay) begin() bool {
	delay := r.spec.Delay
	if delay == 0 {
		return true
	}
	r.spec.Delay = 0
	r.timer.Reset(delay)
	select {
	case <-r.timer.C:
		return true
	case <-r.done:
		return false
	}
}

// Buffered implements Source: never, each frame has a time of its own.
func (r *Replay) Buffered() bool { return false }

// Frame implements Source.
func (r *Replay) Frame() can.Frame { return r.log.Record().Frame }

// Time implements Source: the moment Receive returned the frame.
func (r *Replay) Time() int64 { return r.now.UnixNano() }

// Err implements Source: nil at the end of the log.
func (r *Replay) Err() error { return r.err }

// Counters implements Source.
func (r *Replay) Counters() Counters {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counters
}

// Close implements Source; it ends a sleep at once.
func (r *Replay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	close(r.done)
	return r.log.Close()
}

// wait sleeps until the record is due. It returns false after Close.
func (r *Replay) wait(rec *canlog.Record) bool {
	r.now = time.Now()
	if r.anchor(rec) || math.IsInf(r.spec.Speed, 1) {
		return true
	}
	due := r.start.Add(time.Duration(float64(rec.Stamp-r.from) / r.spec.Speed))
	for {
		left := due.Sub(r.now)
		if left <= 0 {
			return true
		}
		r.timer.Reset(max(left, napTime))
		select {
		case <-r.timer.C:
		case <-r.done:
			return false
		}
		r.now = time.Now()
	}
}

// anchor lets the pace begin anew where it has to, at the first frame of a pass
// and where the log's clock jumps, and reports whether it did.
func (r *Replay) anchor(rec *canlog.Record) bool {
	if !rec.HasStamp {
		return false
	}
	if r.paced {
		step := time.Duration(rec.Stamp - r.latest)
		if step >= -maxDisorder && step <= maxSilence {
			r.latest = max(r.latest, rec.Stamp)
			return false
		}
		r.count(func(c *Counters) { c.ClockJumps++ }, rec.Line, fmt.Sprintf("the clock jumps by %v", step))
	}
	r.start, r.from, r.latest, r.paced = r.now, rec.Stamp, rec.Stamp, true
	return true
}

// again begins the log anew at its end, or reports that it is over.
func (r *Replay) again() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if err := r.log.Err(); err != nil {
		r.err = fmt.Errorf("replay: %s: %w", r.spec.File, err)
		return false
	}
	if r.passed == 0 { // also keeps a loop from spinning
		r.err = fmt.Errorf("replay: %s: no frame of bus %q in it: want one of %s",
			r.spec.File, r.spec.Bus, strings.Join(slices.Sorted(slices.Values(r.log.Buses())), ", "))
		return false
	}
	if !r.spec.Loop {
		return false
	}
	log, err := canlog.Open(r.spec.File)
	if err != nil {
		r.err = fmt.Errorf("replay: %w", err)
		return false
	}
	_ = r.log.Close() // it was read to its end
	r.log, r.passed, r.torn, r.paced = log, 0, 0, false
	return true
}

// countTorn takes over what the reader had to skip.
func (r *Replay) countTorn() {
	n := r.log.Skipped()
	if n == r.torn {
		return
	}
	first := r.log.SkippedLines()[0]
	r.count(func(c *Counters) { c.TornLines += n - r.torn }, first.Line, first.Reason)
	r.torn = n
}

func (r *Replay) count(add func(*Counters), line int, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.counters)
	if r.counters.First == "" {
		r.counters.First = fmt.Sprintf("%s:%d: %s", filepath.Base(r.spec.File), line, what)
	}
}
