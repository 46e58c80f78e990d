package canbus

import "github.com/fascia-edge/fascia/canbus/source"

// openBus opens a bus for both ways if it has two. Nothing is sent on it unless
// the transmit gate does.
func openBus(spec source.Spec, o source.Options) (source.Source, error) {
	if spec.BothWays() {
		return source.OpenBus(spec, o)
	}
	return source.Open(spec, o)
}

// stateAtOpening is the state of a bus of which nothing came yet: a controller may
// be off its bus since before the gateway started.
func stateAtOpening(src source.Source) string {
	if c, ok := src.(source.Controlled); ok {
		if state := stateOf(c.State()); state != "" {
			return state
		}
	}
	return busActive
}
