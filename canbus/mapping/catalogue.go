package mapping

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/canbus/vss"
)

// bounds is what the catalogue lets a path be, nil if that is anything. VSS: min
// and max bound what an entry "can be assigned", and any value that is not among
// the allowed ones "is considered an error".
func (c *compiler) bounds(path string) *vss.Node {
	if c.catalogue == nil {
		return nil
	}
	return bounded(c.catalogue.Leaf(path))
}

// kuksaBounds are those of the catalogue or, where it lacks the path or there is
// none, of the file's own tree.
func (c *compiler) kuksaBounds(leaf *vss.Node) *vss.Node {
	if c.catalogue != nil && c.catalogue.Leaf(leaf.Path) != nil {
		return c.bounds(leaf.Path)
	}
	return bounded(leaf)
}

func bounded(n *vss.Node) *vss.Node {
	if n == nil || !n.Bounded() {
		return nil
	}
	return n
}

// boundsText is "from 0 to 100", or "one of INACTIVE, ACTIVE and ADAPTIVE".
func boundsText(n *vss.Node) string {
	if n.Allowed != nil {
		names := make([]string, len(n.Allowed))
		for i, v := range n.Allowed {
			names[i] = v.String()
		}
		return "one of " + list(names)
	}
	var parts []string
	if !math.IsInf(n.Min, -1) {
		parts = append(parts, fmt.Sprintf("from %v", n.Min))
	}
	if !math.IsInf(n.Max, 1) {
		parts = append(parts, fmt.Sprintf("to %v", n.Max))
	}
	return strings.Join(parts, " ")
}

// warner reports a doubt about an entry at one of its keys.
type warner func(format string, args ...any)

// known finds a path in the catalogue, or tells what it may have meant.
func (c *compiler) known(path string, warn warner) *vss.Node {
	leaf := c.catalogue.Leaf(path)
	switch {
	case leaf != nil:
	case c.catalogue.IsBranch(path):
		warn("%s is a branch in the catalogue, which has no value", path)
	default:
		if near, ok := c.catalogue.Nearest(path); ok {
			warn("the catalogue has no %s: did you mean %s?", path, near)
		} else {
			warn("the catalogue has no %s", path)
		}
	}
	return leaf
}

// checkSignal holds an entry of ours against the catalogue.
func (c *compiler) checkSignal(i int, s *Signal, r *Rule) {
	if c.catalogue == nil {
		return
	}
	at := func(keys ...any) warner {
		return func(format string, args ...any) {
			c.warnf(append([]any{"signals", i}, keys...), format, args...)
		}
	}
	leaf := c.known(s.Path, at("path"))
	if leaf == nil {
		return
	}
	switch {
	case r.Type != Any:
		c.checkType(string(r.Type), leaf, at("type"))
	case !r.fits(Type(leaf.Datatype)):
		at("signal")("the catalogue has %s as %s: want type: %s", leaf.Path, leaf.Datatype, leaf.Datatype)
	}
	unit := r.Signal.Unit
	if s.Unit != nil {
		unit = s.Unit.To
	}
	c.checkUnit(unit, leaf.Unit, r.Type != Boolean && r.Type != String, at("unit"))
	for _, number := range sortedNumbers(s.Values) {
		if v, _ := r.Type.named(s.Values[number]); !leaf.Holds(v) {
			at("values", fmt.Sprint(number))("the catalogue allows %s %s: %s is invalid", leaf.Path, boundsText(leaf), v)
		}
	}
	c.checkRange(r, leaf, at("signal"))
}

// fits reports whether the numbers of a signal without a type are of the
// catalogue's type by themselves.
func (r *Rule) fits(t Type) bool {
	switch t {
	case Boolean, String:
		return false
	case Float, Double:
		return true
	}
	return r.Signal.Integer() && !r.converts
}

// checkRange compares what the database says that a signal can be with what the
// catalogue lets the path be.
func (c *compiler) checkRange(r *Rule, leaf *vss.Node, warn warner) {
	s := r.Signal
	if s.Min >= s.Max || leaf.Allowed != nil || !leaf.Bounded() {
		return
	}
	low, high := s.Min, s.Max
	if r.converts {
		low, high = low*r.conversion.scale+r.conversion.offset, high*r.conversion.scale+r.conversion.offset
	}
	if low < leaf.Min || high > leaf.Max {
		warn("the database has %s.%s from %v to %v, the catalogue allows %s %s: what lies outside is invalid",
			s.Message.Name, s.Name, low, high, leaf.Path, boundsText(leaf))
	}
}

// checkDerived holds a derived path against the catalogue; what an expression
// gives has neither unit nor range before it is evaluated.
func (c *compiler) checkDerived(i int, d *Derivation) {
	if c.catalogue == nil {
		return
	}
	at := func(key string) warner {
		return func(format string, args ...any) { c.warnf([]any{"derived", i, key}, format, args...) }
	}
	leaf := c.known(d.Path, at("path"))
	if leaf != nil && d.Type != Any {
		c.checkType(string(d.Type), leaf, at("type"))
	}
}

// checkLeaf holds a leaf of a KUKSA file against the catalogue.
func (c *compiler) checkLeaf(e *kuksaEntry) {
	if c.catalogue == nil {
		return
	}
	warn := func(format string, args ...any) { c.kuksaWarnf(e.leaf.At(), e, format, args...) }
	leaf := c.known(e.leaf.Path, warn)
	if leaf == nil {
		return
	}
	c.checkType(e.leaf.Datatype, leaf, warn)
	if e.leaf.Unit != leaf.Unit {
		warn("it is in %q here and in %q in the catalogue", e.leaf.Unit, leaf.Unit)
	}
}

func (c *compiler) checkType(is string, leaf *vss.Node, warn warner) {
	if is != leaf.Datatype {
		warn("%s is %s here and %s in the catalogue", leaf.Path, is, leaf.Datatype)
	}
}

// checkUnit compares units as far as both are known ones.
func (c *compiler) checkUnit(is, want string, counts bool, warn warner) {
	if !counts || is == want || len(named(is)) == 0 || len(named(want)) == 0 {
		return
	}
	switch change, err := convert(is, want); {
	case err != nil:
		warn("the value is in %s, the path in %s: %v", is, want, err)
	case change != conversion{1, 0}:
		warn("the value is in %s and the path in %s: want a conversion", is, want)
	}
}

// checkVersion warns once of a tree of another version than the catalogue.
func (c *compiler) checkVersion(tree *vss.Tree) {
	if c.catalogue == nil {
		return
	}
	is, want := tree.Version(), c.catalogue.Version()
	if is != want && is != "" && want != "" {
		c.warnings = append(c.warnings, tree.Errorf(vss.Value{}, "", "the file is of VSS %s, the catalogue of VSS %s", is, want))
	}
}

func sortedNumbers(values map[int64]any) []int64 {
	numbers := make([]int64, 0, len(values))
	for number := range values {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	return numbers
}
