// Package vss reads trees of the Vehicle Signal Specification in JSON, as
// COVESA's vss-tools export them: the catalogue itself, and mapping files of
// KUKSA's CAN provider, which are a catalogue with more keys in its leaves.
package vss

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// Tree is a VSS tree. It does not change once it is read.
type Tree struct {
	File string
	// Leaves are the sensors, actuators and attributes, in the order of the file.
	Leaves []*Node

	top    *Node // of all roots, without a name
	byPath map[string]*Node
	text   []byte // for places
}

// Node is a branch or a leaf of a tree.
type Node struct {
	Path     string // with dots
	Kind     string // branch, sensor, actuator or attribute
	Datatype string // of a leaf, such as uint8 or string[]
	Unit     string // "" if it has none
	// Min and Max bound what a leaf can be assigned; they are infinite where the
	// tree does not say.
	Min, Max float64
	// Allowed are the only values that a leaf can be assigned; nil is all.
	Allowed []vehicle.Value
	// Keys are all of the leaf's keys, those of others than VSS among them.
	Keys Object

	value    Value
	name     string
	children []*Node
}

// Load reads a tree from a file. The error is a config.Errors.
func Load(file string) (*Tree, error) {
	text, err := config.ReadFile(file)
	if err != nil {
		return nil, config.Errors{{File: file, Message: err.Error()}}
	}
	return Parse(file, text)
}

// Parse is Load for text that is already read; file stands in errors. The text
// must not be changed afterwards.
func Parse(file string, text []byte) (*Tree, error) {
	t := &Tree{File: file, top: &Node{}, byPath: map[string]*Node{}, text: text}
	root, err := parseJSON(text)
	if err != nil {
		f := err.(*fault) //nolint:errorlint // parseJSON returns no other, and unwrapped
		return nil, config.Errors{t.problem(f.offset, "", f.reason)}
	}
	object, ok := root.Data.(Object)
	if !ok {
		return nil, config.Errors{t.Errorf(root, "", "want a VSS tree, an object with the key Vehicle, got %s", root.Kind())}
	}
	r := reader{tree: t}
	r.children(t.top, object)
	if len(r.problems) == 0 && len(t.Leaves) == 0 {
		r.errorf(root, "", "want a VSS tree, an object with the key Vehicle: no leaf is in it")
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return t, nil
}

// Leaf finds a sensor, actuator or attribute by its path; nil if there is none.
func (t *Tree) Leaf(path string) *Node {
	if n := t.byPath[path]; n != nil && n.Kind != branch {
		return n
	}
	return nil
}

// IsBranch reports whether the path is one that only groups others.
func (t *Tree) IsBranch(path string) bool {
	n := t.byPath[path]
	return n != nil && n.Kind == branch
}

// Version is the version that the tree gives itself, such as 5.1, by the
// defaults of Vehicle.VersionVSS; "" if it gives none.
func (t *Tree) Version() string {
	var parts []string
	for _, name := range []string{"Major", "Minor"} {
		leaf := t.byPath["Vehicle.VersionVSS."+name]
		if leaf == nil {
			return ""
		}
		value, _ := leaf.Keys.Get("default")
		number, ok := value.Data.(json.Number)
		if !ok {
			return ""
		}
		parts = append(parts, number.String())
	}
	return strings.Join(parts, ".")
}

// Errorf makes a problem at a value's place; path is the VSS path that it is
// about, "" for none.
func (t *Tree) Errorf(at Value, path, format string, args ...any) config.Problem {
	return t.problem(at.offset, path, fmt.Sprintf(format, args...))
}

// Place gives the line and column of a leaf, both from 1.
func (t *Tree) Place(n *Node) (line, column int) { return t.place(n.value.offset) }

// At is the leaf as a value, for Errorf.
func (n *Node) At() Value { return n.value }

func (t *Tree) problem(offset int, path, message string) config.Problem {
	line, column := t.place(offset)
	return config.Problem{File: t.File, Line: line, Column: column, Path: path, Message: message}
}

func (t *Tree) place(offset int) (line, column int) {
	before := t.text[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[start:]) + 1
}

// Holds reports whether the leaf can be assigned the value: within Min and Max,
// and one of Allowed if there are any.
func (n *Node) Holds(v vehicle.Value) bool {
	if number, ok := v.Number(); ok && (number < n.Min || number > n.Max) {
		return false
	}
	if n.Allowed == nil {
		return true
	}
	for _, allowed := range n.Allowed {
		if same(v, allowed) {
			return true
		}
	}
	return false
}

// same takes 1 and 1.0 for one value.
func same(v, w vehicle.Value) bool {
	a, isNumber := v.Number()
	b, too := w.Number()
	return v == w || isNumber && too && a == b
}

// Bounded reports whether the leaf can be assigned less than its data type holds.
func (n *Node) Bounded() bool {
	return n.Allowed != nil || !math.IsInf(n.Min, -1) || !math.IsInf(n.Max, 1)
}
