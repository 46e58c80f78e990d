// Package health watches the messages and mapped signals of the buses: whether
// they come, lie within their range, change and count as they should. It tells
// the state of each on health/message/… and health/signal/… and its changes in
// the log, so that a failing sensor is seen before it is missed.
//
// A frame costs a count and a stamp; what is missing is found by one goroutine
// that looks at all of them ten times a second.
package health

import "sync/atomic"

// State of a message or signal, as its topic, the metrics and the status name it.
type State string

// States; of several the first of this order is told.
const (
	Missing    State = "missing"      // no frame for longer than its cycle allows
	BadCounter State = "bad_counter"  // a message whose counter repeats or jumps
	OutOfRange State = "out_of_range" // a signal outside its range, type or enumeration
	Stuck      State = "stuck"        // a signal that keeps its value for too long
	OK         State = "ok"
	Unseen     State = "unseen" // no frame yet, and not missing yet; it is not published
)

// MessageStates and SignalStates are the states that each may have.
var (
	MessageStates = []State{OK, Missing, BadCounter, Unseen}
	SignalStates  = []State{OK, Missing, OutOfRange, Stuck, Unseen}
)

// arrivals count the frames of a message, or those that carry a multiplexed
// signal. One goroutine at a time tells of them, any may read. Moments are in
// nanoseconds by CLOCK_BOOTTIME.
type arrivals struct {
	count       atomic.Uint64
	first, last atomic.Int64 // 0 before the first
	short       atomic.Uint64
}

func (a *arrivals) add(boot int64) {
	if a.count.Add(1) == 1 {
		a.first.Store(boot)
	}
	a.last.Store(boot)
}

// fault is something that frames show. One goroutine at a time tells, any may
// read.
type fault struct {
	present atomic.Bool  // in the latest frame
	last    atomic.Int64 // moment of the latest frame that showed it; 0 if none has
	count   atomic.Uint64
}

func (f *fault) see(wrong bool, boot int64) {
	switch {
	case wrong:
		f.count.Add(1)
		f.last.Store(boot)
		f.present.Store(true)
	case f.present.Load(): // a load is a tenth of a store
		f.present.Store(false)
	}
}

// holds reports whether the fault is there, or was within hold.
func (f *fault) holds(now, hold int64) bool {
	last := f.last.Load()
	return last > 0 && (f.present.Load() || now-last < hold)
}
