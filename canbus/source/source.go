// Package source opens the buses: each scheme of a source URL is one file here
// and gives the same small Source.
package source

import "github.com/fascia-edge/fascia/canbus/can"

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
	// Frame is the frame that Receive found.
	Frame() can.Frame
	// Time is the moment the frame was received or injected, in nanoseconds
	// since 1970 by the wall clock. Never a log's own stamp.
	Time() int64
	// Err is what ended Receive, nil at a normal end.
	Err() error
	Close() error
}

// Sink takes frames for a bus. Send does not block longer than the operating
// system's own socket buffer makes it. One goroutine at a time.
type Sink interface {
	Send(can.Frame) error
	Close() error
}
