// Package stream is the byte stream of one client: In cuts what comes into
// packets where they lie, Out is the queue of bytes before the socket. Both hold
// no memory while a client is idle, and neither lets one that is slow cost anybody
// else; a Gatherer writes together what comes in quick succession for many.
package stream

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// Out is the queue of bytes before a connection's socket. Appending never
// blocks. What has gathered is written with one system call by whoever flushes:
// on a plain socket directly, tried once without blocking. What the socket does
// not take, and everything of TLS and WebSocket, is left to a goroutine that
// lives as long as something waits. So a slow client costs nobody but itself,
// and an idle one has neither goroutine nor buffer.
//
// All methods are safe for concurrent use, but for UseAliases. Each append
// reports whether its caller owes a flush, which a Burst pays: it does when
// nothing was waiting before and nobody is writing, and where it rests, when it
// is an answer or a lot.
type Out struct {
	socket  net.Conn
	direct  *directWriter // nil for TLS and WebSocket
	limit   int           // of waiting bytes, for QoS 0 and for HasRoom
	timeout time.Duration // for the socket to take a chunk
	sent    *atomic.Uint64
	dropped func(messages int) // of QoS 0, to make room
	failed  func()             // the socket took nothing or is gone
	drained func(*Burst)       // waiting bytes became fewer, if somebody starved
	starved atomic.Bool        // somebody found no room

	mu      sync.Mutex // guards what follows
	room    sync.Cond  // waiting bytes became fewer, or busy or closed changed
	buf     *buffer    // nil when nothing waits
	writing int        // bytes taken out of buf and not written yet
	busy    bool       // somebody writes, and will look again
	closed  bool       // nothing is appended any more

	aliases *sentAliases // nil for a client that takes none; used by who is busy

	gather  *Gatherer
	resting bool      // what waits is left to the gatherer's next round
	flushed time.Time // when it was last written to with many others
}

// Options are the limits of an Out and who hears of it; all are required. None of
// the functions may block.
type Options struct {
	Limit   int            // bytes that may wait, for QoS 0 and for HasRoom
	Timeout time.Duration  // for the socket to take 64 KiB, or all that waits if that is less
	Sent    *atomic.Uint64 // counts the bytes that the socket took
	// Dropped counts messages of QoS 0 that had to make room. It runs within an
	// append, and must not make another.
	Dropped func(messages int)
	// Drained tells who found no room that there is some again. What it appends to
	// this Out is written, what it adds to the Burst is flushed.
	Drained func(*Burst)
	// Failed tells that the socket is gone, or took nothing for too long. It may
	// come more than once.
	Failed func()
}

// NewOut makes the queue before a socket. plain is the same socket where bytes can
// be written to it as they are, nil for TLS and WebSocket. The error is the
// socket's, when it is closed already.
func NewOut(socket net.Conn, plain syscall.Conn, gather *Gatherer, opts Options) (*Out, error) {
	o := &Out{
		gather:  gather,
		socket:  socket,
		limit:   opts.Limit,
		timeout: opts.Timeout,
		sent:    opts.Sent,
		dropped: opts.Dropped,
		drained: opts.Drained,
		failed:  opts.Failed,
	}
	o.room.L = &o.mu
	if plain != nil {
		var err error
		if o.direct, err = newDirectWriter(plain); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Publish appends an encoded PUBLISH of QoS 0. When the queue is full the oldest
// of that kind make room; ok is false when there are none.
func (o *Out) Publish(packet []byte) (ok, owed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if waiting := o.length(); waiting > 0 && waiting+len(packet) > o.limit && !o.makeRoom(len(packet)) {
		return false, false
	}
	buf, first := o.begin()
	buf.bytes = append(buf.bytes, packet...)
	return true, o.owes(first, false)
}

// Message appends a PUBLISH that is encoded here.
func (o *Out) Message(p *wire.Outgoing) (owed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf, first := o.begin()
	buf.bytes = p.Append(buf.bytes)
	return o.owes(first, false)
}

// Ack appends an acknowledgement.
func (o *Out) Ack(kind wire.Kind, id uint16, reason wire.Reason, version byte) (owed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf, first := o.begin()
	buf.bytes = wire.AppendAck(buf.bytes, kind, id, reason, version)
	return o.owes(first, true)
}

// Packet appends any packet that is encoded already.
func (o *Out) Packet(p []byte) (owed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf, first := o.begin()
	buf.bytes = append(buf.bytes, p...)
	return o.owes(first, true)
}

// begin gives the buffer to append to, and says whether nothing waits and nobody
// writes; mu is held. What comes after the end of the connection goes nowhere.
func (o *Out) begin() (buf *buffer, first bool) {
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
func (o *Out) owes(first, answer bool) bool {
	return first || o.resting && o.buf != nil && (answer || len(o.buf.bytes) >= gatherBytes)
}

// length is how many bytes wait; mu is held.
func (o *Out) length() int {
	if o.buf == nil {
		return o.writing
	}
	return len(o.buf.bytes) + o.writing
}

// makeRoom drops waiting messages of QoS 0, the oldest first: a quarter of the
// limit at once, so that the search costs little a message. mu is held.
func (o *Out) makeRoom(size int) bool {
	if o.buf == nil {
		return false
	}
	want, freed, dropped := max(size, o.limit/4), 0, 0
	kept := o.buf.bytes[:0]
	for rest := o.buf.bytes; len(rest) > 0; {
		first, _, n, _, _ := wire.Split(rest, wire.MaxPacket)
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

// Waiting is how many bytes wait.
func (o *Out) Waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.length()
}

// HasRoom reports whether QoS 1 and 2 may be appended. Who hears no is called
// back by Options.Drained.
func (o *Out) HasRoom() bool {
	if o.Waiting() < o.limit {
		return true
	}
	o.starved.Store(true)
	return o.Waiting() < o.limit // again, for a write that has ended since
}

// WaitRoom waits until fewer bytes are waiting or nothing is appended any more. It
// holds the reader of a client
// that sends and does not read: answers to what it sends are never dropped, so
// no more is read.
func (o *Out) WaitRoom(below int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && o.length() >= below {
		o.room.Wait()
	}
}

// UseAliases has topics that repeat sent by alias from now on, to a client that
// takes most of them and packets of at most maxPacket bytes. It is called before
// anything of its session is appended.
func (o *Out) UseAliases(most uint16, maxPacket int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.aliases = newSentAliases(most, maxPacket)
}

// Close appends a last packet, if there is one, and ends appending. Who calls it
// sees to the writing: by HandOver or Finish. It does not close the socket.
func (o *Out) Close(last []byte) {
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

// Finish writes what is left and waits until that is done or the socket has
// failed. Nothing must be appended any more.
func (o *Out) Finish() {
	o.HandOver()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy {
		o.room.Wait()
	}
}
