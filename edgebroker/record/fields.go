// Package record is what the broker has in its store: the keys and queues, and the
// form of what is under them. Reading takes foreign bytes: what is damaged is an
// error that wraps ErrForm. All functions are safe for concurrent use.
package record

import (
	"encoding/binary"
	"errors"

	"github.com/fascia-edge/fascia/clock"
)

// ErrForm says that something stored is not what it should be.
var ErrForm = errors.New("not a stored message")

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// fields reads what is stored, one field after the other.
type fields struct {
	rest  []byte
	short bool // more was asked for than there is
}

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.rest)) {
		f.short, n = true, uint64(len(f.rest))
	}
	head := f.rest[:n:n]
	f.rest = f.rest[n:]
	return head
}

func (f *fields) byte() byte {
	if b := f.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (f *fields) number() uint64 {
	n, used := binary.Uvarint(f.rest)
	if used <= 0 {
		f.short, used = true, len(f.rest)
	}
	f.rest = f.rest[used:]
	return n
}

func (f *fields) text() []byte { return f.take(f.number()) }

func (f *fields) mark() clock.Mark {
	if b := f.take(clock.MarkSize); len(b) == clock.MarkSize {
		return clock.ReadMark(b)
	}
	return clock.Mark{}
}
