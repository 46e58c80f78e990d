package mapping

import (
	"fmt"
	"math"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// translation is how KUKSA's provider makes a path's value of a signal's: by its
// labels first. Its zero Value means that the signal's value is to be skipped.
type translation struct {
	math    formula
	mapped  bool                      // by the two tables below and nothing else
	labels  map[int64]vehicle.Value   // by raw value, of those that have a label
	numbers map[float64]vehicle.Value // by physical value, of the others

	quantity  bool    // of a scaled signal: a label marks what is no measurement
	low, high float64 // physical range that the database states
}

// translate resolves an entry's transform for a signal that it names.
func (c *compiler) translate(e *kuksaEntry, s *dbc.Signal) *translation {
	t := &translation{math: e.math, mapped: e.pairs != nil, quantity: s.Scale != 1 || s.Offset != 0,
		low: math.Inf(-1), high: math.Inf(1)}
	if s.Min < s.Max {
		half := math.Abs(s.Scale) / 2 // the limit itself, which a float64 may miss by a bit, is inside
		t.low, t.high = s.Min-half, s.Max+half
	}
	if !t.mapped {
		return t
	}
	t.labels, t.numbers = map[int64]vehicle.Value{}, map[float64]vehicle.Value{}
	for _, pair := range e.pairs {
		to, ok := e.typ.named(pair.to.Any())
		if !ok {
			c.kuksaWarnf(pair.toAt, e, "to: %v is no %s: the path holds it all the same", pair.to, e.typ)
		}
		label, isText := pair.from.Text()
		number, isNumber := numberOf(pair.from)
		known := false
		for raw, name := range s.Choices {
			// A number in the file means the raw value, if that has a label.
			if isText && name == label || isNumber && float64(raw) == number {
				known = true
				if _, taken := t.labels[raw]; !taken { // the first entry counts
					t.labels[raw] = to
				}
			}
		}
		if isText && !known {
			c.kuksaWarnf(pair.at, e, "from: %s.%s has no label %q in the database%s", s.Message.Name, s.Name, label, nearestLabel(label, s))
		}
		if _, taken := t.numbers[number]; isNumber && !taken {
			t.numbers[number] = to
		}
	}
	return t
}

// value is what the path holds when the signal has this value; none if it is to
// be skipped: a label or number without a mapping, a number outside the range
// that the database states, or one that the formula has no result for.
func (t *translation) value(r *Rule, v dbc.Value) vehicle.Value {
	_, labelled := v.Signal.Choices[v.Raw]
	switch {
	case t.mapped && labelled:
		return t.labels[v.Raw]
	case t.mapped:
		return t.numbers[v.Physical]
	case labelled && (t.math != nil || t.quantity && r.Type != String):
		return vehicle.Value{}
	case labelled && r.Type == String:
		return vehicle.String(v.Signal.Choices[v.Raw])
	case !(v.Physical >= t.low && v.Physical <= t.high): // NaN too
		return vehicle.Value{}
	case t.math != nil:
		number := vehicle.Float(t.math(v.Physical))
		if !number.IsValid() {
			return vehicle.Value{}
		}
		return r.Type.Fit(number)
	case r.Type == String:
		return vehicle.Value{} // a number without a label
	}
	return r.Type.Fit(r.number(v))
}

// numberOf takes booleans for 0 and 1, as Python does.
func numberOf(v vehicle.Value) (float64, bool) {
	if b, ok := v.Bool(); ok {
		if b {
			return 1, true
		}
		return 0, true
	}
	return v.Number()
}

func nearestLabel(label string, s *dbc.Signal) string {
	var known []string
	for _, name := range s.Choices {
		known = append(known, name)
	}
	if near, ok := config.Nearest(label, known); ok {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}
