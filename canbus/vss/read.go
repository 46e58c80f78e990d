package vss

import (
	"encoding/json"
	"math"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

const branch = "branch"

// reader makes nodes of JSON objects.
type reader struct {
	tree     *Tree
	problems config.Errors
}

func (r *reader) errorf(at Value, path, format string, args ...any) {
	r.problems = append(r.problems, r.tree.Errorf(at, path, format, args...))
}

// children reads the members of an object as nodes below parent.
func (r *reader) children(parent *Node, members Object) {
	for _, m := range members {
		n := &Node{name: m.Key, Path: m.Key, Min: math.Inf(-1), Max: math.Inf(1), value: m.Value}
		if parent.Path != "" {
			n.Path = parent.Path + "." + m.Key
		}
		keys, ok := m.Value.Data.(Object)
		if !ok {
			r.errorf(m.Value, n.Path, "want an object with type and datatype or children, got %s", m.Value.Kind())
			continue
		}
		n.Keys = keys
		n.Kind, _ = r.text(n, "type")
		switch n.Kind {
		case branch:
			r.branch(n)
		case "sensor", "actuator", "attribute":
			if n.Datatype, ok = r.text(n, "datatype"); !ok {
				r.errorf(n.value, n.Path, "want a datatype, such as float")
				continue
			}
			r.leaf(n)
			r.tree.Leaves = append(r.tree.Leaves, n)
		default:
			continue // the structs of VSS's own data types, which no signal feeds
		}
		parent.children = append(parent.children, n)
		r.tree.byPath[n.Path] = n
	}
}

func (r *reader) branch(n *Node) {
	below, ok := n.Keys.Get("children")
	if !ok {
		return
	}
	members, ok := below.Data.(Object)
	if !ok {
		r.errorf(below, n.Path, "children: want an object, got %s", below.Kind())
		return
	}
	r.children(n, members)
}

func (r *reader) leaf(n *Node) {
	n.Unit, _ = r.text(n, "unit")
	r.number(n, "min", &n.Min)
	r.number(n, "max", &n.Max)
	allowed, ok := n.Keys.Get("allowed")
	if !ok {
		return
	}
	list, ok := allowed.Data.(List)
	if !ok {
		r.errorf(allowed, n.Path, "allowed: want a list, got %s", allowed.Kind())
		return
	}
	n.Allowed = make([]vehicle.Value, 0, len(list))
	for _, item := range list {
		v, ok := item.Scalar()
		if !ok {
			r.errorf(item, n.Path, "allowed: want texts, numbers and booleans, got %s", item.Kind())
			continue
		}
		n.Allowed = append(n.Allowed, v)
	}
}

// text is the text of a key; false if the leaf has none.
func (r *reader) text(n *Node, key string) (string, bool) {
	v, ok := n.Keys.Get(key)
	if !ok {
		return "", false
	}
	text, ok := v.Data.(string)
	if !ok {
		r.errorf(v, n.Path, "%s: want a text, got %s", key, v.Kind())
	}
	return text, ok
}

func (r *reader) number(n *Node, key string, into *float64) {
	v, ok := n.Keys.Get(key)
	if !ok {
		return
	}
	if number, ok := v.Number(); ok {
		*into = number
		return
	}
	r.errorf(v, n.Path, "%s: want a number, got %s", key, v.Kind())
}

// Number is the value as a float64; false if it is no number or too large a one.
func (v Value) Number() (float64, bool) {
	number, ok := v.Data.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := number.Float64()
	return f, err == nil
}

// Scalar is a text, number or boolean as a value of the vehicle; integers are
// exact.
func (v Value) Scalar() (vehicle.Value, bool) {
	switch data := v.Data.(type) {
	case bool:
		return vehicle.Bool(data), true
	case string:
		return vehicle.String(data), true
	case json.Number:
		if i, err := data.Int64(); err == nil {
			return vehicle.Int(i), true
		}
		f, ok := v.Number()
		return vehicle.Float(f), ok
	}
	return vehicle.Value{}, false
}
