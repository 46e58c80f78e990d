// Package gateway is the composition root: it reads the configuration, builds
// the rooms, starts and stops them in order, and answers the control socket.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/audit"
	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/bridge"
	"github.com/fascia-edge/fascia/canbus"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/canbus/transmit"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/store"
	"github.com/fascia-edge/fascia/streammgr"
	"github.com/fascia-edge/fascia/vehicle"
)

// Options are what the command hands in beside the configuration file.
type Options struct {
	Version string
	Stderr  io.Writer // for the log; os.Stderr if nil
	// Virtual are in-process buses, by the name in virtual://NAME.
	Virtual map[string]*source.Virtual
	// Adjust changes the configuration after it was read and before it is used,
	// at every reload too: what flags of the command line override.
	Adjust func(*Config)
}

// Gateway is one running gateway. Its life is New, Run; Reload may be called
// while it runs.
type Gateway struct {
	file    string
	options Options
	started time.Time
	log     *slog.Logger
	level   slog.LevelVar

	state  *vehicle.State
	store  atomic.Pointer[store.Store] // nil before Run
	audit  atomic.Pointer[audit.Log]   // nil before Run, and if it can't be opened
	policy atomic.Pointer[auth.Policy]
	broker *edgebroker.Broker
	buses  *canbus.Buses
	bridge *bridge.Bridge
	ready  atomic.Bool

	streams     *streammgr.Manager // nil without the section
	bridgeOpen  atomic.Bool        // before, it has nothing to tell
	streamsOpen atomic.Bool        // likewise

	reloading sync.Mutex // one reload at a time

	mu         sync.Mutex // guards the fields below
	config     *Config
	warnings   []config.Problem
	lastReload reloadResult
}

// New reads the configuration and everything it names, and builds the rooms. It
// opens no socket and no bus. The error is a config.Errors with all that is
// wrong, or says what else is.
func New(file string, options Options) (*Gateway, error) {
	g := &Gateway{file: file, options: options, started: time.Now(), state: vehicle.NewState()}
	loaded, err := g.load(nil)
	if err != nil {
		return nil, err
	}
	g.config, g.warnings = loaded.config, loaded.warnings
	g.policy.Store(loaded.policy)
	w := options.Stderr
	if w == nil {
		w = os.Stderr
	}
	g.log = newLogger(g.config.Log, w, &g.level)
	g.logWarnings(g.warnings)
	g.broker, err = edgebroker.New(g.config.Broker, edgebroker.Options{
		Policy: loaded.policy, Log: g.log, Version: options.Version, Provide: g.provide,
		Clock: clock.New(clock.Trust(g.config.Time.Synchronised))})
	if err != nil {
		return nil, err
	}
	g.buses, err = canbus.New(g.config.CAN, loaded.plan, canbus.Options{
		Broker: brokerForBuses{g.broker}, State: g.state, Log: g.log, Virtual: options.Virtual, Record: g.record, OpenRecording: g.openRecording})
	if err != nil {
		return nil, err
	}
	if g.streams, err = g.newStreams(g.config); err != nil {
		return nil, err
	}
	g.bridge, err = g.newBridge(g.config)
	return g, err
}

// loaded is a configuration with what its files give, not yet in use.
type loaded struct {
	config   *Config
	policy   *auth.Policy
	plan     *canbus.Plan
	warnings []config.Problem
}

// load reads everything from the files. before is the configuration in use, nil
// at the start: what can't change under a running gateway is refused.
func (g *Gateway) load(before *Config) (*loaded, error) {
	c, doc, err := Load(g.file)
	if err != nil {
		return nil, err
	}
	if g.options.Adjust != nil {
		g.options.Adjust(c)
	}
	if before != nil {
		if err := refuseFixed(before, c); err != nil {
			return nil, err
		}
	}
	return compile(c, doc, g.state)
}

// compile builds what the configuration's files give, and collects all that is
// wrong with them. With an error the warnings alone are of use.
func compile(c *Config, doc *config.Document, state *vehicle.State) (*loaded, error) {
	l := &loaded{config: c, warnings: doc.Warnings(), policy: auth.New(c.Auth)}
	var problems config.Errors
	for i := range c.Broker.Listeners {
		if err := c.Broker.Listeners[i].CheckFiles(); err != nil {
			problems = append(problems, doc.Errorf([]any{"broker", "listeners", i, "tls"}, "%v", err))
		}
	}
	plan, warnings, err := canbus.Compile(c.CAN, doc, state)
	l.plan = plan
	l.warnings = append(l.warnings, warnings...)
	var inCAN config.Errors
	if errors.As(err, &inCAN) {
		problems = append(problems, inCAN...)
	}
	inBridge, doubts := checkBridge(c, doc, state)
	problems = append(problems, inBridge...)
	problems = append(problems, checkStreams(c, doc, state)...)
	l.warnings = append(l.warnings, doubts...)
	if len(problems) > 0 {
		return l, problems
	}
	return l, err
}

