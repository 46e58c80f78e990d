package listen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	webSocketPath = "/mqtt"
	requestLimit  = 16 << 10 // bytes of the HTTP request
	readBuffer    = 512      // bytes kept for each connection; longer reads go past it
	writeBuffer   = 4 << 10  // bytes kept while a message is written
)

// writeBuffers are shared: an idle connection has none.
var writeBuffers sync.Pool

// upgrade answers the HTTP request of a WebSocket client (RFC 6455) and gives
// the byte stream of MQTT inside it (MQTT 5.0 §6).
func upgrade(nc net.Conn, origins []string, secure bool) (net.Conn, error) {
	limited := &io.LimitedReader{R: nc, N: requestLimit}
	in := bufio.NewReader(limited)
	request, err := http.ReadRequest(in)
	if err != nil {
		return nil, fmt.Errorf("WebSocket request: %w", err)
	}
	response := &hijack{conn: nc, in: in, header: make(http.Header)}
	if request.URL.Path != webSocketPath {
		http.Error(response, "want "+webSocketPath, http.StatusNotFound)
		return nil, fmt.Errorf("WebSocket request for %.100q: want %s", request.URL.Path, webSocketPath)
	}
	if len(websocket.Subprotocols(request)) == 0 || !slices.ContainsFunc(websocket.Subprotocols(request), isMQTT) {
		http.Error(response, "want subprotocol mqtt", http.StatusBadRequest) // [MQTT-6.0.0-3]
		return nil, errors.New("WebSocket request without subprotocol mqtt")
	}
	upgrader := websocket.Upgrader{
		// Buffers of its own: the one of the request ends at its limit.
		ReadBufferSize:  readBuffer,
		WriteBufferSize: writeBuffer,
		WriteBufferPool: &writeBuffers,
		Subprotocols:    subprotocols,
		CheckOrigin:     func(r *http.Request) bool { return originAllowed(r, origins, secure) },
	}
	ws, err := upgrader.Upgrade(response, request, nil)
	if err != nil {
		return nil, fmt.Errorf("WebSocket request: %w", err)
	}
	return &webSocket{Conn: nc, ws: ws}, nil
}

// subprotocols: the old name is what MQTT 3.1 clients still ask for.
var subprotocols = []string{"mqtt", "mqttv3.1"}

func isMQTT(name string) bool { return slices.Contains(subprotocols, name) }

// originAllowed keeps web pages of elsewhere from reaching a listener through
// the browser of someone who can. Programs send no Origin. A page of the host
// that it asks for may, but a name counts only with a certificate: without one
// its owner can make it lead here, to a loopback address too (DNS rebinding).
func originAllowed(r *http.Request, origins []string, secure bool) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || !strings.EqualFold(u.Host, r.Host) {
		return false
	}
	name := u.Hostname()
	return secure || strings.EqualFold(name, "localhost") || net.ParseIP(name) != nil
}

// hijack is the http.ResponseWriter of a connection that has no HTTP server.
type hijack struct {
	conn    net.Conn
	in      *bufio.Reader
	header  http.Header
	started bool
}

func (h *hijack) Header() http.Header { return h.header }

func (h *hijack) WriteHeader(status int) {
	if h.started {
		return
	}
	h.started = true
	h.header.Set("Connection", "close")
	_, _ = fmt.Fprintf(h.conn, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = h.header.Write(h.conn)
	_, _ = io.WriteString(h.conn, "\r\n")
}

func (h *hijack) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.conn.Write(p)
}

// Hijack implements http.Hijacker.
func (h *hijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(h.in, bufio.NewWriter(h.conn)), nil
}

// webSocket is a WebSocket connection as a byte stream: packets may span
// messages, and messages hold many packets [MQTT-6.0.0-2]. Reads and writes
// come from one goroutine each, as gorilla asks.
type webSocket struct {
	net.Conn
	ws      *websocket.Conn
	message io.Reader // the one being read
}

func (w *webSocket) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			kind, message, err := w.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("WebSocket message that is not binary") // [MQTT-6.0.0-1]
			}
			w.message = message
		}
		n, err := w.message.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		w.message = nil
		if n > 0 {
			return n, nil
		}
	}
}

func (w *webSocket) Write(p []byte) (int, error) {
	if err := w.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *webSocket) SetWriteDeadline(t time.Time) error { return w.ws.SetWriteDeadline(t) }

// CloseWrite says that nothing more comes: a close frame.
func (w *webSocket) CloseWrite() error {
	text := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	return w.ws.WriteControl(websocket.CloseMessage, text, time.Now().Add(linger))
}
