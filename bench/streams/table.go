package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/fascia-edge/fascia/bench/brokers"
)

// bare is what a figure of bare JetStream has before the name of ours.
const bare = "bare "

// figure is a line of the table.
type figure struct {
	name   string // among the row's values
	text   string
	format string  // of a value, with its unit
	scale  float64 // from the value to that unit
	goal   goal
}

const (
	megabytes = "%.0f MB/s"
	perSecond = "%.0f/s"
	cores     = "%.2f cores"
	aCore     = "%.0f MB/s a core"
	aFrame    = "%.2f bytes"
	millis    = "%.3f ms"
	megas     = "%.1f MB"
)

// goal is a bound on a figure: at most or at least so much, or at least so many times
// what bare JetStream has.
type goal struct {
	kind           goalKind
	target, beyond float64
}

type goalKind int

const (
	noGoal goalKind = iota
	atMost
	atLeast
	timesBare
)

// printHead says where and how it was measured.
func printHead(w io.Writer, o options, fascia brokers.Broker) {
	fmt.Fprintf(w, "%d CPUs, %s, fascia %s. Medians of %d runs.\n\n", runtime.NumCPU(), runtime.Version(), fascia.Version, o.runs)
	fmt.Fprintln(w, "| figure | bare JetStream | fascia | target | beyond | reached |")
	fmt.Fprintln(w, "|"+strings.Repeat(" --- |", 6))
}

func (r *row) print(w io.Writer, m measured) {
	for i := range r.figures {
		f := &r.figures[i]
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", f.text, f.cell(m, bare+f.name), f.cell(m, f.name),
			f.bound(f.goal.target), f.bound(f.goal.beyond), f.reached(m))
	}
}

func (f *figure) cell(m measured, name string) string {
	value, ok := m.median(name)
	if !ok {
		return "—"
	}
	return fmt.Sprintf(f.format, value*f.scale)
}

// bound is a goal in words.
func (f *figure) bound(value float64) string {
	switch f.goal.kind {
	case atMost:
		return "≤ " + fmt.Sprintf(f.format, value)
	case atLeast:
		return "≥ " + fmt.Sprintf(f.format, value)
	case timesBare:
		return fmt.Sprintf("≥ %g × bare", value)
	}
	return ""
}

func (f *figure) reached(m measured) string {
	if f.goal.kind == noGoal {
		return ""
	}
	value, ok := m.median(f.name)
	reference, there := m.median(bare + f.name)
	value *= f.scale
	meets := func(bound float64) bool { return value >= bound }
	switch f.goal.kind {
	case atMost:
		meets = func(bound float64) bool { return value <= bound }
	case timesBare:
		ok = ok && there && reference > 0
		meets = func(bound float64) bool { return value/(reference*f.scale) >= bound }
	}
	switch {
	case !ok:
		return "not measured"
	case meets(f.goal.beyond):
		return "beyond"
	case meets(f.goal.target):
		return "yes"
	}
	return "no"
}
