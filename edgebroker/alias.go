package edgebroker

import "github.com/fascia-edge/fascia/edgebroker/wire"

const (
	maxAliases   = 64        // Topic Alias Maximum for what clients send
	maxAliasText = 128 << 10 // bytes of the topics behind one connection's aliases
)

// aliases are the topic aliases that one connection has set (MQTT 5.0
// §3.3.2.3.4).
type aliases struct {
	routes map[uint16]*route
	bytes  int
}

func (a *aliases) get(alias uint16) (*route, error) {
	if alias > maxAliases {
		return nil, wire.Break(wire.TopicAliasInvalid, "topic alias %d: want 1 to %d", alias, maxAliases)
	}
	r, known := a.routes[alias]
	if !known {
		return nil, wire.Break(wire.ProtocolError, "topic alias %d was not set", alias)
	}
	return r, nil
}

func (a *aliases) set(alias uint16, r *route) error {
	if alias > maxAliases {
		return wire.Break(wire.TopicAliasInvalid, "topic alias %d: want 1 to %d", alias, maxAliases)
	}
	if old := a.routes[alias]; old != nil {
		a.bytes -= len(old.topic)
	}
	if a.bytes += len(r.topic); a.bytes > maxAliasText {
		return wire.Break(wire.QuotaExceeded, "topics of aliases have %d bytes: want at most %d", a.bytes, maxAliasText)
	}
	if a.routes == nil {
		a.routes = make(map[uint16]*route)
	}
	a.routes[alias] = r
	return nil
}
