package presence

import "github.com/fascia-edge/fascia/edgebroker/wire"

// Reason is why a connection ended, in the words of AWS IoT
// ("Lifecycle events" in its developer guide).
type Reason string

// The reasons that there are here. AWS's others can't come about: nobody whose
// connection was refused was connected (FORBIDDEN_ACCESS).
const (
	AuthError        Reason = "AUTH_ERROR"                  // it authenticated again, and failed
	ClientInitiated  Reason = "CLIENT_INITIATED_DISCONNECT" // DISCONNECT, or the close frame of a WebSocket
	ClientError      Reason = "CLIENT_ERROR"                // it broke the protocol, or a limit on size or form
	ConnectionLost   Reason = "CONNECTION_LOST"             // the socket ended, or took nothing for too long
	DuplicateClient  Reason = "DUPLICATE_CLIENTID"          // another connection with its client id
	KeepAliveTimeout Reason = "MQTT_KEEP_ALIVE_TIMEOUT"     // silent for one and a half times its keep alive
	ServerError      Reason = "SERVER_ERROR"                // the broker could not store what it had to, or died
	ServerInitiated  Reason = "SERVER_INITIATED_DISCONNECT" // the gateway stopped, or its operator ended it
	Throttled        Reason = "THROTTLED"                   // it published faster than it may
)

// ReasonOf is the reason of a connection that the broker ended.
func ReasonOf(reason wire.Reason) Reason {
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
