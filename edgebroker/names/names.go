// Package names keeps values by topic name, in the order of the names, so that
// what a filter matches is found without a look at most of the rest, and in steps:
// a search among a million names need not hold a lock while it lasts.
package names

import (
	"slices"
	"sort"
	"strings"
)

// leafSize is how many names a leaf holds at most. Inserting moves half of one on
// average, splitting moves the list of leaves: both stay short for a million
// names.
const leafSize = 256

// Step is how many names a search looks at with one hold of the lock that their
// publishers wait for: some 13 µs at most.
const Step = 64

// Map keeps values by topic name. The zero value is empty. It holds on to the
// names that it is given. It is not safe for concurrent use, but may change
// between the steps of a search.
type Map[T any] struct {
	leaves [][]named[T] // none is empty
	n      int
}

type named[T any] struct {
	name  string
	value T
}

// Len is how many names there are.
func (m *Map[T]) Len() int { return m.n }

// Get is the value of a name, the zero value if there is none.
func (m *Map[T]) Get(name string) (value T) {
	if leaf, at, found := m.find(name); found {
		value = m.leaves[leaf][at].value
	}
	return value
}

// Put keeps value in place of the one that the name had.
func (m *Map[T]) Put(name string, value T) {
	leaf, at, found := m.find(name)
	if found {
		m.leaves[leaf][at] = named[T]{name, value}
		return
	}
	m.n++
	if len(m.leaves) == 0 {
		m.leaves = append(m.leaves, nil)
	}
	l := slices.Insert(m.leaves[leaf], at, named[T]{name, value})
	if m.leaves[leaf] = l; len(l) > leafSize {
		half := slices.Clone(l[len(l)/2:])
		clear(l[len(l)/2:])
		m.leaves[leaf] = l[:len(l)/2]
		m.leaves = slices.Insert(m.leaves, leaf+1, half)
	}
}

// Delete removes a name, if it is there.
func (m *Map[T]) Delete(name string) {
	leaf, at, found := m.find(name)
	if !found {
		return
	}
	m.n--
	l := slices.Delete(m.leaves[leaf], at, at+1)
	m.leaves[leaf] = l
	// What has become small goes to its neighbour: else a leaf would be left over
	// for every few of many names that are gone.
	switch {
	case len(l) == 0:
		m.leaves = slices.Delete(m.leaves, leaf, leaf+1)
	case leaf > 0 && len(m.leaves[leaf-1])+len(l) <= leafSize/2:
		m.leaves[leaf-1] = append(m.leaves[leaf-1], l...)
		m.leaves = slices.Delete(m.leaves, leaf, leaf+1)
	}
}

// find is the place of name or, if it is not there, where it belongs.
func (m *Map[T]) find(name string) (leaf, at int, found bool) {
	leaf = sort.Search(len(m.leaves), func(i int) bool { return m.leaves[i][0].name > name })
	if leaf == 0 {
		return 0, 0, false
	}
	leaf--
	l := m.leaves[leaf]
	at = sort.Search(len(l), func(i int) bool { return l[i].name >= name })
	return leaf, at, at < len(l) && l[at].name == name
}

// Match is a step of a search for what filter matches [MQTT-4.7], which must be
// valid. It looks at no more than so many names, from the name from on ("" is the
// first), and appends their values to list. The search goes on from next if there
// may be more; what is there during all of its steps is found exactly once.
func (m *Map[T]) Match(filter, from string, looks int, list []T) (found []T, next string, more bool) {
	leaf, at, _ := m.find(from)
	for ; leaf < len(m.leaves); leaf, at = leaf+1, 0 {
		for l := m.leaves[leaf]; at < len(l); looks-- {
			name := l[at].name
			if looks <= 0 {
				return list, name, true
			}
			verdict, cut, level := compare(filter, name)
			switch verdict {
			case matches:
				list = append(list, l[at].value)
				at++
				continue
			case differs:
				at++
				continue
			case over:
				return list, "", false
			}
			target := verdict.target(name[:cut], level)
			if target <= l[len(l)-1].name { // mostly a few places on
				at += sort.Search(len(l)-at, func(i int) bool { return l[at+i].name >= target })
				continue
			}
			if leaf, at, _ = m.find(target); leaf >= len(m.leaves) {
				return list, "", false
			}
			l = m.leaves[leaf]
		}
	}
	return list, "", false
}

// After appends the values of up to so many names, from the name from on. Like a
// step of Match it tells where to go on.
func (m *Map[T]) After(from string, most int, list []T) (values []T, next string, more bool) {
	leaf, at, _ := m.find(from)
	for ; leaf < len(m.leaves); leaf, at = leaf+1, 0 {
		for ; at < len(m.leaves[leaf]); at++ {
			if most--; most < 0 {
				return list, m.leaves[leaf][at].name, true
			}
			list = append(list, m.leaves[leaf][at].value)
		}
	}
	return list, "", false
}

// verdict is how a name relates to a filter, and with it where the next name is
// that may match. Names are in the order of their bytes, so all that is below
// a/ stands together, and a0 comes behind it: '0' follows '/'.
type verdict int

const (
	matches verdict = iota
	differs         // the next name may match
	over            // no name behind it matches
	before          // the name is before its first levels with the filter's level
	beside          // the same, with what is below that level
	behind          // the name is behind all that match among those with its first levels
)

// target is the least name that may match behind one with those first levels.
func (v verdict) target(levels, level string) string {
	switch v {
	case before:
		return levels + level
	case beside:
		return levels + level + "/"
	}
	return levels[:len(levels)-1] + "0"
}

// compare takes filter and name level by level. cut is the length of the first
// levels that the verdict speaks of, with their slash.
func compare(filter, name string) (v verdict, cut int, level string) {
	if name[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
		return before, 0, "%" // which follows '$' [MQTT-4.7.2-1]
	}
	for {
		level, rest, more := strings.Cut(filter, "/")
		if level == "#" {
			return matches, 0, ""
		}
		own, below, deeper := strings.Cut(name[cut:], "/")
		switch {
		case level != "+" && own != level:
			v = place(name[cut:], level, more)
			if v == behind && cut == 0 {
				v = over
			}
			return v, cut, level
		case !deeper && (!more || rest == "#"): // a/# matches a too [MQTT-4.7.1-2]
			return matches, 0, ""
		case !deeper:
			return differs, 0, ""
		case !more:
			return behind, cut + len(own) + 1, ""
		}
		filter, cut = rest, len(name)-len(below)
	}
}

// place tells where the rest of a name stands that does not begin with a level.
func place(rest, level string, more bool) verdict {
	switch {
	case rest < level:
		return before
	case more && rest < level+"/":
		return beside
	}
	return behind
}
