package mapping

import (
	"fmt"
	"math"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/vss"
	"github.com/fascia-edge/fascia/vehicle"
)

// Actuator says what signal a path sets, as the vss2dbc of a KUKSA mapping file
// has it. It sends nothing by itself: whether a signal may be sent is the
// transmit gate's to decide.
type Actuator struct {
	Path   string
	Bus    string
	Signal *dbc.Signal
	Type   Type

	bounds *vss.Node // nil without
	math   formula
	pairs  []actuatorPair
	mapped bool
}

// actuatorPair is an entry of transform.mapping, its label resolved.
type actuatorPair struct {
	from     vehicle.Value
	physical float64
}

// Physical is the signal's physical value that stands for a value of the path.
// The error says what the path's type, its range or the transform can't take.
func (a *Actuator) Physical(v vehicle.Value) (float64, error) {
	fitted := a.Type.Fit(v)
	if !fitted.IsValid() || a.bounds != nil && !a.bounds.Holds(fitted) {
		return 0, fmt.Errorf("%s is no value of %s: want %s", v, a.Path, a.wanted())
	}
	if a.mapped {
		for _, pair := range a.pairs {
			if pair.from == fitted {
				return pair.physical, nil
			}
		}
		return 0, fmt.Errorf("%s has no entry for %s in its transform.mapping", a.Path, fitted)
	}
	if label, ok := fitted.Text(); ok {
		physical, ok := labelled(a.Signal, label)
		if !ok {
			return 0, fmt.Errorf("%s.%s has no label %q%s", a.Signal.Message.Name, a.Signal.Name, label, nearestLabel(label, a.Signal))
		}
		return physical, nil
	}
	number, _ := numberOf(fitted)
	if a.math != nil {
		number = a.math(number)
	}
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return 0, fmt.Errorf("the transform of %s has no result for %s", a.Path, fitted)
	}
	return number, nil
}

// wanted is the type with the range that the path has in it.
func (a *Actuator) wanted() string {
	want := article(string(a.Type)) + " " + string(a.Type)
	switch {
	case a.bounds == nil:
		return want
	case a.bounds.Allowed != nil:
		want += ","
	}
	return want + " " + boundsText(a.bounds)
}

// labelled is the physical value of a label; of several values that have it, the
// one with the lowest raw value.
func labelled(s *dbc.Signal, label string) (float64, bool) {
	var lowest int64
	found := false
	for raw, name := range s.Choices {
		if name == label && (!found || raw < lowest) {
			lowest, found = raw, true
		}
	}
	return float64(float64(lowest)*s.Scale) + s.Offset, found
}

// actuator resolves a vss2dbc for a signal that it names.
func (c *compiler) actuator(e *kuksaEntry, bus string, s *dbc.Signal) {
	a := &Actuator{Path: e.leaf.Path, Bus: bus, Signal: s, Type: e.typ, bounds: c.kuksaBounds(e.leaf), math: e.math, mapped: e.pairs != nil}
	for _, pair := range e.pairs {
		from, ok := e.typ.named(pair.from.Any())
		if !ok {
			c.kuksaWarnf(pair.at, e, "from: %v is no %s: the entry is never used", pair.from, e.typ)
			continue
		}
		physical, _ := numberOf(pair.to)
		if label, isText := pair.to.Text(); isText {
			var known bool
			if physical, known = labelled(s, label); !known {
				c.kuksaWarnf(pair.toAt, e, "to: %s.%s has no label %q in the database%s: the entry is left out",
					s.Message.Name, s.Name, label, nearestLabel(label, s))
				continue
			}
		}
		a.pairs = append(a.pairs, actuatorPair{from, physical})
	}
	c.plan.actuators = append(c.plan.actuators, a)
}
