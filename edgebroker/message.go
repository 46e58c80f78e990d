package edgebroker

import (
	"errors"

	"github.com/fascia-edge/fascia/auth"
)

// Errors of publishing. They are wrapped with the topic and what was expected.
var (
	ErrTopic        = errors.New("invalid topic")
	ErrFilter       = errors.New("invalid topic filter")
	ErrTooLarge     = errors.New("message too large")
	ErrRetainedFull = errors.New("retained messages are full")
	ErrEmptyValue   = errors.New("a last known value can't be empty")
	ErrClosed       = errors.New("broker is closed")
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
type UserProperty struct{ Name, Value string }

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

	expires clock  // end of life, 0 for none
	stored  uint64 // generation of the index when it was retained
}

// messageOverhead is what a waiting message costs beside its text, in bytes.
const messageOverhead = 256

// size is what the message counts against limits in bytes.
func (m *Message) size() int {
	n := messageOverhead + len(m.Topic) + len(m.Payload) + len(m.ContentType) + len(m.ResponseTopic) + len(m.CorrelationData)
	for _, p := range m.UserProperties {
		n += len(p.Name) + len(p.Value) + 32
	}
	return n
}

// start begins the message's life at now.
func (m *Message) start(now clock) {
	if m.Expiry > 0 {
		m.expires = now + clock(m.Expiry)*second
	}
}

// left is the expiry to announce at now; ok is false for a message that has
// none left to live.
func (m *Message) left(now clock) (seconds uint32, ok bool) {
	if m.expires == 0 {
		return 0, true
	}
	if now >= m.expires {
		return 0, false
	}
	return uint32((m.expires - now + second - 1) / second), true
}

// setProperties takes the properties of a PUBLISH or a will.
func (m *Message) setProperties(props *properties) {
	m.ContentType = props.ContentType
	m.PayloadUTF8 = props.PayloadFormatFlag && props.PayloadFormat == 1
	m.ResponseTopic = props.ResponseTopic
	m.CorrelationData = props.CorrelationData
	m.Expiry = props.MessageExpiryInterval
	for _, u := range props.User {
		m.UserProperties = append(m.UserProperties, UserProperty{u.Key, u.Val})
	}
}

func originOf(id *auth.Identity) Origin {
	return Origin{Client: id.Client, Identity: id.Name, Role: id.Role, Zone: id.Zone, Listener: id.Listener}
}
