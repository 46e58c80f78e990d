package edgebroker

import (
	"net"
	"sync"
	"time"
)

const (
	writeChunk = 64 << 10 // written with one deadline
	keepBuffer = 16 << 10 // a buffer up to this size is kept for the next burst
)

// writer is the queue of bytes before a connection's socket. Appending never
// blocks; one goroutine writes what has gathered, many packets at a time, so a
// slow client costs nobody but itself.
type writer struct {
	socket  net.Conn
	limit   int           // of waiting bytes, for QoS 0 and for hasRoom
	timeout time.Duration // for the socket to take a chunk
	wake    chan struct{}
	failed  func()    // the socket took nothing or is gone
	drained func(int) // so many bytes were written

	mu      sync.Mutex // guards what follows
	room    sync.Cond  // waiting bytes became fewer, or closed
	buf     []byte
	spare   []byte
	writing int  // bytes taken out of buf and not written yet
	closed  bool // nothing is appended any more
}

func newWriter(socket net.Conn, limits *Limits) *writer {
	w := &writer{
		socket:  socket,
		limit:   int(limits.QueueBytes),
		timeout: time.Duration(limits.WriteTimeout),
		wake:    make(chan struct{}, 1),
	}
	w.room.L = &w.mu
	return w
}

// publish appends a PUBLISH. One of QoS 0 that finds the queue full is not
// taken; QoS 1 and 2 ask hasRoom before.
func (w *writer) publish(p *publishHeader, size int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.out.qos == 0 && len(w.buf)+w.writing > 0 && len(w.buf)+w.writing+size > w.limit {
		return false
	}
	if !w.closed {
		w.buf = p.append(w.buf)
		w.awake()
	}
	return true
}

func (w *writer) ack(kind byte, id uint16, reason, version byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.buf = appendAck(w.buf, kind, id, reason, version)
		w.awake()
	}
}

// packet appends a packet that is encoded already.
func (w *writer) packet(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.buf = append(w.buf, p...)
		w.awake()
	}
}

func (w *writer) awake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.buf) + w.writing
}

func (w *writer) hasRoom() bool { return w.waiting() < w.limit }

// waitRoom waits until fewer bytes are waiting. It holds the reader of a client
// that sends and does not read: answers to what it sends are never dropped, so
// no more is read.
func (w *writer) waitRoom(below int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed && len(w.buf)+w.writing >= below {
		w.room.Wait()
	}
}

// close appends a last packet and ends appending; run returns when all is
// written or the socket fails.
func (w *writer) close(last []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.buf = append(w.buf, last...)
	w.closed = true
	w.awake()
	w.room.Broadcast()
}

// run writes until close, or until the socket fails.
func (w *writer) run() {
	for range w.wake {
		for {
			data, closed := w.take()
			if len(data) == 0 {
				if closed {
					return
				}
				break
			}
			if !w.write(data) {
				w.close(nil)
				w.failed()
				return
			}
		}
	}
}

// take swaps the buffers.
func (w *writer) take() (data []byte, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	data = w.buf
	w.buf, w.spare = w.spare, nil
	w.writing = len(data)
	return data, w.closed
}

func (w *writer) write(data []byte) bool {
	for rest := data; len(rest) > 0; {
		chunk := rest[:min(len(rest), writeChunk)]
		if w.socket.SetWriteDeadline(time.Now().Add(w.timeout)) != nil {
			return false
		}
		if _, err := w.socket.Write(chunk); err != nil {
			return false
		}
		rest = rest[len(chunk):]
		w.written(len(chunk))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(data) <= keepBuffer {
		w.spare = data[:0]
	}
	return true
}

func (w *writer) written(n int) {
	w.mu.Lock()
	w.writing -= n
	w.room.Broadcast()
	w.mu.Unlock()
	w.drained(n)
}
