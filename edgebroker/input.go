package edgebroker

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

const (
	readChunk    = 32 << 10 // read with one system call
	blockingRead = 2 << 10  // buffer of a TLS or WebSocket connection, which can't wait without one
)

// input is the byte stream of a client, cut into packets. While it waits on a
// plain socket it holds no buffer but for a packet that has not come whole: a
// thousand idle connections cost no buffers.
type input struct {
	socket net.Conn
	raw    syscall.RawConn // nil for TLS and WebSocket
	limit  int             // largest packet

	chunk      *[readChunk]byte // pooled; nil while waiting
	buf        []byte           // chunk, or a buffer of its own for a larger packet
	start, end int              // of what was read and not handled
	need       int              // size of the packet that has not come whole, 0 if unknown

	try func(fd uintptr) bool
	n   int
	err error
}

var chunks = sync.Pool{New: func() any { return new([readChunk]byte) }}

func newInput(socket net.Conn, plain syscall.Conn, limit int) (*input, error) {
	in := &input{socket: socket, limit: limit}
	if plain == nil {
		return in, nil
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return nil, err
	}
	in.raw = raw
	in.try = func(fd uintptr) bool {
		in.prepare()
		in.n, in.err = readNow(fd, in.buf[in.end:])
		if errors.Is(in.err, syscall.EAGAIN) {
			in.release()
			return false
		}
		return true
	}
	return in, nil
}

// next gives the next packet that has come whole. Its body is valid until fill.
// An error is a *wire.Broken.
func (in *input) next() (first byte, body []byte, ok bool, err error) {
	first, body, in.need, ok, err = wire.Split(in.buf[in.start:in.end], in.limit)
	if ok {
		in.start += in.need
	}
	return first, body, ok, err
}

// fill waits for more bytes, until the socket's read deadline.
func (in *input) fill() error {
	if in.raw == nil {
		return in.fillBlocking()
	}
	if err := in.raw.Read(in.try); err != nil {
		return err
	}
	switch {
	case in.err != nil:
		return in.err
	case in.n == 0:
		return io.EOF
	}
	in.end += in.n
	return nil
}

func (in *input) fillBlocking() error {
	in.compact()
	if in.buf == nil || in.end == 0 && len(in.buf) > readChunk {
		in.buf = make([]byte, blockingRead)
	}
	in.grow()
	n, err := in.socket.Read(in.buf[in.end:])
	in.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// prepare makes room to read into.
func (in *input) prepare() {
	in.compact()
	if in.chunk == nil && in.end < readChunk {
		in.chunk = chunks.Get().(*[readChunk]byte)
		copy(in.chunk[:], in.buf[:in.end])
		in.buf = in.chunk[:]
	}
	in.grow()
}

// compact moves what was not handled to the front.
func (in *input) compact() {
	if in.start > 0 {
		copy(in.buf, in.buf[in.start:in.end])
		in.start, in.end = 0, in.end-in.start
	}
}

// grow makes a full buffer larger, up to the packet that is coming. Memory grows
// with what has come: a thousand clients that announce a packet cost nothing yet.
func (in *input) grow() {
	if in.end < len(in.buf) {
		return
	}
	larger := make([]byte, max(min(2*len(in.buf), in.need), len(in.buf)+1))
	copy(larger, in.buf[:in.end])
	in.letGo()
	in.buf = larger
}

// release gives the pooled buffer back before waiting, and keeps only what has
// come of a packet.
func (in *input) release() {
	if in.chunk == nil {
		if in.end == 0 {
			in.buf = nil
		}
		return
	}
	var kept []byte
	if in.end > 0 {
		kept = append(kept, in.buf[:in.end]...)
	}
	in.letGo()
	in.buf = kept
}

func (in *input) letGo() {
	if in.chunk != nil {
		chunks.Put(in.chunk)
		in.chunk = nil
	}
}
