package soak

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// instant is a moment of the run in milliseconds since the ledger was opened;
// 0 is never. All clients share one clock, so if one instant is less than
// another, it came before.
type instant uint32

func (i instant) String() string { return fmt.Sprintf("%d.%03d s", i/1000, i%1000) }

// ledger knows what was sent, acknowledged and received, and what was wrong
// with it. A message takes about 12 bytes, and 8 more for each receiver. Safe
// for concurrent use.
type ledger struct {
	opened time.Time
	// tolerance is how long before a cut an acknowledgement may have come that
	// the cut undid. 0: nothing acknowledged may be lost.
	tolerance time.Duration
	// progress counts deliveries and acknowledgements.
	progress atomic.Uint64

	mu      sync.Mutex // guards what follows
	streams []*stream
	byName  map[string]*stream
	events  []string // what was done to the broker, and when
	cuts    []cut
	faults  map[fault]*occurrences
	undone  int     // acknowledgements that cuts undid, within the tolerance
	oldest  instant // of them, its age when the power went
}

// cut is a time without power.
type cut struct{ off, on instant }

func openLedger(tolerance time.Duration) *ledger {
	return &ledger{
		opened:    time.Now(),
		tolerance: tolerance,
		byName:    make(map[string]*stream),
		faults:    make(map[fault]*occurrences),
	}
}

func (l *ledger) now() instant { return instant(time.Since(l.opened)/time.Millisecond) + 1 }

// open adds a stream, for the publisher to fill.
func (l *ledger) open(s *stream) *stream {
	s.ledger = l
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams = append(l.streams, s)
	l.byName[s.name()] = s
	return s
}

func (l *ledger) stream(name string) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byName[name]
}

func (l *ledger) all() []*stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.streams)
}

// event notes what was done to the broker, for the report.
func (l *ledger) event(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, fmt.Sprintf("%v %s", l.now(), fmt.Sprintf(format, args...)))
}

// powerOff and powerOn are the ends of a cut.
func (l *ledger) powerOff() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cuts = append(l.cuts, cut{off: l.now()})
}

func (l *ledger) powerOn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.cuts); n > 0 {
		l.cuts[n-1].on = l.now()
	}
}

// excuses tells whether what was acknowledged at that instant may have been
// undone by a cut.
func (l *ledger) excuses(at instant) bool {
	if l.tolerance == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c, before := l.cutAfter(at)
	return before && at+instant(l.tolerance/time.Millisecond) >= c.off
}

// undo notes an acknowledgement that a cut undid.
func (l *ledger) undo(at instant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.undone++
	if c, _ := l.cutAfter(at); c.off > at {
		l.oldest = max(l.oldest, c.off-at)
	}
}

// cutAfter is the first cut that ended after an instant. What is read without
// power was sent before. mu is held.
func (l *ledger) cutAfter(at instant) (cut, bool) {
	for _, c := range l.cuts {
		if c.on == 0 || at < c.on {
			return c, true
		}
	}
	return cut{}, false
}
