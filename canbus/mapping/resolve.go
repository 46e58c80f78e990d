package mapping

import (
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/config"
)

// names are the signals of one bus, by both ways of naming them.
type names struct {
	bus     string
	signals map[string][]*dbc.Signal // by Message.Signal and by the bare name
	full    []string                 // Message.Signal, in the order of the databases
	bare    []string
}

func newNames(b BusDatabase) *names {
	n := &names{bus: b.Bus, signals: map[string][]*dbc.Signal{}}
	for _, m := range b.Database.Messages {
		for _, s := range m.Signals {
			full := m.Name + "." + s.Name
			n.signals[full] = append(n.signals[full], s)
			n.signals[s.Name] = append(n.signals[s.Name], s)
			n.full = append(n.full, full)
			n.bare = append(n.bare, s.Name)
		}
	}
	return n
}

// find is the signal that an entry means and its bus; nil, once the reason is
// reported, if it means none or several.
func (c *compiler) find(i int, s *Signal) (string, *dbc.Signal) {
	candidates := c.buses
	if s.Bus != "" {
		at := slices.IndexFunc(c.buses, func(n *names) bool { return n.bus == s.Bus })
		if at < 0 {
			c.errorf([]any{"signals", i, "bus"}, "no bus is named %q%s", s.Bus, c.knownBuses(s.Bus))
			return "", nil
		}
		candidates = c.buses[at : at+1]
	}
	var having []*names
	for _, n := range candidates {
		if len(n.signals[s.Signal]) > 0 {
			having = append(having, n)
		}
	}
	place := []any{"signals", i, "signal"}
	switch {
	case len(having) == 0:
		c.errorf(place, "%s", unknownSignal(s.Signal, candidates))
		return "", nil
	case len(having) > 1:
		var buses []string
		for _, n := range having {
			buses = append(buses, n.bus)
		}
		c.errorf(place, "%s stands in the databases of the buses %s: want bus: NAME", s.Signal, list(buses))
		return "", nil
	}
	found := having[0].signals[s.Signal]
	if len(found) > 1 {
		c.errorf(place, "%s", ambiguous(s.Signal, found))
		return "", nil
	}
	return having[0].bus, found[0]
}

func (c *compiler) knownBuses(name string) string {
	var known []string
	for _, n := range c.buses {
		known = append(known, n.bus)
	}
	if len(known) == 0 {
		return ": the configuration has no bus"
	}
	if near, ok := config.Nearest(name, known); ok {
		return `: did you mean "` + near + `"?`
	}
	return ": want " + list(known)
}

func unknownSignal(name string, buses []*names) string {
	message := "no database has the signal " + name
	if len(buses) == 1 {
		message = "no database of the bus " + buses[0].bus + " has the signal " + name
	}
	var full, bare []string
	for _, n := range buses {
		full, bare = append(full, n.full...), append(bare, n.bare...)
	}
	known := bare
	if prefix, signal, dotted := strings.Cut(name, "."); dotted {
		known = full
		// Where the message is known, the nearest is one of its signals; where it
		// isn't, one with that signal is likelier than one that only looks alike.
		if of := slices.DeleteFunc(slices.Clone(full), func(f string) bool { return !strings.HasPrefix(f, prefix+".") }); len(of) > 0 {
			known = of
		} else if of := slices.DeleteFunc(slices.Clone(full), func(f string) bool { return !strings.HasSuffix(f, "."+signal) }); len(of) > 0 {
			return message + `: did you mean "` + nearestOrFirst(name, of) + `"?`
		}
	}
	if near, ok := config.Nearest(name, known); ok {
		return message + `: did you mean "` + near + `"?`
	}
	return message
}

func nearestOrFirst(name string, known []string) string {
	if near, ok := config.Nearest(name, known); ok {
		return near
	}
	return known[0]
}

func ambiguous(name string, found []*dbc.Signal) string {
	var where []string
	if strings.Contains(name, ".") {
		for _, s := range found {
			where = append(where, s.Message.Place.String())
		}
		return "several messages of the bus have the name of " + name + ": " + list(where)
	}
	for _, s := range found {
		where = append(where, s.Message.Name)
	}
	return name + " stands in " + list(where) + ": want Message.Signal, such as " + where[0] + "." + name
}

// list is "a, b and c".
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
