package transmit

import (
	"slices"

	"github.com/fascia-edge/fascia/canbus/dbc"
)

// messages compiles how frames are protected.
func (k *compiler) messages(list []MessageConfig) {
	for i, c := range list {
		at := []any{"messages", i}
		below := func(keys ...any) []any { return slices.Concat(at, keys) }
		bus, m, why := k.findMessage(c.Message, c.Bus)
		if m == nil {
			k.errorf(below("message"), "%s", why)
			continue
		}
		if c.SecOC {
			k.secOC = append(k.secOC, m)
		}
		if _, twice := k.plan.messages[keyOf(bus, m)]; twice {
			k.errorf(below("message"), "message %s of bus %s is there twice", m.Name, bus)
			continue
		}
		p := &k.message(bus, m).protection
		if c.Counter != "" {
			p.counter = k.signalOf(m, c.Counter, below("counter"))
			if p.counter == nil {
				continue
			}
			if p.counter.Float || p.counter.Length > 32 || p.counter.Multiplexed {
				k.errorf(below("counter"), "%s.%s can't count: want an integer of at most 32 bits in every frame", m.Name, c.Counter)
				continue
			}
			p.wraps = 1 << p.counter.Length
		}
		if c.Checksum != nil {
			k.checksum(p, m, c.Checksum, below("checksum"))
		}
	}
}

func (k *compiler) signalOf(m *dbc.Message, name string, at []any) *dbc.Signal {
	var known []string
	for _, s := range m.Signals {
		if s.Name == name {
			return s
		}
		known = append(known, s.Name)
	}
	k.errorf(at, "message %s has no signal %q%s", m.Name, name, suggestion(name, known))
	return nil
}

func (k *compiler) checksum(p *protection, m *dbc.Message, c *ChecksumConfig, at []any) {
	below := func(key string) []any { return append(at[:len(at):len(at)], key) }
	sum := &checksum{kind: c.Kind, mask: 0xFF, mode: c.DataIDMode, dataID: uint16(c.DataID)}
	for i, id := range c.DataIDList {
		sum.ids[i] = byte(id)
	}
	if c.Byte != nil {
		if sum.at = *c.Byte; sum.at >= m.Size {
			k.errorf(below("byte"), "message %s has %d bytes: want 0 to %d", m.Name, m.Size, m.Size-1)
			return
		}
	} else {
		sum.signal = k.signalOf(m, c.Signal, below("signal"))
		if sum.signal == nil {
			return
		}
		var whole bool
		if sum.at, whole = wholeByte(sum.signal); !whole {
			sum.at = -1
			if c.Kind != kindSum || sum.signal.Float || sum.signal.Length > 32 {
				k.errorf(below("signal"), "%s.%s does not fill a byte: a checksum of kind %s does", m.Name, c.Signal, c.Kind)
				return
			}
		}
		sum.mask = 1<<sum.signal.Length - 1
	}
	if c.Kind == kindP01 || c.Kind == kindP02 {
		if !k.profile(p, m, sum, at) {
			return
		}
	} else {
		sum.prefix = prefix(m, c)
	}
	p.checksum = sum
}

// profile checks what the E2E profiles ask of the counter, and where the nibble
// of the Data ID stands.
func (k *compiler) profile(p *protection, m *dbc.Message, sum *checksum, at []any) bool {
	if p.counter == nil {
		k.errorf(at, "%s has a counter of four bits: want counter beside checksum", sum.kind)
		return false
	}
	counterAt, shift, half := halfByte(p.counter)
	if !half {
		k.errorf(at, "%s.%s is not half a byte: the counter of %s is", m.Name, p.counter.Name, sum.kind)
		return false
	}
	sum.nibble, sum.shift = counterAt, 4-shift
	if sum.kind == kindP01 {
		p.wraps = p01Counts
	}
	return true
}

// prefix is what goes into the checksum before the bytes of the frame.
func prefix(m *dbc.Message, c *ChecksumConfig) []byte {
	var bytes []byte
	if c.Identifier {
		if m.Extended {
			bytes = append(bytes, byte(m.ID>>24), byte(m.ID>>16))
		}
		bytes = append(bytes, byte(m.ID>>8), byte(m.ID))
	}
	if c.DataID > 0xFF {
		bytes = append(bytes, byte(c.DataID>>8))
	}
	if c.DataID > 0 {
		bytes = append(bytes, byte(c.DataID))
	}
	return bytes
}
