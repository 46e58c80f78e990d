package edgebroker

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

const (
	firstBuffer = 1 << 10  // bytes that a connection's queue begins with
	keepBuffer  = 64 << 10 // buffers up to this size are used again
	writeChunk  = 64 << 10 // written with one deadline
	directTurns = 4        // writes in a row by whoever came along, before a goroutine takes over
)

// outbox is the queue of bytes before a connection's socket. Appending never
// blocks. What has gathered is written with one system call by whoever flushes:
// on a plain socket directly, tried once without blocking. What the socket does
// not take, and everything of TLS and WebSocket, is left to a goroutine that
// lives as long as something waits. So a slow client costs nobody but itself,
// and an idle one has neither goroutine nor buffer.
type outbox struct {
	socket  net.Conn
	direct  *directWriter // nil for TLS and WebSocket
	limit   int           // of waiting bytes, for QoS 0 and for hasRoom
	timeout time.Duration // for the socket to take a chunk
	sent    *atomic.Uint64
	dropped func(messages int) // of QoS 0, to make room
	failed  func()             // the socket took nothing or is gone
	drained func(*burst)       // waiting bytes became fewer, if somebody starved
	starved atomic.Bool        // somebody found no room

	mu      sync.Mutex // guards what follows
	room    sync.Cond  // waiting bytes became fewer, or busy or closed changed
	buf     *buffer    // nil when nothing waits
	writing int        // bytes taken out of buf and not written yet
	busy    bool       // somebody writes, and will look again
	closed  bool       // nothing is appended any more

	aliases *sentAliases // nil for a client that takes none; used by who is busy

	gather  *gatherer
	resting bool      // what waits is left to the gatherer's next round
	flushed time.Time // when it was last written to with many others
}

func newOutbox(socket net.Conn, direct *directWriter, limits *Limits, gather *gatherer, sent *atomic.Uint64) *outbox {
	o := &outbox{
		gather:  gather,
		socket:  socket,
		direct:  direct,
		limit:   int(limits.QueueBytes),
		timeout: time.Duration(limits.WriteTimeout),
		sent:    sent,
	}
	o.room.L = &o.mu
	return o
}

// burst gathers the connections that were given something, to flush each once.
type burst struct{ outs []*outbox }

// add notes that o has to be flushed, if an append said so.
func (b *burst) add(o *outbox, owed bool) {
	if owed {
		b.outs = append(b.outs, o)
	}
}

