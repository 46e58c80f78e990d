package stream

import (
	"errors"
	"syscall"
)

// directWriter writes to a socket without waiting for it. One at a time may.
type directWriter struct {
	raw  syscall.RawConn
	try  func(fd uintptr) bool
	data []byte
	n    int
	err  error
}

func newDirectWriter(socket syscall.Conn) (*directWriter, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &directWriter{raw: raw}
	w.try = func(fd uintptr) bool {
		w.n, w.err = writeNow(fd, w.data)
		return true
	}
	return w, nil
}

// write gives how much the socket took, which may be nothing.
func (w *directWriter) write(data []byte) (n int, err error) {
	w.data = data
	err = w.raw.Write(w.try)
	w.data = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(w.err, syscall.EAGAIN), errors.Is(w.err, syscall.EINTR):
		return 0, nil
	case w.err != nil:
		return 0, w.err
	}
	return w.n, nil
}
