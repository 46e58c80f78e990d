package edgebroker

import "github.com/fascia-edge/fascia/edgebroker/message"

// What rooms publish and receive.
type (
	// Message is one application message.
	Message = message.Message
	// Origin tells where a message came from.
	Origin = message.Origin
	// UserProperty is a name and a value of MQTT 5.
	UserProperty = message.UserProperty
)
