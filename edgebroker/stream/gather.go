package stream

import (
	"context"
	"sync"
	"time"
)

const (
	// crowd is to how many clients at once a message goes that may wait. What goes
	// to fewer may be an answer that somebody waits for.
	crowd = 4
	// gatherBytes are written at once, however early.
	gatherBytes = 16 << 10
)

// Gatherer writes what comes in quick succession for many clients together: at a
// thousand messages a second to each of fifty, the system calls are nearly all
// that a message costs. A client that was written to a moment ago rests until
// the next round, at most the delay later; one that was not is written to at once.
// It is safe for concurrent use.
type Gatherer struct {
	delay time.Duration // 0 for never
	woken chan struct{}

	mu      sync.Mutex // taken with an Out's mu held
	resting []*Out
}

// NewGatherer makes one that lets bytes rest for a delay at most; 0 to write
// everything at once.
func NewGatherer(delay time.Duration) *Gatherer {
	return &Gatherer{delay: delay, woken: make(chan struct{}, 1)}
}

// add has o flushed by the next round.
func (g *Gatherer) add(o *Out) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.resting) == 0 {
		select {
		case g.woken <- struct{}{}:
		default: // it has not begun to wait for this round
		}
	}
	g.resting = append(g.resting, o)
}

// Run makes the rounds until ctx ends. What rests then is left to the ends of the
// connections.
func (g *Gatherer) Run(ctx context.Context) {
	var round, spare []*Out
	var later Burst
	timer := time.NewTimer(g.delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.woken:
			timer.Reset(g.delay)
			continue
		case <-timer.C:
		}
		g.mu.Lock()
		round, g.resting = g.resting, spare
		g.mu.Unlock()
		at := time.Now()
		for i, o := range round {
			o.rouse(at)
			o.flush(&later)
			round[i] = nil
		}
		later.Flush()
		spare = round[:0]
	}
}

// rest leaves what waits to the next round. It reports false where o is to be
// flushed now.
func (o *Out) rest(at time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.buf == nil, o.busy, len(o.buf.bytes) >= gatherBytes:
		return false
	case o.resting:
		return true
	case at.Sub(o.flushed) >= 2*o.gather.delay:
		o.flushed = at
		return false
	}
	o.resting = true
	o.gather.add(o)
	return true
}

// rouse ends the rest.
func (o *Out) rouse(at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.resting, o.flushed = false, at
}
