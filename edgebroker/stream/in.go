package stream

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// ReadSize is how many bytes of a plain socket are read with one system call, at
// most.
const ReadSize = 32 << 10

// blockingRead is the buffer of a TLS or WebSocket connection, which can't wait
// without one.
const blockingRead = 2 << 10

// In is the byte stream of a client, cut into packets. While it waits on a
// plain socket it holds no buffer but for a packet that has not come whole: a
// thousand idle connections cost no buffers. It is for one goroutine.
type In struct {
	socket net.Conn
	raw    syscall.RawConn // nil for TLS and WebSocket
	limit  int             // largest packet

	chunk      *[ReadSize]byte // pooled; nil while waiting
	buf        []byte          // chunk, or a buffer of its own for a larger packet
	start, end int             // of what was read and not handled
	need       int             // size of the packet that has not come whole, 0 if unknown

	try func(fd uintptr) bool
	n   int
	err error
}

var chunks = sync.Pool{New: func() any { return new([ReadSize]byte) }}

// NewIn makes the stream of a socket, with packets of at most limit bytes. plain is
// the same socket where MQTT is read from it as it is, nil for TLS and WebSocket.
// The error is the socket's, when it is closed already.
func NewIn(socket net.Conn, plain syscall.Conn, limit int) (*In, error) {
	in := &In{socket: socket, limit: limit}
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

// Next gives the next packet that has come whole; ok is false when there is none.
// Its body is valid until Fill. An error is a *wire.Broken.
func (in *In) Next() (first byte, body []byte, ok bool, err error) {
	first, body, in.need, ok, err = wire.Split(in.buf[in.start:in.end], in.limit)
	if ok {
		in.start += in.need
	}
	return first, body, ok, err
}

// Fill waits for more bytes, until the socket's read deadline, and tells how many
// came: with an error none, io.EOF at the end of the stream.
func (in *In) Fill() (n int, err error) {
	if in.raw == nil {
		return in.fillBlocking()
	}
	if err := in.raw.Read(in.try); err != nil {
		return 0, err
	}
	switch {
	case in.err != nil:
		return 0, in.err
	case in.n == 0:
		return 0, io.EOF
	}
	in.end += in.n
	return in.n, nil
}

func (in *In) fillBlocking() (n int, err error) {
	in.compact()
	if in.buf == nil || in.end == 0 && len(in.buf) > ReadSize {
		in.buf = make([]byte, blockingRead)
	}
	in.grow()
	n, err = in.socket.Read(in.buf[in.end:])
	in.end += n
	switch {
	case n > 0:
		return n, nil
	case err == nil:
		err = io.ErrNoProgress
	}
	return 0, err
}

// prepare makes room to read into.
func (in *In) prepare() {
	in.compact()
	if in.chunk == nil && in.end < ReadSize {
		in.chunk = chunks.Get().(*[ReadSize]byte)
		copy(in.chunk[:], in.buf[:in.end])
		in.buf = in.chunk[:]
	}
	in.grow()
}

// compact moves what was not handled to the front.
func (in *In) compact() {
	if in.start > 0 {
		copy(in.buf, in.buf[in.start:in.end])
		in.start, in.end = 0, in.end-in.start
	}
}

// grow makes a full buffer larger, up to the packet that is coming. Memory grows
// with what has come: a thousand clients that announce a packet cost nothing yet.
func (in *In) grow() {
	if in.end < len(in.buf) {
		return
	}
	larger := make([]byte, max(min(2*len(in.buf), in.need), len(in.buf)+1))
	copy(larger, in.buf[:in.end])
	in.LetGo()
	in.buf = larger
}

// release gives the pooled buffer back before waiting, and keeps only what has
// come of a packet.
func (in *In) release() {
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
	in.LetGo()
	in.buf = kept
}

// LetGo gives the buffer back, when nothing more is read.
func (in *In) LetGo() {
	if in.chunk != nil {
		chunks.Put(in.chunk)
		in.chunk = nil
	}
}
