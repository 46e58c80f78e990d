package canbus

import (
	"errors"
	"fmt"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/canbus/transmit"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// compileTransmit compiles the rules of what may be sent.
func (p *Plan) compileTransmit(c Config, doc *config.Document, state *vehicle.State) (warnings []config.Problem, problems config.Errors) {
	var buses []transmit.Bus
	for _, b := range c.Buses {
		bus := transmit.Bus{Name: b.Name, Database: p.buses[b.Name].database}
		if spec, err := source.Parse(b.Source); err == nil && spec.Scheme == source.SchemeReplay {
			bus.TakesNo = "its source is a recorded log"
		} else if err == nil && !spec.BothWays() {
			bus.TakesNo = "on an address of this machine the gateway alone would hear it; want a multicast group"
		}
		buses = append(buses, bus)
	}
	p.transmit, warnings, problems = transmit.Compile(c.Transmit, doc, []any{"can", "transmit"}, buses, p.mapping, state)
	return warnings, problems
}

// openSink gives a bus of the configuration for sending: the one that is open for
// receiving, so that its source tells the frames sent here from those of others.
func (all *Buses) openSink(name string) (source.Sink, error) {
	for _, b := range all.buses {
		if b.name == name {
			return sink{b}, nil
		}
	}
	return nil, fmt.Errorf("no bus is named %q", name)
}

// sink sends on a bus as long as it is open.
type sink struct{ bus *bus }

func (s sink) Send(fr can.Frame) error {
	if open, ok := s.bus.faults.source().(source.Bus); ok {
		return open.Send(fr)
	}
	return errors.New("the bus is down")
}

// Close leaves the bus to who receives from it.
func (s sink) Close() error { return nil }

// Gate is the way to the buses for requests.
func (all *Buses) Gate() *transmit.Gate { return all.gate }
