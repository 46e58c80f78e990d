package outage

import (
	"slices"
	"time"
)

// Came is what arrived in a part of a run.
type Came struct {
	Messages    int // first arrivals
	First, Last time.Duration
	// Waited is how long each was under way, from its first sending, shortest first.
	Waited []time.Duration
}

// Rate is messages a second between the first and the last; 0 where that says nothing.
func (c Came) Rate() float64 {
	if c.Messages < 2 || c.Last <= c.First {
		return 0
	}
	return float64(c.Messages-1) / (c.Last - c.First).Seconds()
}

// Percentile is the wait that so many of a hundred messages did not exceed.
func (c Came) Percentile(percent float64) time.Duration {
	if len(c.Waited) == 0 {
		return 0
	}
	return c.Waited[min(int(percent/100*float64(len(c.Waited))), len(c.Waited)-1)]
}

// Now is a moment of the run, for Came.
func (l *Ledger) Now() time.Duration { return time.Duration(l.now()) }

// Came is what arrived since a moment; First and Last are counted from it.
func (l *Ledger) Came(since time.Duration) (c Came) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.topics {
		for number, at := range p.arrived {
			at := time.Duration(at) - since
			if p.arrived[number] == 0 || at < 0 {
				continue
			}
			if c.Messages == 0 || at < c.First {
				c.First = at
			}
			c.Last = max(c.Last, at)
			c.Messages++
			c.Waited = append(c.Waited, time.Duration(p.arrived[number]-p.sent[number]))
		}
	}
	slices.Sort(c.Waited)
	return c
}
