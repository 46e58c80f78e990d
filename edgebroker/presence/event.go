// Package presence is what the broker tells of its clients: that one came, went or
// changed its subscriptions, in the topics and the form of AWS IoT.
package presence

import (
	"strings"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// Kind is what an event tells of.
type Kind string

// The kinds of events.
const (
	Connected    Kind = "connected"
	Disconnected Kind = "disconnected"
	Subscribed   Kind = "subscribed"
	Unsubscribed Kind = "unsubscribed"
)

// topics are what the topics of a kind's events begin with; the client id follows.
var topics = map[Kind]string{
	Connected:    Prefix + "presence/connected/",
	Disconnected: Prefix + "presence/disconnected/",
	Subscribed:   Prefix + "subscriptions/subscribed/",
	Unsubscribed: Prefix + "subscriptions/unsubscribed/",
}

// Prefix begins the topics of what the broker tells of its clients, as in
// AWS IoT ("Lifecycle events" in its developer guide).
const Prefix = "$aws/events/"

// Event tells that a client came, went, or changed its subscriptions.
type Event struct {
	Kind    Kind
	At      time.Time      // by the wall clock, which may be wrong: Version gives the order
	Origin  message.Origin // the client
	Address string         // its IP address; "" for a Unix socket
	Session string         // UUID of the connection
	// Version is one number for all events of a connection. That of a later
	// connection is higher, whichever client it is of, after a restart too.
	Version uint64
	Reason  Reason   // of Disconnected
	Topics  []string // of Subscribed and Unsubscribed: the filters, as the client wrote them
}

// Topic is the topic of a kind's events of a client. It is "" for a client id that no
// topic can hold.
func Topic(kind Kind, client string) string {
	if strings.ContainsAny(client, "+#/") {
		return ""
	}
	return topics[kind] + client
}
