package mapping

import (
	"math"
	"strconv"
	"strings"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/vss"
	"github.com/fascia-edge/fascia/vehicle"
)

// Plan is what the mapping files come to: rules, found by bus and message. It
// does not change, so any number of goroutines may use it.
type Plan struct {
	Rules   []*Rule    // in the order of the files
	Derived []*Derived // likewise; whoever evaluates their expressions compiles them
	// Unfed counts the paths that a file of KUKSA's maps to a signal that no
	// database has.
	Unfed int

	actuators []*Actuator
	buses     map[string]*Bus
}

// Bus is the part of a plan for one bus.
type Bus struct{ messages map[*dbc.Message]Message }

// Message has the rules of one message's signals, by Signal.Index.
type Message [][]*Rule

// Rule feeds one path from one signal.
type Rule struct {
	Bus     string
	Signal  *dbc.Signal
	Path    string
	Type    Type
	CBOR    bool // publish CBOR, not JSON
	Limits  Limits
	Timeout int64 // nanoseconds after which the value counts as missing; 0 is never

	values     map[float64]vehicle.Value // nil without a table
	conversion conversion
	converts   bool
	decimal    float64 // power of ten at which the signal's values are integers; 0 is unknown

	translation *translation // of a file of KUKSA's, in place of values and conversion; else nil
	bounds      *vss.Node    // what the catalogue, or KUKSA's file, lets the path be; nil is anything
}

// Actuators are the signals that paths set, in the order of the files: one for
// each message that has such a signal.
func (p *Plan) Actuators() []*Actuator { return p.actuators }

// Bus is the plan's part for a bus, nil if no rule is about it.
func (p *Plan) Bus(name string) *Bus { return p.buses[name] }

// Message finds the rules for a message of the bus's database, nil if it feeds
// no path. It may be asked of a nil Bus.
func (b *Bus) Message(m *dbc.Message) Message {
	if b == nil {
		return nil
	}
	return b.messages[m]
}

// Rules of a signal of the message; there are several where it feeds several paths.
func (m Message) Rules(s *dbc.Signal) []*Rule {
	if m == nil {
		return nil
	}
	return m[s.Index]
}

// Convert gives what the path holds when the signal has this value: the one that
// the table names for the physical number, or the number converted and fitted to
// the type. It is invalid where the type can't hold it or, for a string, the
// table doesn't name it, and where it lies outside what the catalogue allows. A
// value that a file of KUKSA's leaves out is none: IsSet is false.
func (r *Rule) Convert(v dbc.Value) vehicle.Value {
	value := r.value(v)
	if r.bounds != nil && value.IsValid() && !r.bounds.Holds(value) {
		return vehicle.Invalid()
	}
	return value
}

func (r *Rule) value(v dbc.Value) vehicle.Value {
	if r.translation != nil {
		return r.translation.value(r, v)
	}
	if r.values != nil {
		if named, ok := r.values[v.Physical]; ok {
			return named
		}
	}
	return r.Type.Fit(r.number(v))
}

// number is the signal's number in the path's unit, printed as the ECU meant it.
func (r *Rule) number(v dbc.Value) vehicle.Value {
	number := v.Number()
	switch {
	case !number.IsValid():
	case r.converts:
		// The inner conversion forbids a fused multiplication and addition: the
		// result is the same on every machine.
		number = vehicle.Float(float64(v.Physical*r.conversion.scale) + r.conversion.offset)
	case r.decimal > 1:
		// 3692 × 0.1 is 369.20000000000005 in binary; 3692 / 10 is the float64
		// nearest to what the ECU meant, and prints as 369.2.
		number = vehicle.Float(math.Round(v.Physical*r.decimal) / r.decimal)
	}
	return number
}

// Convert gives what the path holds when the expression gave this value: fitted
// to the type, or invalid, also where it lies outside what the catalogue allows.
func (d *Derived) Convert(v vehicle.Value) vehicle.Value {
	v = d.Type.Fit(v)
	if d.bounds != nil && v.IsValid() && !d.bounds.Holds(v) {
		return vehicle.Invalid()
	}
	return v
}

// decimalOf is the power of ten at which every physical value of the signal is
// an integer, 0 if there is none up to nine digits or values could be too large
// to stay exact.
func decimalOf(s *dbc.Signal) float64 {
	if s.Float || s.Length > 40 {
		return 0
	}
	digits := max(decimals(s.Scale), decimals(s.Offset))
	if digits > 9 {
		return 0
	}
	return math.Pow10(digits)
}

func decimals(x float64) int {
	_, fraction, _ := strings.Cut(strconv.FormatFloat(x, 'f', -1, 64), ".")
	return len(fraction)
}
