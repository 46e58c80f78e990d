package canbus

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/audit"
	watch "github.com/fascia-edge/fascia/canbus/health"
	"github.com/fascia-edge/fascia/canbus/record"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/canbus/transmit"
	"github.com/fascia-edge/fascia/vehicle"
)

// Options are what the buses need beside their configuration and plan.
type Options struct {
	Broker Broker
	State  *vehicle.State
	Log    *slog.Logger
	// Virtual are in-process buses, by the name in virtual://NAME.
	Virtual map[string]*source.Virtual
	// Record appends to the audit what is asked of the transmit gate.
	Record func(audit.Entry) (audit.Entry, error)
	// OpenRecording opens where the blocks of a recording go.
	OpenRecording func(record.Config) (record.Sink, error)
}

// Buses are all buses of the vehicle. Their life is New, Start, Stop; Use and
// Status may be called at any time between.
type Buses struct {
	options Options
	outlet  *outlet
	watch   *watch.Monitor
	gate    *transmit.Gate
	buses   []*bus
	derived atomic.Pointer[[]*derivation]
	stop    context.CancelFunc
	workers sync.WaitGroup

	recorders     []*record.Recorder
	stopRecording context.CancelFunc
	recording     sync.WaitGroup // ends after workers
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
		b := &bus{
			name:   bc.Name,
			source: bc.Source,
			live:   spec.Scheme != source.SchemeReplay,
			waits:  spec.Scheme == source.SchemeUDP || spec.Scheme == source.SchemeSocketCAN,
			log:    options.Log.With("bus", bc.Name),
			health: &health{broker: options.Broker, topic: "health/bus/" + bc.Name},
			open: func() (source.Source, error) {
				return openBus(spec, source.Options{Dir: c.dir, Virtual: options.Virtual})
			},
		}
		b.control.log, b.control.health = b.log, b.health
		all.buses = append(all.buses, b)
	}
	all.watch = all.newWatch()
	all.gate = transmit.New(plan.transmit, transmit.Options{Record: options.Record, OpenSink: all.openSink, Log: options.Log})
	all.newRecorders(c, plan)
	all.Use(plan)
	return all, nil
}

// Use makes plan, which must be of the same buses, decode from the next frame
// on.
func (all *Buses) Use(plan *Plan) {
	all.gate.Use(plan.transmit)
	derived := plan.bind(all.buses, all.outlet, all.watch.Use(plan.health, vehicle.BootNow()))
	all.derived.Store(&derived)
	all.useRecordings(plan)
	for _, b := range all.buses {
		if src := b.faults.source(); src != nil {
			b.narrow(src)
		}
	}
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
	if err := all.openRecordings(); err != nil {
		return err
	}
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
	all.workers.Go(func() { all.watch.Run(ctx) })
	all.startRecorders(ctx)
	for i, b := range all.buses {
		all.workers.Go(func() { b.run(ctx, first[i]) })
	}
	all.gate.Start(ctx)
	return nil
}

// Stop ends receiving and waits until what was received is published and recorded.
func (all *Buses) Stop() {
	if all.stop == nil {
		return
	}
	all.gate.Stop()
	all.stop()
	all.workers.Wait()
	all.stopRecorders()
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
	State   string    `json:"state"` // active, warning, passive, bus_off, down, ended
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since"`
	Frames  uint64    `json:"frames"` // received: the sum of the next six
	Decoded uint64    `json:"decoded"`
	Unused  uint64    `json:"unused"`          // of messages that are neither mapped nor published
	Unknown uint64    `json:"unknown"`         // no DBC has the id
	Short   uint64    `json:"short"`           // fewer bytes than the message
	Other   uint64    `json:"remote_or_error"` // they carry no signals
	Own     uint64    `json:"own"`             // sent by the gate itself, and heard back
	Invalid uint64    `json:"invalid"`         // values outside their type, range or enumeration
	Skipped uint64    `json:"skipped"`         // values that a mapping of KUKSA's leaves out: labels without a mapping, numbers out of range
	Seconds float64   `json:"seconds"`         // from the first frame to the last

	TornLines    uint64 `json:"torn_lines,omitempty"`
	ClockJumps   uint64 `json:"clock_jumps,omitempty"`
	BadDatagrams uint64 `json:"bad_datagrams,omitempty"`
	Dropped      uint64 `json:"dropped,omitempty"`
	FirstFault   string `json:"first_fault,omitempty"` // the first of these four, and where

	Errors map[string]uint64 `json:"errors,omitempty"` // what error frames told, by ErrorKinds
}

// Active reports whether frames can come.
func (s BusStatus) Active() bool {
	return s.State == busActive || s.State == busWarning || s.State == busPassive
}

// Status describes the buses in the order of the configuration; safe for
// concurrent use.
func (all *Buses) Status() []BusStatus {
	list := make([]BusStatus, len(all.buses))
	for i, b := range all.buses {
		list[i] = b.status()
	}
	return list
}
