package transmit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/config"
)

// find is the one signal that a name means, Message.Signal or bare, on a bus or
// on any; nil, and why, if it means none or several.
func (k *compiler) find(name, bus string) (string, *dbc.Signal, string) {
	if why := k.unknownBus(bus); why != "" {
		return "", nil, why
	}
	var (
		onBus string
		found []*dbc.Signal
		where []string
		known []string
	)
	for _, b := range k.buses {
		if bus != "" && b.Name != bus {
			continue
		}
		for _, m := range b.Database.Messages {
			for _, s := range m.Signals {
				full := m.Name + "." + s.Name
				known = append(known, full)
				if name == full || name == s.Name {
					onBus, found, where = b.Name, append(found, s), append(where, full+" on "+b.Name)
				}
			}
		}
	}
	switch len(found) {
	case 1:
		return onBus, found[0], ""
	case 0:
		return "", nil, fmt.Sprintf("no DBC has the signal %s%s", name, suggestion(name, known))
	}
	return "", nil, fmt.Sprintf("%s means %s: want Message.Signal and bus", name, strings.Join(where, ", "))
}

// findMessage is find for messages.
func (k *compiler) findMessage(name, bus string) (string, *dbc.Message, string) {
	if why := k.unknownBus(bus); why != "" {
		return "", nil, why
	}
	var (
		onBus        string
		found        []*dbc.Message
		known, where []string
	)
	for _, b := range k.buses {
		if bus != "" && b.Name != bus {
			continue
		}
		for _, m := range b.Database.Messages {
			known = append(known, m.Name)
			if m.Name == name {
				onBus, found, where = b.Name, append(found, m), append(where, b.Name)
			}
		}
	}
	switch len(found) {
	case 1:
		return onBus, found[0], ""
	case 0:
		return "", nil, fmt.Sprintf("no DBC has a message %q%s", name, suggestion(name, known))
	}
	return "", nil, fmt.Sprintf("message %s stands in the databases of %s: want bus", name, strings.Join(where, ", "))
}

func (k *compiler) unknownBus(name string) string {
	if name == "" || slices.ContainsFunc(k.buses, func(b Bus) bool { return b.Name == name }) {
		return ""
	}
	known := make([]string, len(k.buses))
	for i, b := range k.buses {
		known[i] = b.Name
	}
	return fmt.Sprintf("no bus is named %q%s", name, suggestion(name, known))
}

func suggestion(name string, known []string) string {
	if near, ok := config.Nearest(name, known); ok {
		return "; did you mean " + near + "?"
	}
	return ""
}
