package rule

import (
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/vehicle"
)

// lookEvery is how old the outcome of a condition may be. Evaluating one takes about
// 500 ns and a lock; at a thousand evaluations a second that is nothing, at one a
// message it would be the most of what a rule costs.
const lookEvery = clock.Second / 1000

// condition is an expression that many goroutines ask.
type condition struct {
	expression *vehicle.Expression
	mu         sync.Mutex // held to evaluate the expression

	// outcome is when it was last evaluated, in nanoseconds, with the lowest bit for
	// what came out; 0 before the first time.
	outcome atomic.Int64
}

// holds reports whether the condition holds, as it was at most a millisecond ago. A
// condition that is nil always holds.
func (c *condition) holds(now clock.Time) bool {
	if c == nil {
		return true
	}
	if last := c.outcome.Load(); fresh(last, now) {
		return last&1 == 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := c.outcome.Load(); fresh(last, now) {
		return last&1 == 1
	}
	outcome := int64(now) &^ 1
	if c.expression.True(int64(now)) {
		outcome |= 1
	}
	c.outcome.Store(outcome)
	return outcome&1 == 1
}

func fresh(outcome int64, now clock.Time) bool {
	age := now - clock.Time(outcome&^1)
	return outcome != 0 && age >= 0 && age < lookEvery
}
