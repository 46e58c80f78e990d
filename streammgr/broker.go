package streammgr

import (
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// Broker is what streams need of the local broker. Its methods are safe for concurrent
// use.
type Broker interface {
	// OpenQueue opens the durable queue of that name, and makes it if need be.
	OpenQueue(name string, limits QueueLimits) (Queue, error)
	// StoredQueues are the names of the durable queues there are that begin with
	// prefix, open or not.
	StoredQueues(prefix string) []string
	// Publish never blocks.
	Publish(m message.Message) error
}

// Queue is a durable queue of the broker. What is in it survives the end of the
// process. Its methods are safe for concurrent use.
type Queue interface {
	// Feed leads what is published on filter into the queue. take is called once
	// for each message on its publisher's goroutine, must not block, and says whether
	// the message goes in, and what is written beside it; the publisher's
	// acknowledgement waits for it. With retained, what is retained now comes first.
	Feed(filter string, retained bool, take func(*message.Publication) (meta []byte, ok bool)) (cancel func(), err error)
	// Read calls fn for up to limit messages that are not done, from position from on,
	// until fn returns false; next is the position after the last one.
	Read(from uint64, limit int, fn func(Item) bool) (next uint64, err error)
	// Done ends a message. Twice is harmless.
	Done(pos uint64)
	// Wake holds a token when something was put in.
	Wake() <-chan struct{}
	Len() int
	Bytes() int64
	Head() uint64 // first position that is not done, or Tail
	Tail() uint64 // position of the next message
	Stats() QueueStats
	// SetLimits makes other limits hold from now on.
	SetLimits(QueueLimits)
	// Close ends the use of the queue; what is in it stays.
	Close()
	// Drop removes the queue with all that is in it.
	Drop() error
}

// Item is a message in a queue.
type Item struct {
	Pos     uint64
	Meta    []byte // what was written beside it
	Message message.Message
	Expires clock.Time // end of life on this boot's clock, 0 for none
	// Err tells why the message can't be read; it is read again until it is done.
	Err error
}

// QueueLimits bound a queue.
type QueueLimits struct {
	Bytes    int
	Messages int
	Reject   bool // when full, refuse what is published; otherwise the oldest go
}

// QueueStats count what did not come through since the queue was opened.
type QueueStats struct {
	Dropped uint64 // because the queue was full
	Refused uint64 // publishers refused because it was full
	Failed  uint64 // not taken by the store
}