// flush writes what can be written now, but for what gathers. No lock may be
// held.
func (b *burst) flush() {
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

// handOver leaves the writing to goroutines of the connections: for who has more
// to do than to write, and publishes one message after the other.
func (b *burst) handOver() {
	if len(b.outs) == 0 {
		return
	}
	at := time.Now()
	for i, o := range b.outs {
		if !o.rest(at) {
			o.handOver()
		}
		b.outs[i] = nil
	}
	b.outs = b.outs[:0]
}

// Every append reports whether its caller owes a flush: it does when nothing
// was waiting before and nobody is writing, and where it rests, when it is an
// answer or a lot.

// publish appends an encoded PUBLISH of QoS 0. When the queue is full the oldest
// of that kind make room; ok is false when there are none.
func (o *outbox) publish(packet []byte) (ok, owed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if waiting := o.length(); waiting > 0 && waiting+len(packet) > o.limit && !o.makeRoom(len(packet)) {
		return false, false
	}
	buf, first := o.begin()
	buf.bytes = append(buf.bytes, packet...)
	return true, o.owes(first, false)
}

// message appends a PUBLISH that is encoded here.
func (o *outbox) message(p *wire.Outgoing) (owed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf, first := o.begin()
	buf.bytes = p.Append(buf.bytes)
	return o.owes(first, false)
}

// ack appends an acknowledgement.
func (o *outbox) ack(kind wire.Kind, id uint16, reason wire.Reason, version byte) (owed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf, first := o.begin()
	buf.bytes = wire.AppendAck(buf.bytes, kind, id, reason, version)
	return o.owes(first, true)
}

// packet appends any packet that is encoded already.
func (o *outbox) packet(p []byte) (owed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf, first := o.begin()
	buf.bytes = append(buf.bytes, p...)
	return o.owes(first, true)
}

// begin gives the buffer to append to, and says whether nothing waits and nobody
// writes; mu is held. What comes after the end of the connection goes nowhere.
func (o *outbox) begin() (buf *buffer, first bool) {
	switch {
	case o.closed:
		return &buffer{}, false
	case o.buf == nil:
		o.buf = buffers.get()
		return o.buf, !o.busy
	}
	return o.buf, false
}

// owes says whether who has appended owes a flush; mu is held.
func (o *outbox) owes(first, answer bool) bool {
	return first || o.resting && o.buf != nil && (answer || len(o.buf.bytes) >= gatherBytes)
}

// length is how many bytes wait; mu is held.
func (o *outbox) length() int {
	if o.buf == nil {
		return o.writing
	}
	return len(o.buf.bytes) + o.writing
}

// makeRoom drops waiting messages of QoS 0, the oldest first: a quarter of the
// limit at once, so that the search costs little a message. mu is held.
func (o *outbox) makeRoom(size int) bool {
	if o.buf == nil {
		return false
	}
	want, freed, dropped := max(size, o.limit/4), 0, 0
	kept := o.buf.bytes[:0]
	for rest := o.buf.bytes; len(rest) > 0; {
		first, _, n, _, _ := wire.Split(rest, maxMessage)
		if first&0xF6 == byte(wire.Publish)<<4 && freed < want {
			freed += n
			dropped++
		} else {
			kept = append(kept, rest[:n]...)
		}
		rest = rest[n:]
	}
	o.buf.bytes = kept
	if dropped > 0 {
		o.dropped(dropped)
	}
	return freed >= size
}

func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.length()
}

// hasRoom reports whether QoS 1 and 2 may be appended. Who hears no is called
// back by drained.
func (o *outbox) hasRoom() bool {
	if o.waiting() < o.limit {
		return true
	}
	o.starved.Store(true)
	return o.waiting() < o.limit // again, for a write that has ended since
}

// waitRoom waits until fewer bytes are waiting. It holds the reader of a client
// that sends and does not read: answers to what it sends are never dropped, so
// no more is read.
func (o *outbox) waitRoom(below int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && o.length() >= below {
		o.room.Wait()
	}
}

// flush writes what waits, unless somebody is at it.
func (o *outbox) flush(b *burst) {
	data := o.begun()
	if data == nil {
		return
	}
	if o.direct == nil {
		go o.drain(data, 0)
		return
	}
	for range directTurns {
		n, err := o.direct.write(data.bytes)
		if err != nil {
			o.fail()
			return
		}
		if n < len(data.bytes) {
			o.written(n)
			go o.drain(data, n)
			return
		}
		buffers.put(data)
		if data = o.next(n, b); data == nil {
			return
		}
	}
	go o.drain(data, 0)
}

// handOver is flush on a goroutine.
func (o *outbox) handOver() {
	if data := o.begun(); data != nil {
		go o.drain(data, 0)
	}
}

// begun makes the caller busy and gives what is to be written; nil if there is
// nothing or somebody is busy.
func (o *outbox) begun() *buffer {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy || o.buf == nil {
		return nil
	}
	o.busy = true
	return o.take()
}

// next counts the last n bytes of what was taken as written, calls who starved,
// and gives what has come meanwhile. With nil the caller is busy no more.
func (o *outbox) next(n int, b *burst) *buffer {
	o.sent.Add(uint64(n))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing -= n
	o.room.Broadcast()
	if o.starved.Load() && o.length() < o.limit/2+1 {
		o.starved.Store(false)
		o.mu.Unlock()
		o.drained(b) // the caller is busy, so what comes now is written by it
		o.mu.Lock()
	}
	if o.buf == nil {
		o.busy = false
		return nil
	}
	return o.take()
}

