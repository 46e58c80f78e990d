// Package profile knows what far sides allow, as data with its source: a rule that
// could never work there is refused when the configuration is checked, not by a
// connection that the far side cuts.
package profile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/topic"
)

// The far sides that are known.
const (
	None       = "none" // only what MQTT itself says
	AWSIoTCore = "aws-iot-core"
)

// Limits is what one kind of far side takes. A number of 0 is no limit.
type Limits struct {
	Name   string
	Source string // where the figures are from

	Payload      int // bytes of one message
	TopicBytes   int // of a name or filter
	TopicSlashes int // in a name or filter

	// UncountedPrefix begins topics whose first three levels count against neither
	// limit of topics.
	UncountedPrefix string

	MaximumQoS byte
	Retain     bool

	Subscriptions       int // of a connection
	FiltersPerSubscribe int // in one SUBSCRIBE

	PublishesPerSecond int // of a connection
	BytesPerSecond     int // of a connection
	InFlight           int // QoS 1 messages that may be unacknowledged

	ClientID     int // bytes
	KeepAliveMin time.Duration
	KeepAliveMax time.Duration
	// Queued is how long messages wait there for an absent client, unless the account
	// says otherwise; QueuedMax is the most that it can say.
	Queued    time.Duration
	QueuedMax time.Duration

	ALPN string // protocol name that MQTT asks for on port 443
}

var known = map[string]Limits{
	// OASIS MQTT 5.0: Two Byte Integers and Variable Byte Integers bound lengths, keep-alive and window.
	None: {
		Name:         None,
		Source:       "https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html",
		Payload:      268_435_455 - 1<<17, // a packet's remaining length with room for its header
		TopicBytes:   topic.MaxLength,
		MaximumQoS:   2,
		Retain:       true,
		InFlight:     65_535,
		ClientID:     65_535,
		KeepAliveMax: 65_535 * time.Second,
	},
	AWSIoTCore: {
		Name:                AWSIoTCore,
		Source:              "https://docs.aws.amazon.com/general/latest/gr/iot-core.html#message-broker-limits",
		Payload:             128 << 10,
		TopicBytes:          256,
		TopicSlashes:        7,
		UncountedPrefix:     "$aws/rules/", // Basic Ingest
		MaximumQoS:          1,
		Retain:              true,
		Subscriptions:       50,
		FiltersPerSubscribe: 8,
		PublishesPerSecond:  100,
		BytesPerSecond:      512 << 10,
		InFlight:            100,
		ClientID:            128,
		KeepAliveMin:        30 * time.Second,
		KeepAliveMax:        1200 * time.Second,
		Queued:              time.Hour,
		QueuedMax:           7 * 24 * time.Hour,
		ALPN:                "x-amzn-mqtt-ca",
	},
}

// Of gives the limits of a far side by its name; the empty name is None.
func Of(name string) (Limits, error) {
	if name == "" {
		name = None
	}
	l, ok := known[name]
	if !ok {
		return Limits{}, fmt.Errorf("no profile %q: want %s", name, strings.Join(Names(), " or "))
	}
	return l, nil
}

// Names are the names of all profiles, in order.
func Names() []string { return slices.Sorted(maps.Keys(known)) }

// CheckTopic reports what is too much in a topic name or filter. Whether it is one
// is another question (package topic).
func (l *Limits) CheckTopic(name string) error {
	counted := l.counted(name)
	if l.TopicBytes > 0 && len(counted) > l.TopicBytes {
		return fmt.Errorf("%d bytes long: %s takes topics of at most %d", len(counted), l.Name, l.TopicBytes)
	}
	if slashes := strings.Count(counted, "/"); l.TopicSlashes > 0 && slashes > l.TopicSlashes {
		return fmt.Errorf("%d slashes: %s takes at most %d in a topic", slashes, l.Name, l.TopicSlashes)
	}
	return nil
}

// counted is the part of a topic that the limits hold for.
func (l *Limits) counted(name string) string {
	if l.UncountedPrefix == "" {
		return name
	}
	if rest, ok := strings.CutPrefix(name, l.UncountedPrefix); ok {
		_, rest, _ = strings.Cut(rest, "/") // the level behind the prefix is of it too
		return rest
	}
	return name
}

// CheckPayload reports a payload that is too long.
func (l *Limits) CheckPayload(bytes int) error {
	if l.Payload > 0 && bytes > l.Payload {
		return fmt.Errorf("%d bytes of payload: %s takes at most %d", bytes, l.Name, l.Payload)
	}
	return nil
}

// CheckRate reports more messages or bytes a second than a connection may carry;
// 0 stands for as many as there are, and is no error: the sender keeps to the limit.
func (l *Limits) CheckRate(messages, bytes float64) error {
	if l.PublishesPerSecond > 0 && messages > float64(l.PublishesPerSecond) {
		return fmt.Errorf("%g messages a second: %s takes at most %d on a connection", messages, l.Name, l.PublishesPerSecond)
	}
	if l.BytesPerSecond > 0 && bytes > float64(l.BytesPerSecond) {
		return fmt.Errorf("%g bytes a second: %s takes at most %d on a connection", bytes, l.Name, l.BytesPerSecond)
	}
	return nil
}

// CheckKeepAlive reports an interval outside the range.
func (l *Limits) CheckKeepAlive(interval time.Duration) error {
	if interval < l.KeepAliveMin || l.KeepAliveMax > 0 && interval > l.KeepAliveMax {
		return fmt.Errorf("%s: %s takes a keep-alive of %s to %s", interval, l.Name, l.KeepAliveMin, l.KeepAliveMax)
	}
	return nil
}

// CheckSessionExpiry reports a session that is to be kept for longer than it will be.
func (l *Limits) CheckSessionExpiry(expiry time.Duration) error {
	if l.QueuedMax > 0 && expiry > l.QueuedMax {
		return fmt.Errorf("%s: %s keeps the session of an absent client for at most %s", expiry, l.Name, l.QueuedMax)
	}
	return nil
}

// CheckClientID reports a client id that is too long.
func (l *Limits) CheckClientID(id string) error {
	if l.ClientID > 0 && len(id) > l.ClientID {
		return fmt.Errorf("%d bytes long: %s takes client ids of at most %d", len(id), l.Name, l.ClientID)
	}
	return nil
}
