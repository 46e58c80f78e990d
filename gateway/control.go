package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

type peerKey struct{}

// listenControl binds the socket of the HTTP API that the command line and the
// console use. The kernel tells who is at the other end: root and the gateway's
// own user may do everything, others nothing. A socket that a killed gateway
// left behind is removed; one that somebody answers on is an error.
func listenControl(path string, handler http.Handler, log *slog.Logger) (*httpServer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		conn, dialErr := net.Dial("unix", path)
		if dialErr == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("control socket %s: another gateway answers on it", path)
		}
		if info, statErr := os.Lstat(path); statErr == nil && info.Mode()&fs.ModeSocket == 0 || !errors.Is(dialErr, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("control socket %s: the path is taken, and not by a socket that a gateway left behind", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
		ln, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s := newHTTPServer(ln, requireOwner(handler), log)
	s.server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, peerKey{}, peerUID(c))
	}
	return s, nil
}

const nobody = -1

// peerUID is the user at the other end of a Unix socket (SO_PEERCRED).
func peerUID(c net.Conn) int {
	unixConn, ok := c.(*net.UnixConn)
	if !ok {
		return nobody
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return nobody
	}
	uid := nobody
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	return uid
}

func requireOwner(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, ok := r.Context().Value(peerKey{}).(int)
		if !ok || uid != 0 && uid != os.Geteuid() {
			http.Error(w, fmt.Sprintf("user %d may not control this gateway: root or user %d may", uid, os.Geteuid()), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away: nobody to tell
}
