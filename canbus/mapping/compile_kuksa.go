package mapping

import (
	"fmt"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/vss"
	"github.com/fascia-edge/fascia/config"
)

// found is a signal with the bus whose databases have it.
type found struct {
	bus    string
	signal *dbc.Signal
}

// kuksa compiles a file of KUKSA's. It names signals without their messages and
// knows no buses: a signal is looked for on all of them.
func (c *compiler) kuksa(f *kuksaFile) {
	c.checkVersion(f.tree)
	before := c.plan.Unfed
	for i := range f.feeds {
		c.feed(&f.feeds[i])
	}
	for i := range f.actuators {
		e := &f.actuators[i]
		for _, s := range c.findAll(e, "sets") {
			c.actuator(e, s.bus, s.signal)
		}
	}
	if n := c.plan.Unfed - before; n > 0 {
		c.warnings = append(c.warnings, config.Problem{File: f.tree.File,
			Message: fmt.Sprintf("%d of %d paths have no value: no database has their signals", n, len(f.feeds))})
	}
}

func (c *compiler) feed(e *kuksaEntry) {
	line, column := c.file.kuksa.tree.Place(e.leaf)
	c.claim(e.leaf.Path, line, column, func(first string) {
		c.problems = append(c.problems, c.file.kuksa.tree.Errorf(e.leaf.At(), e.leaf.Path, takenPath, e.leaf.Path, first))
	})
	c.checkLeaf(e)
	signals := c.findAll(e, "feeds")
	if len(signals) == 0 {
		c.plan.Unfed++
	}
	for _, s := range signals {
		c.checkUnit(s.signal.Unit, e.leaf.Unit, e.math == nil && e.pairs == nil, func(format string, args ...any) {
			c.kuksaWarnf(e.at, e, format, args...)
		})
		c.add(&Rule{
			Bus: s.bus, Signal: s.signal, Path: e.leaf.Path, Type: e.typ, Limits: e.limits,
			decimal: decimalOf(s.signal), translation: c.translate(e, s.signal), bounds: c.kuksaBounds(e.leaf),
		})
	}
}

// findAll are the signals of that name, in the order of the buses and messages. A
// name that none has and one that several have is a warning each.
func (c *compiler) findAll(e *kuksaEntry, does string) []found {
	var all []found
	var where []string
	for _, n := range c.buses {
		for _, s := range n.signals[e.signal] {
			all = append(all, found{n.bus, s})
			where = append(where, s.Message.Name+" of bus "+n.bus)
		}
	}
	switch {
	case len(all) == 0:
		c.kuksaWarnf(e.at, e, "%s", unknownSignal(e.signal, c.buses))
	case len(all) > 1:
		c.kuksaWarnf(e.at, e, "the signal %s stands in %s: each of them %s the path", e.signal, list(where), does)
	}
	return all
}

func (c *compiler) kuksaWarnf(at vss.Value, e *kuksaEntry, format string, args ...any) {
	c.warnings = append(c.warnings, c.file.kuksa.tree.Errorf(at, e.leaf.Path, format, args...))
}
