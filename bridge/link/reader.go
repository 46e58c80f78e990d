package link

import (
	"errors"
	"io"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// readBuffer is what a connection reads into, in bytes; a larger packet gets a larger
// one for as long as it takes.
const readBuffer = 16 << 10

// reader cuts the far side's packets out of the stream.
type reader struct {
	from  io.Reader
	limit int    // bytes of the largest packet
	heard func() // called when something came
	buf   []byte
	start int // of what was read and not given out
	end   int
}

func newReader(from io.Reader, limit int) *reader {
	return &reader{from: from, limit: limit, heard: func() {}, buf: make([]byte, readBuffer)}
}

// next gives a packet: its first byte, and what follows the length, which is valid
// until the next call.
func (r *reader) next() (first byte, body []byte, err error) {
	for {
		first, body, need, ok, err := wire.Split(r.buf[r.start:r.end], r.limit)
		if err != nil {
			return 0, nil, err
		}
		if ok {
			r.start += need
			return first, body, nil
		}
		r.makeRoom(need)
		if err := r.more(); err != nil {
			return 0, nil, err
		}
	}
}

// peek gives the first byte of the next packet, before there is more of it.
func (r *reader) peek() (byte, error) {
	for r.start == r.end {
		r.makeRoom(0)
		if err := r.more(); err != nil {
			return 0, err
		}
	}
	return r.buf[r.start], nil
}

// more reads once.
func (r *reader) more() error {
	n, err := r.from.Read(r.buf[r.end:])
	if n > 0 {
		r.end += n
		r.heard()
		return nil
	}
	if errors.Is(err, io.EOF) && r.end > r.start {
		return io.ErrUnexpectedEOF
	}
	return err
}

// makeRoom has the buffer hold a packet of so many bytes, 0 for not known yet, and
// begin with what is left of it.
func (r *reader) makeRoom(need int) {
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	size := max(need, readBuffer)
	if len(r.buf) == size && r.end < len(r.buf) && r.start+need <= len(r.buf) {
		return
	}
	buf := r.buf
	if len(buf) != size {
		buf = make([]byte, size)
	}
	r.end = copy(buf, r.buf[r.start:r.end])
	r.buf, r.start = buf, 0
}
