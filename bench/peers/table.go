package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

// printHead says what was compared, where and how.
func printHead(w io.Writer, o options, tool string, peers []broker) {
	names := make([]string, len(peers))
	for i, b := range peers {
		names[i] = strings.TrimSpace(b.Name + " " + b.Version)
	}
	first := "fascia bench"
	if tool != "" {
		first = "mqttload"
	}
	fmt.Fprintf(w, "%s, %d CPUs, %s. Medians of %d runs of %s, in turn: %s.\nLoad of qos0, fanout, qos1 and latency: %s; of the other rows: fascia bench.\n\n",
		processor(), runtime.NumCPU(), runtime.Version(), o.runs, o.duration, strings.Join(names, ", "), first)
	fmt.Fprint(w, "| figure |")
	for _, b := range peers {
		fmt.Fprintf(w, " %s |", b.Name)
	}
	fmt.Fprintln(w, " ratio | target | beyond | reached |")
	fmt.Fprintln(w, "|"+strings.Repeat(" --- |", len(peers)+5))
}

func (r *row) print(w io.Writer, peers []broker, measured []outcome) {
	own, peer := index(peers, ours), index(peers, "mosquitto")
	for _, f := range r.figures {
		fmt.Fprintf(w, "| %s |", f.text)
		for i := range peers {
			cell := "—"
			if value, ok := measured[i].median(f.name); ok {
				cell = fmt.Sprintf(f.format, value*f.scale)
			}
			fmt.Fprintf(w, " %s |", cell)
		}
		ratio := "—"
		mine, known := measured[own].median(f.name)
		theirs, both := measured[peer].median(f.name)
		both = both && known && theirs > 0
		if both {
			ratio = fmt.Sprintf("%.2f", mine/theirs)
		}
		judged := mine * f.scale
		if f.goal.ratio {
			judged, known = mine/theirs, both
		}
		fmt.Fprintf(w, " %s | %s | %s | %s |\n", ratio, f.bound(f.goal.target), f.bound(f.goal.beyond), f.goal.reached(judged, known))
	}
}

// bound is a goal in words.
func (f *figure) bound(value float64) string {
	if value == 0 {
		return ""
	}
	sign := "≤ "
	if f.goal.atLeast {
		sign = "≥ "
	}
	if f.goal.ratio {
		return fmt.Sprintf("%s%g ×", sign, value)
	}
	_, unit, _ := strings.Cut(fmt.Sprintf(f.format, value), " ")
	if unit == "" {
		return sign + fmt.Sprintf(f.format, value)
	}
	return fmt.Sprintf("%s%g %s", sign, value, unit)
}

func (g goal) reached(value float64, known bool) string {
	meets := func(bound float64) bool {
		if g.atLeast {
			return value >= bound
		}
		return value <= bound
	}
	switch {
	case g.target == 0:
		return ""
	case !known:
		return "not measured"
	case g.beyond > 0 && meets(g.beyond):
		return "beyond"
	case meets(g.target):
		return "yes"
	}
	return "no"
}

// notes are the faults of a row, each once with how often it was seen.
func (r *row) notes(peers []broker, measured []outcome) (list []string) {
	for i, b := range peers {
		if n := len(measured[i].faults); n > 0 {
			list = append(list, fmt.Sprintf("%s, %s: %s (%d such)", r.name, b.Name, measured[i].faults[0], n))
		}
	}
	return list
}

func index(peers []broker, name string) int {
	return slices.IndexFunc(peers, func(b broker) bool { return b.Name == name })
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // another kernel: the name stays out
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name\t: "); ok {
			return strings.TrimSpace(name)
		}
	}
	return runtime.GOARCH
}
