package edgebroker

import (
	"errors"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// Errors of publishing. They are wrapped with the topic and what was expected.
var (
	ErrTopic        = errors.New("invalid topic")
	ErrFilter       = errors.New("invalid topic filter")
	ErrTooLarge     = errors.New("message too large")
	ErrRetainedFull = errors.New("retained messages are full")
	ErrEmptyValue   = errors.New("a last known value can't be empty")
	ErrClosed       = errors.New("broker is closed")
	ErrStore        = errors.New("can't be stored now")
	ErrQueueFull    = errors.New("queue is full")
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

// size is about what the message takes in a packet, in bytes.
func (m *Message) size() int {
	n := len(m.Topic) + len(m.Payload) + len(m.ContentType) + len(m.ResponseTopic) + len(m.CorrelationData)
	for _, p := range m.UserProperties {
		n += len(p.Name) + len(p.Value)
	}
	return n
}

func originOf(id *auth.Identity) *Origin {
	return &Origin{Client: id.Client, Identity: id.Name, Role: id.Role, Zone: id.Zone, Listener: id.Listener}
}
