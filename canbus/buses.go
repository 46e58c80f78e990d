package canbus

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/vehicle"
)

// Options are what the buses need beside their configuration and plan.
type Options struct {
	Broker Broker
	State  *vehicle.State
	Log    *slog.Logger
	// Virtual are in-process buses, by the name in virtual://NAME.
	Virtual map[string]*source.Virtual
}

// Buses are all buses of the vehicle. Their life is New, Start, Stop; Use and
// Status may be called at any time between.
type Buses struct {
	options Options
	outlet  *outlet
	buses   []*bus
	derived atomic.Pointer[[]*derivation]
	stop    context.CancelFunc
	workers sync.WaitGroup
}

// New makes the buses of a validated configuration. It opens nothing.
func New(c Config, plan *Plan, options Options) (*Buses, error) {
	all := &Buses{
		options: options,
		outlet:  newOutlet(options.State, options.Broker),
	}
	for _, bc := range c.Buses {
		spec, err := source.Parse(bc.Source)
		if err != nil {
			return nil, err
		}
		all.buses = append(all.buses, &bus{
			name:   bc.Name,
			source: bc.Source,
			live:   spec.Scheme != source.SchemeReplay,
			waits:  spec.Scheme == source.SchemeUDP || spec.Scheme == source.SchemeSocketCAN,
			log:    options.Log.With("bus", bc.Name),
			health: &health{broker: options.Broker, topic: "health/bus/" + bc.Name},
			open: func() (source.Source, error) {
				return source.Open(spec, source.Options{Dir: c.dir, Virtual: options.Virtual})
			},
		})
	}
	all.Use(plan)
	return all, nil
}

// Use makes plan, which must be of the same buses, decode from the next frame
// on.
func (all *Buses) Use(plan *Plan) {
	derived := plan.bind(all.buses, all.outlet)
	all.derived.Store(&derived)
}

// Changed computes again what is derived from a path that was set by somebody
// else than a bus, at the moment wall and boot.
func (all *Buses) Changed(path string, wall, boot int64) {
	for _, d := range dependents(*all.derived.Load(), []string{path}) {
		d.update(wall, boot)
	}
}

// Start opens the buses and begins to receive. A log that can't be opened stops
// the start; a network or CAN interface may come later and is waited for.
func (all *Buses) Start(ctx context.Context) error {
	first := make([]source.Source, len(all.buses))
	for i, b := range all.buses {
		src, err := b.open()
		if err != nil && !b.waits {
			for _, opened := range first[:i] {
				if opened != nil {
					_ = opened.Close()
				}
			}
			return &BusError{b.name, err}
		}
		first[i] = src // nil if it failed: the bus tries again and says why
	}
	ctx, all.stop = context.WithCancel(ctx)
	all.workers.Go(func() { all.outlet.sweeper.run(ctx) })
	for i, b := range all.buses {
		all.workers.Go(func() { b.run(ctx, first[i]) })
	}
	return nil
}

// Stop ends receiving and waits until what was received is published.
func (all *Buses) Stop() {
	if all.stop == nil {
		return
	}
	all.stop()
	all.workers.Wait()
}

// BusError says which bus could not be opened.
type BusError struct {
	Bus string
	Err error
}

func (e *BusError) Error() string { return "can: bus \"" + e.Bus + "\": " + e.Err.Error() }
func (e *BusError) Unwrap() error { return e.Err }

// BusStatus is what a bus does and has done since the start.
type BusStatus struct {
	Name    string    `json:"name"`
	Source  string    `json:"source"`
	State   string    `json:"state"` // active, down, ended
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since"`
	Frames  uint64    `json:"frames"` // received: the sum of the next five
	Decoded uint64    `json:"decoded"`
	Unused  uint64    `json:"unused"`          // of messages that are neither mapped nor published
	Unknown uint64    `json:"unknown"`         // no DBC has the id
	Short   uint64    `json:"short"`           // fewer bytes than the message
	Other   uint64    `json:"remote_or_error"` // they carry no signals
	Invalid uint64    `json:"invalid"`         // values outside their type, range or enumeration
	Seconds float64   `json:"seconds"`         // from the first frame to the last

	TornLines    uint64 `json:"torn_lines,omitempty"`
	ClockJumps   uint64 `json:"clock_jumps,omitempty"`
	BadDatagrams uint64 `json:"bad_datagrams,omitempty"`
	Dropped      uint64 `json:"dropped,omitempty"`
	FirstFault   string `json:"first_fault,omitempty"` // the first of these four, and where
}

// Active reports whether frames can come.
func (s BusStatus) Active() bool { return s.State == busActive }

// Status describes the buses in the order of the configuration; safe for
// concurrent use.
func (all *Buses) Status() []BusStatus {
	list := make([]BusStatus, len(all.buses))
	for i, b := range all.buses {
		list[i] = b.status()
	}
	return list
}
