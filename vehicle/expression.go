package vehicle

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// Roots are the names that a path in an expression may begin with.
var Roots = []string{"Vehicle", "Link", "Ride", "Power"}

// ErrMissing is what Eval returns when a value that the expression names was
// never seen, is invalid, or is older than its timeout.
var ErrMissing = errors.New("vehicle: a value is missing")

// Expression is an expression over the state, compiled once, in the language of
// expr-lang.org: Vehicle.Speed > 5 and Vehicle.Cabin.Door.Row1.DriverSide.IsOpen.
// A missing value makes the whole expression missing, never a part of it: with
// "not x" a missing x would otherwise come out as true.
//
// Functions of a path and a duration look back: rate(Vehicle.Speed, "1s") is how
// fast it changes. They are rate, delta, mean, min, max, integral and count, and
// missing until values have covered the duration since the path was last missing.
//
// It is not safe for concurrent use; compile one for each goroutine.
type Expression struct {
	source  string
	program *vm.Program
	slots   []*Slot
	views   []view
	env     map[string]any
	machine vm.VM
}

// Compile compiles source. The error names the place in it and what was expected.
func (s *State) Compile(source string) (*Expression, error) { return s.compile(source) }

// CompileCondition compiles source as a condition: what can be seen to give
// anything but true or false is refused here, the rest when it is evaluated.
func (s *State) CompileCondition(source string) (*Expression, error) {
	return s.compile(source, expr.AsBool())
}

func (s *State) compile(source string, options ...expr.Option) (*Expression, error) {
	names, views := &pathNames{}, &viewCalls{}
	options = append(options,
		expr.Env(map[string]any{}),
		expr.AllowUndefinedVariables(),
		expr.Patch(names),
		expr.Patch(views))
	program, err := expr.Compile(source, options...)
	if views.err != nil {
		err = views.err // it is why the rest can't be compiled
	}
	if err != nil {
		return nil, fmt.Errorf("expression %q: %s", source, firstLine(err))
	}
	e := &Expression{source: source, program: program, env: map[string]any{}}
	found := slices.DeleteFunc(names.found(program.Node()), views.made)
	for _, call := range views.calls {
		if !slices.Contains(found, call.path) {
			found = append(found, call.path)
		}
	}
	slices.Sort(found)
	for _, name := range found {
		if !isPath(name) {
			return nil, fmt.Errorf("expression %q: %q is not a path: want one that begins with %s",
				source, name, strings.Join(Roots, "., ")+".")
		}
		e.slots = append(e.slots, s.Slot(name))
	}
	for _, call := range views.calls {
		slot := s.Slot(call.path)
		e.views = append(e.views, view{call, slot, slot.window(call.length)})
	}
	return e, nil
}

// Paths are the paths that the expression reads, each once, in order.
func (e *Expression) Paths() []string {
	paths := make([]string, len(e.slots))
	for i, slot := range e.slots {
		paths[i] = slot.path
	}
	return paths
}

// String is the source.
func (e *Expression) String() string { return e.source }

// Eval evaluates the expression at the boot time now. The error is ErrMissing,
// or what went wrong with the types at hand.
func (e *Expression) Eval(now int64) (Value, error) {
	for _, slot := range e.slots {
		r, ok := slot.Get(now)
		if !ok {
			return Value{}, fmt.Errorf("%w: %s", ErrMissing, slot.path)
		}
		e.env[slot.path] = r.Value.Any()
	}
	for i := range e.views {
		v, err := e.views[i].look(now)
		if err != nil {
			return Value{}, err
		}
		e.env[e.views[i].call.name] = v
	}
	out, err := e.machine.Run(e.program, e.env)
	if err != nil {
		return Value{}, fmt.Errorf("expression %q: %s", e.source, firstLine(err))
	}
	return valueOf(out)
}

// True evaluates the expression as a condition: whatever is missing or fails is
// false.
func (e *Expression) True(now int64) bool {
	v, err := e.Eval(now)
	if err != nil {
		return false
	}
	b, ok := v.Bool()
	return ok && b
}

func valueOf(x any) (Value, error) {
	switch x := x.(type) {
	case nil: // x > 0 ? y / x : nil
		return Invalid(), nil
	case bool:
		return Bool(x), nil
	case int:
		return Int(int64(x)), nil
	case int64:
		return Int(x), nil
	case uint64:
		return Uint(x), nil
	case float64:
		return Float(x), nil
	case string:
		return String(x), nil
	}
	return Value{}, fmt.Errorf("vehicle: an expression gave %T: want a number, a boolean or a string", x)
}

// pathNames joins Vehicle.A.B, which parses as members of members, into the one
// name "Vehicle.A.B", so that an evaluation looks each path up once. The walk
// is depth first: inner pairs are joined before outer ones.
type pathNames struct{}

func (*pathNames) Visit(node *ast.Node) {
	member, ok := (*node).(*ast.MemberNode)
	if !ok || member.Optional {
		return
	}
	left, ok := member.Node.(*ast.IdentifierNode)
	if !ok || !slices.Contains(Roots, rootOf(left.Value)) {
		return
	}
	if right, ok := member.Property.(*ast.StringNode); ok {
		ast.Patch(node, &ast.IdentifierNode{Value: left.Value + "." + right.Value})
	}
}

// found lists the names that the patched tree reads, except those that a let
// of its own declares.
func (*pathNames) found(root ast.Node) []string {
	c := &nameCollector{}
	ast.Walk(&root, c)
	var names []string
	for _, n := range c.read {
		if !slices.Contains(c.declared, n) && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

type nameCollector struct{ read, declared []string }

func (c *nameCollector) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		c.read = append(c.read, n.Value)
	case *ast.VariableDeclaratorNode:
		c.declared = append(c.declared, n.Name)
	}
}

func rootOf(name string) string {
	root, _, _ := strings.Cut(name, ".")
	return root
}

func isPath(name string) bool {
	return strings.Contains(name, ".") && slices.Contains(Roots, rootOf(name))
}

// firstLine drops the picture of the source that expr draws under its message.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
