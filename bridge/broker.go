package bridge

import (
	"context"

	"github.com/fascia-edge/fascia/bridge/spool"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// Queue is a durable queue of the broker.
type Queue = spool.Queue

// Item is a message in a Queue.
type Item = spool.Item

// Limits bound a Queue.
type Limits = spool.Limits

// QueueStats count what did not come through a Queue.
type QueueStats = spool.QueueStats

// ErrGone says that a message is not in a queue any more; what Queue.Move returns
// wraps it then.
var ErrGone = spool.ErrGone

// Broker is what the bridge needs of the local broker. Its methods are safe for
// concurrent use.
type Broker interface {
	// OpenQueue opens the durable queue of that name, and makes it if need be.
	OpenQueue(name string, limits Limits) (Queue, error)
	// StoredQueues are the names of the durable queues there are that begin with
	// prefix, open or not.
	StoredQueues(prefix string) []string
	// Publish never blocks.
	Publish(m message.Message) error
	// PublishWait returns when the message is stored for every durable receiver; it
	// waits for room.
	PublishWait(ctx context.Context, m message.Message) error
}

// Streams are the streams of the gateway. Its methods are safe for concurrent use.
type Streams interface {
	// Has reports whether the configuration has a stream of that name.
	Has(name string) bool
	// Take puts a message into a stream, and waits until it is stored there; not long.
	Take(name string, m message.Message) error
}

// Keeper keeps small values over a restart, by key.
type Keeper interface {
	Get(key string) []byte // nil if there is none
	Put(key string, value []byte) error
}
