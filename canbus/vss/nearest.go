package vss

import (
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/config"
)

// Nearest is the leaf that a mistyped path most likely meant: the one whose
// names are near on every level, else one of the same last name in another
// place. Comparing level by level keeps it cheap: whole paths are long, and a
// catalogue has a thousand.
func (t *Tree) Nearest(path string) (string, bool) {
	names := strings.Split(path, ".")
	if n := t.top.nearest(names); n != nil {
		return n.Path, true
	}
	last := names[len(names)-1]
	var alike []string
	for _, leaf := range t.Leaves {
		if strings.EqualFold(leaf.name, last) {
			alike = append(alike, leaf.Path)
		}
	}
	switch {
	case len(alike) == 1 && len(last) > 4: // "Left" and "IsOn" say nothing
		return alike[0], true
	case len(alike) > 0:
		return config.Nearest(path, alike)
	}
	return "", false
}

// nearest descends by the names, each exact or nearly so; nil if that doesn't
// end at a leaf.
func (n *Node) nearest(names []string) *Node {
	if len(names) == 0 {
		if n.Kind == branch {
			return nil
		}
		return n
	}
	known := make([]string, len(n.children))
	for i, child := range n.children {
		known[i] = child.name
	}
	name := names[0]
	if !slices.Contains(known, name) {
		near, ok := config.Nearest(name, known)
		if !ok {
			return nil
		}
		name = near
	}
	return n.children[slices.Index(known, name)].nearest(names[1:])
}
