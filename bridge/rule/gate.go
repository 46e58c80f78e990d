package rule

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// Bounds of what a rule remembers.
const (
	maxTopics    = 10_000  // more go up without sampling and the like, and are counted
	maxHeldBytes = 1 << 20 // of messages that min_interval holds back; more go at once
)

// thinning is what a rule lets through of the messages of one topic.
type thinning struct {
	sample   int
	interval clock.Time
	onChange bool
	deadband float64 // above 0 it implies onChange
}

func (t *thinning) differs() bool { return t.onChange || t.deadband > 0 }

// outcome is what a gate says of a message.
type outcome byte

const (
	passes outcome = iota
	sampledOut
	unchanged
	held
	replaced // held, in place of an older one that will never go
)

// gate thins out the messages of a rule, topic by topic, as canbus/mapping does the
// values of a path: the newest message always comes out in the end, one that the
// interval holds back when it ends, unless by then it no longer differs. Safe for
// concurrent use.
type gate struct {
	thinning
	seed maphash.Seed
	wake chan<- struct{} // gets a token when something is held

	mu     sync.RWMutex      // guards the field below; taken before a topic's own
	topics map[uint64]*gated // by a hash of the name, which a client may make long

	unthinned atomic.Uint64 // messages beyond maxTopics and maxHeldBytes
	heldBytes atomic.Int64

	queue   sync.Mutex // guards the field below; taken after a topic's own
	holding []*gated   // each once
}

// gated is one topic.
type gated struct {
	mu     sync.Mutex // guards the fields below
	count  int        // of messages, for sample
	last   seen       // the last that went through
	sentAt clock.Time
	any    bool // one has gone through

	held     *message.Publication // by the interval
	heldSeen seen
	queued   bool // in gate.holding
	leaving  bool // what was held is on its way: newer messages wait behind it
}

// seen is what is remembered of a payload: not the bytes, which would cost memory
// without end, but 64 bits of a hash whose seed nobody knows.
type seen struct {
	hash     uint64
	number   float64
	isNumber bool
}

func newGate(t thinning, wake chan<- struct{}) *gate {
	return &gate{thinning: t, seed: maphash.MakeSeed(), wake: wake, topics: map[uint64]*gated{}}
}

// pass takes a message and says what becomes of it; one that is held comes out of
// due.
func (g *gate) pass(p *message.Publication, now clock.Time) outcome {
	t := g.topic(p.Topic)
	if t == nil {
		g.unthinned.Add(1)
		return passes
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if g.sample > 1 {
		t.count++
		if t.count != 1 {
			if t.count == g.sample {
				t.count = 0
			}
			return sampledOut
		}
	}
	var s seen
	if g.differs() {
		s = g.read(p.Payload)
		if t.any && !t.leaving && !g.far(t.last, s) {
			g.drop(t) // what was held is outdated: the value is back where it was
			return unchanged
		}
	}
	if t.leaving || g.interval > 0 && t.any && now >= t.sentAt && now < t.sentAt+g.interval {
		if older := t.held != nil; g.hold(t, p, s) {
			if older {
				return replaced
			}
			return held
		}
		g.unthinned.Add(1)
	}
	g.drop(t)
	t.sent(s, now)
	return passes
}

func (t *gated) sent(s seen, now clock.Time) { t.last, t.sentAt, t.any = s, now, true }

// topic is what is remembered of a topic; nil when there is no room for one more.
func (g *gate) topic(name string) *gated {
	key := maphash.String(g.seed, name)
	g.mu.RLock()
	t, full := g.topics[key], len(g.topics) >= maxTopics
	g.mu.RUnlock()
	if t != nil || full {
		return t
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t = g.topics[key]; t == nil && len(g.topics) < maxTopics {
		t = &gated{}
		g.topics[key] = t
	}
	return t
}

func (g *gate) read(payload []byte) seen {
	value, number, isNumber := reading(payload)
	return seen{maphash.Bytes(g.seed, value), number, isNumber}
}

// far reports whether b differs from a by enough.
func (g *gate) far(a, b seen) bool {
	if g.deadband > 0 && a.isNumber && b.isNumber {
		return math.Abs(a.number-b.number) > g.deadband
	}
	return a.hash != b.hash
}

// hold keeps p until the interval ends, in place of an older one. It is false when
// there is no room. The topic's lock is held.
func (g *gate) hold(t *gated, p *message.Publication, s seen) bool {
	if g.heldBytes.Add(int64(p.Size())) > maxHeldBytes {
		g.heldBytes.Add(-int64(p.Size()))
		return false
	}
	g.drop(t)
	t.held, t.heldSeen = p.Keep(), s
	if !t.queued {
		t.queued = true
		g.queue.Lock()
		g.holding = append(g.holding, t)
		g.queue.Unlock()
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// drop forgets what is held. The topic's lock is held.
func (g *gate) drop(t *gated) {
	if t.held != nil {
		g.heldBytes.Add(-int64(t.held.Size()))
		t.held = nil
	}
}

// due hands what is held, and whose interval has ended, to emit, one after the
// other, and says when to look again, 0 if nothing is held. A newer message of the
// topic waits until emit returns, so that none overtakes.
func (g *gate) due(now clock.Time, all bool, emit func(*message.Publication)) (next clock.Time) {
	g.queue.Lock()
	list := g.holding
	g.holding = nil
	g.queue.Unlock()
	var still []*gated
	for _, t := range list {
		at := g.release(t, now, all, emit)
		if at == 0 {
			continue
		}
		still = append(still, t)
		if next == 0 || at < next {
			next = at
		}
	}
	if len(still) > 0 {
		g.queue.Lock()
		g.holding = append(g.holding, still...)
		g.queue.Unlock()
	}
	return next
}

// release is due for one topic: when to look at it again, 0 if nothing is held.
func (g *gate) release(t *gated, now clock.Time, all bool, emit func(*message.Publication)) clock.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held != nil && !all && now >= t.sentAt && now < t.sentAt+g.interval {
		return t.sentAt + g.interval
	}
	if g.differs() && t.held != nil && !g.far(t.last, t.heldSeen) {
		g.drop(t) // it came while the one before was on its way, and says the same
	}
	if p := t.held; p != nil {
		s := t.heldSeen
		g.drop(t)
		t.leaving = true
		t.mu.Unlock()
		emit(p)
		t.mu.Lock()
		t.leaving = false
		t.sent(s, now)
	}
	if t.held != nil { // came in meanwhile
		return t.sentAt + g.interval
	}
	t.queued = false
	return 0
}
