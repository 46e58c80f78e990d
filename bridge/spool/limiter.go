package spool

import (
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
)

// Rate is what may be sent in a second.
type Rate struct {
	// Messages a second; 0 for any.
	Messages float64 `yaml:"messages" min:"0"`
	// Bytes a second on the wire, without TLS; 0 for any.
	Bytes config.Size `yaml:"bytes"`
}

// burst is how much may be sent at once after a silence, as time at the full rate: a
// second never sees more than a tenth above the rate.
const burst = clock.Second / 10

// limiter keeps to a rate: what was sent is paid for afterwards, so that a packet of
// any size passes when nothing is owed.
type limiter struct {
	rate            Rate
	messages, bytes clock.Time // when nothing is owed any more of each
}

func (l *limiter) use(rate Rate) { l.rate = rate }

// wait is how long nothing may be sent.
func (l *limiter) wait(now clock.Time) time.Duration {
	return time.Duration(max(0, l.messages-now, l.bytes-now))
}

// spend counts a packet.
func (l *limiter) spend(bytes int, now clock.Time) {
	if l.rate.Messages > 0 {
		l.messages = max(l.messages, now-burst) + clock.Time(float64(clock.Second)/l.rate.Messages)
	}
	if l.rate.Bytes > 0 {
		l.bytes = max(l.bytes, now-burst) + clock.Time(bytes)*clock.Second/clock.Time(l.rate.Bytes)
	}
}
