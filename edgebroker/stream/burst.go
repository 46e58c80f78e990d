package stream

import (
	"time"
)

// Burst gathers the connections that were given something, to flush each once.
type Burst struct{ outs []*Out }

// Add notes that o has to be flushed, if an append said so.
func (b *Burst) Add(o *Out, owed bool) {
	if owed {
		b.outs = append(b.outs, o)
	}
}

// Flush writes what can be written now, but for what gathers. No lock may be
// held.
func (b *Burst) Flush() {
	gathers := len(b.outs) >= crowd && b.outs[0].gather.delay > 0
	var at time.Time
	if gathers {
		at = time.Now()
	}
	for i := 0; i < len(b.outs); i++ { // a flush may add more
		if o := b.outs[i]; !gathers || !o.rest(at) {
			o.flush(b)
		}
		b.outs[i] = nil
	}
	b.outs = b.outs[:0]
}

// HandOver leaves the writing to goroutines of the connections: for who has more
// to do than to write, and publishes one message after the other.
func (b *Burst) HandOver() {
	if len(b.outs) == 0 {
		return
	}
	at := time.Now()
	for i, o := range b.outs {
		if !o.rest(at) {
			o.HandOver()
		}
		b.outs[i] = nil
	}
	b.outs = b.outs[:0]
}
