// Package filters keeps values by MQTT topic filter, and finds those whose filter
// matches a topic name (MQTT 5.0 §4.7).
package filters

import "strings"

// Tree keeps a value by topic filter, each level of the filter being a step down. It
// costs what its filters have in levels, and a look-up what the name has. The zero
// value is empty. It is not safe for concurrent use.
type Tree[V any] struct{ root node[V] }

// node is one level of the filters below it.
type node[V any] struct {
	children map[string]*node[V]
	value    *V // nil where no filter ends
}

// Get is the value of a filter, nil if there is none.
func (t *Tree[V]) Get(filter string) *V {
	n := &t.root
	for more := true; more && n != nil; {
		var level string
		level, filter, more = strings.Cut(filter, "/")
		n = n.children[level]
	}
	if n == nil {
		return nil
	}
	return n.value
}

// At is the value of a filter, a zero value if there was none. It is there until
// Remove. filter is copied: it may be a part of a whole packet.
func (t *Tree[V]) At(filter string) *V {
	n := &t.root
	for more := true; more; {
		var level string
		level, filter, more = strings.Cut(filter, "/")
		child := n.children[level]
		if child == nil {
			if n.children == nil {
				n.children = make(map[string]*node[V])
			}
			child = &node[V]{}
			n.children[strings.Clone(level)] = child
		}
		n = child
	}
	if n.value == nil {
		n.value = new(V)
	}
	return n.value
}

// Remove takes a filter out, if it is there.
func (t *Tree[V]) Remove(filter string) { t.root.remove(filter) }

// remove cuts what is empty after.
func (n *node[V]) remove(filter string) {
	level, below, more := strings.Cut(filter, "/")
	child := n.children[level]
	if child == nil {
		return
	}
	if more {
		child.remove(below)
	} else {
		child.value = nil
	}
	if child.value == nil && len(child.children) == 0 {
		delete(n.children, level)
	}
}

// Match calls fn with the value of each filter that matches a topic name: of two that
// part at some level first the one that has the name's own there, then `+`, then `#`.
// fn must not change the tree.
func (t *Tree[V]) Match(name string, fn func(*V)) {
	t.root.match(name, strings.HasPrefix(name, "$"), fn)
}

// match walks the levels of rest; dollar tells that wildcards don't count on this one
// [MQTT-4.7.2-1].
func (n *node[V]) match(rest string, dollar bool, fn func(*V)) {
	level, below, more := strings.Cut(rest, "/")
	n.children[level].matchBelow(below, more, fn)
	if dollar {
		return
	}
	n.children["+"].matchBelow(below, more, fn)
	n.children["#"].give(fn)
}

func (n *node[V]) matchBelow(rest string, more bool, fn func(*V)) {
	switch {
	case n == nil:
	case more:
		n.match(rest, false, fn)
	default:
		n.give(fn)
		n.children["#"].give(fn) // a/# matches a too [MQTT-4.7.1-2]
	}
}

func (n *node[V]) give(fn func(*V)) {
	if n != nil && n.value != nil {
		fn(n.value)
	}
}
