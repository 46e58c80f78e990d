package health

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// Bus is a bus as far as a plan needs it.
type Bus struct {
	Name      string
	Database  *dbc.Database
	Published map[string]bool // messages published whole, by name
}

// Plan is what is watched, and how: a configuration resolved against databases
// and mapping. Times in it are nanoseconds.
type Plan struct {
	hold, interval int64
	messages       []*messageRule
	signals        []*signalRule // in the order of the mapping, one a path
}

// messageRule is a message that is used, whether or not its state is told: the
// health of its signals rests on its frames.
type messageRule struct {
	bus        string
	message    *dbc.Message
	limit      int64 // without a frame; 0 is none
	counter    *dbc.Signal
	counterMax int64
	told       bool // on a topic
}

// signalRule is a path and the signals that feed it.
type signalRule struct {
	path        string
	feeds       []*mapping.Rule
	limit       int64 // without a value; 0 is none
	stuckAfter  int64 // 0 is never
	while       *vehicle.Expression
	least, most float64
	ranged      bool
}

// Compile resolves c against the buses and the mapping. doc is the document that
// c stands in, under can.health; state is what conditions are about. The plan
// is of use if there are no problems; doubts are for a warning.
func Compile(c Config, doc *config.Document, buses []Bus, mapped *mapping.Plan, state *vehicle.State) (plan *Plan, doubts []config.Problem, problems config.Errors) {
	p := &Plan{hold: int64(c.Hold), interval: int64(c.Interval)}
	if c.Off {
		return p, nil, nil
	}
	b := &builder{config: c, doc: doc, buses: buses, mapped: mapped, plan: p, configured: map[*dbc.Message]MessageConfig{}}
	for i, m := range c.Messages {
		b.find(i, m)
	}
	for _, bus := range buses {
		b.messagesOf(bus)
	}
	b.signals(state)
	return p, b.doubts, b.problems
}

type builder struct {
	config     Config
	doc        *config.Document
	buses      []Bus
	mapped     *mapping.Plan
	plan       *Plan
	configured map[*dbc.Message]MessageConfig
	doubts     []config.Problem
	problems   config.Errors
}

func (b *builder) errorf(path []any, format string, args ...any) {
	b.problems = append(b.problems, b.problem(path, format, args...))
}

func (b *builder) problem(path []any, format string, args ...any) config.Problem {
	return b.doc.Errorf(append([]any{"can", "health"}, path...), format, args...)
}

// find looks up the message that an entry means, and checks what the entry says
// of it.
func (b *builder) find(i int, c MessageConfig) {
	var found []*dbc.Message
	var known, busNames []string
	for _, bus := range b.buses {
		if c.Bus != "" && bus.Name != c.Bus {
			continue
		}
		busNames = append(busNames, bus.Name)
		for _, m := range bus.Database.Messages {
			if known = append(known, m.Name); m.Name == c.Message {
				found = append(found, m)
			}
		}
	}
	at := []any{"messages", i, "message"}
	switch {
	case len(busNames) == 0:
		b.errorf([]any{"messages", i, "bus"}, "no bus is named %q", c.Bus)
	case len(found) == 0:
		b.errorf(at, "no DBC of %s has a message %q%s", strings.Join(busNames, ", "), c.Message, nearest(c.Message, known))
	case len(found) > 1 && c.Bus == "":
		b.errorf(at, "%s stands in the databases of several buses: want bus: NAME", c.Message)
	default:
		b.configured[found[0]] = c
		b.check(i, c, found[0])
	}
}

// check finds what can't be done with the message of an entry.
func (b *builder) check(i int, c MessageConfig, m *dbc.Message) {
	if c.Counter == "" {
		if !c.Off && b.config.missingAfter(c, m) == 0 {
			b.errorf([]any{"messages", i}, "%s has no cycle time in its DBC: want cycle, missing_after or counter", m.Name)
		}
		return
	}
	at := []any{"messages", i, "counter"}
	s := counterOf(m, c.Counter)
	switch {
	case s == nil:
		var known []string
		for _, s := range m.Signals {
			known = append(known, s.Name)
		}
		b.errorf(at, "%s has no signal %q%s", m.Name, c.Counter, nearest(c.Counter, known))
	case s.Float || s.Signed || s.Multiplexed || s.Length > 32:
		b.errorf(at, "%s can't be a counter: want an unsigned integer of at most 32 bits that every frame carries", s.Name)
	case c.CounterMax > highest(s):
		b.errorf([]any{"messages", i, "counter_max"}, "%d does not fit %s: want at most %d", c.CounterMax, s.Name, highest(s))
	}
}

func counterOf(m *dbc.Message, name string) *dbc.Signal {
	at := slices.IndexFunc(m.Signals, func(s *dbc.Signal) bool { return s.Name == name })
	if at < 0 {
		return nil
	}
	return m.Signals[at]
}

func highest(s *dbc.Signal) int64 { return 1<<s.Length - 1 }