// take gives what waits; mu is held, but not while aliases are put in.
func (o *outbox) take() *buffer {
	data := o.buf
	o.buf = nil
	o.writing = len(data.bytes)
	if o.aliases == nil {
		return data
	}
	o.mu.Unlock()
	short := buffers.get()
	short.bytes = o.aliases.shorten(short.bytes, data.bytes)
	buffers.put(data)
	o.mu.Lock()
	o.writing = len(short.bytes)
	return short
}

// useAliases is called before anything of the session is appended.
func (o *outbox) useAliases(a *sentAliases) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.aliases = a
}

// drain writes data from offset on, and then what comes, until nothing waits. It
// is the connection's goroutine: finish waits for it.
func (o *outbox) drain(data *buffer, offset int) {
	var b burst
	defer b.flush() // also what it owes others when this socket has failed
	for data != nil {
		if !o.write(data.bytes[offset:]) {
			o.fail()
			return
		}
		buffers.put(data)
		data, offset = o.next(0, &b), 0
	}
}

func (o *outbox) write(data []byte) bool {
	for rest := data; len(rest) > 0; {
		chunk := rest[:min(len(rest), writeChunk)]
		if o.socket.SetWriteDeadline(time.Now().Add(o.timeout)) != nil {
			return false
		}
		if _, err := o.socket.Write(chunk); err != nil {
			return false
		}
		rest = rest[len(chunk):]
		o.written(len(chunk))
	}
	return o.socket.SetWriteDeadline(time.Time{}) == nil
}

func (o *outbox) written(n int) {
	o.sent.Add(uint64(n))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing -= n
	o.room.Broadcast()
}

// fail ends a connection whose socket takes nothing more.
func (o *outbox) fail() {
	o.mu.Lock()
	o.closed, o.busy, o.buf, o.writing = true, false, nil, 0
	o.room.Broadcast()
	o.mu.Unlock()
	o.failed()
}

// close appends a last packet and ends appending. Who calls it sees to the
// writing.
func (o *outbox) close(last []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if len(last) > 0 {
		buf, _ := o.begin()
		buf.bytes = append(buf.bytes, last...)
	}
	o.closed = true
	o.room.Broadcast()
}

// finish writes what is left and waits until that is done or the socket has
// failed. Nothing must be appended any more.
func (o *outbox) finish() {
	o.handOver()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy {
		o.room.Wait()
	}
}

// directWriter writes to a socket without waiting for it. One at a time may.
type directWriter struct {
	raw  syscall.RawConn
	try  func(fd uintptr) bool
	data []byte
	n    int
	err  error
}

func newDirectWriter(socket syscall.Conn) (*directWriter, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &directWriter{raw: raw}
	w.try = func(fd uintptr) bool {
		w.n, w.err = writeNow(fd, w.data)
		return true
	}
	return w, nil
}

// write gives how much the socket took, which may be nothing.
func (w *directWriter) write(data []byte) (n int, err error) {
	w.data = data
	err = w.raw.Write(w.try)
	w.data = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(w.err, syscall.EAGAIN), errors.Is(w.err, syscall.EINTR):
		return 0, nil
	case w.err != nil:
		return 0, w.err
	}
	return w.n, nil
}

// buffer holds bytes; the pointer is what a pool keeps without allocating.
type buffer struct{ bytes []byte }

// buffers are used again by all connections.
var buffers bufferPool

type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) get() *buffer {
	if b, ok := p.pool.Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, 0, firstBuffer)}
}

func (p *bufferPool) put(b *buffer) {
	if cap(b.bytes) <= keepBuffer {
		b.bytes = b.bytes[:0]
		p.pool.Put(b)
	}
}
