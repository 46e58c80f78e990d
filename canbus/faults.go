package canbus

import (
	"sync"

	"github.com/fascia-edge/fascia/canbus/source"
)

// faults adds up what a bus's sources could not use, over every source it has
// opened.
type faults struct {
	mu   sync.Mutex // guards the fields below
	past source.Counters
	open source.Source // nil between sources
}

func (f *faults) begin(src source.Source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = src
}

// end takes over the counters of the source and returns its first fault, ""
// without one.
func (f *faults) end() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.open.Counters()
	f.past, f.open = add(f.past, last), nil
	return last.First
}

// source is what is open, nil between sources.
func (f *faults) source() source.Source {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

func (f *faults) total() source.Counters {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		return f.past
	}
	return add(f.past, f.open.Counters())
}

func add(a, b source.Counters) source.Counters {
	first := a.First
	if first == "" {
		first = b.First
	}
	return source.Counters{
		TornLines:    a.TornLines + b.TornLines,
		ClockJumps:   a.ClockJumps + b.ClockJumps,
		BadDatagrams: a.BadDatagrams + b.BadDatagrams,
		Dropped:      a.Dropped + b.Dropped,
		First:        first,
	}
}
