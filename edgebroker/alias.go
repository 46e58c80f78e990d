package edgebroker

import "strings"

const (
	maxAliases   = 64        // Topic Alias Maximum for what clients send
	maxAliasText = 128 << 10 // bytes of the topics behind one connection's aliases
)

// aliases are the topic aliases that one connection has set (MQTT 5.0
// §3.3.2.3.4).
type aliases struct {
	names map[uint16]string
	bytes int
}

// resolve is the topic of a PUBLISH, which sets or uses an alias or does
// without.
func (a *aliases) resolve(pk *packet) (string, error) {
	alias := pk.Properties.TopicAlias
	switch {
	case !pk.Properties.TopicAliasFlag:
		return pk.TopicName, nil
	case alias == 0 || alias > maxAliases:
		return "", broken(reasonTopicAlias, "topic alias %d: want 1 to %d", alias, maxAliases)
	case pk.TopicName != "":
		return pk.TopicName, a.set(alias, pk.TopicName)
	}
	name, known := a.names[alias]
	if !known {
		return "", broken(reasonProtocolError, "topic alias %d was not set", alias)
	}
	return name, nil
}

func (a *aliases) set(alias uint16, name string) error {
	if a.bytes += len(name) - len(a.names[alias]); a.bytes > maxAliasText {
		return broken(reasonQuotaExceeded, "topics of aliases have %d bytes: want at most %d", a.bytes, maxAliasText)
	}
	if a.names == nil {
		a.names = make(map[uint16]string)
	}
	a.names[alias] = strings.Clone(name)
	return nil
}
