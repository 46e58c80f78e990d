package transmit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// Plan is what the section comes to with the databases of the buses. One gate
// uses it, once.
type Plan struct {
	rules    []*rule
	byTarget map[string][]*rule
	messages map[messageKey]*Message
	waiting  map[string]chan queued // by bus
	wakes    map[string]chan struct{}
	closed   string // why no request is taken; "" if they are
	next     *Plan  // of a closed one: the first to be used
}

// messageKey finds a message by its bus and identifier; names may stand twice.
type messageKey struct {
	bus      string
	id       uint32
	extended bool
}

func keyOf(bus string, m *dbc.Message) messageKey { return messageKey{bus, m.ID, m.Extended} }

// Bus is what compiling needs to know of a bus.
type Bus struct {
	Name     string
	Database *dbc.Database
	TakesNo  string // why no frames can be sent on it, "" if they can
}

// Compile compiles the rules. doc is where the section stands, at its place in
// it. Problems stop the gateway; warnings are doubts.
func Compile(c Config, doc *config.Document, at []any, buses []Bus, paths *mapping.Plan, state *vehicle.State) (p *Plan, warnings []config.Problem, problems config.Errors) {
	k := &compiler{
		doc: doc, at: at, buses: buses, paths: paths, state: state,
		plan: &Plan{byTarget: map[string][]*rule{}, messages: map[messageKey]*Message{}},
	}
	k.messages(c.Messages)
	for i := range c.Rules {
		k.rule(i, c.Rules[i])
	}
	k.plan.ready()
	return k.plan, k.warnings, k.problems
}

type compiler struct {
	doc      *config.Document
	at       []any
	buses    []Bus
	paths    *mapping.Plan
	state    *vehicle.State
	plan     *Plan
	secOC    []*dbc.Message // by configuration
	warnings []config.Problem
	problems config.Errors
}

func (k *compiler) place(path []any) []any { return slices.Concat(k.at, path) }

func (k *compiler) errorf(path []any, format string, args ...any) {
	k.problems = append(k.problems, k.doc.Errorf(k.place(path), format, args...))
}

func (k *compiler) warnf(path []any, format string, args ...any) {
	k.warnings = append(k.warnings, k.doc.Errorf(k.place(path), format, args...))
}

// message is the message of a bus as the plan has it.
func (k *compiler) message(bus string, m *dbc.Message) *Message {
	key := keyOf(bus, m)
	if k.plan.messages[key] == nil {
		k.plan.messages[key] = &Message{Message: m, prove: func() {}}
	}
	return k.plan.messages[key]
}

func (k *compiler) rule(i int, c RuleConfig) {
	at := []any{"rules", i}
	below := func(key string) []any { return append(at[:len(at):len(at)], key) }
	r := &rule{config: c}
	if !k.target(r, at) {
		return
	}
	r.target = r.bus + "/" + r.signal.Message.Name + "/" + r.signal.Name
	r.name = strings.ReplaceAll(r.target, "/", ".")
	if c.Path != "" {
		r.target, r.name = strings.ReplaceAll(c.Path, ".", "/"), c.Path
	}
	if before := k.plan.byTarget[r.target]; len(before) > 0 {
		r.name = fmt.Sprintf("%s (%d)", r.name, len(before)+1)
		if before[0].bus != r.bus || before[0].signal != r.signal {
			k.errorf(below("signal"), "another rule sends %s.%s for %s: want the same signal in all of them", before[0].signal.Message.Name, before[0].signal.Name, r.target)
			return
		}
	}
	if r.signal.Multiplexer {
		k.errorf(below("signal"), "%s.%s is a multiplexer: want a signal that carries a value", r.signal.Message.Name, r.signal.Name)
		return
	}
	start := r.message.page(r.signal).frame // from here on what is seen of it is kept
	k.values(r, at)
	allowed, err := parseRate(c.Rate)
	if err != nil {
		return // Validate has told of it
	}
	r.bucket.rate = allowed
	if c.When != "" {
		if r.when, err = k.state.CompileCondition(c.When); err != nil {
			k.errorf(below("when"), "%v", err)
		} else {
			k.unfed(below("when"), r.when)
		}
	}
	if c.Answer != nil {
		k.answer(r, c.Answer, below("answer"))
	}
	if by := authenticated(r.signal.Message); by != "" || slices.Contains(k.secOC, r.signal.Message) {
		r.secOC = secOCReason(r.signal.Message, by)
		k.warnf(below("signal"), "%s: every request is refused", r.secOC)
	}
	k.doubts(r, &start, below("signal"))
	k.plan.rules = append(k.plan.rules, r)
	k.plan.byTarget[r.target] = append(k.plan.byTarget[r.target], r)
}