// Check reads a configuration and everything it names, as New does, and returns
// its warnings, beside an error too.
func Check(file string) ([]config.Problem, error) {
	c, doc, err := Load(file)
	if err != nil {
		return doc.Warnings(), err
	}
	l, err := compile(c, doc, vehicle.NewState())
	return l.warnings, err
}

// Run starts everything, serves until ctx ends, and stops everything within
// stop_timeout: the buses, then the broker, then what others rely on meanwhile, the
// bridge too, which takes what clients publish until the last of them is served.
// It returns nil after an orderly stop. A start that fails leaves nothing behind.
func (g *Gateway) Run(ctx context.Context) error {
	c := g.Config() // a reload changes nothing of what is used here
	var stops []func(context.Context)
	defer func() {
		g.ready.Store(false)
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(c.StopTimeout))
		defer cancel()
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i](stopCtx)
		}
	}()

	// The ports first: a second gateway by mistake is told which one is taken,
	// and by whom, before it touches anything.
	if err := g.broker.Listen(); err != nil {
		return explainBind(err)
	}
	stops = append(stops, func(ctx context.Context) {
		if err := g.broker.Close(ctx); err != nil {
			g.log.Warn("the broker was stopped before all clients were served", "error", err)
		}
	})
	// Until the last client is served the data stay locked, and /readyz and
	// `status` answer.
	afterBroker := func(stop func(context.Context)) { stops = slices.Insert(stops, len(stops)-1, stop) }
	dir, err := store.OpenDir(c.DataDir)
	if err != nil {
		return err
	}
	afterBroker(func(context.Context) { _ = dir.Close() })
	st, err := store.Open(filepath.Join(dir.Path(), "store"), store.Options{
		Interval:  time.Duration(c.Broker.Durability.Interval),
		Size:      int64(c.Store.Size),
		FreeSpace: int64(c.Store.FreeSpace),
		Log:       g.log,
	})
	if err != nil {
		return err
	}
	afterBroker(func(context.Context) {
		if err := st.Close(); err != nil {
			g.log.Error("the store was not closed in order; it is recovered at the next start", "error", err)
		}
	})
	g.store.Store(st)
	g.openAudit(filepath.Join(dir.Path(), AuditFolder), c.Audit, clock.Trust(c.Time.Synchronised))
	afterBroker(func(context.Context) { g.closeAudit() })
	g.broker.Open(st)
	stopStreams, err := g.startStreams()
	if err != nil {
		return err
	}
	afterBroker(stopStreams)
	if err := g.bridge.Open(); err != nil {
		return err
	}
	g.bridgeOpen.Store(true)
	afterBroker(g.bridge.Stop)
	if listen := c.Metrics.Listen; listen != "" {
		metrics, err := listenMetrics(listen, g)
		if err != nil {
			return explainBind(err)
		}
		metrics.start()
		afterBroker(metrics.stop)
	}
	control, err := listenControl(c.Control.Socket, g.controlHandler(), g.log)
	if err != nil {
		return err
	}
	control.start()
	afterBroker(control.stop)

	g.broker.Serve()
	g.bridge.Start(ctx)
	stops = append(stops, g.watchNetwork(ctx))
	if err := g.buses.Start(ctx); err != nil {
		return err
	}
	stops = append(stops, func(context.Context) { g.buses.Stop() })
	forget, err := g.broker.Subscribe(transmit.TopicPrefix+"#", g.act)
	if err != nil {
		return err
	}
	// Requests are still answered, with a refusal, while the buses stop.
	stops = slices.Insert(stops, len(stops)-1, func(context.Context) { forget() })
	g.ready.Store(true)
	g.log.Info("fascia is running", "version", g.options.Version, "config", g.file,
		"start_ms", time.Since(g.started).Milliseconds())
	<-ctx.Done()
	g.log.Info("fascia stops")
	return nil
}

// State is the vehicle's state.
func (g *Gateway) State() *vehicle.State { return g.state }

// Config is the configuration in use; it must not be changed.
func (g *Gateway) Config() *Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.config
}

// Clients is how many MQTT clients are connected.
func (g *Gateway) Clients() int { return g.broker.Stats().Clients }

// Ready reports whether everything has started; large streams take a while to open.
func (g *Gateway) Ready() bool { return g.ready.Load() && (g.streams == nil || g.streams.Ready()) }

var errFixed = errors.New("can't be changed while the gateway runs: restart it")

func fixed(what string) error { return fmt.Errorf("%s %w", what, errFixed) }
