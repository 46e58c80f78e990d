package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
)

// figure is a line of the table.
type figure struct {
	name   string // among those that the scenario gives
	text   string
	format string  // of a value, with its unit
	scale  float64 // from what the scenario gives to that unit
	goal   goal
}

const (
	perSecond = "%.0f/s"
	millis    = "%.2f ms"
	micros    = "%.1f µs"
	mebi      = "%.1f MB"
	count     = "%.0f"
)

// goal is what our figure should be: a bound on it, or at least that many times the bare
// publisher's.
type goal struct {
	ofBare, limited bool
	target, beyond  float64
}

func ofBare(target, beyond float64) goal { return goal{true, true, target, beyond} }
func within(target, beyond float64) goal { return goal{false, true, target, beyond} }
func most(target float64) goal           { return goal{false, true, target, target} }

// printHead says what was compared, where and how.
func printHead(w io.Writer, o options, subjects []subject) {
	names := make([]string, len(subjects))
	for i, s := range subjects {
		names[i] = strings.TrimSpace(s.name + " " + s.program.Version)
	}
	fmt.Fprintf(w, "%d CPUs, %s. Medians of %d runs, in turn: %s. Payloads of %d bytes.\n\n", runtime.NumCPU(), runtime.Version(), o.runs, strings.Join(names, ", "), o.size)
	fmt.Fprint(w, "| figure |")
	for _, s := range subjects {
		fmt.Fprintf(w, " %s |", s.name)
	}
	fmt.Fprintln(w, " target | beyond | reached |")
	fmt.Fprintln(w, "|"+strings.Repeat(" --- |", len(subjects)+4))
}

func (r *row) print(w io.Writer, subjects []subject, m measured) {
	for _, f := range r.figures {
		fmt.Fprintf(w, "| %s |", f.text)
		for i := range subjects {
			cell := "—"
			if value, ok := m.median(i, f.name); ok {
				cell = fmt.Sprintf(f.format, value*f.scale)
			}
			fmt.Fprintf(w, " %s |", cell)
		}
		fmt.Fprintf(w, " %s | %s | %s |\n", f.bound(f.goal.target), f.bound(f.goal.beyond), f.reached(subjects, m))
	}
}

// bound is a goal in words.
func (f *figure) bound(value float64) string {
	switch {
	case !f.goal.limited:
		return ""
	case f.goal.ofBare:
		return fmt.Sprintf("≥ %g × bare", value)
	}
	return "≤ " + fmt.Sprintf(f.format, value)
}

func (f *figure) reached(subjects []subject, m measured) string {
	if !f.goal.limited {
		return ""
	}
	at := func(name string) int {
		return slices.IndexFunc(subjects, func(s subject) bool { return s.name == name })
	}
	value, known := m.median(at(ours), f.name)
	value *= f.scale
	meets := func(bound float64) bool { return value <= bound }
	if f.goal.ofBare {
		reference, there := m.median(at(none), f.name)
		known = known && there && reference > 0
		meets = func(bound float64) bool { return value/reference >= bound }
	}
	switch {
	case !known:
		return "not measured"
	case meets(f.goal.beyond):
		return "beyond"
	case meets(f.goal.target):
		return "yes"
	}
	return "no"
}
