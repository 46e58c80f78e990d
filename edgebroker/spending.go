package edgebroker

import (
	"time"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// spending keeps a client to the rates that it may publish at: two buckets that
// hold two seconds' worth.
type spending struct {
	last            time.Time
	messages, bytes float64
}

// spendingBurst is how many seconds' worth may come at once.
const spendingBurst = 2

// spend takes a PUBLISH of so many bytes out of what the client may send.
func (c *conn) spend(bytes int) error {
	limits := &c.b.cfg.Limits
	if limits.PublishRate == 0 && limits.PublishBytes == 0 {
		return nil
	}
	s, at := &c.spending, time.Now()
	passed := at.Sub(s.last).Seconds()
	s.last = at
	if !refill(&s.messages, float64(limits.PublishRate), passed, 1) {
		return wire.Break(wire.RateTooHigh, "more than %d messages a second", limits.PublishRate)
	}
	if !refill(&s.bytes, float64(limits.PublishBytes), passed, float64(bytes)) {
		return wire.Break(wire.RateTooHigh, "more than %d bytes a second", limits.PublishBytes)
	}
	return nil
}

// refill puts what the time that passed allows into a bucket and takes cost out;
// a rate of 0 has no limit.
func refill(bucket *float64, rate, passed, cost float64) bool {
	if rate == 0 {
		return true
	}
	*bucket = min(*bucket+passed*rate, rate*spendingBurst)
	if *bucket < cost {
		return false
	}
	*bucket -= cost
	return true
}
