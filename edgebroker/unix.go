package edgebroker

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/auth"
)

// listenUnix binds a Unix socket. The file of a process that is gone is
// removed; one that somebody answers on is an address in use.
func listenUnix(cfg *ListenerConfig) (net.Listener, error) {
	mode, err := strconv.ParseUint(cfg.Mode, 8, 32)
	if err != nil {
		return nil, fmt.Errorf("mode: want octal permissions such as 0660, got %q", cfg.Mode)
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Socket), 0o755); err != nil {
		return nil, err
	}
	socket, err := net.Listen("unix", cfg.Socket)
	if errors.Is(err, syscall.EADDRINUSE) && stale(cfg.Socket) {
		if err := os.Remove(cfg.Socket); err != nil {
			return nil, err
		}
		socket, err = net.Listen("unix", cfg.Socket)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(cfg.Socket, fs.FileMode(mode)); err != nil {
		_ = socket.Close()
		return nil, err
	}
	return socket, nil
}

// stale reports whether path is a socket that nobody listens on.
func stale(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// peerOf asks the kernel for the process at the other end.
func peerOf(nc net.Conn) (*auth.Peer, error) {
	raw, err := nc.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	return &auth.Peer{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}, nil
}
