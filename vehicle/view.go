package vehicle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// viewFunctions are the functions of a path and a duration, such as
// mean(Vehicle.Speed, "10s"). Those that expr has too keep their meaning for
// lists: max(Vehicle.A, Vehicle.B).
var viewFunctions = map[string]func(span) float64{
	"rate":     func(s span) float64 { return (s.last - s.first) / s.seconds }, // per second
	"delta":    func(s span) float64 { return s.last - s.first },
	"mean":     func(s span) float64 { return s.integral / s.seconds },
	"min":      func(s span) float64 { return s.low },
	"max":      func(s span) float64 { return s.high },
	"integral": func(s span) float64 { return s.integral }, // in the path's unit times seconds
	"count":    func(s span) float64 { return float64(s.count) },
}

// viewCall is one call of such a function.
type viewCall struct {
	name   string // under which the result stands in the environment
	path   string
	length time.Duration
	of     func(span) float64
}

// view is a call with what it looks through.
type view struct {
	call   viewCall
	slot   *Slot
	window *window
}

// look gives the call's result at the boot time now.
func (v *view) look(now int64) (float64, error) {
	s, text, ok := v.slot.measure(v.window, now)
	switch {
	case text:
		return 0, fmt.Errorf("vehicle: %s: a text has none, want a number or a boolean", v.call.name)
	case !ok:
		return 0, fmt.Errorf("%w: %s: values have not covered its time yet", ErrMissing, v.call.name)
	}
	return v.call.of(s), nil
}

// viewCalls replaces each call by a name whose value is looked up. It comes
// after pathNames, so that a path is one name already.
type viewCalls struct {
	calls []viewCall
	err   error // the first
}

func (c *viewCalls) Visit(node *ast.Node) {
	name, arguments := called(*node)
	of, is := viewFunctions[name]
	if !is || c.err != nil {
		return
	}
	shared := name == "mean" || name == "min" || name == "max" || name == "count" // with expr
	var duration *ast.StringNode
	if len(arguments) == 2 {
		duration, _ = unwrapped(arguments[1]).(*ast.StringNode)
	}
	if duration == nil {
		if !shared {
			c.fail(*node, "%s wants a path and a duration, such as %s(Vehicle.Speed, \"10s\")", name, name)
		}
		return
	}
	path, ok := arguments[0].(*ast.IdentifierNode)
	if !ok || !isPath(path.Value) {
		c.fail(*node, "%s over a duration wants a path, such as Vehicle.Speed: derive a path of its own from anything else", name)
		return
	}
	length, err := time.ParseDuration(duration.Value)
	if err != nil || length < shortestWindow || length > longestWindow {
		c.fail(*node, "%s: want a duration from 10ms to 24h, such as \"10s\", got %q", name, duration.Value)
		return
	}
	call := viewCall{name: fmt.Sprintf("%s(%s, %s)", name, path.Value, length), path: path.Value, length: length, of: of}
	if !c.made(call.name) {
		c.calls = append(c.calls, call)
	}
	ast.Patch(node, &ast.IdentifierNode{Value: call.name})
}

func (c *viewCalls) fail(node ast.Node, format string, args ...any) {
	// The place is expr's form, (line:column).
	c.err = fmt.Errorf(format+" (1:%d)", append(args, node.Location().From+1)...)
}

// made reports whether a name is the result of a call.
func (c *viewCalls) made(name string) bool {
	return strings.Contains(name, "(") && slices.ContainsFunc(c.calls, func(call viewCall) bool { return call.name == name })
}

// called is the function that a node calls, with its arguments; "" if it calls
// none by name.
func called(node ast.Node) (string, []ast.Node) {
	switch n := node.(type) {
	case *ast.BuiltinNode:
		return n.Name, n.Arguments
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return callee.Value, n.Arguments
		}
	}
	return "", nil
}

// unwrapped is what stands in a predicate: expr reads the second argument of
// count as one.
func unwrapped(node ast.Node) ast.Node {
	if p, ok := node.(*ast.PredicateNode); ok {
		return p.Node
	}
	return node
}
