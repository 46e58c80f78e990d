package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

// upgrade is MQTT over WebSocket (MQTT 5.0 §6, RFC 6455) on a connection that
// stands, TLS included.
func (d *dialer) upgrade(ctx context.Context, under net.Conn, e endpoint, watch observer) (net.Conn, error) {
	var over net.Conn
	err := d.step(ctx, watch, "websocket", func(ctx context.Context) (string, error) {
		here := func(context.Context, string, string) (net.Conn, error) { return under, nil }
		asker := websocket.Dialer{
			NetDialContext:    here,
			NetDialTLSContext: here,
			Subprotocols:      []string{"mqtt"}, // [MQTT-6.0.0-3]
		}
		scheme := "ws"
		if e.secure {
			scheme = "wss"
		}
		var ws *websocket.Conn
		var answer *http.Response
		err := during(ctx, under, func() (err error) { // gorilla heeds a context's deadline alone, not its end
			ws, answer, err = asker.DialContext(context.WithoutCancel(ctx), scheme+"://"+e.address()+e.path, nil) //nolint:bodyclose // gorilla has read and closed it
			return err
		})
		switch {
		case err == nil:
		case answer != nil && answer.StatusCode != http.StatusSwitchingProtocols:
			return "", fmt.Errorf("%s answers %s: check the path of the URL", e.url, answer.Status)
		default:
			return "", explain(err)
		}
		if ws.Subprotocol() != "mqtt" {
			return "", fmt.Errorf("%s does not speak the subprotocol mqtt", e.url) // [MQTT-6.0.0-4]
		}
		over = &webSocket{Conn: under, ws: ws}
		return e.path, nil
	})
	return over, err
}

// webSocket is a WebSocket connection as a byte stream: packets may span messages,
// and messages hold many packets [MQTT-6.0.0-2]. Reads and writes come from one
// goroutine each, as gorilla asks.
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
