package record

import "sync"

// queueBytes is how much may wait for the recorder: two seconds of eight buses
// at 8,000 frames a second each, in which a slow disk may take a block.
const queueBytes = 4 << 20

// queue hands entries from the buses to the recorder. Two buffers change places:
// the buses fill one while the recorder reads the other.
type queue struct {
	wake chan struct{} // the buffer is half full

	mu      sync.Mutex // guards the fields below
	filling []byte
	room    chan struct{} // closed when there is room again; nil if nobody waits
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// put adds an entry. Where there is no room for it, room is closed when there
// is.
func (q *queue) put(e *entry) (ok bool, room <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.filling)
	if before > queueBytes-entryHead-len(e.data()) {
		if q.room == nil {
			q.room = make(chan struct{})
		}
		return false, q.room
	}
	q.filling = e.append(q.filling)
	if before < queueBytes/2 && len(q.filling) >= queueBytes/2 {
		select {
		case q.wake <- struct{}{}:
		default: // it has been told
		}
	}
	return true, nil
}

// swap takes what has come, and gives a buffer whose content is used up.
func (q *queue) swap(empty []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	come := q.filling
	q.filling = empty[:0]
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	return come
}
