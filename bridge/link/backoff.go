package link

import (
	"math/rand/v2"
	"time"
)

// backOff is the wait between tries. A far side that accepts and closes at once is
// not hammered: only a connection that was stable, or a network that came up, begins
// the waits anew.
type backOff struct {
	config BackOff
	next   time.Duration // 0 for the first
}

func (b *backOff) reset() { b.next = 0 }

// longest makes the next wait the longest one.
func (b *backOff) longest() { b.next = time.Duration(b.config.Max) }

// pause is how long to wait now: a random time, lest a whole fleet comes back at
// once, from half the wait to all of it.
func (b *backOff) pause() time.Duration {
	wait := max(b.next, time.Duration(b.config.Min))
	b.next = min(2*wait, time.Duration(b.config.Max))
	return wait/2 + rand.N(wait/2+1)
}
