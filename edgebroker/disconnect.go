package edgebroker

import (
	"errors"

	"github.com/gorilla/websocket"

	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

// DisconnectReason is why a connection ended, in the words of AWS IoT
// ("Lifecycle events" in its developer guide).
type DisconnectReason string

// The reasons that there are here. AWS's others can't come about: nobody whose
// connection was refused was connected (FORBIDDEN_ACCESS).
const (
	AuthError        DisconnectReason = "AUTH_ERROR"                  // it authenticated again, and failed
	ClientInitiated  DisconnectReason = "CLIENT_INITIATED_DISCONNECT" // DISCONNECT, or the close frame of a WebSocket
	ClientError      DisconnectReason = "CLIENT_ERROR"                // it broke the protocol, or a limit on size or form
	ConnectionLost   DisconnectReason = "CONNECTION_LOST"             // the socket ended, or took nothing for too long
	DuplicateClient  DisconnectReason = "DUPLICATE_CLIENTID"          // another connection with its client id
	KeepAliveTimeout DisconnectReason = "MQTT_KEEP_ALIVE_TIMEOUT"     // silent for one and a half times its keep alive
	ServerError      DisconnectReason = "SERVER_ERROR"                // the broker could not store what it had to, or died
	ServerInitiated  DisconnectReason = "SERVER_INITIATED_DISCONNECT" // the gateway stopped, or its operator ended it
	Throttled        DisconnectReason = "THROTTLED"                   // it published faster than it may
)

// disconnectReason is why c ended; err is what its reader ended with.
func (c *conn) disconnectReason(err error) DisconnectReason {
	var bad *wire.Broken
	switch {
	case err == nil, errors.Is(err, errWithWill):
		return ClientInitiated
	case errors.As(err, &bad):
		return disconnectReasonOf(bad.Reason)
	case c.ended.Load() != 0:
		return disconnectReasonOf(wire.Reason(c.ended.Load() - 1))
	case c.silent(err):
		return KeepAliveTimeout
	case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived):
		return ClientInitiated
	case errors.Is(err, store.ErrClosed):
		return ServerError
	}
	return ConnectionLost
}

// disconnectReasonOf is the reason of a connection that the broker ended.
func disconnectReasonOf(reason wire.Reason) DisconnectReason {
	switch reason {
	case wire.Unspecified: // the socket failed
		return ConnectionLost
	case wire.SessionTakenOver:
		return DuplicateClient
	case wire.ShuttingDown, wire.Administrative:
		return ServerInitiated
	case wire.NotAuthorized, wire.BadAuthMethod:
		return AuthError
	case wire.RateTooHigh:
		return Throttled
	case wire.QuotaExceeded:
		return ServerError
	}
	return ClientError
}
