package spool

import (
	"fmt"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/vehicle"
)

// Why a message did not reach the far side.
const (
	Expired    = "expired"    // its own expiry, the rule's time to live or the class's age
	Full       = "full"       // there was no room
	Refused    = "refused"    // its publisher was told that there was no room
	Failed     = "store"      // the store took nothing
	Unreadable = "unreadable" // damaged on the disk
	Oversize   = "oversize"   // larger than the far side takes, and the rule drops it or has it in a stream
	Dead       = "dead"       // it is a dead letter
)

// class is one class of a spool: a durable queue for QoS 1, and a ring for QoS 0.
type class struct {
	name  string
	queue Queue
	ring  ring

	// The sender's goroutine alone uses these.
	config  ClassConfig
	age     clock.Time
	when    *vehicle.Expression // nil without a condition
	limiter limiter
	next    uint64     // position to be read next
	rewound uint64     // position to go back to before the next reading; the largest number for none
	read    []Item     // messages from position next on that were read already
	room    []Item     // the memory for those
	top     uint64     // position behind the last one that was ever read
	until   clock.Time // nothing is sent before

	// Guarded by Sender.mu.
	paused   clock.Time    // nothing is sent before
	pause    time.Duration // the last one; it doubles
	probing  bool          // one message at a time until one is accepted
	behind   bool          // it is to go back to a message: what it sends meanwhile goes again
	back     uint64        // that position: batches among it may have begun before the message
	flying   int           // flights of the class
	refused  uint64        // position of the message that was refused last without saying why
	refusals int           // how often

	held    atomic.Pointer[string]
	sent    atomic.Uint64
	again   atomic.Uint64
	mu      sync.Mutex // guards the fields below
	dropped map[string]uint64
	oldest  clock.Time // when the message at position head was accepted, 0 if unknown
	head    uint64
}

func newClass(name string, queue Queue, memory int) *class {
	c := &class{name: name, queue: queue, dropped: map[string]uint64{}, head: math.MaxUint64}
	c.ring.limit = memory
	c.next, c.rewound = queue.Head(), math.MaxUint64
	return c
}

// rewind has the class read from a position again.
func (c *class) rewind(pos uint64) { c.rewound = min(c.rewound, pos) }

// windUp carries that out.
func (c *class) windUp() {
	if c.rewound < c.next {
		c.next, c.read = c.rewound, nil
	}
	c.rewound = math.MaxUint64
}

// peek is the next message of the queue, nil if there is none.
func (c *class) peek() (*Item, error) {
	if len(c.read) == 0 && c.queue.Tail() > c.next {
		bytes := 0
		list := c.room[:0]
		next, err := c.queue.Read(c.next, ahead, func(it Item) bool {
			list = append(list, it)
			bytes += it.Message.Size()
			return bytes < aheadBytes
		})
		if err != nil {
			return nil, err
		}
		c.read, c.room = list, list
		if len(list) == 0 {
			c.next = next // what was between is done
		}
	}
	if len(c.read) == 0 {
		return nil, nil
	}
	return &c.read[0], nil
}

// pop goes on behind the message that peek gave.
func (c *class) pop() {
	c.next = c.read[0].Pos + 1
	c.top = max(c.top, c.next)
	c.read[0] = Item{}
	c.read = c.read[1:]
}

// use takes another configuration of the class.
func (c *class) use(cfg ClassConfig, state *vehicle.State) error {
	var when *vehicle.Expression
	if cfg.SendWhen != "" {
		var err error
		if when, err = state.CompileCondition(cfg.SendWhen); err != nil {
			return fmt.Errorf("class %q: send_when: %w", cfg.Name, err)
		}
	}
	c.config, c.age, c.when = cfg, clock.Time(cfg.Age), when
	c.limiter.use(cfg.Rate)
	c.until = 0
	return nil
}

// unread reports whether something waits that was not sent.
func (c *class) unread() bool { return c.queue.Tail() > c.next || c.ring.len() > 0 }

func (c *class) drop(reason string, n uint64) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped[reason] += n
}

// end is when the life of a message is over, 0 for never: its own expiry, the rule's
// time to live or the class's age, whichever comes first. A message of another boot
// whose age nobody can tell is kept.
func (c *class) end(up *rule.Up, accepted, expires clock.Time, known bool) clock.Time {
	end := expires
	if !known {
		return end
	}
	for _, life := range []clock.Time{clock.Time(up.TTL()), c.age} {
		if life > 0 && (end == 0 || accepted+life < end) {
			end = accepted + life
		}
	}
	return end
}

// ClassStats is the state of a class.
type ClassStats struct {
	Name     string
	Messages int
	Bytes    int64
	Oldest   clock.Time // when the oldest message was accepted, 0 if there is none or nobody knows
	Held     string     // why nothing is sent now, empty if something may be
	Sent     uint64
	Again    uint64
	Dropped  map[string]uint64
}

func (c *class) stats(clk *clock.Clock) ClassStats {
	inRing, ringBytes, oldest, ringDropped := c.ring.stats()
	st := ClassStats{
		Name:     c.name,
		Messages: c.queue.Len() + inRing,
		Bytes:    c.queue.Bytes() + int64(ringBytes),
		Oldest:   oldest,
		Sent:     c.sent.Load(),
		Again:    c.again.Load(),
	}
	if held := c.held.Load(); held != nil {
		st.Held = *held
	}
	if at := c.oldestStored(clk); at != 0 && (st.Oldest == 0 || at < st.Oldest) {
		st.Oldest = at
	}
	q := c.queue.Stats()
	c.mu.Lock()
	st.Dropped = maps.Clone(c.dropped)
	c.mu.Unlock()
	for reason, n := range map[string]uint64{Full: q.Dropped + ringDropped, Refused: q.Refused, Failed: q.Failed} {
		if n > 0 {
			st.Dropped[reason] += n
		}
	}
	return st
}

// oldestStored is when the first message of the queue was accepted. It reads the disk
// only when that is another one than the last time.
func (c *class) oldestStored(clk *clock.Clock) clock.Time {
	head := c.queue.Head()
	if head == c.queue.Tail() {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head != head {
		c.head, c.oldest = head, 0
		_, _ = c.queue.Read(head, 1, func(it Item) bool { // what can't be read has no known age
			if m, err := rule.ReadMeta(it.Meta); err == nil && it.Err == nil {
				if at, known := clk.Time(m.Accepted); known {
					c.oldest = at
				}
			}
			return false
		})
	}
	return c.oldest
}