// messagesOf makes the rules of a bus's messages: of those that are mapped,
// published whole or configured, and not left out. Of two that have one name,
// and so one topic, the first is told.
func (b *builder) messagesOf(bus Bus) {
	told := map[string]bool{}
	for _, m := range bus.Database.Messages {
		c, configured := b.configured[m]
		if !configured && !bus.Published[m.Name] && b.mapped.Bus(bus.Name).Message(m) == nil {
			continue
		}
		r := &messageRule{bus: bus.Name, message: m}
		if !c.Off {
			r.limit = int64(b.config.missingAfter(c, m))
			if c.Counter != "" {
				r.counter = counterOf(m, c.Counter)
			}
		}
		if r.counter != nil {
			r.counterMax = cmp.Or(c.CounterMax, highest(r.counter))
		}
		if r.told = r.limit > 0 || r.counter != nil; r.told && (told[m.Name] || !isLevel(m.Name)) {
			r.told = false
			b.doubts = append(b.doubts, config.Problem{File: m.Place.File, Line: m.Place.Line, Column: m.Place.Column,
				Message: fmt.Sprintf("the health of message %q is not published: the topic of another one has its name, or none can have it", m.Name)})
		}
		told[m.Name] = told[m.Name] || r.told
		b.plan.messages = append(b.plan.messages, r)
	}
}

// isLevel reports whether a name can be a level of a topic.
func isLevel(name string) bool { return name != "" && !strings.ContainsAny(name, "/+#\x00") }

// signals makes the rules of the mapped paths.
func (b *builder) signals(state *vehicle.State) {
	limits := map[*dbc.Message]int64{}
	for _, r := range b.plan.messages {
		limits[r.message] = r.limit
	}
	off, byPath := map[string]bool{}, map[string]*signalRule{}
	for _, s := range b.config.Signals {
		off[s.Path] = s.Off
	}
	var known []string
	for _, r := range b.mapped.Rules {
		known = append(known, r.Path)
		if off[r.Path] {
			continue
		}
		limit := limitOf(r, limits[r.Signal.Message])
		of := byPath[r.Path]
		switch {
		case of == nil:
			of = &signalRule{path: r.Path, limit: limit}
			byPath[r.Path] = of
			b.plan.signals = append(b.plan.signals, of)
		case limit == 0 || of.limit == 0:
			of.limit = 0 // one of those that feed the path may take its time
		default:
			of.limit = max(of.limit, limit)
		}
		of.feeds = append(of.feeds, r)
	}
	for i, s := range b.config.Signals {
		if !slices.Contains(known, s.Path) {
			b.errorf([]any{"signals", i, "path"}, "no mapping feeds %s from a signal%s", s.Path, nearest(s.Path, known))
			continue
		}
		if of := byPath[s.Path]; of != nil {
			b.configure(of, i, s, state)
		}
	}
}

// limitOf is the time without a value after which a path is missing: the one at
// which it is missing in conditions too; else that of the message, if all of its
// frames carry the signal.
func limitOf(r *mapping.Rule, ofMessage int64) int64 {
	if r.Timeout > 0 || r.Signal.Multiplexed {
		return r.Timeout
	}
	return ofMessage
}

func (b *builder) configure(of *signalRule, i int, s SignalConfig, state *vehicle.State) {
	of.stuckAfter = int64(s.StuckAfter)
	if s.StuckWhile != "" {
		b.condition(of, i, s.StuckWhile, state)
	}
	of.least, of.most = math.Inf(-1), math.Inf(1)
	if s.Min != nil {
		of.least, of.ranged = *s.Min, true
	}
	if s.Max != nil {
		of.most, of.ranged = *s.Max, true
	}
}

// condition compiles a stuck_while. What nothing feeds is a doubt, not an error: a
// client may provide it.
func (b *builder) condition(of *signalRule, i int, source string, state *vehicle.State) {
	at := []any{"signals", i, "stuck_while"}
	e, err := state.CompileCondition(source)
	if err != nil {
		b.errorf(at, "%v", err)
		return
	}
	of.while = e
	for _, path := range e.Paths() {
		if strings.HasPrefix(path, "Vehicle.") && !b.feeds(path) {
			b.doubts = append(b.doubts, b.problem(at, "no mapping feeds %s: the signal is never stuck unless a client provides it", path))
		}
	}
}

func (b *builder) feeds(path string) bool {
	return slices.ContainsFunc(b.mapped.Rules, func(r *mapping.Rule) bool { return r.Path == path }) ||
		slices.ContainsFunc(b.mapped.Derived, func(d *mapping.Derived) bool { return d.Path == path })
}

func nearest(name string, known []string) string {
	if near, ok := config.Nearest(name, known); ok {
		return "; did you mean " + near + "?"
	}
	return ""
}

// shortest is the shortest time that anything may be missing, 0 if nothing can.
func (p *Plan) shortest() time.Duration {
	least := int64(0)
	for _, r := range p.messages {
		least = lesser(least, r.limit)
	}
	for _, r := range p.signals {
		least = lesser(least, r.limit)
	}
	return time.Duration(least)
}

func lesser(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}
