package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// httpServer serves one listener until it is stopped.
type httpServer struct {
	server *http.Server
	ln     net.Listener
	done   chan struct{} // closed when Serve has returned
}

func newHTTPServer(ln net.Listener, handler http.Handler, log *slog.Logger) *httpServer {
	return &httpServer{
		ln:   ln,
		done: make(chan struct{}),
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 5 * time.Second,
			IdleTimeout:       time.Minute,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
	}
}

func (s *httpServer) start() {
	go func() {
		defer close(s.done)
		_ = s.server.Serve(s.ln) // ends with stop, which closes it
	}()
}

// stop lets requests end until ctx does, and then cuts them.
func (s *httpServer) stop(ctx context.Context) {
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	<-s.done
}
