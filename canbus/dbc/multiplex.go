package dbc

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// mark is what stands behind a signal's name: M for a multiplexer, m3 for a
// signal that a frame carries when the multiplexer has the value 3, m3M for both.
type mark struct {
	multiplexer bool
	multiplexed bool
	bare        bool // a lone m, which says too little
	value       uint64
	at          int // in the text

	selector string  // by SG_MUL_VAL_, "" without
	ranges   []Range // likewise
}

func readMark(text string) (mark, bool) {
	if text == "M" {
		return mark{multiplexer: true}, true
	}
	rest, ok := strings.CutPrefix(text, "m")
	if !ok {
		return mark{}, false
	}
	if rest == "" {
		return mark{bare: true}, true
	}
	digits, both := strings.CutSuffix(rest, "M")
	value, err := strconv.ParseUint(digits, 10, 64)
	return mark{multiplexed: true, multiplexer: both, value: value}, err == nil
}

// selection reads SG_MUL_VAL_ id signal multiplexer first-last, first-last …
func (r *reader) selection(start int) *fault {
	at := r.place(start)
	id, err := r.unsigned()
	if err != nil {
		return err
	}
	name, err := r.name()
	if err != nil {
		return err
	}
	selector, err := r.name()
	if err != nil {
		return err
	}
	ranges, err := r.ranges()
	if err != nil {
		return err
	}
	r.later = append(r.later, func() {
		m, s := r.find(id, name)
		if s == nil {
			return
		}
		mk := m.marks[s]
		switch {
		case m.signals[selector] == nil:
			r.warnAt(at, "message %s has no signal %s on which %s could depend: the mark of %s alone counts", m.Name, selector, name, name)
			return
		case mk.selector != "" && mk.selector != selector:
			r.warnAt(at, "signal %s.%s depends on %s already: that it depends on %s too is passed over", m.Name, name, mk.selector, selector)
			return
		}
		mk.selector, mk.ranges = selector, append(mk.ranges, ranges...)
		m.marks[s] = mk
	})
	return nil
}

func (r *reader) ranges() ([]Range, *fault) {
	var ranges []Range
	for {
		first, err := r.unsigned()
		if err != nil {
			return nil, err
		}
		last := first
		if r.accept('-') {
			if last, err = r.unsigned(); err != nil {
				return nil, err
			}
		}
		ranges = append(ranges, Range{min(first, last), max(first, last)})
		r.accept(',')
		if r.space(); !isDigit(r.peek()) {
			return ranges, nil
		}
	}
}

// multiplex finds for each multiplexed signal of a message its multiplexer, and
// leaves out those for which there is none.
func (r *reader) multiplex(m *building) {
	root := r.roots(m)
	for _, s := range m.Signals {
		mk := m.marks[s]
		s.Multiplexed = mk.multiplexed || mk.selector != ""
		switch {
		case mk.selector != "":
			s.Selector = m.signals[mk.selector]
			s.Selected = joined(mk.ranges)
			if !m.marks[s.Selector].multiplexer && !s.Selector.Multiplexer {
				r.warnAt(s.Selector.Place, "signal %s.%s has no mark M and %s depends on it: it is read as a multiplexer", m.Name, s.Selector.Name, s.Name)
			}
			s.Selector.Multiplexer = true
		case mk.multiplexed && root != nil:
			s.Selector, s.Selected = root, []Range{{mk.value, mk.value}}
		}
		if len(s.Selected) > 0 {
			s.MuxValue = s.Selected[0].First
		}
	}
	for lost := true; lost; {
		lost = r.leaveOutLost(m)
	}
}

// roots sets which signals are multiplexers by their mark, and gives the one on
// which those depend that SG_MUL_VAL_ says nothing about: the first.
func (r *reader) roots(m *building) (root *Signal) {
	var selectors []string // by SG_MUL_VAL_
	for _, mk := range m.marks {
		if mk.selector != "" {
			selectors = append(selectors, mk.selector)
		}
	}
	for _, s := range m.Signals {
		mk := m.marks[s]
		s.Multiplexer = mk.multiplexer
		switch {
		case !mk.multiplexer || mk.multiplexed:
		case root == nil:
			root = s
		case !slices.Contains(selectors, s.Name):
			s.Multiplexer = false
			r.warnAt(s.Place, "message %s has a second multiplexer %s beside %s: it is read as a plain signal", m.Name, s.Name, root.Name)
		}
	}
	for _, s := range m.Signals {
		if !m.marks[s].bare {
			continue
		}
		if root != nil {
			r.warn(m.marks[s].at, "signal %s.%s: want M, or m and a number: it is read as a plain signal", m.Name, s.Name)
			continue
		}
		root, s.Multiplexer = s, true
		r.warn(m.marks[s].at, "signal %s.%s: want M, or m and a number: it is read as the multiplexer, which the message lacks", m.Name, s.Name)
	}
	return root
}

// leaveOutLost leaves out the multiplexed signals that no frame can carry: their
// multiplexer is not there, or depends on them. It reports whether there were
// some, for others may depend on those.
func (r *reader) leaveOutLost(m *building) bool {
	var kept, lost []*Signal
	for _, s := range m.Signals {
		switch {
		case s.Multiplexed && (s.Selector == nil || m.signals[s.Selector.Name] != s.Selector):
			r.leftOut(s.Place, "signal %s.%s is multiplexed and its message has no multiplexer: it is left out", m.Name, s.Name)
		case s.circular():
			r.leftOut(s.Place, "signal %s.%s depends on the multiplexer %s, which depends on it: it is left out", m.Name, s.Name, s.Selector.Name)
		default:
			kept = append(kept, s)
			continue
		}
		lost = append(lost, s)
	}
	for _, s := range lost {
		delete(m.signals, s.Name)
	}
	m.Signals = kept
	return len(lost) > 0
}

// circular reports whether the signal depends on itself.
func (s *Signal) circular() bool {
	up := s.Selector
	for range s.Message.Signals { // a chain that is longer circles above the signal
		if up == nil || up == s {
			break
		}
		up = up.Selector
	}
	return up == s
}

// joined are ranges in ascending order, those that touch made one.
func joined(ranges []Range) []Range {
	ranges = slices.Clone(ranges)
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	out := ranges[:1]
	for _, next := range ranges[1:] {
		last := &out[len(out)-1]
		if next.First <= last.Last || next.First == last.Last+1 {
			last.Last = max(last.Last, next.Last)
		} else {
			out = append(out, next)
		}
	}
	return out
}

// together reports whether one frame can carry both signals: no multiplexer is
// asked to have two values.
func (s *Signal) together(other *Signal) bool {
	for a := s; a.Selector != nil; a = a.Selector {
		for b := other; b.Selector != nil; b = b.Selector {
			if a.Selector == b.Selector && !overlap(a.Selected, b.Selected) {
				return false
			}
		}
	}
	return true
}

func overlap(a, b []Range) bool {
	for _, x := range a {
		for _, y := range b {
			if x.First <= y.Last && y.First <= x.Last {
				return true
			}
		}
	}
	return false
}
