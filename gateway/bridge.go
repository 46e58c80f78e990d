package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/bridge"
	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/bridge/spool"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/store"
	"github.com/fascia-edge/fascia/vehicle"
)

// newBridge makes the links of the configuration; they begin with Open.
func (g *Gateway) newBridge(c *Config) (*bridge.Bridge, error) {
	return bridge.New(c.Bridge, bridge.Options{
		Broker:  brokerForBridge{g.broker},
		Keeper:  keeper{g, bridgeKeys},
		Streams: streamsForBridge{g.streams},
		State:   g.state,
		Vehicle: c.bridgeVehicle(),
		CanPublish: func(who *edgebroker.Origin, topic string) bool {
			id := auth.Identity{Name: who.Identity, Role: who.Role, Zone: who.Zone, Client: who.Client, Listener: who.Listener}
			return g.policy.Load().CanPublish(&id, topic).Allow
		},
		Clock: clock.New(clock.Trust(c.Time.Synchronised)),
		Log:   g.log,
	})
}

// watchNetwork lets links that are down try at once when the machine has come to a
// network, until stop.
func (g *Gateway) watchNetwork(ctx context.Context) (stop func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := link.WatchNetwork(ctx, func() { _ = g.bridge.Wake("") }); err != nil && ctx.Err() == nil {
			g.log.Warn("links that are down wait for their next try when the network comes up", "error", err)
		}
	}()
	return func(context.Context) {
		cancel()
		<-ended
	}
}

// checkBridge finds what is wrong with the rules of links and what their far sides
// would refuse.
func checkBridge(c *Config, doc *config.Document, state *vehicle.State) (problems, warnings []config.Problem) {
	for _, p := range bridge.Check(c.Bridge, c.bridgeVehicle(), state, streamsOf(c)) {
		problem := doc.Errorf(append([]any{"bridge"}, p.Path...), "%s", p.Text)
		if p.Warning {
			warnings = append(warnings, problem)
		} else {
			problems = append(problems, problem)
		}
	}
	return problems, warnings
}

func (c *Config) bridgeVehicle() bridge.Vehicle {
	return bridge.Vehicle{VIN: c.Vehicle.VIN, Thing: c.Vehicle.Thing}
}

// brokerForBridge is the broker as the bridge needs it.
type brokerForBridge struct{ *edgebroker.Broker }

func (b brokerForBridge) OpenQueue(name string, limits spool.Limits) (spool.Queue, error) {
	q, err := b.Broker.OpenQueue(name, edgebroker.QueueLimits(limits))
	if err != nil {
		return nil, err
	}
	return queueForBridge{q}, nil
}

// PublishWait tells the bridge which errors pass: the far side then keeps its message.
func (b brokerForBridge) PublishWait(ctx context.Context, m edgebroker.Message) error {
	err := b.Broker.PublishWait(ctx, m)
	if errors.Is(err, edgebroker.ErrStore) || errors.Is(err, edgebroker.ErrQueueFull) {
		return fmt.Errorf("%w: %w", bridge.ErrLater, err)
	}
	return err
}

// queueForBridge is a durable queue as the bridge needs it.
type queueForBridge struct{ *edgebroker.Queue }

func (q queueForBridge) Read(from uint64, limit int, fn func(spool.Item) bool) (next uint64, err error) {
	return q.Queue.Read(from, limit, func(it edgebroker.Item) bool { return fn(spool.Item(it)) })
}

func (q queueForBridge) Move(pos uint64, to spool.Queue, meta []byte) error {
	err := q.Queue.Move(pos, to.(queueForBridge).Queue, meta)
	if errors.Is(err, edgebroker.ErrGone) {
		return fmt.Errorf("%w: %w", spool.ErrGone, err)
	}
	return err
}

func (q queueForBridge) Stats() spool.QueueStats {
	s := q.Queue.Stats()
	return spool.QueueStats{Dropped: s.Dropped, Refused: s.Refused, Failed: s.Failed}
}

func (q queueForBridge) SetLimits(limits spool.Limits) {
	q.Queue.SetLimits(edgebroker.QueueLimits(limits))
}

// What begins the keys of what rooms keep in the store.
const (
	bridgeKeys = "bridge/"
	streamKeys = "streams/"
)

// keeper keeps small values of a room in the store, which is open from Run on.
type keeper struct {
	g      *Gateway
	prefix string
}

var errNoStore = errors.New("the store is not open")

func (k keeper) Get(key string) []byte {
	st := k.g.store.Load()
	if st == nil {
		return nil
	}
	return st.Get(k.prefix + key)
}

// Put waits for the commit.
func (k keeper) Put(key string, value []byte) error {
	st := k.g.store.Load()
	if st == nil {
		return errNoStore
	}
	tx := st.Begin()
	tx.Put(k.prefix+key, value)
	done := make(committed, 1)
	tx.Commit(store.SyncInterval, done)
	return <-done
}

// committed takes the end of one transaction.
type committed chan error

// Committed implements store.Waiter.
func (c committed) Committed(err error) { c <- err }
