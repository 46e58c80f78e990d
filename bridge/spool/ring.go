package spool

import (
	"sync"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// ring holds the messages at QoS 0 of a class, in memory. When there is no room for
// one more the oldest go.
type ring struct {
	mu      sync.Mutex // guards the fields below
	list    []loose
	first   int // of list; those before are taken
	bytes   int
	limit   int // of bytes
	dropped uint64
}

// loose is a message that is in no queue.
type loose struct {
	p        *message.Publication
	meta     []byte
	accepted clock.Time
}

func (l *loose) size() int { return l.p.Size() + len(l.meta) }

func (r *ring) push(l loose) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, l)
	r.bytes += l.size()
	for r.bytes > r.limit && len(r.list)-r.first > 1 {
		r.shift()
		r.dropped++
	}
}

// shift takes the oldest off. mu is held.
func (r *ring) shift() {
	r.bytes -= r.list[r.first].size()
	r.list[r.first] = loose{}
	r.first++
	if r.first == len(r.list) {
		r.list, r.first = r.list[:0], 0
	} else if r.first >= 64 && 2*r.first > len(r.list) {
		n := copy(r.list, r.list[r.first:])
		clear(r.list[n:])
		r.list, r.first = r.list[:n], 0
	}
}

// pop takes the oldest that was accepted at a moment up to until; 0 is any.
func (r *ring) pop(until clock.Time) (l loose, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == len(r.list) || until != 0 && r.list[r.first].accepted > until {
		return loose{}, false
	}
	l = r.list[r.first]
	r.shift()
	return l, true
}

func (r *ring) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list) - r.first
}

// stats are the messages that wait, their bytes, when the oldest was accepted, 0 if
// there is none, and how many were dropped.
func (r *ring) stats() (messages, bytes int, oldest clock.Time, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first < len(r.list) {
		oldest = r.list[r.first].accepted
	}
	return len(r.list) - r.first, r.bytes, oldest, r.dropped
}
