// Package unixsocket binds Unix sockets and asks the kernel who is at the other
// end of one.
package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

var (
	// ErrAnswered says that a living process listens on the path.
	ErrAnswered = errors.New("somebody answers on it")
	// ErrNoSocket says that the path is there and is no socket.
	ErrNoSocket = errors.New("the path is taken by something that is no socket")
	// ErrNoPeer says that a connection has no process at its other end that the
	// kernel could tell of.
	ErrNoPeer = errors.New("want a connection of a Unix socket")
)

// Listen binds the path and makes its folder if need be. The socket has the
// permissions of mode from its first moment on. The file that a dead process
// left behind is removed; anything else on the path stays, and the error wraps
// syscall.EADDRINUSE with ErrAnswered or ErrNoSocket.
func Listen(path string, mode fs.FileMode) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	socket, err := bind(path, mode)
	if errors.Is(err, syscall.EADDRINUSE) {
		if inUse := occupant(path); inUse != nil {
			return nil, fmt.Errorf("%w: %w", err, inUse)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		socket, err = bind(path, mode)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil { // what the umask took away
		_ = socket.Close()
		return nil, err
	}
	return socket, nil
}

// bind gives the mode to the socket before it has a name: Linux makes the file
// with it, so there is no moment at which others could connect.
func bind(path string, mode fs.FileMode) (*net.UnixListener, error) {
	var failed error
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), uint32(mode.Perm())) })
		return errors.Join(err, failed)
	}}
	socket, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	return socket.(*net.UnixListener), nil
}

// occupant tells what holds the path, nil for the socket of a dead process.
func occupant(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return ErrNoSocket
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
		return ErrAnswered
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return nil
}

// Peer asks the kernel for the process that opened the other end (SO_PEERCRED,
// unix(7)): its process, user and group as they were then. The error wraps
// ErrNoPeer for anything but a Unix socket.
func Peer(c net.Conn) (*unix.Ucred, error) {
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("peer credentials: %w, got %T", ErrNoPeer, c)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	return cred, nil
}
