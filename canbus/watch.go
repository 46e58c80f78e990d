package canbus

import (
	watch "github.com/fascia-edge/fascia/canbus/health"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// compileHealth finds what is to be watched of the messages and mapped signals.
// It returns doubts and problems.
func (p *Plan) compileHealth(c Config, doc *config.Document, state *vehicle.State) (doubts []config.Problem, problems config.Errors) {
	var buses []watch.Bus
	for _, b := range c.Buses {
		part := p.buses[b.Name]
		buses = append(buses, watch.Bus{Name: b.Name, Database: part.database, Published: part.publish})
	}
	p.health, doubts, problems = watch.Compile(c.Health, doc, buses, p.mapping, state)
	return doubts, problems
}

// newWatch makes the monitor of the buses' messages and signals.
func (all *Buses) newWatch() *watch.Monitor {
	return watch.New(watch.Options{
		Topic: func(name string) watch.Topic { return all.options.Broker.LastValue(name) },
		Bus:   all.canReceive,
		Log:   all.options.Log,
	})
}

// canReceive reports whether frames can come on a bus, and what keeps them off.
func (all *Buses) canReceive(name string) (bool, string) {
	for _, b := range all.buses {
		if b.name == name {
			s := b.status()
			return s.Active(), s.State
		}
	}
	return false, ""
}

// Health describes the messages and mapped signals; safe for concurrent use.
func (all *Buses) Health() watch.Status { return all.watch.Status() }