// target finds what the rule sends: the signal that it names, or the one that
// the mapping names for its path.
func (k *compiler) target(r *rule, at []any) bool {
	below := func(key string) []any { return append(at[:len(at):len(at)], key) }
	c := &r.config
	if c.Signal == "" {
		if !k.actuator(r) {
			k.errorf(at, "want signal: what is to be sent for %q, as Message.Signal", c.Path)
			return false
		}
	} else {
		var why string
		if r.bus, r.signal, why = k.find(c.Signal, c.Bus); r.signal == nil {
			k.errorf(below("signal"), "%s", why)
			return false
		}
	}
	bus := k.buses[slices.IndexFunc(k.buses, func(b Bus) bool { return b.Name == r.bus })]
	if bus.TakesNo != "" {
		k.errorf(below("bus"), "nothing can be sent on bus %q: %s", bus.Name, bus.TakesNo)
		return false
	}
	r.message = k.message(r.bus, r.signal.Message)
	return true
}

// actuator takes the signal and the transform of a KUKSA mapping (vss2dbc).
func (k *compiler) actuator(r *rule) bool {
	if k.paths == nil || r.config.Path == "" {
		return false
	}
	for _, a := range k.paths.Actuators() {
		if a.Path == r.config.Path && (r.config.Bus == "" || r.config.Bus == a.Bus) {
			r.bus, r.signal, r.convert = a.Bus, a.Signal, a.Physical
			return true
		}
	}
	return false
}

// values makes the conversion from what may be asked for to the signal.
func (k *compiler) values(r *rule, at []any) {
	c := &r.config
	below := func(key string) []any { return append(at[:len(at):len(at)], key) }
	transform := r.convert // of the mapping, or nil
	r.back = func(physical float64) float64 { return physical }
	switch {
	case len(c.Values) > 0:
		r.convert = fromNames(nameList(c.Values))
		for _, n := range nameList(c.Values) {
			if low, high := expressible(r.signal); n.physical < low || n.physical > high {
				k.errorf(below("values"), "%s: the signal %s.%s carries %s to %s", number(n.physical), r.signal.Message.Name, r.signal.Name, number(low), number(high))
			}
		}
	case c.Min != nil:
		k.numbers(r, transform, at)
	case transform != nil:
		r.convert = func(v vehicle.Value) (float64, error) {
			if _, isNumber := v.Number(); isNumber {
				return 0, fmt.Errorf("value %s: the rule has no min and max, so it allows no number", v)
			}
			return transform(v)
		}
	case r.signal.Length == 1 && !r.signal.Float:
		r.convert = fromBoolean
	default:
		k.errorf(at, "want min and max, or values: what may be asked for; without them only a signal of one bit takes true and false")
	}
	if transform != nil {
		r.back = nil // a formula is not turned round
	}
}

func (k *compiler) numbers(r *rule, transform func(vehicle.Value) (float64, error), at []any) {
	c := &r.config
	below := func(key string) []any { return append(at[:len(at):len(at)], key) }
	if transform != nil {
		r.convert = func(v vehicle.Value) (float64, error) {
			if _, err := r.fromNumber(v); err != nil {
				return 0, err
			}
			return transform(v)
		}
		return
	}
	scale, offset := 1.0, 0.0
	if c.Unit != nil {
		from := c.Unit.From
		if from == "" {
			from = r.signal.Unit
		}
		var err error
		if scale, offset, err = mapping.Conversion(from, c.Unit.To); err != nil {
			k.errorf(below("unit"), "%v", err)
			return
		}
	}
	r.back = func(physical float64) float64 { return physical*scale + offset }
	toSignal := func(n float64) float64 { return (n - offset) / scale }
	r.convert = func(v vehicle.Value) (float64, error) {
		n, err := r.fromNumber(v)
		return toSignal(n), err
	}
	low, high := expressible(r.signal)
	slack := max(1e-9, (high-low)*1e-12)
	for key, bound := range map[string]float64{"min": toSignal(*c.Min), "max": toSignal(*c.Max)} {
		if bound < low-slack || bound > high+slack {
			k.errorf(below(key), "the signal %s.%s carries %s to %s only", r.signal.Message.Name, r.signal.Name, number(r.back(low)), number(r.back(high)))
		}
	}
}

