// Package log keeps streams of messages: appended at one end, numbered, read from
// anywhere, kept until they are exported, too old or too many.
//
// It stands on NATS JetStream, in this process and without a port unless one is
// asked for, or on a server of somebody else's. Many messages of a stream go into
// one message of JetStream, a block: what comes while a block is being written
// goes into the next one. JetStream hands a block to the kernel before it
// acknowledges it, which survives the death of the process; this package makes it
// last by fsync, for all streams that were written in one go.
package log

import "errors"

var (
	// ErrExists says that a stream of that name is there already.
	ErrExists = errors.New("stream exists")
	// ErrNotFound says that no stream has that name.
	ErrNotFound = errors.New("no such stream")
	// ErrInvalid says that a definition or an option can't be used.
	ErrInvalid = errors.New("invalid")
	// ErrFull says that a stream has the size that it may have, and holds nothing
	// that may be removed.
	ErrFull = errors.New("stream is full")
	// ErrTooLarge says that a message is longer than messages may be.
	ErrTooLarge = errors.New("message is too large")
	// ErrDeleted says that the stream was deleted meanwhile.
	ErrDeleted = errors.New("stream was deleted")
	// ErrBusy says that as much waits to be written as may wait.
	ErrBusy = errors.New("too much waits to be written")
	// ErrClosed says that the engine was closed.
	ErrClosed = errors.New("streams are closed")
	// ErrWrongKey says that the streams are encrypted with another key, or that
	// they are and no key was given.
	ErrWrongKey = errors.New("wrong key")
	// ErrUnavailable says that JetStream does not answer as it should. What was to
	// be appended may have been stored all the same.
	ErrUnavailable = errors.New("storage is not available")
)
