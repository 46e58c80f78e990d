// Package source opens the buses: each scheme of a source URL is one file here
// and gives the same small Source.
package source

import (
	"context"
	"errors"

	"github.com/fascia-edge/fascia/canbus/can"
)

// ErrClosed is what Send returns after Close.
var ErrClosed = errors.New("the bus is closed")

// Source yields the frames of one bus, in the shape of bufio.Scanner:
//
//	for src.Receive() {
//		use(src.Frame(), src.Time())
//	}
//	return src.Err()
//
// Receive is called by one goroutine; Close may be called by another and makes
// Receive return false.
type Source interface {
	// Receive blocks for the next frame. It returns false at the end (of a log)
	// or on an error, which Err then tells; after Close it returns false and Err
	// is nil.
	Receive() bool
	// Buffered reports whether the next Receive returns without waiting, so that
	// what is done once for many frames can be done before it waits.
	Buffered() bool
	// Frame is the frame that Receive found.
	Frame() can.Frame
	// Time is the moment the frame was received or injected, in nanoseconds
	// since 1970 by the wall clock: the kernel's stamp, or the controller's, where
	// there is one. Never a log's own stamp.
	Time() int64
	// Err is what ended Receive, nil at a normal end.
	Err() error
	// Close may be called more than once.
	Close() error
	// Counters tells what could not be used so far. It may be called by any
	// goroutine at any time.
	Counters() Counters
}

// Sink takes frames for a bus. One goroutine at a time, but for Close.
//
// Send blocks at most as long as the operating system's own buffer makes it; on
// SocketCAN it waits up to 100 ms for room in the transmit queue, and fails then.
// After Close it returns ErrClosed.
type Sink interface {
	Send(can.Frame) error
	Close() error
}

// Bus is both ways of one bus. What it sends it also receives, with can.Own set:
// from SocketCAN when the controller has sent it, so that other nodes could hear
// it, and at once from the others. Send may be called while another goroutine
// receives.
type Bus interface {
	Source
	Send(can.Frame) error
}

// Filter matches data frames whose identifier is ID in the bits that are set in
// Mask, and that have 29 bits if it is Extended, else 11.
type Filter struct {
	ID, Mask uint32
	Extended bool
}

// Filterer is a Source that can have the kernel leave out what nobody needs: a
// frame that does not come wakes nobody.
type Filterer interface {
	// SetFilters lets through the data frames that match one of the filters, and
	// error frames. nil lets everything through, and so do more filters than the
	// kernel takes. It may be called by any goroutine at any time.
	SetFilters([]Filter) error
}

// Controlled is a Source behind which there may be a CAN controller.
type Controlled interface {
	// State is the controller's state when the bus was opened. Error frames tell
	// of its changes.
	State() can.State
}

// Counters tell what a source could not use, or had to step over, since it was
// opened. They only grow.
type Counters struct {
	TornLines    uint64 // lines of a log that could not be read
	ClockJumps   uint64 // places where a log's clock jumps
	BadDatagrams uint64 // datagrams that are no frame
	Dropped      uint64 // frames that came faster than they were received

	// First says what the first of them was and where, "" as long as there is
	// none: drive.candump:118: the line ends before the frame does.
	First string
}

// Copy sends what src yields to dst until src ends or ctx does, and returns how
// many frames it sent. It closes src when ctx ends, and neither of them
// otherwise. Error frames are left out: they are a controller's report, nothing
// that stands on a bus.
func Copy(ctx context.Context, dst Sink, src Source) (n uint64, err error) {
	stop := context.AfterFunc(ctx, func() { _ = src.Close() })
	defer stop()
	for src.Receive() {
		fr := src.Frame()
		if fr.Has(can.Error) {
			continue
		}
		if err := dst.Send(fr); err != nil {
			return n, err
		}
		n++
	}
	if err := ctx.Err(); err != nil {
		return n, err
	}
	return n, src.Err()
}
