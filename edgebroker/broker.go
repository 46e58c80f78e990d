// Package edgebroker is the local MQTT broker: MQTT 3.1, 3.1.1 and 5.0 over
// TCP, TLS, WebSocket and Unix sockets, and the seam where the gateway's rooms
// meet: Publish, Subscribe, SubscribeDurable, OpenQueue and LastValue.
//
// The packet codec is mochi's; connections, sessions and routing are ours, and
// nothing of mochi shows outside.
//
// One rule keeps order: routing a message (storing it, finding its receivers,
// putting it into their queues) happens under the read side of one lock, and
// adding a filter under its write side, which counts a generation. What is
// stored carries the generation it was stored in. So a new subscription gets
// what is older than itself out of the store, topic by topic, and the rest from
// its publishers: the two neither overlap nor leave a gap, and no publisher
// waits for a search through all that is stored. Nothing waits under that lock:
// queues are memory, and each connection has a writer of its own.
package edgebroker

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/listen"
	"github.com/fascia-edge/fascia/edgebroker/retained"
	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/store"
)

// Options are what the gateway hands in.
type Options struct {
	// Policy decides until SetPolicy gives another one. Required.
	Policy *auth.Policy
	// Methods are the ways of enhanced authentication, by the word in a
	// listener's auth that allows them there.
	Methods map[string]auth.Method
	// Clock says when wall time is to be trusted; nil for the kernel's word.
	Clock *clock.Clock
	// Log takes what an operator should know; nil for slog.Default.
	Log *slog.Logger
	// Version is told in $SYS/broker/version.
	Version string
	// Provide is called with each last known value that a client sets, before it
	// is stored. With an error it is refused: the client hears 0x99 (payload
	// format invalid). It must not block. Nil takes every value.
	Provide func(Message) error
}

// Broker is an MQTT broker. Its life is New, Listen, Open, Serve, Close;
// publishing and subscribing in the process work from Open on. All methods are safe for
// concurrent use.
type Broker struct {
	cfg      Config
	log      *slog.Logger
	version  string
	provide  func(Message) error
	started  clock.Time
	clock    *clock.Clock
	store    *store.Store
	sync     store.Sync // of all that by_filter doesn't name
	policy   atomic.Pointer[auth.Policy]
	methods  map[string]auth.Method
	counters counters

	// routing is described at the package; it guards the index.
	routing sync.RWMutex
	index   index

	retained *retained.Set
	values   values

	sessions    sessions
	room        room // wakes PublishWait
	completions completions
	queues      queues
	presence    attendances

	listeners *listen.Set
	conns     connections
	gather    *stream.Gatherer

	stop    context.Context // done when Close begins
	halt    context.CancelFunc
	serving sync.Once
	noise   noise
	workers sync.WaitGroup // durable receivers, housekeeping
}

// New makes a broker of a validated configuration whose paths are resolved. It
// opens nothing.
func New(cfg Config, opts Options) (*Broker, error) {
	log := opts.Log
	if log == nil {
		log = slog.Default()
	}
	b := &Broker{
		cfg:     cfg,
		log:     log,
		version: opts.Version,
		provide: opts.Provide,
		methods: opts.Methods,
		started: clock.Now(),
		clock:   opts.Clock,
		sync:    syncs[cfg.Durability.Sync],
	}
	if b.clock == nil {
		b.clock = clock.New(clock.TrustKernel)
	}
	b.policy.Store(opts.Policy)
	b.stop, b.halt = context.WithCancel(context.Background())
	b.index.init()
	b.retained = retained.NewSet(cfg.Limits.RetainedMessages, int(cfg.Limits.RetainedBytes))
	b.completions.b = b
	b.sessions.init()
	b.queues.init()
	b.conns.init()
	b.gather = stream.NewGatherer(time.Duration(cfg.WriteDelay))
	var err error
	b.listeners, err = listen.New(cfg.Listeners, listen.Options{
		Connections:    cfg.Limits.Connections,
		ConnectTimeout: time.Duration(cfg.Limits.ConnectTimeout),
		Log:            log,
		Warn:           func(text string, args ...any) { b.noise.warn(log, text, args...) },
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Open takes up what the store has of an earlier process, and keeps there from
// now on what is to outlive this one. It comes once, before Serve and before
// anything is published or subscribed. The broker does not close the store; it
// is closed after the broker.
func (b *Broker) Open(st *store.Store) {
	b.store = st
	b.restore()
	b.openPresence()
}

// SetPolicy makes p decide from now on, for clients that are connected too:
// their identity stays, what their role may do changes.
func (b *Broker) SetPolicy(p *auth.Policy) { b.policy.Store(p) }
