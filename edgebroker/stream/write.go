package stream

import (
	"time"
)

const (
	writeChunk  = 64 << 10 // written with one deadline
	directTurns = 4        // writes in a row by whoever came along, before a goroutine takes over
)

// flush writes what waits, unless somebody is at it.
func (o *Out) flush(b *Burst) {
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

// HandOver writes what waits on a goroutine, unless somebody is at it.
func (o *Out) HandOver() {
	if data := o.begun(); data != nil {
		go o.drain(data, 0)
	}
}

// begun makes the caller busy and gives what is to be written; nil if there is
// nothing or somebody is busy.
func (o *Out) begun() *buffer {
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
func (o *Out) next(n int, b *Burst) *buffer {
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
func (o *Out) take() *buffer {
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

// drain writes data from offset on, and then what comes, until nothing waits. It
// is the connection's goroutine: Finish waits for it.
func (o *Out) drain(data *buffer, offset int) {
	var b Burst
	defer b.Flush() // also what it owes others when this socket has failed
	for data != nil {
		if !o.write(data.bytes[offset:]) {
			o.fail()
			return
		}
		buffers.put(data)
		data, offset = o.next(0, &b), 0
	}
}

func (o *Out) write(data []byte) bool {
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

func (o *Out) written(n int) {
	o.sent.Add(uint64(n))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing -= n
	o.room.Broadcast()
}

// fail ends a connection whose socket takes nothing more.
func (o *Out) fail() {
	o.mu.Lock()
	o.closed, o.busy, o.buf, o.writing = true, false, nil, 0
	o.room.Broadcast()
	o.mu.Unlock()
	o.failed()
}
