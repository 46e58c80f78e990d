// Package bridge links the vehicle's broker with far ones: rules pick messages,
// the spool keeps them until the far side has them, and a link comes back after
// every loss.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/vehicle"
)

// queuePrefix begins the names of the bridge's queues; the link's name, a slash and
// the class's follow.
const queuePrefix = "bridge/"

// ErrNoLink says that no link has that name.
var ErrNoLink = errors.New("no such link")

// Options are what the bridge needs beside its configuration.
type Options struct {
	Broker  Broker
	Keeper  Keeper
	State   *vehicle.State
	Vehicle Vehicle
	// CanPublish decides where somebody may publish in the vehicle.
	CanPublish func(who *message.Origin, topic string) bool
	// Streams are the streams of the gateway that take what is too large for a far
	// side; nil where there are none.
	Streams Streams
	Clock   *clock.Clock
	Log     *slog.Logger
}

// stream puts a message into a stream of the gateway; rules name none where there are
// none.
func (o *Options) stream(name string, m message.Message) error { return o.Streams.Take(name, m) }

// Bridge is all links. Its life is New, Open, Start, Stop; the other methods are safe
// for concurrent use between.
type Bridge struct {
	options Options

	life    sync.Mutex // one Open, Start, Stop or Use at a time
	ctx     context.Context
	cancel  context.CancelFunc
	opened  bool
	started bool

	mu      sync.Mutex // guards the field below
	workers []*worker  // in the order of the configuration
}

// New makes the links of a validated configuration. It opens nothing.
func New(cfg Config, options Options) (*Bridge, error) {
	b := &Bridge{options: options}
	var sets []*rule.Set
	for _, c := range cfg.Links {
		w, err := newWorker(c, &b.options)
		if err != nil {
			return nil, err
		}
		b.workers, sets = append(b.workers, w), append(sets, w.rules.Load())
	}
	if err := circlesError(cfg.Links, sets); err != nil {
		return nil, err
	}
	return b, nil
}

// Open opens the queues and lets the rules take messages. It is called when the
// broker has its store and before it serves clients, so that nothing they publish is
// missed.
func (b *Bridge) Open() error {
	b.life.Lock()
	defer b.life.Unlock()
	b.tellOrphans()
	for i, w := range b.workers {
		if err := w.open(); err != nil {
			for _, opened := range b.workers[:i] {
				opened.close()
			}
			return err
		}
	}
	b.opened = true
	return nil
}

// Start begins to connect. It does not wait for a connection.
func (b *Bridge) Start(ctx context.Context) {
	b.life.Lock()
	defer b.life.Unlock()
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx)) // Stop ends it in order
	for _, w := range b.workers {
		w.start(b.ctx)
	}
	b.started = true
}

// Stop ends the rules, waits until ctx ends for what is under way to be acknowledged,
// and closes the connections in order.
func (b *Bridge) Stop(ctx context.Context) {
	b.life.Lock()
	defer b.life.Unlock()
	if !b.opened {
		return
	}
	var stopping sync.WaitGroup
	for _, w := range b.workers {
		stopping.Go(func() { w.stop(ctx) })
	}
	stopping.Wait()
	if b.cancel != nil {
		b.cancel()
	}
	b.opened = false
}

// Use takes another configuration into use. Links may come and go, and the rules of a
// link change without missing a message; what is in a spool stays there. With an error
// nothing has changed.
func (b *Bridge) Use(cfg Config) error {
	b.life.Lock()
	defer b.life.Unlock()
	before := b.links()
	var next, added []*worker
	var changes []func()
	var sets []*rule.Set
	for _, c := range cfg.Links {
		i := slices.IndexFunc(before, func(w *worker) bool { return w.name == c.Name })
		if i < 0 {
			w, err := newWorker(c, &b.options)
			if err != nil {
				return err
			}
			next, added, sets = append(next, w), append(added, w), append(sets, w.rules.Load())
			continue
		}
		set, change, err := before[i].prepare(c)
		if err != nil {
			return err
		}
		next, changes, sets = append(next, before[i]), append(changes, change), append(sets, set)
	}
	if err := circlesError(cfg.Links, sets); err != nil {
		return err
	}
	if b.opened {
		for i, w := range added {
			if err := w.open(); err != nil {
				for _, opened := range added[:i] {
					opened.close()
				}
				return err
			}
		}
	}
	for _, change := range changes {
		change()
	}
	b.mu.Lock()
	b.workers = next
	b.mu.Unlock()
	for _, w := range before {
		if !slices.Contains(next, w) {
			w.leave()
		}
	}
	if b.started {
		for _, w := range added {
			w.start(b.ctx)
		}
	}
	return nil
}

// Fixed says what of a link's configuration can't be changed by Use, nil if all can.
func Fixed(before, after Config) error {
	for i := range after.Links {
		for k := range before.Links {
			if before.Links[k].Name == after.Links[i].Name {
				if err := before.Links[k].fixed(&after.Links[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// tellOrphans logs which links have left something in the store.
func (b *Bridge) tellOrphans() {
	var told string
	for _, name := range b.options.Broker.StoredQueues(queuePrefix) {
		owner, _, _ := strings.Cut(strings.TrimPrefix(name, queuePrefix), "/")
		if owner == told || slices.ContainsFunc(b.workers, func(w *worker) bool { return w.name == owner }) {
			continue
		}
		told = owner
		b.options.Log.Warn("a link that is not configured any more has left its spool in the store", "link", owner,
			"remove", "fascia link dead purge "+owner+" --all")
	}
}

// Wake makes a link that is down try to connect now, all of them for an empty name.
// The error wraps ErrNoLink.
func (b *Bridge) Wake(name string) error {
	if name != "" {
		w, err := b.link(name)
		if err == nil {
			w.link.Wake()
		}
		return err
	}
	for _, w := range b.links() {
		w.link.Wake()
	}
	return nil
}

// Test tries each step of connecting to the far side of a link. The error wraps
// ErrNoLink, or says what is wrong with the configuration.
func (b *Bridge) Test(ctx context.Context, name string) (link.TestResult, error) {
	w, err := b.link(name)
	if err != nil {
		return link.TestResult{}, err
	}
	return Test(ctx, w.configuration(), b.options.Vehicle, b.options.Log)
}

// Test tries each step of connecting to the far side of a link that need not run.
func Test(ctx context.Context, c LinkConfig, who Vehicle, log *slog.Logger) (link.TestResult, error) {
	return link.Test(ctx, c.Config, linkOptions(&c, who, log))
}

// Status describes the links in the order of the configuration.
func (b *Bridge) Status() []LinkStatus {
	workers := b.links()
	list := make([]LinkStatus, len(workers))
	for i, w := range workers {
		list[i] = w.status()
	}
	return list
}

func (b *Bridge) links() []*worker {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.workers
}

func (b *Bridge) link(name string) (*worker, error) {
	for _, w := range b.links() {
		if w.name == name {
			return w, nil
		}
	}
	return nil, fmt.Errorf("link %q: %w", name, ErrNoLink)
}
