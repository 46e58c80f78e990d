package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Shape is who hears whom.
type Shape string

// The shapes.
const (
	Pair     Shape = "pair"     // subscriber i hears publisher i modulo their number
	FanOut   Shape = "fanout"   // everyone hears all publishers, by one # filter
	Wildcard Shape = "wildcard" // everyone hears all publishers, by a + in the middle
	Shared   Shape = "shared"   // all share one subscription: each message goes to one of them
)

// MinSize is the smallest payload in bytes: what says which message it is.
const MinSize = headLength

// Limits of a run.
const (
	MaxPublishers = 1<<16 - 1
	MaxWindow     = 1<<16 - 1
)

// Traffic is a load of messages.
type Traffic struct {
	// Shape is who hears whom.
	Shape Shape `json:"shape"`
	// Publishers is how many clients publish, each to one topic.
	Publishers int `json:"publishers"`
	// Subscribers is how many clients subscribe, each to one filter.
	Subscribers int `json:"subscribers"`
	// QoS is that of the messages and of the subscriptions: 0, 1 or 2.
	QoS byte `json:"qos"`
	// Size of a payload in bytes, MinSize or more.
	Size int `json:"size"`
	// Rate is how many messages a second each publisher sends; 0 is as many as go.
	Rate float64 `json:"rate,omitempty"`
	// Credits is how many messages of one publisher may be on their way to
	// subscribers, so that the load follows the broker; 0 for any number.
	Credits int `json:"credits,omitempty"`
	// Window is how many messages of QoS 1 and 2 each publisher sends before one
	// is acknowledged. A broker's receive maximum makes it smaller.
	Window int `json:"window,omitempty"`
	// Count is how many messages all publishers send together; 0 sends until
	// Duration is over.
	Count uint64 `json:"count,omitempty"`
	// Retain sends retained messages; they are removed afterwards.
	Retain bool `json:"retain,omitempty"`
	// Persistent gives subscribers a session that outlives their connection; it
	// is removed afterwards.
	Persistent bool `json:"persistent,omitempty"`
	// Absent disconnects the subscribers while messages are published; they come
	// back for what their sessions hold. It wants Persistent.
	Absent bool `json:"absent,omitempty"`
	// WarmUp is how long messages go before the measurement begins.
	WarmUp time.Duration `json:"-"`
	// Duration is how long is measured, without a Count.
	Duration time.Duration `json:"-"`
	// Drain is how long nothing may come before what is missing counts as lost.
	Drain time.Duration `json:"-"`
}

// Validate says what is wrong with a load.
func (t *Traffic) Validate() error {
	switch {
	case t.Publishers < 1 || t.Publishers > MaxPublishers:
		return fmt.Errorf("%d publishers: want 1 to %d", t.Publishers, MaxPublishers)
	case t.Subscribers < 0:
		return fmt.Errorf("%d subscribers: want 0 or more", t.Subscribers)
	case t.QoS > 2:
		return fmt.Errorf("QoS %d: want 0, 1 or 2", t.QoS)
	case t.Size < MinSize || t.Size > maxPacket/2:
		return fmt.Errorf("messages of %d bytes: want %d to %d", t.Size, MinSize, maxPacket/2)
	case t.Rate < 0:
		return fmt.Errorf("%g messages a second: want 0 (no limit) or more", t.Rate)
	case t.Credits < 0:
		return fmt.Errorf("%d credits: want 0 (no limit) or more", t.Credits)
	case t.QoS > 0 && (t.Window < 1 || t.Window > MaxWindow):
		return fmt.Errorf("window of %d messages: want 1 to %d", t.Window, MaxWindow)
	case t.Count == 0 && t.Duration <= 0:
		return fmt.Errorf("duration %s: want more than 0", t.Duration)
	case t.Count > 0 && t.Count < uint64(t.Publishers):
		return fmt.Errorf("%d messages of %d publishers: want one of each or more", t.Count, t.Publishers)
	case t.WarmUp < 0 || t.Count > 0 && t.WarmUp > 0:
		return fmt.Errorf("warm-up %s: want 0 or more, and 0 with a number of messages", t.WarmUp)
	case t.Drain <= 0:
		return fmt.Errorf("drain %s: want more than 0", t.Drain)
	case t.Absent && (!t.Persistent || t.QoS == 0 || t.Subscribers == 0 || t.Credits > 0):
		return errors.New("absent subscribers: want a persistent session, QoS 1 or 2, and no credits")
	}
	return nil
}

// RunTraffic sends messages and measures until the load is through, ctx ends or
// a connection breaks; then it removes what it left at the broker. A result
// comes with an error too, once measuring had begun: what was counted until
// then. A broken promise of the broker is no error: Result.Broken tells of it.
func RunTraffic(ctx context.Context, o Options, t Traffic) (*Result, error) {
	if err := errors.Join(o.validate(), t.Validate()); err != nil {
		return nil, err
	}
	return newRun(o, t).execute(ctx, func() {})
}

// topic is where a publisher publishes.
func (t *Traffic) topic(prefix string, publisher int) string {
	return fmt.Sprintf("%s/%d/v", prefix, publisher)
}

// filter is what a subscriber subscribes to.
func (t *Traffic) filter(prefix string, subscriber int) string {
	switch t.Shape {
	case FanOut:
		return prefix + "/#"
	case Wildcard:
		return prefix + "/+/v"
	case Shared:
		return "$share/bench/" + prefix + "/#"
	}
	return t.topic(prefix, subscriber%t.Publishers)
}

// hears reports whether the subscriber has to get what the publisher sends.
func (t *Traffic) hears(subscriber, publisher int) bool {
	return t.Shape != Pair || subscriber%t.Publishers == publisher
}

// receivers is how many times a message of the publisher has to be delivered.
func (t *Traffic) receivers(publisher int) (n int) {
	if t.Shape == Shared {
		return min(t.Subscribers, 1)
	}
	for i := range t.Subscribers {
		if t.hears(i, publisher) {
			n++
		}
	}
	return n
}
