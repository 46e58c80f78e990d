package load

import (
	"fmt"
	"sync"
)

// window holds the messages of QoS 1 and 2 that one publisher has under way. The
// publisher takes packet ids and the reader of its connection gives them back,
// both a batch at a time.
type window struct {
	measureFrom int64 // messages sent before are not counted in latency

	mu      sync.Mutex // guards what follows
	slots   []slot     // by packet id - 1
	free    []uint16   // a ring: ids come back and go out in the same order
	next, n int        // of free: where the first stands, how many
	acked   uint64     // accepted by the broker
	refused sequences
	latency Histogram // from PUBLISH to the acknowledgement
}

// slot is what a packet id stands for.
type slot struct {
	sequence uint64
	sent     int64
	awaits   byte // the packet that comes next for it, 0 for a free id
}

func newWindow(size int, measureFrom int64) *window {
	w := &window{measureFrom: measureFrom, slots: make([]slot, size), free: make([]uint16, size), n: size}
	for i := range w.free {
		w.free[i] = uint16(i + 1)
	}
	return w
}

// take fills ids with the packet ids for the messages from sequence on, as many
// as are free, and says how many.
func (w *window) take(ids []uint16, sequence uint64, awaits byte, now int64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(ids), w.n)
	for i := range n {
		id := w.free[w.next]
		if w.next++; w.next == len(w.free) {
			w.next = 0
		}
		ids[i] = id
		w.slots[id-1] = slot{sequence + uint64(i), now, awaits}
	}
	w.n -= n
	return n
}

// settle takes the broker's answer to a packet id. release reports whether the
// publisher has to answer with PUBREL. mu is held.
func (w *window) settle(first byte, body []byte, now int64) (release bool, err error) {
	if len(body) < 2 {
		return false, fmt.Errorf("the broker sent an acknowledgement without a packet id")
	}
	id := int(body[0])<<8 | int(body[1])
	if id == 0 || id > len(w.slots) || w.slots[id-1].awaits != first {
		return false, fmt.Errorf("the broker sent an acknowledgement (type %d) for packet id %d, for which none is due", first>>4, id)
	}
	s := &w.slots[id-1]
	failed := len(body) > 2 && body[2] >= failureCodes
	if failed && first != pubcompByte {
		w.refused.add(s.sequence, s.sequence+1)
		w.release(id)
		return false, nil
	}
	if first == pubrecByte {
		s.awaits = pubcompByte
		return true, nil
	}
	w.acked++
	if s.sent >= w.measureFrom {
		w.latency.add(now - s.sent)
	}
	w.release(id)
	return false, nil
}

func (w *window) release(id int) {
	w.slots[id-1].awaits = 0
	at := w.next + w.n
	if at >= len(w.free) {
		at -= len(w.free)
	}
	w.free[at] = uint16(id)
	w.n++
}

// idle reports whether every message was answered.
func (w *window) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n == len(w.free)
}

// unpromised yields the messages that the broker did not accept: refused, or
// without an answer yet.
func (w *window) unpromised(yield func(uint64) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for sequence := range w.refused.all {
		if !yield(sequence) {
			return
		}
	}
	for _, s := range w.slots {
		if s.awaits != 0 && !yield(s.sequence) {
			return
		}
	}
}