// nameList are the values of a rule by rising number.
func nameList(values map[int64]any) []named {
	var list []named
	for physical, value := range values {
		n := named{physical: float64(physical)}
		switch x := value.(type) {
		case bool:
			n.value = vehicle.Bool(x)
		case int64:
			n.value = vehicle.Int(x)
		case uint64:
			n.value = vehicle.Uint(x)
		case float64:
			n.value = vehicle.Float(x)
		case string:
			n.value = vehicle.String(x)
		}
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b named) int {
		if a.physical < b.physical {
			return -1
		}
		return 1
	})
	return list
}

func (k *compiler) answer(r *rule, c *AnswerConfig, at []any) {
	below := func(key string) []any { return append(at[:len(at):len(at)], key) }
	a := &answer{within: time.Duration(c.Within)}
	switch {
	case c.Path != "":
		a.slot = k.state.Slot(c.Path)
		if !k.feeds(c.Path) {
			k.warnf(below("path"), "no mapping feeds %s: every request times out unless a client provides it", c.Path)
		}
	case c.Signal != "":
		bus := c.Bus
		if bus == "" {
			bus = r.bus
		}
		_, signal, why := k.find(c.Signal, bus)
		if signal == nil {
			k.errorf(below("signal"), "%s", why)
			return
		}
		a.signal, a.message = signal, k.message(bus, signal.Message)
	case c.When != "":
		var err error
		if a.when, err = k.state.CompileCondition(c.When); err != nil {
			k.errorf(below("when"), "%v", err)
			return
		}
		for _, path := range a.when.Paths() {
			a.slots = append(a.slots, k.state.Slot(path))
		}
		if len(a.slots) == 0 {
			k.errorf(below("when"), "%s names no value: it can't prove anything", c.When)
		}
		k.unfed(below("when"), a.when)
	}
	r.answer = a
}

// feeds reports whether a mapping gives the path its value.
func (k *compiler) feeds(path string) bool {
	if k.paths == nil {
		return false
	}
	return slices.ContainsFunc(k.paths.Rules, func(r *mapping.Rule) bool { return r.Path == path }) ||
		slices.ContainsFunc(k.paths.Derived, func(d *mapping.Derived) bool { return d.Path == path })
}

func (k *compiler) unfed(at []any, e *vehicle.Expression) {
	for _, path := range e.Paths() {
		if strings.HasPrefix(path, "Vehicle.") && !k.feeds(path) {
			k.warnf(at, "no mapping feeds %s: the condition is false unless a client provides it", path)
		}
	}
}

// Names by which a signal shows that it guards its message; only a warning
// hangs on them.
var guardName = regexp.MustCompile(`(?i)(alive|rolling|counter|_cnt$|_ctr$|checksum|chksum|_crc|crc_|^crc$)`)

// doubts tells of a message that is sent as it stands and seems to want more, and
// of signals in it whose start value nobody states. start is the frame of which
// the rule's signal is part.
func (k *compiler) doubts(r *rule, start *can.Frame, at []any) {
	m := r.message
	if r.secOC != "" || slices.ContainsFunc(k.plan.rules, func(other *rule) bool { return other.message == m && other.signal.Selector == r.signal.Selector }) {
		return // told already
	}
	carried, err := m.Decode(start, nil)
	if err != nil {
		return // not reached
	}
	var guards, unset []string
	for _, v := range carried {
		s := v.Signal
		kept := m.protection.counter == s || m.protection.checksum != nil && m.protection.checksum.signal == s
		switch {
		case kept || s == r.signal || s.Multiplexer:
		case guardName.MatchString(s.Name):
			guards = append(guards, s.Name)
		case !s.HasInitial:
			unset = append(unset, s.Name)
		}
	}
	if len(guards) > 0 {
		k.warnf(at, "message %s has %s, which no line of can.transmit.messages keeps right: sent as last seen", m.Name, strings.Join(guards, ", "))
	}
	if len(unset) > 0 {
		k.warnf(at, "the DBC states no start value (GenSigStartValue) for %s of message %s: raw 0 is sent until a frame of it was seen", strings.Join(unset, ", "), m.Name)
	}
}
