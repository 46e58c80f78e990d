package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/fascia-edge/fascia/unixsocket"
)

type peerKey struct{}

// listenControl binds the socket of the HTTP API that the command line and the
// console use. The kernel tells who is at the other end: root and the gateway's
// own user may do everything, others nothing. A socket that a killed gateway
// left behind is removed; one that somebody answers on is an error.
func listenControl(path string, handler http.Handler, log *slog.Logger) (*httpServer, error) {
	ln, err := unixsocket.Listen(path, 0o600)
	switch {
	case errors.Is(err, unixsocket.ErrAnswered):
		return nil, fmt.Errorf("control socket %s: another gateway answers on it", path)
	case errors.Is(err, unixsocket.ErrNoSocket):
		return nil, fmt.Errorf("control socket %s: the path is taken, and not by a socket that a gateway left behind", path)
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s := newHTTPServer(ln, requireOwner(handler), log)
	s.server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, peerKey{}, peerUID(c))
	}
	return s, nil
}

const nobody = -1

// peerUID is the user at the other end of a Unix socket.
func peerUID(c net.Conn) int {
	peer, err := unixsocket.Peer(c)
	if err != nil {
		return nobody
	}
	return int(peer.Uid)
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
