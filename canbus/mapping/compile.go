package mapping

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/vss"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// BusDatabase is what a bus's databases know, merged.
type BusDatabase struct {
	Bus      string
	Database *dbc.Database
}

// Derived is a path fed by an expression.
type Derived struct {
	Path    string
	Expr    string
	Type    Type
	CBOR    bool
	Limits  Limits
	Timeout int64 // nanoseconds after which the value counts as missing; 0 is never

	file   *File
	index  int
	bounds *vss.Node // nil without a catalogue
}

// Errorf makes a problem at the place of the expression in its file.
func (d *Derived) Errorf(format string, args ...any) config.Problem {
	return d.file.document.Errorf([]any{"derived", d.index, "expr"}, format, args...)
}

// Compile resolves the files' signals in the buses' databases, and holds the
// paths against a catalogue unless that is nil. The error is a config.Errors with
// all that is wrong in all files; the warnings are of use beside it too.
func Compile(files []*File, buses []BusDatabase, catalogue *vss.Tree) (*Plan, []config.Problem, error) {
	c := compiler{
		plan:      &Plan{buses: map[string]*Bus{}},
		catalogue: catalogue,
		paths:     map[string]string{},
	}
	for _, b := range buses {
		c.buses = append(c.buses, newNames(b))
	}
	for _, f := range files {
		c.file = f
		if f.kuksa != nil {
			c.kuksa(f.kuksa)
			continue
		}
		for i := range f.Config.Signals {
			c.signal(i, &f.Config.Signals[i])
		}
		for i := range f.Config.Derived {
			c.derived(i, &f.Config.Derived[i])
		}
	}
	sortByPlace(c.warnings, files)
	if len(c.problems) > 0 {
		sortByPlace(c.problems, files)
		return nil, c.warnings, c.problems
	}
	return c.plan, c.warnings, nil
}

// compiler builds a Plan from one file after the other.
type compiler struct {
	plan      *Plan
	buses     []*names
	catalogue *vss.Tree // nil without one
	file      *File
	paths     map[string]string // the place of each path that is fed
	warnings  []config.Problem
	problems  config.Errors
}

func (c *compiler) errorf(path []any, format string, args ...any) {
	c.problems = append(c.problems, c.file.document.Errorf(path, format, args...))
}

func (c *compiler) warnf(path []any, format string, args ...any) {
	c.warnings = append(c.warnings, c.file.document.Errorf(path, format, args...))
}

// sortByPlace puts problems into the order of the files and of their lines.
func sortByPlace(problems []config.Problem, files []*File) {
	order := map[string]int{}
	for i, f := range files {
		order[f.Name] = i
	}
	slices.SortStableFunc(problems, func(a, b config.Problem) int {
		return cmp.Or(order[a.File]-order[b.File], a.Line-b.Line, a.Column-b.Column)
	})
}

// claim takes the path for the entry at a place, or tells who feeds it already.
func (c *compiler) claim(path string, line, column int, taken func(first string)) {
	if first, is := c.paths[path]; is {
		taken(first)
		return
	}
	c.paths[path] = fmt.Sprintf("%s:%d:%d", c.file.Name, line, column)
}

const takenPath = "%s is fed already, at %s: want one source for a path"

func (c *compiler) path(path string, place ...any) {
	line, column := c.file.document.At(place...)
	c.claim(path, line, column, func(first string) { c.errorf(place, takenPath, path, first) })
}

func (c *compiler) signal(i int, s *Signal) {
	c.path(s.Path, "signals", i, "path")
	bus, signal := c.find(i, s)
	if signal == nil {
		return
	}
	r := &Rule{
		Bus: bus, Signal: signal, Path: s.Path, Type: s.effectiveType(),
		CBOR: s.cbor(), Limits: s.limits(), Timeout: int64(s.Timeout), bounds: c.bounds(s.Path),
	}
	r.values, r.decimal = s.table(r.Type), decimalOf(signal)
	if s.Unit != nil {
		from := s.Unit.From
		if from == "" {
			from = signal.Unit
		}
		if len(named(from)) == 0 {
			c.errorf([]any{"signals", i, "unit"}, "the database gives %s.%s the unit %q, which is none that can be converted: want from: UNIT",
				signal.Message.Name, signal.Name, signal.Unit)
			return
		}
		var err error
		if r.conversion, err = convert(from, s.Unit.To); err != nil {
			c.errorf([]any{"signals", i, "unit"}, "%s", err)
			return
		}
		r.converts = r.conversion != conversion{1, 0}
	}
	c.checkSignal(i, s, r)
	c.add(r)
}

func (c *compiler) add(r *Rule) {
	c.plan.Rules = append(c.plan.Rules, r)
	bus := c.plan.buses[r.Bus]
	if bus == nil {
		bus = &Bus{messages: map[*dbc.Message]Message{}}
		c.plan.buses[r.Bus] = bus
	}
	m := r.Signal.Message
	if bus.messages[m] == nil {
		bus.messages[m] = make(Message, len(m.Signals))
	}
	of := bus.messages[m]
	of[r.Signal.Index] = append(of[r.Signal.Index], r)
}

func (c *compiler) derived(i int, d *Derivation) {
	c.path(d.Path, "derived", i, "path")
	c.checkDerived(i, d)
	c.plan.Derived = append(c.plan.Derived, &Derived{
		Path: d.Path, Expr: d.Expr, Type: d.Type,
		CBOR: d.cbor(), Limits: d.limits(), Timeout: int64(d.Timeout),
		file: c.file, index: i, bounds: c.bounds(d.Path),
	})
}

// effectiveType is the type that the file states, or the one that its table
// implies.
func (s *Signal) effectiveType() Type {
	if s.Type != Any || len(s.Values) == 0 {
		return s.Type
	}
	texts, booleans := 0, 0
	for value := range maps.Values(s.Values) {
		switch value.(type) {
		case string:
			texts++
		case bool:
			booleans++
		}
	}
	switch len(s.Values) {
	case texts:
		return String
	case booleans:
		return Boolean
	}
	return Any
}

// table is the values of the file in the type.
func (s *Signal) table(t Type) map[float64]vehicle.Value {
	if len(s.Values) == 0 {
		return nil
	}
	table := make(map[float64]vehicle.Value, len(s.Values))
	for number, value := range s.Values {
		table[float64(number)], _ = t.named(value)
	}
	return table
}

func (p *Publish) cbor() bool { return p.Format == "cbor" }

func (p *Publish) limits() Limits {
	return Limits{MinInterval: int64(p.MinInterval), OnChange: p.OnChange, Deadband: p.Deadband}
}
