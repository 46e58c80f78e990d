package edgebroker

import "strings"

const (
	rememberedBytes = 256 << 10 // of topics in one memory; a whole VSS catalogue fits
	rememberedCost  = 48        // of an entry beside its topic, in bytes
)

// remembered keeps what was found for a topic. Clients choose the topics, and
// one may have 65,535 bytes, so it is bounded in bytes: when it is full it
// starts anew.
type remembered[D any] struct {
	topics map[string]D
	bytes  int
}

func (r *remembered[D]) get(name string) (d D, known bool) {
	d, known = r.topics[name]
	return d, known
}

// find is get for a name in a buffer; it does not copy it.
func (r *remembered[D]) find(name []byte) (d D, known bool) {
	d, known = r.topics[string(name)]
	return d, known
}

// put keeps a copy of the name, which may be a part of a packet.
func (r *remembered[D]) put(name string, d D) {
	cost := len(name) + rememberedCost
	if r.bytes+cost > rememberedBytes {
		r.clear()
	}
	if r.topics == nil {
		r.topics = make(map[string]D)
	}
	r.topics[strings.Clone(name)] = d
	r.bytes += cost
}

func (r *remembered[D]) clear() { r.topics, r.bytes = nil, 0 }
