package health

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/vehicle"
)

// Topic is a topic whose last value a new subscriber gets at once.
type Topic interface {
	// Set publishes the payload and copies it; it never blocks.
	Set(payload []byte, contentType string)
	// Forget makes the topic one that has no value.
	Forget()
}

// Options are what a Monitor needs of others.
type Options struct {
	Topic func(name string) Topic
	// Bus tells whether frames can come on a bus, and why they can't.
	Bus func(name string) (up bool, why string)
	Log *slog.Logger
}

// Limits of what one look may do: a bus whose messages all go at once is told
// within a second or so, not in one burst.
const (
	lookEvery    = 100 * time.Millisecond // or as often as the shortest missing_after
	leastLook    = 10 * time.Millisecond
	tellsALook   = 100 // topics set
	logsASecond  = 10  // lines; the rest are counted in one
	stalledAfter = time.Second
	rateOver     = 5 * time.Second // at least; at most twice as long
)

// Monitor keeps the state of all messages and mapped signals. Its life is New,
// Use, Run; all methods are safe for concurrent use.
type Monitor struct {
	options Options

	mu        sync.Mutex // guards the fields below
	plan      *Plan
	buses     map[string]*bus
	seen      map[messageKey]*arrivals // of the messages in use
	entries   []*entry                 // messages before signals
	byTopic   map[string]*entry
	next      int   // entry at which the next renewal begins
	looked    int64 // moment of the last look
	resumed   int64 // moment from which on frames could be received at all
	wallMinus int64 // wall time less boot time
	log       eventLog
}

// bus is what the monitor knows of a bus.
type bus struct {
	name    string
	up      bool
	why     string // it is not up
	upSince int64
}

type messageKey struct {
	bus      string
	id       uint32
	extended bool
}

func keyOf(bus string, m *dbc.Message) messageKey { return messageKey{bus, m.ID, m.Extended} }

// New makes a monitor that watches nothing yet.
func New(options Options) *Monitor {
	return &Monitor{
		options: options, plan: &Plan{}, log: eventLog{log: options.Log},
		buses: map[string]*bus{}, seen: map[messageKey]*arrivals{}, byTopic: map[string]*entry{},
	}
}

// Watches are where a plan's frames and values are to be told, for those who
// decode by it.
type Watches struct {
	messages map[*dbc.Message]*Message
	signals  map[*mapping.Rule]*Signal
}

// Message is where to tell of a message's frames, nil if nobody wants to know.
func (w Watches) Message(m *dbc.Message) *Message { return w.messages[m] }

// Signal is where to tell of the values that a rule makes, nil likewise.
func (w Watches) Signal(r *mapping.Rule) *Signal { return w.signals[r] }

// Use makes plan the one in use, at boot by CLOCK_BOOTTIME. What was watched
// before and still is keeps its state; the topics of what is not are forgotten.
func (m *Monitor) Use(plan *Plan, boot int64) Watches {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := Watches{map[*dbc.Message]*Message{}, map[*mapping.Rule]*Signal{}}
	seen, before := m.seen, m.byTopic
	m.plan, m.seen, m.byTopic, m.entries = plan, map[messageKey]*arrivals{}, map[string]*entry{}, nil
	ofMessage := map[*arrivals]*entry{}
	for _, r := range plan.messages {
		key := keyOf(r.bus, r.message)
		of := seen[key]
		if of == nil {
			of = &arrivals{}
		}
		m.seen[key] = of
		watch := &Message{seen: of}
		w.messages[r.message] = watch
		if !r.told {
			continue
		}
		e := m.entry(before, "health/message/"+r.bus+"/"+r.message.Name, boot)
		e.name, e.limit, e.seen, e.buses = r.bus+"/"+r.message.Name, r.limit, []*arrivals{of}, []*bus{m.bus(r.bus)}
		ofMessage[of] = e
		if r.counter != nil {
			watch.counter = &counter{
				plan: r.message.Plan([]*dbc.Signal{r.counter}), values: make([]dbc.Value, 0, 1),
				max: r.counterMax, pause: r.limit, fault: &e.miscounts,
			}
		}
	}
	for _, r := range plan.signals {
		e := m.entry(before, "health/signal/"+strings.ReplaceAll(r.path, ".", "/"), boot)
		e.name, e.signal, e.limit = r.path, r, r.limit
		e.use(m, r, ofMessage, w)
	}
	for topic, e := range before {
		if m.byTopic[topic] == nil {
			e.topic.Forget()
		}
	}
	return w
}

// entry is the entry of a topic, the one there was if there was one.
func (m *Monitor) entry(before map[string]*entry, topic string, boot int64) *entry {
	e := before[topic]
	if e == nil {
		e = &entry{topic: m.options.Topic(topic), state: Unseen, watched: boot}
	}
	m.byTopic[topic] = e
	m.entries = append(m.entries, e)
	return e
}

func (m *Monitor) bus(name string) *bus {
	b := m.buses[name]
	if b == nil {
		b = &bus{name: name}
		m.buses[name] = b
	}
	return b
}

// use ties a signal's entry to what feeds it.
func (e *entry) use(m *Monitor, r *signalRule, ofMessage map[*arrivals]*entry, w Watches) {
	feeds := e.feeds
	e.feeds, e.seen, e.buses, e.messages = nil, nil, nil, nil
	for _, rule := range r.feeds {
		message := m.seen[keyOf(rule.Bus, rule.Signal.Message)]
		key := feedKey{keyOf(rule.Bus, rule.Signal.Message), rule.Signal.Name}
		var f *feed
		if i := slices.IndexFunc(feeds, func(f *feed) bool { return f.key == key }); i >= 0 {
			f = feeds[i]
		} else {
			f = &feed{key: key, seen: message}
			if rule.Signal.Multiplexed {
				f.seen = &arrivals{}
			}
		}
		e.feeds = append(e.feeds, f)
		e.seen = append(e.seen, f.seen)
		if b := m.bus(rule.Bus); !slices.Contains(e.buses, b) {
			e.buses = append(e.buses, b)
		}
		e.messages = append(e.messages, ofMessage[message]) // nil if its state is not told
		s := &Signal{
			of: f, counts: rule.Signal.Multiplexed,
			least: r.least, most: r.most, ranged: r.ranged, moves: r.stuckAfter > 0,
		}
		s.low, s.high = rangeOf(rule.Signal)
		if r.ranged {
			s.low, s.high = math.Inf(-1), math.Inf(1)
		}
		w.signals[rule] = s
	}
}

// Run looks at everything until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	m.mu.Lock()
	m.resumed = vehicle.BootNow() // nothing could come before
	m.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			timer.Reset(m.Look(time.Now().UnixNano(), vehicle.BootNow()))
		}
	}
}
