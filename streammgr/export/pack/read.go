package pack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// MaxMessage is the longest message that is read, in bytes; streams take less.
const MaxMessage = 64 << 20

// ErrDamaged says that a body does not hold what it should; what was read before is
// good.
var ErrDamaged = errors.New("body is damaged")

// Reader reads the messages of bodies. It is for one goroutine at a time.
type Reader struct {
	config Config
	in     *bufio.Reader
	line   uint64
	close  func()
	header [headerSize]byte
}

// NewReader reads bodies packed as c says. Of lines it numbers the messages from 0
// on. Errors are in's, or wrap ErrDamaged.
func NewReader(c Config, in io.Reader) (*Reader, error) {
	r := &Reader{config: c, close: func() {}}
	switch c.Compress {
	case Gzip:
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		in = z
	case Zstd:
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, err
		}
		in, r.close = z, z.Close
	}
	r.in = bufio.NewReaderSize(in, 64<<10)
	return r, nil
}

// Close gives back what the reader holds; it does not close what it reads.
func (r *Reader) Close() { r.close() }

// Next is the next message, io.EOF after the last one.
func (r *Reader) Next() (log.Message, error) {
	if r.config.Format == Frames {
		return r.frame()
	}
	return r.nextLine()
}

func (r *Reader) nextLine() (log.Message, error) {
	var text []byte
	for {
		part, err := r.in.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case err == nil:
			r.line++
			return log.Message{Seq: r.line - 1, Payload: text[:len(text)-1]}, nil
		case errors.Is(err, bufio.ErrBufferFull) && len(text) <= MaxMessage:
		case errors.Is(err, io.EOF) && len(text) == 0:
			return log.Message{}, io.EOF
		default:
			return log.Message{}, fmt.Errorf("%w: line %d: %w", ErrDamaged, r.line+1, whole(err))
		}
	}
}

func (r *Reader) frame() (m log.Message, err error) {
	h := r.header[:]
	if _, err := io.ReadFull(r.in, h); err != nil {
		if errors.Is(err, io.EOF) {
			return m, io.EOF
		}
		return m, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	size := binary.BigEndian.Uint32(h)
	if size > MaxMessage {
		return m, fmt.Errorf("%w: a message of %d bytes: want at most %d", ErrDamaged, size, MaxMessage)
	}
	m.Epoch = binary.BigEndian.Uint32(h[8:])
	m.Seq = binary.BigEndian.Uint64(h[12:])
	m.Time = time.UnixMilli(int64(binary.BigEndian.Uint64(h[20:])))
	if m.Payload, err = readPayload(r.in, int(size)); err != nil {
		return m, fmt.Errorf("%w: message %d: %w", ErrDamaged, m.Seq, whole(err))
	}
	sum := crc32.Update(crc32.Checksum(h[checked:], castagnoli), castagnoli, m.Payload)
	if sum != binary.BigEndian.Uint32(h[4:]) {
		return m, fmt.Errorf("%w: message %d: its checksum does not fit", ErrDamaged, m.Seq)
	}
	return m, nil
}

// readPayload reads so many bytes. A length that is a lie costs no more memory than
// there are bytes.
func readPayload(in io.Reader, size int) ([]byte, error) {
	const step = 1 << 20
	b := make([]byte, 0, min(size, step))
	for len(b) < size {
		from := len(b)
		b = append(b, make([]byte, min(size-from, step))...)
		if _, err := io.ReadFull(in, b[from:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// whole is the error of an end that comes too early.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
