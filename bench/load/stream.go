package load

import (
	"errors"
	"fmt"
	"io"
)

const (
	firstBuffer = 4 << 10   // thousands of clients may be connected
	fullBuffer  = 256 << 10 // of one that is busy: a system call for thousands of messages
	maxPacket   = 256 << 20 // of MQTT, its header aside (§2.1.4)
)

// stream takes MQTT packets out of a byte stream without copying them:
//
//	for s.fill() == nil {
//		for s.next() {
//			… s.first, s.body
//		}
//	}
type stream struct {
	from io.Reader
	buf  []byte
	r, w int  // unread bytes are buf[r:w]
	full bool // the last read could have brought more

	first byte   // of the packet: type and flags
	body  []byte // valid until the next fill
	err   error
}

// fill waits for more bytes.
func (s *stream) fill() error {
	if s.err != nil {
		return s.err
	}
	if s.r > 0 {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
	if s.w == len(s.buf) || s.full && len(s.buf) < fullBuffer {
		grown := make([]byte, max(firstBuffer, 2*len(s.buf)))
		copy(grown, s.buf[:s.w])
		s.buf = grown
	}
	n, err := s.from.Read(s.buf[s.w:])
	s.w += n
	s.full = s.w == len(s.buf)
	if n > 0 { // an error comes again
		return nil
	}
	if errors.Is(err, io.EOF) && s.w > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next moves to the next packet that is there as a whole.
func (s *stream) next() bool {
	unread := s.buf[s.r:s.w]
	length, header, err := remainingLength(unread)
	if err != nil {
		s.err = err
		return false
	}
	if header == 0 || len(unread) < header+length {
		return false
	}
	s.first, s.body = unread[0], unread[header:header+length]
	s.r += header + length
	return true
}

// remainingLength is the length of the packet that p begins with, and that of
// its header: 0 while not all of the header is there.
func remainingLength(p []byte) (length, header int, err error) {
	for i := 1; i < len(p); i++ {
		length |= int(p[i]&0x7F) << (7 * (i - 1))
		if p[i] < 0x80 {
			return length, i + 1, nil
		}
		if i == 4 {
			return 0, 0, fmt.Errorf("the broker sent a packet whose length has more than four bytes")
		}
	}
	return 0, 0, nil
}

// appendLength appends a variable byte integer (MQTT 5.0 §1.5.5).
func appendLength(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}
