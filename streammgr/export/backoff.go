package export

import (
	"errors"
	"math/rand/v2"
	"time"
)

// longestAfter bounds how long a far side can have itself left alone.
const longestAfter = time.Hour

// backOff is the wait between tries.
type backOff struct {
	config BackOff
	next   time.Duration // 0 for the first
}

func (b *backOff) reset() { b.next = 0 }

// pause is how long to wait after an error: a random time, lest a whole fleet comes
// back at once, from half the wait to all of it; never less than the far side said.
func (b *backOff) pause(err error) time.Duration {
	var wait time.Duration
	if errors.Is(err, ErrRefused) {
		wait = time.Duration(b.config.Refused)
	} else {
		wait = max(b.next, time.Duration(b.config.Min))
		b.next = min(2*wait, time.Duration(b.config.Max))
	}
	return max(wait/2+rand.N(wait/2+1), min(WaitOf(err), longestAfter))
}
