package stream

import "github.com/fascia-edge/fascia/edgebroker/wire"

const (
	maxSentText = 64 << 10 // bytes of the topics behind the aliases to one client
	aliasMemory = 48       // bytes of an alias beside its topic
	aliasCost   = 5        // bytes that an alias adds to a packet, at most: the property, longer lengths
)

// sentAliases are the topics that a client knows by alias (MQTT 5.0 §3.3.2.3.4).
// They are settled when bytes are taken to be written: from there on nothing is
// dropped or overtaken, so a client never lacks the packet that set an alias,
// and all before it may share one encoding. The first topics get the aliases
// and keep them: with more topics than aliases, giving them anew would set
// aliases that nothing uses.
//
// It is used by whoever writes, one at a time.
type sentAliases struct {
	most      int // Topic Alias Maximum of the client
	maxPacket int // its Maximum Packet Size
	topics    map[string]uint16
	bytes     int
}

func newSentAliases(most uint16, maxPacket int) *sentAliases {
	return &sentAliases{most: int(most), maxPacket: maxPacket, topics: make(map[string]uint16)}
}

// shorten appends whole packets to to, with aliases for topics.
func (a *sentAliases) shorten(to, packets []byte) []byte {
	for len(packets) > 0 {
		first, body, n, _, _ := wire.Split(packets, wire.MaxPacket)
		if wire.Kind(first>>4) == wire.Publish && first&8 == 0 { // what is sent again has its topic
			to = a.publish(to, packets[:n], first, body)
		} else {
			to = append(to, packets[:n]...)
		}
		packets = packets[n:]
	}
	return to
}

func (a *sentAliases) publish(to, packet []byte, first byte, body []byte) []byte {
	topic := wire.Topic(body)
	if alias, known := a.topics[string(topic)]; known {
		return wire.AppendAliased(to, first, body, alias, false)
	}
	cost := len(topic) + aliasMemory
	if len(topic) <= aliasCost || len(a.topics) >= a.most || a.bytes+cost > maxSentText || len(packet)+aliasCost > a.maxPacket {
		return append(to, packet...)
	}
	a.bytes += cost
	alias := uint16(len(a.topics) + 1)
	a.topics[string(topic)] = alias
	return wire.AppendAliased(to, first, body, alias, true)
}
