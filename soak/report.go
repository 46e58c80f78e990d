package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The kinds of faults.
const (
	lost       = "lost although acknowledged"
	duplicated = "received twice at QoS 2"
	reordered  = "first received after a later one"
	repeated   = "received on one connection more often than sent"
	stray      = "never sent, damaged, or not subscribed to"
	forgotten  = "session or subscription forgotten"
	invented   = "session said to be there that was not"
	stale      = "retained value older than the last acknowledged"
	cancelled  = "will published although cancelled in time"
	unanswered = "never acknowledged"
	illegal    = "against the protocol"
)

const (
	// maxNumbers is how many numbers of messages are kept of one fault.
	maxNumbers = 2000
	// maxPlaces is how many places of a kind the report has.
	maxPlaces = 10
	// maxRanges is how many ranges of numbers a line of the report has.
	maxRanges = 12
)

// fault is one kind of fault at one place.
type fault struct {
	kind  string
	where string // "receiver of stream", or a client
}

// occurrences are the numbers of the messages it happened to, and what can be
// said of the first.
type occurrences struct {
	count   int
	numbers []int
	first   string
}

// blame notes a fault. The number is that of the message in its stream, or -1.
func (l *ledger) blame(kind, where string, number int, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.faults[fault{kind, where}]
	if o == nil {
		o = &occurrences{first: fmt.Sprintf("%v: %s", l.now(), fmt.Sprintf(format, args...))}
		l.faults[fault{kind, where}] = o
	}
	o.count++
	if number >= 0 && len(o.numbers) < maxNumbers {
		o.numbers = append(o.numbers, number)
	}
}

// report tells the faults by kind and place, with the numbers of the messages,
// and what was done to the broker; "" if there are none.
func (l *ledger) report() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) == 0 {
		return ""
	}
	byKind := make(map[string][]fault)
	for f := range l.faults {
		byKind[f.kind] = append(byKind[f.kind], f)
	}
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		places := byKind[kind]
		slices.SortFunc(places, func(a, b fault) int { return strings.Compare(a.where, b.where) })
		total := 0
		for _, f := range places {
			total += l.faults[f].count
		}
		fmt.Fprintf(&b, "%s: %d\n", kind, total)
		for i, f := range places {
			if i == maxPlaces {
				fmt.Fprintf(&b, "\tand in %d other places\n", len(places)-i)
				break
			}
			o := l.faults[f]
			fmt.Fprintf(&b, "\t%s: %d", f.where, o.count)
			if len(o.numbers) > 0 {
				fmt.Fprintf(&b, ", numbers %s", ranges(o.numbers))
			}
			fmt.Fprintf(&b, "; first %s\n", o.first)
		}
	}
	b.WriteString("what was done to the broker:\n")
	for _, e := range l.events {
		fmt.Fprintf(&b, "\t%s\n", e)
	}
	return b.String()
}

// ranges is "1-3 7 9-12".
func ranges(numbers []int) string {
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	var text []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if len(text) == maxRanges {
			return strings.Join(append(text, "…"), " ")
		}
		if i == j {
			text = append(text, fmt.Sprint(numbers[i]))
		} else {
			text = append(text, fmt.Sprintf("%d-%d", numbers[i], numbers[j]))
		}
		i = j + 1
	}
	return strings.Join(text, " ")
}
