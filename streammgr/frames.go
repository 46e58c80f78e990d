package streammgr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lengthSize is what stands before each message of a socket.
	lengthSize = 4
	// framesBuffer takes many messages in one read.
	framesBuffer = 128 << 10
	// tellWithin is how long a program may take to read how much is stored.
	tellWithin = 5 * time.Second
)

// frames reads messages that stand behind their lengths.
type frames struct {
	from    io.Reader
	longest int
	buffer  []byte
	used    int // of buffer
	given   int // of those, which the caller has had
	list    [][]byte
}

func newFrames(from io.Reader, longest int) *frames {
	return &frames{from: from, longest: longest, buffer: make([]byte, framesBuffer)}
}

// errTooLong says that a program announces a message that no stream takes.
var errTooLong = errors.New("message is too long")

// next waits for a message and gives all that have come by then. They are good until
// the next call. The error is io.EOF where no message has begun, wraps errTooLong, or
// is the reader's; messages come without an error.
func (f *frames) next() ([][]byte, error) {
	f.used = copy(f.buffer, f.buffer[f.given:f.used])
	f.given = 0
	for {
		size, err := f.split()
		if err != nil || len(f.list) > 0 {
			return f.list, err
		}
		f.fit(size)
		n, err := f.from.Read(f.buffer[f.used:])
		f.used += n
		switch {
		case n > 0: // an error comes again
		case errors.Is(err, io.EOF) && f.used > 0:
			return nil, fmt.Errorf("message %d bytes long: %w", size-lengthSize, io.ErrUnexpectedEOF)
		case err != nil:
			return nil, err
		}
	}
}

// split finds the whole messages in the buffer. size is what the first one that is not
// whole takes, as far as that is known.
func (f *frames) split() (size int, err error) {
	f.list = f.list[:0]
	for {
		rest := f.buffer[f.given:f.used]
		if len(rest) < lengthSize {
			return lengthSize, nil
		}
		length := binary.BigEndian.Uint32(rest)
		if uint64(length) > uint64(f.longest) {
			if len(f.list) > 0 {
				return 0, nil // those before it first
			}
			return 0, fmt.Errorf("%w: %d bytes: want at most %d", errTooLong, length, f.longest)
		}
		size = lengthSize + int(length)
		if len(rest) < size {
			return size, nil
		}
		f.list = append(f.list, rest[lengthSize:size:size])
		f.given += size
	}
}

// fit makes the buffer large enough for a message, and small again after one.
func (f *frames) fit(size int) {
	want := max(framesBuffer, size)
	if want != len(f.buffer) && f.used <= want {
		buffer := make([]byte, want)
		copy(buffer, f.buffer[:f.used])
		f.buffer = buffer
	}
}

// stored tells a program how many of its messages are stored. A program that does not
// read that is told less often, and holds up nobody but itself at its end.
type stored struct {
	conn    net.Conn
	count   atomic.Uint64
	changed chan struct{} // holds a token when count has risen
	running sync.WaitGroup
}

func newStored(c net.Conn) *stored {
	t := &stored{conn: c, changed: make(chan struct{}, 1)}
	t.running.Go(t.run)
	return t
}

func (t *stored) add(n int) {
	t.count.Add(uint64(n))
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *stored) run() {
	for range t.changed {
		if _, err := t.conn.Write(binary.BigEndian.AppendUint64(nil, t.count.Load())); err != nil {
			break // the program has gone, or has long enough not read
		}
	}
	for range t.changed { // until the end
	}
}

// end tells the last number, and returns.
func (t *stored) end() {
	_ = t.conn.SetWriteDeadline(time.Now().Add(tellWithin))
	close(t.changed)
	t.running.Wait()
}
