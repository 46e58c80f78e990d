package mapping

import (
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/vehicle"
)

// Plan is what the mapping files come to: rules, found by bus and message. It
// does not change, so any number of goroutines may use it.
type Plan struct {
	Rules   []*Rule    // in the order of the files
	Derived []*Derived // likewise; whoever evaluates their expressions compiles them

	buses map[string]*Bus
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
}

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
// table doesn't name it.
func (r *Rule) Convert(v dbc.Value) vehicle.Value {
	if r.values != nil {
		if named, ok := r.values[v.Physical]; ok {
			return named
		}
	}
	number := v.Number()
	if r.converts && number.IsValid() {
		// The inner conversion forbids a fused multiplication and addition: the
		// result is the same on every machine.
		number = vehicle.Float(float64(v.Physical*r.conversion.scale) + r.conversion.offset)
	}
	return r.Type.Fit(number)
}

// Convert gives what the path holds when the expression gave this value: fitted
// to the type, or invalid.
func (d *Derived) Convert(v vehicle.Value) vehicle.Value { return d.Type.Fit(v) }
