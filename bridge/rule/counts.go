package rule

import (
	"errors"
	"sync/atomic"
)

// Reasons for which a rule has not taken, or not let through, a message.
const (
	reasonLoop      = "loop"
	reasonCondition = "condition"
	reasonSampled   = "sampled"
	reasonUnchanged = "unchanged"
	reasonReplaced  = "replaced"
	reasonNoRequest = "no_request"
	reasonStale     = "stale"
	reasonNoTime    = "no_time"
	reasonClock     = "clock"
	reasonDuplicate = "duplicate"
	reasonTopic     = "topic"
)

// counts are how many messages were refused for which reason.
type counts struct {
	loop, condition, sampled, unchanged, replaced, noRequest atomic.Uint64
	stale, noTime, clock, duplicate, topic                   atomic.Uint64
}

// byReason are the counts that are not 0.
func (c *counts) byReason() map[string]uint64 {
	list := map[string]uint64{}
	for _, of := range []struct {
		reason string
		count  *atomic.Uint64
	}{
		{reasonLoop, &c.loop}, {reasonCondition, &c.condition}, {reasonSampled, &c.sampled}, {reasonUnchanged, &c.unchanged},
		{reasonReplaced, &c.replaced}, {reasonNoRequest, &c.noRequest}, {reasonStale, &c.stale}, {reasonNoTime, &c.noTime},
		{reasonClock, &c.clock}, {reasonDuplicate, &c.duplicate}, {reasonTopic, &c.topic},
	} {
		if n := of.count.Load(); n > 0 {
			list[of.reason] = n
		}
	}
	return list
}

// reasonOf sorts an error of Down.Accept under its counter.
func (c *counts) reasonOf(err error) *atomic.Uint64 {
	switch {
	case errors.Is(err, ErrLoop):
		return &c.loop
	case errors.Is(err, ErrCondition):
		return &c.condition
	case errors.Is(err, ErrStale):
		return &c.stale
	case errors.Is(err, ErrClock):
		return &c.clock
	case errors.Is(err, ErrDuplicate):
		return &c.duplicate
	case errors.Is(err, ErrNoRequest):
		return &c.noRequest
	case errors.Is(err, ErrTopic):
		return &c.topic
	}
	return &c.noTime
}
