package kinesis

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// firstCall, leastCall are bytes of a call: it grows while calls are quick and
	// shrinks where they are slow, so that a call that is cut costs seconds of a link.
	firstCall = 1 << 20
	leastCall = 256 << 10

	quickCall = time.Second
	slowCall  = 5 * time.Second

	// A shard takes 1 MB/s: from a sixteenth of it, in eight seconds back to it.
	leastRate = 64 << 10  // bytes a second
	rateStep  = 128 << 10 // bytes a second, each second
	// lowerEvery is how long the rate stays after it fell: a shard counts by the second,
	// and has not heard of the lower one yet.
	lowerEvery = time.Second
)

// pace is how fast records go. After Kinesis throttles it is the rate that passed,
// less by up to a half as more of a call was refused; then it rises steadily (AIMD).
// Its clock is what it is given.
type pace struct {
	call  int     // bytes that the next call may have
	rate  float64 // bytes a second; 0 for as fast as it goes
	least float64 // rate
	next  time.Time
	held  bool // the rate kept the last call waiting

	raised  time.Time // when the rate changed last
	lowered time.Time // when it fell last
	// What passed since began, and the rate of the time before.
	began  time.Time
	passed int
	before float64
}

// reserve is how long a call of so many bytes has to wait.
func (p *pace) reserve(now time.Time, bytes int) time.Duration {
	if p.rate == 0 {
		return 0
	}
	start := now
	if p.held = p.next.After(now); p.held {
		start = p.next
	}
	p.next = start.Add(time.Duration(float64(bytes) / p.rate * float64(time.Second)))
	return start.Sub(now)
}

// result takes in how a call went: the bytes taken, and those throttled.
func (p *pace) result(now time.Time, took time.Duration, taken, throttled int) {
	p.measure(now, took, taken)
	switch {
	case throttled > 0:
		if p.rate == 0 {
			p.rate = max(p.before, float64(p.passed)/max(now.Sub(p.began), time.Second).Seconds())
		}
		if now.Sub(p.lowered) >= lowerEvery {
			share := float64(throttled) / float64(taken+throttled)
			p.rate = max(p.rate*(1-share/2), p.least)
			p.lowered = now
		}
		p.raised = now
	case p.rate > 0 && p.held:
		p.rate += rateStep * min(now.Sub(p.raised).Seconds(), 1)
		p.raised = now
	}
	switch {
	case took < quickCall && throttled == 0:
		p.call = min(2*p.call, maxCall)
	case took > slowCall:
		p.call = max(p.call/2, leastCall)
	}
}

// cut takes in that a call was lost on its way.
func (p *pace) cut() { p.call = max(p.call/2, leastCall) }

// measure keeps the rate at which bytes pass, over a second or more.
func (p *pace) measure(now time.Time, took time.Duration, taken int) {
	if p.began.IsZero() {
		p.began = now.Add(-took)
	}
	p.passed += taken
	if spent := now.Sub(p.began); spent >= time.Second {
		p.before = float64(p.passed) / spent.Seconds()
		p.began, p.passed = now, 0
	}
}

// retry is when a key whose record failed may go again.
type retry struct {
	fails int
	at    time.Time
}

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// failed puts the next time off: twice as long each time, shortened at random by up
// to a half.
func (r *retry) failed(now time.Time) {
	wait := min(firstRetry<<min(r.fails, 10), lastRetry)
	r.fails++
	r.at = now.Add(wait/2 + rand.N(wait/2))
}

// sleep waits, or is false when ctx ends first.
func sleep(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
