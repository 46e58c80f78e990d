// Package message is a message in memory: as rooms of the process see it, and on
// its way through the broker, one for all its receivers.
package message

import (
	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// Origin tells where a message came from. The broker sets it for messages of
// MQTT clients, never from anything in a packet; a room that forwards a message
// keeps it.
type Origin struct {
	Client   string // MQTT client id
	Identity string // name of the identity, "san:cluster.vehicle"
	Role     string
	Zone     string
	Listener string
	Link     string // name of the link that a cloud's message came by
}

// OriginOf is the origin of what a client with that identity publishes.
func OriginOf(id *auth.Identity) *Origin {
	return &Origin{Client: id.Client, Identity: id.Name, Role: id.Role, Zone: id.Zone, Listener: id.Listener}
}

// UserProperty is a name and a value of MQTT 5 [MQTT-1.5.7].
type UserProperty = wire.User

// Message is one application message. It is passed by value; its payload and
// slices are shared by all receivers and never modified after Publish.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte // 0, 1 or 2
	Retain  bool // publishing: store it; receiving: it was stored before the subscription

	ContentType     string
	PayloadUTF8     bool // the payload is said to be text (payload format indicator 1)
	ResponseTopic   string
	CorrelationData []byte
	UserProperties  []UserProperty
	Expiry          uint32 // seconds left to live, 0 for no end

	Origin Origin
}

// Size is about what the message takes in a packet, in bytes.
func (m *Message) Size() int {
	n := len(m.Topic) + len(m.Payload) + len(m.ContentType) + len(m.ResponseTopic) + len(m.CorrelationData)
	for _, p := range m.UserProperties {
		n += len(p.Name) + len(p.Value)
	}
	return n
}
