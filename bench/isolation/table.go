package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
)

// latencies are those of the calm pairs, in microseconds, a value a round.
type latencies struct{ p50, p99 []float64 }

// measured is what a kind of broker came to in a case.
type measured struct {
	alone, disturbed, elsewhere latencies
	lost                        uint64   // messages of the calm pairs
	did                         string   // what the disturbing clients got done in the last round
	faults                      []string // rounds that failed
}

func printHead(w io.Writer, o options) {
	fmt.Fprintf(w, `%d pairs at %d messages a second of %d bytes, QoS 0; %d CPUs, %s. Medians of %d rounds of %s.

- alone: nobody else at the broker.
- disturbed: the clients of that line at the same broker. Ratio: to alone.
- elsewhere: the same clients at a second broker of the same kind, so that only
  the machine is shared. Own ratio: disturbed to elsewhere, what is the broker's.

| disturbance | broker | alone p50 / p99 | disturbed p50 / p99 | ratio p50 / p99 | elsewhere p50 / p99 | own ratio p50 / p99 |
| --- | --- | --- | --- | --- | --- | --- |
`, calmPairs, calmRate, calmSize, runtime.NumCPU(), runtime.Version(), o.runs, o.duration)
}

func printRow(w io.Writer, c scenario, k kind, m measured) {
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", c.text, k.Name,
		m.alone, m.disturbed, ratio(m.disturbed, m.alone), m.elsewhere, ratio(m.disturbed, m.elsewhere))
}

// notes say what went wrong, each fault once with how often it was seen, and how
// much the disturbance came to.
func (m *measured) notes(c scenario, k kind) (list []string) {
	if m.did != "" {
		list = append(list, fmt.Sprintf("%s, %s: %s", c.name, k.Name, m.did))
	}
	if m.lost > 0 {
		list = append(list, fmt.Sprintf("%s, %s: the pairs lost %d messages", c.name, k.Name, m.lost))
	}
	if n := len(m.faults); n > 0 {
		list = append(list, fmt.Sprintf("%s, %s: %s (%d such)", c.name, k.Name, m.faults[0], n))
	}
	return list
}

func printNotes(w io.Writer, notes []string) {
	if len(notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range notes {
		fmt.Fprintln(w, "- "+note)
	}
}

// String is both medians in milliseconds.
func (l latencies) String() string {
	if len(l.p50) == 0 {
		return "—"
	}
	return fmt.Sprintf("%.2f / %.2f ms", median(l.p50)/1e3, median(l.p99)/1e3)
}

func ratio(a, b latencies) string {
	if len(a.p50) == 0 || len(b.p50) == 0 || median(b.p50) == 0 || median(b.p99) == 0 {
		return "—"
	}
	return fmt.Sprintf("%.1f / %.1f", median(a.p50)/median(b.p50), median(a.p99)/median(b.p99))
}

// median is the middle of values, of which there is at least one.
func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
