package export

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// patience is how long a batch may take before exporters of a lower priority go on
// beside it: its far side may be dead, and theirs not.
const patience = 30 * clock.Second

// Uplink shares what the vehicle can send among exporters. Who has a batch ready
// sends before all of a lower priority; those of one priority send side by side, and
// take turns where there is a rate for all. One that has failed and tries again keeps
// nobody waiting. It is safe for concurrent use.
type Uplink struct {
	mu      sync.Mutex // guards the fields below
	limiter limiter
	claims  []*claim // those that wait or send
	tickets uint64
	changed chan struct{} // closed when one that waits should look again
}

// NewUplink makes an uplink for so many bytes a second in all, 0 for any.
func NewUplink(rate int64) *Uplink {
	return &Uplink{limiter: limiter{rate: rate}, changed: make(chan struct{})}
}

// SetRate changes the rate, 0 for any.
func (u *Uplink) SetRate(rate int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.limiter = limiter{rate: rate}
	u.wake()
}

// claim is an exporter's place at an uplink.
type claim struct {
	uplink   *Uplink
	priority int

	// Guarded by Uplink.mu.
	ticket  uint64 // orders those of one priority that wait; 0 for one that is not there
	sending bool
	since   clock.Time
	modest  bool // keeps nobody waiting
}

// claim makes a place; nil for an exporter that uses no uplink, whose claim never
// waits.
func (u *Uplink) claim(priority int) *claim {
	if u == nil {
		return nil
	}
	return &claim{uplink: u, priority: priority}
}

// take waits until it is the exporter's turn. The error is ctx's.
func (c *claim) take(ctx context.Context, modest bool) error {
	if c == nil {
		return ctx.Err()
	}
	u := c.uplink
	u.mu.Lock()
	if c.ticket == 0 {
		c.enter()
	}
	c.modest = modest
	for {
		wait := c.wait(clock.Now())
		if wait == 0 {
			c.sending, c.since = true, clock.Now()
			u.wake() // the next one of the same priority
			u.mu.Unlock()
			return nil
		}
		changed := u.changed
		u.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			c.leave()
			return ctx.Err()
		}
		timer.Stop()
		u.mu.Lock()
	}
}

// wait is how long to wait before looking again, 0 if it is this claim's turn. mu is
// held.
func (c *claim) wait(now clock.Time) time.Duration {
	u := c.uplink
	wait := u.limiter.wait(now)
	for _, other := range u.claims {
		switch {
		case other == c:
		case other.sending:
			if left := other.since + patience - now; other.priority < c.priority && !other.modest && left > 0 {
				wait = max(wait, time.Duration(left))
			}
		case other.priority < c.priority || other.priority == c.priority && other.ticket < c.ticket:
			wait = max(wait, time.Duration(patience)) // it wakes the others when it goes
		}
	}
	return wait
}

// sent counts what a turn has sent and queues up for the next one, with no gap in
// which one of a lower priority could begin.
func (c *claim) sent(bytes int64) {
	if c == nil {
		return
	}
	u := c.uplink
	u.mu.Lock()
	defer u.mu.Unlock()
	u.limiter.spend(bytes, clock.Now())
	c.remove()
	c.enter()
	u.wake()
}

// leave gives up the place until the next take.
func (c *claim) leave() {
	if c == nil {
		return
	}
	u := c.uplink
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.ticket != 0 {
		c.remove()
		u.wake()
	}
}

// enter and remove are called with mu held.
func (c *claim) enter() {
	u := c.uplink
	u.tickets++
	c.ticket, c.sending = u.tickets, false
	u.claims = append(u.claims, c)
}

func (c *claim) remove() {
	u := c.uplink
	u.claims = slices.DeleteFunc(u.claims, func(other *claim) bool { return other == c })
	c.ticket, c.sending = 0, false
}

// wake has all that wait look again. mu is held.
func (u *Uplink) wake() {
	close(u.changed)
	u.changed = make(chan struct{})
}
