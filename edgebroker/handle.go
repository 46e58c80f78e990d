package edgebroker

import (
	"errors"
	"strings"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/presence"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// handle does what a packet asks. An error ends the connection.
func (c *conn) handle(first byte, body []byte) error {
	kind := wire.Kind(first >> 4)
	switch kind {
	case wire.Publish:
		return c.publish(first, body)
	case wire.Puback, wire.Pubrec, wire.Pubcomp, wire.Pubrel:
		a, err := wire.ReadAcknowledgement(first, body, c.version)
		if err != nil {
			return err
		}
		if kind == wire.Pubrel {
			c.release(a)
			return nil
		}
		return c.delivered(kind, a)
	}
	c.leave() // the rest may wait, or changes what is routed
	c.later.Flush()
	pk, err := wire.Decode(first, body, c.version)
	if err != nil {
		return err
	}
	switch kind {
	case wire.Subscribe:
		return c.subscribe(pk)
	case wire.Unsubscribe:
		return c.unsubscribe(pk)
	case wire.Pingreq:
		c.later.Add(c.out, c.out.Packet([]byte{byte(wire.Pingresp) << 4, 0}))
		return nil
	case wire.Disconnect:
		return c.disconnect(pk)
	case wire.Auth:
		return c.reauthenticate(pk)
	}
	return wire.Break(wire.ProtocolError, "packet type %d in a session", kind)
}

// mayPublish decides for clients; the $SYS topics (MQTT 5.0 §4.7.2) and the events
// of clients are the broker's whatever is granted.
func (b *Broker) mayPublish(id *auth.Identity, name string) auth.Decision {
	if strings.HasPrefix(name, "$SYS/") {
		return auth.Decision{Rule: "$SYS is the broker's"}
	}
	if strings.HasPrefix(name, presence.Prefix) {
		return auth.Decision{Rule: "$aws/events is the broker's"}
	}
	return b.policy.Load().CanPublish(id, name)
}

// errWithWill is the goodbye of a client that wants its will sent
// [MQTT-3.14.4-3].
var errWithWill = errors.New("client disconnected with its will")

// disconnect is the client's goodbye; with any reason but success its will is
// sent.
func (c *conn) disconnect(pk *wire.Packet) error {
	if pk.Properties.SessionExpiryIntervalFlag {
		asked := clock.Time(pk.Properties.SessionExpiryInterval) * clock.Second
		if asked > 0 && c.expiry == 0 {
			return wire.Break(wire.ProtocolError, "DISCONNECT asks for a session that CONNECT did not")
		}
		c.expiry = min(asked, clock.Time(c.b.cfg.Limits.SessionExpiry))
	}
	if wire.Reason(pk.ReasonCode) == wire.Success {
		return errGoodbye
	}
	return errWithWill
}
