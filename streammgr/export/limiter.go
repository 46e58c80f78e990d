package export

import (
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// burst is how much may be sent at once after a silence, as time at the full rate.
const burst = clock.Second / 10

// limiter keeps to a rate: what was sent is paid for afterwards, so that a batch of
// any size passes when nothing is owed.
type limiter struct {
	rate int64 // bytes a second; 0 for any
	free clock.Time
}

// wait is how long nothing may be sent.
func (l *limiter) wait(now clock.Time) time.Duration {
	return time.Duration(max(0, l.free-now))
}

// spend counts what was sent.
func (l *limiter) spend(bytes int64, now clock.Time) {
	if l.rate > 0 {
		l.free = max(l.free, now-burst) + clock.Time(float64(bytes)/float64(l.rate)*float64(clock.Second))
	}
}
