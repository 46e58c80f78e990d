package spool

import (
	"slices"

	"github.com/fascia-edge/fascia/clock"
)

// span is a run of positions of a queue, the last one included.
type span struct{ first, last uint64 }

// flight is a message, or a batch of them, that was sent at QoS 1 and is not
// acknowledged. Its text is in the queue.
type flight struct {
	id    uint16
	class *class
	rule  uint32
	spans []span // one position, unless it is a batch
	order uint64 // in which it was first sent

	sent      bool       // on the connection that stands
	at        clock.Time // when
	again     bool       // sent on an earlier connection
	judged    bool       // refused, and the sender has not seen to it yet
	overtaken bool       // its class is sent again from an earlier message on: its acknowledgement ends nothing
	closings  int        // of the link right after it was sent alone
}

// window is what is under way at QoS 1. Ids are used in turn, so that one that was
// free a moment ago is not in use again at once.
type window struct {
	flights []flight // by id, from 1; class is nil for a free one
	free    []uint16 // a ring of the free ids
	oldest  int      // of free
	inUse   int
	sent    int // on the connection that stands
	orders  uint64
}

func newWindow(size int) *window {
	w := &window{flights: make([]flight, size+1), free: make([]uint16, size)}
	for i := range w.free {
		w.free[i] = uint16(i + 1)
	}
	return w
}

// full reports whether no message fits any more.
func (w *window) full() bool { return w.inUse == len(w.free) }

// add takes a free id; the window must not be full.
func (w *window) add(c *class, rule uint32) *flight {
	id := w.free[w.oldest]
	w.oldest = (w.oldest + 1) % len(w.free)
	w.inUse++
	w.orders++
	f := &w.flights[id]
	*f = flight{id: id, class: c, rule: rule, order: w.orders}
	return f
}

// of is the flight with an id, nil if there is none.
func (w *window) of(id uint16) *flight {
	if int(id) >= len(w.flights) || w.flights[id].class == nil {
		return nil
	}
	return &w.flights[id]
}

// left notes that f is on its way.
func (w *window) left(f *flight, at clock.Time) {
	if !f.sent {
		w.sent++
	}
	f.sent, f.at = true, at
}

// remove frees the id of f.
func (w *window) remove(f *flight) {
	if f.sent {
		w.sent--
	}
	w.free[(w.oldest+len(w.free)-w.inUse)%len(w.free)] = f.id
	w.inUse--
	f.class, f.spans = nil, nil
}

// unsent begins a connection: nothing was sent on it yet.
func (w *window) unsent() {
	for i := range w.flights {
		f := &w.flights[i]
		f.again = f.again || f.sent
		f.sent = false
	}
	w.sent = 0
}

// each calls fn for the flights in the order in which they were first sent; fn may
// remove the one that it is called with.
func (w *window) each(fn func(*flight)) {
	list := make([]*flight, 0, w.inUse)
	for i := range w.flights {
		if w.flights[i].class != nil {
			list = append(list, &w.flights[i])
		}
	}
	slices.SortFunc(list, func(a, b *flight) int {
		if a.order < b.order {
			return -1
		}
		return 1
	})
	for _, f := range list {
		fn(f)
	}
}
