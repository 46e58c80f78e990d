package transmit

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/vehicle"
)

// rule is a compiled RuleConfig. What changes while requests come is its
// sender's alone, but for history.
type rule struct {
	config RuleConfig
	name   string
	target string // topic behind act/
	bus    string

	message *Message
	signal  *dbc.Signal

	convert func(vehicle.Value) (float64, error) // from what is asked for to the signal's physical value
	back    func(physical float64) float64       // from there to the number that the path then has
	bucket  bucket
	when    *vehicle.Expression // nil without a condition
	answer  *answer             // nil: done once it is sent
	secOC   string              // why frames of the message can't be made; "" if they can

	history history
}

// answer is a compiled AnswerConfig.
type answer struct {
	within  time.Duration
	message *Message            // with signal
	signal  *dbc.Signal         // or
	slot    *vehicle.Slot       // of a path, or
	when    *vehicle.Expression // over
	slots   []*vehicle.Slot
}

// history counts what became of the requests of a rule.
type history struct {
	mu     sync.Mutex // guards the fields below
	counts map[Status]uint64
	last   *Last
}

// Last is the newest request of a rule that came to an end.
type Last struct {
	Answer
	At    time.Time `json:"at"`
	Value string    `json:"value"`
	Role  string    `json:"role"`
}

func (h *history) add(l Last) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts == nil {
		h.counts = map[Status]uint64{}
	}
	h.counts[l.Status]++
	h.last = &l
}

// allows reports whether the role may ask.
func (r *rule) allows(role string) bool { return slices.Contains(r.config.Roles, role) }

// fromNumber takes numbers within the rule's range and step, and converts them
// to the unit of the signal.
func (r *rule) fromNumber(v vehicle.Value) (float64, error) {
	c := &r.config
	n, ok := v.Number()
	if !ok {
		return 0, fmt.Errorf("value %s: want a number from %s to %s", v, number(*c.Min), number(*c.Max))
	}
	if n < *c.Min || n > *c.Max {
		return 0, fmt.Errorf("value %s: want %s to %s", v, number(*c.Min), number(*c.Max))
	}
	if c.Step > 0 {
		steps := (n - *c.Min) / c.Step
		if math.Abs(steps-math.Round(steps)) > 1e-6 {
			return 0, fmt.Errorf("value %s: want %s and steps of %s from there", v, number(*c.Min), number(c.Step))
		}
	}
	return n, nil
}

// fromBoolean takes true and false, of a signal of one bit.
func fromBoolean(v vehicle.Value) (float64, error) {
	switch b, ok := v.Bool(); {
	case !ok:
		return 0, fmt.Errorf("value %s: want true or false", v)
	case b:
		return 1, nil
	}
	return 0, nil
}

// named are the values of a rule in a fixed order: their numbers' order.
type named struct {
	physical float64
	value    vehicle.Value
}

// fromNames takes the values that the rule lists.
func fromNames(list []named) func(vehicle.Value) (float64, error) {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = n.value.String()
	}
	return func(v vehicle.Value) (float64, error) {
		for _, n := range list {
			if n.value == v || sameNumber(n.value, v) {
				return n.physical, nil
			}
		}
		return 0, fmt.Errorf("value %s: want one of %s", v, strings.Join(texts, ", "))
	}
}

func sameNumber(a, b vehicle.Value) bool {
	x, ok := a.Number()
	y, alsoOK := b.Number()
	return ok && alsoOK && x == y
}

// demand is what a request comes to.
type demand struct {
	asked    vehicle.Value
	physical float64
}

// demand holds a value against what the rule allows.
func (r *rule) demand(v vehicle.Value) (demand, error) {
	physical, err := r.convert(v)
	if err != nil {
		return demand{}, err
	}
	if low, high := expressible(r.signal); physical < low || physical > high {
		return demand{}, fmt.Errorf("value %s: the signal %s.%s carries %s to %s", v, r.signal.Message.Name, r.signal.Name, number(low), number(high))
	}
	return demand{v, physical}, nil
}

// condition says why the vehicle's state forbids it at the boot time now; nil if
// it doesn't.
func (r *rule) condition(now int64) error {
	if r.when == nil {
		return nil
	}
	v, err := r.when.Eval(now)
	switch b, ok := v.Bool(); {
	case errors.Is(err, vehicle.ErrMissing):
		return fmt.Errorf("the condition %s does not hold: %w", r.config.When, err)
	case err != nil:
		return err
	case !ok || !b:
		return fmt.Errorf("the condition %s does not hold", r.config.When)
	}
	return nil
}

// proves reports whether the vehicle's state proves that d was carried out which
// was sent at the boot time after. Only values that came in since count.
func (a *answer) proves(r *rule, d demand, after, now int64) bool {
	for _, s := range a.slots {
		if s.Last().Boot <= after {
			return false
		}
	}
	if a.when != nil {
		return a.when.True(now)
	}
	reading, ok := a.slot.Get(now)
	return ok && reading.Boot > after && r.takes(reading.Value, d)
}

// takes reports whether a path that has the value v has taken d: the same text
// or boolean, or a number that differs by no more than half of what the signal
// can tell apart.
func (r *rule) takes(v vehicle.Value, d demand) bool {
	have, isNumber := v.Number()
	wanted, alsoNumber := d.asked.Number()
	if !isNumber || !alsoNumber {
		return v == d.asked
	}
	if r.back == nil {
		return have == wanted
	}
	resolution := math.Abs(r.back(d.physical+r.signal.Scale) - r.back(d.physical))
	return math.Abs(have-wanted) <= resolution/2*(1+1e-9)
}

// expressible are the least and the greatest physical value that the signal's
// bits can express.
func expressible(s *dbc.Signal) (low, high float64) {
	if s.Float {
		most := math.MaxFloat64
		if s.Length == 32 {
			most = math.MaxFloat32
		}
		return -most, most
	}
	least, most := 0.0, math.Ldexp(1, s.Length)-1
	if s.Signed {
		least, most = -math.Ldexp(1, s.Length-1), math.Ldexp(1, s.Length-1)-1
	}
	low, high = least*s.Scale+s.Offset, most*s.Scale+s.Offset
	return min(low, high), max(low, high)
}
