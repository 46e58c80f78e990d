package streams

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Feeder is a program of the vehicle that hands messages to a stream by its Unix
// socket. Its methods but Stored are for one goroutine.
type Feeder struct {
	conn   *net.UnixConn
	out    *bufio.Writer
	put    uint64
	stored atomic.Uint64
	ended  chan error // why nothing more is told
}

// Feed connects to a socket, and waits for it to be there until ctx ends.
func Feed(ctx context.Context, path string) (*Feeder, error) {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			f := &Feeder{conn: conn.(*net.UnixConn), out: bufio.NewWriterSize(conn, 128<<10), ended: make(chan error, 1)}
			go f.hear()
			return f, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("socket %s: %w", path, err)
		case <-time.After(5 * time.Millisecond): // nobody tells that it is there
		}
	}
}

// hear notes how much is stored.
func (f *Feeder) hear() {
	for {
		var told [8]byte
		if _, err := io.ReadFull(f.conn, told[:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			f.ended <- err
			return
		}
		f.stored.Store(binary.BigEndian.Uint64(told[:]))
	}
}

// Put hands a message in, at the latest with Flush. It blocks while the gateway takes
// nothing.
func (f *Feeder) Put(message []byte) error {
	_, _ = f.out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(message)))) // the next one tells
	_, err := f.out.Write(message)
	f.put++
	return err
}

// Flush sends what was put.
func (f *Feeder) Flush() error { return f.out.Flush() }

// Stored is how many of its messages are stored, the first ones.
func (f *Feeder) Stored() uint64 { return f.stored.Load() }

// End sends the rest and waits until all is stored. The error of a gateway that has
// gone says how many are not known to be.
func (f *Feeder) End() error {
	err := f.out.Flush()
	if err == nil {
		err = f.conn.CloseWrite()
	}
	err = errors.Join(err, <-f.ended, f.conn.Close())
	if stored := f.Stored(); err == nil && stored != f.put {
		err = fmt.Errorf("socket: %d of %d messages are stored", stored, f.put)
	}
	return err
}
