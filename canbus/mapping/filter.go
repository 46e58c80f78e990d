package mapping

import (
	"math"

	"github.com/fascia-edge/fascia/vehicle"
)

// Limits say which of a path's values are published.
type Limits struct {
	MinInterval int64   // nanoseconds between two values, at least
	OnChange    bool    // only values that differ from the last published
	Deadband    float64 // and numbers only if by more than this; above 0 it implies OnChange
}

// Filter picks, of the values of one path, those to publish. The newest value
// always comes out in the end: one that MinInterval holds back is kept, a newer
// one in its place, and is due when the interval ends, unless by then it no
// longer differs as the limits want.
//
// Time is handed in, in nanoseconds of any clock that only goes forward. The
// zero Filter has no limits; it is not safe for concurrent use.
type Filter struct {
	limits Limits

	published   vehicle.Value // the last; none before the first
	publishedAt int64
	held        vehicle.Value // by MinInterval; none if nothing is
	heldAt      int64
}

// NewFilter makes a filter that has published nothing yet.
func NewFilter(limits Limits) Filter { return Filter{limits: limits} }

// Pass takes a new value and reports whether to publish it. If it is held back,
// recheckAt is the time at which to call Due; it is 0 otherwise.
func (f *Filter) Pass(now int64, v vehicle.Value) (emit bool, recheckAt int64) {
	if !f.differs(v) {
		f.held = vehicle.Value{} // what was held is outdated: the signal is back where it was
		return false, 0
	}
	if ends := f.publishedAt + f.limits.MinInterval; f.published.IsSet() && now >= f.publishedAt && now < ends {
		f.held, f.heldAt = v, now
		return false, ends
	}
	f.publish(now, v)
	return true, 0
}

// Due gives the value that was held back, with the time at which Pass took it,
// once its interval has ended. It reports false before that, or if a later call
// of Pass settled the matter.
func (f *Filter) Due(now int64) (v vehicle.Value, at int64, emit bool) {
	if !f.held.IsSet() || now >= f.publishedAt && now < f.publishedAt+f.limits.MinInterval {
		return vehicle.Value{}, 0, false
	}
	v, at = f.held, f.heldAt
	f.publish(now, v)
	return v, at, true
}

func (f *Filter) publish(now int64, v vehicle.Value) {
	f.published, f.publishedAt = v, now
	f.held = vehicle.Value{}
}

// differs reports whether v is far enough from the last published value.
func (f *Filter) differs(v vehicle.Value) bool {
	if !f.published.IsSet() || !f.limits.OnChange && f.limits.Deadband == 0 {
		return true
	}
	if f.limits.Deadband > 0 {
		a, aIsNumber := f.published.Number()
		b, bIsNumber := v.Number()
		if aIsNumber && bIsNumber {
			return math.Abs(a-b) > f.limits.Deadband
		}
	}
	return v != f.published
}

// Holds reports whether a value is held back, so that Due is to be called again.
func (f *Filter) Holds() bool { return f.held.IsSet() }
