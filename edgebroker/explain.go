package edgebroker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// This file tells version 5 clients why: the rule or limit that refused, in the
// reason string (property 31). What the store says of its disk stays in the log.

// explain encodes a packet with a reason string, or without one where the
// client's Maximum Packet Size has no room for it [MQTT-3.2.2-19, 3.4.2-2,
// 3.5.2-2, 3.9.2-1, 3.14.2-3].
func (c *conn) explain(text string, encode func(text string) []byte) []byte {
	if packet := encode(text); len(packet) <= c.maxPacket {
		return packet
	}
	return encode("")
}

// wanted is the reason string of a packet that is neither CONNACK nor
// DISCONNECT: none for a client that asked for none [MQTT-3.1.2-29].
func (c *conn) wanted(text string) string {
	if c.quiet {
		return ""
	}
	return text
}

// disconnectFor is a DISCONNECT with its reason string.
func (c *conn) disconnectFor(reason wire.Reason, text string) []byte {
	return c.explain(text, func(text string) []byte { return wire.AppendDisconnect(nil, reason, text) })
}

// refusal is a CONNECT that is answered with a reason. The client is told the
// text.
type refusal struct {
	reason wire.Reason
	text   string
}

func (e *refusal) Error() string { return e.text }

func refuse(reason wire.Reason, format string, args ...any) error {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

// refuse answers a CONNECT with CONNACK. 3.1.1 has few return codes, and no
// answer where none fits.
func (c *conn) refuse(no *refusal) {
	reason := no.reason
	if c.version < 5 {
		switch reason {
		case wire.UnsupportedVersion:
			reason = 1
		case wire.ClientIDInvalid:
			reason = 2
		case wire.ServerBusy, wire.QuotaExceeded, wire.ConnectRateExceeded, wire.ShuttingDown:
			reason = 3
		case wire.NotAuthorized:
			reason = 5
		default:
			return
		}
	}
	packet := c.explain(no.text, func(text string) []byte {
		ack := wire.Acceptance{Reason: reason, ReasonText: text, Version: c.version}
		return ack.Append(nil)
	})
	c.later.Add(c.out, c.out.Packet(packet))
	c.later.Flush()
	c.b.noise.warn(c.b.log, "client refused", "listener", c.socket.Listener.Name, "remote", c.socket.Remote(), "reason", no.text)
}

// refuseMessage is ack for a version 5 client whose PUBLISH is refused.
func (c *conn) refuseMessage(kind wire.Kind, id uint16, reason wire.Reason, text string) {
	packet := c.refusedMessage(kind, id, reason, text)
	if c.outstanding.Load() == 0 {
		c.answered(kind, reason)
		c.later.Add(c.out, c.out.Packet(packet))
		return
	}
	c.outstanding.Add(1)
	k := &commitment{b: c.b, done: func(error) { // refused whatever becomes of the store
		var later stream.Burst
		c.answered(kind, reason)
		later.Add(c.out, c.out.Packet(packet))
		later.Flush()
		c.outstanding.Add(-1)
		c.relieve()
	}}
	k.commit(c.b.sync)
}

func (c *conn) refusedMessage(kind wire.Kind, id uint16, reason wire.Reason, text string) []byte {
	return c.explain(c.wanted(text), func(text string) []byte { return wire.AppendRefusal(nil, kind, id, reason, text) })
}

// told is what a publisher may know of an error.
func told(err error) string {
	for _, known := range []error{ErrStore, ErrQueueFull} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

// suback answers a SUBSCRIBE. Its one reason string names the filters that were
// refused, as far as it reaches.
func (c *conn) suback(id uint16, wanted []request) []byte {
	var refused []string
	for i := range wanted {
		if r := &wanted[i]; r.why != "" {
			refused = append(refused, r.why)
		}
	}
	text := c.wanted(strings.Join(refused, "; "))
	return c.explain(text, func(text string) []byte {
		return wire.AppendReasons(nil, wire.Suback, id, reasonsOf(wanted, c.version), text, c.version)
	})
}
