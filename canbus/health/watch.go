package health

import (
	"math"
	"sync/atomic"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/vehicle"
)

// Message takes what the frames of one message show. The goroutine that receives
// the bus calls it; it allocates nothing and waits for nobody.
type Message struct {
	seen    *arrivals
	counter *counter // nil without
}

// Frame takes a data frame as long as the message, received at boot by
// CLOCK_BOOTTIME.
func (m *Message) Frame(fr *can.Frame, boot int64) {
	if m.counter != nil {
		m.counter.frame(fr, m.seen.last.Load(), boot)
	}
	m.seen.add(boot)
}

// Short takes a frame that is shorter than the message. It does not count as one
// of it: none of its signals came.
func (m *Message) Short() { m.seen.short.Add(1) }

// counter checks that a signal rises by one from frame to frame. What it was
// belongs to one plan; the fault outlives it.
type counter struct {
	plan    *dbc.Plan // of the one signal
	max     int64
	pause   int64 // after one as long the counter may be anywhere; 0 is never
	fault   *fault
	next    int64
	started bool
	values  []dbc.Value // room for one
}

func (c *counter) frame(fr *can.Frame, last, boot int64) {
	var err error
	if c.values, err = c.plan.Decode(fr, c.values[:0]); err != nil || len(c.values) == 0 {
		return // not reached: every frame as long as the message carries a counter
	}
	value := c.values[0].Raw
	if c.started && (c.pause == 0 || boot-last <= c.pause) {
		c.fault.see(value != c.next, boot)
	}
	c.started, c.next = true, value+1
	if value >= c.max {
		c.next = 0
	}
}

// feed is what the values of one signal for one path have shown; it outlives the
// plans, as arrivals do.
type feed struct {
	key     feedKey
	seen    *arrivals
	outside fault
	raw     atomic.Int64 // the latest
	changed atomic.Int64 // moment from which on it is that; 0 before the first
}

// Signal takes the values that feed one path from one signal, as Message does
// the frames.
type Signal struct {
	of          *feed
	counts      bool    // frames of its own: not each of the message carries it
	low, high   float64 // of the physical value
	least, most float64 // of the path's
	ranged      bool    // least or most is given
	moves       bool    // whether it changes is of interest
}

// See takes the signal's value in a frame received at boot, and what the path
// makes of it.
func (s *Signal) See(v dbc.Value, value vehicle.Value, boot int64) {
	if s.counts {
		s.of.seen.add(boot)
	}
	s.of.outside.see(s.outside(v, value), boot)
	if s.moves && (s.of.raw.Load() != v.Raw || s.of.changed.Load() == 0) {
		s.of.raw.Store(v.Raw)
		s.of.changed.Store(boot)
	}
}

func (s *Signal) outside(v dbc.Value, value vehicle.Value) bool {
	switch {
	case !value.IsSet():
		return false // left out by its mapping, as meant
	case !value.IsValid():
		return true
	}
	if v.Physical < s.low || v.Physical > s.high {
		// A value with a name is meant, such as 255 for "not available".
		_, named := v.Choice()
		return !named
	}
	if s.ranged {
		n, ok := value.Number()
		return ok && (n < s.least || n > s.most)
	}
	return false
}

// rangeOf is the range that the DBC states, widened by half a step for what
// rounding does, or all numbers where it states none worth the name: editors
// leave [0|0] behind, and [0|1] on integers of many bits.
func rangeOf(s *dbc.Signal) (low, high float64) {
	leftBehind := s.Min == 0 && s.Max == 1 && s.Scale == 1 && s.Length > 1
	if !(s.Min < s.Max) || leftBehind {
		return math.Inf(-1), math.Inf(1)
	}
	half := math.Abs(s.Scale) / 2
	return s.Min - half, s.Max + half
}
