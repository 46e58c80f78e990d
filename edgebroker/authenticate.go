package edgebroker

import (
	"errors"
	"time"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// This file carries the packets of enhanced authentication (MQTT 5.0 §4.12); the
// methods themselves are handed in.

// maxAuthSteps is how often a client may be asked for more in one exchange.
const maxAuthSteps = 8

// exchange is an authentication under way.
type exchange struct {
	auth.Exchange
	until time.Time // when the client must be through
	steps int
}

var errLongExchange = errors.New("the exchange takes too many steps or too long")

func (c *conn) begin(client string) *exchange {
	return &exchange{
		Exchange: c.method.Start(client, c.socket.Credentials),
		until:    time.Now().Add(time.Duration(c.b.cfg.Limits.ConnectTimeout)),
	}
}

// step gives the method what the client sent. With an identity the exchange is
// over.
func (x *exchange) step(data []byte) (reply []byte, who *auth.Identity, err error) {
	if x.steps++; x.steps > maxAuthSteps || time.Now().After(x.until) {
		return nil, nil, errLongExchange
	}
	return x.Continue(data)
}

// methodNamed is the method of that name, if the listener's auth allows it.
func (c *conn) methodNamed(name string) auth.Method {
	for _, way := range c.socket.Listener.Methods() {
		if m := c.b.methods[way]; m != nil && m.Name() == name {
			return m
		}
	}
	return nil
}

// authenticate carries the exchange between CONNECT and CONNACK, within the
// time that a CONNECT has. last is for the CONNACK. What comes of it reads over
// the buffer of the CONNECT.
func (c *conn) authenticate(pk *wire.Packet) (who auth.Identity, last []byte, err error) {
	if c.method = c.methodNamed(pk.Properties.AuthenticationMethod); c.method == nil {
		return who, nil, refuse(wire.BadAuthMethod, "no authentication method %.40q on listener %s", pk.Properties.AuthenticationMethod, c.socket.Listener.Name)
	}
	x := c.begin(pk.Connect.ClientIdentifier)
	for data := pk.Properties.AuthenticationData; ; {
		reply, id, err := x.step(data)
		if err != nil {
			return who, nil, c.unproven(err)
		}
		if id != nil {
			who = *id
			who.Listener = c.socket.Listener.Name
			return who, reply, nil
		}
		c.sendAuth(wire.ContinueAuth, reply)
		c.later.Flush()
		if data, err = c.nextAuth(); err != nil {
			return who, nil, err
		}
	}
}

// nextAuth reads the client's next step. Before CONNACK a client with a method
// sends AUTH and DISCONNECT alone [MQTT-3.1.2-30].
func (c *conn) nextAuth() (data []byte, err error) {
	first, body, err := c.nextPacket()
	if err == nil && wire.Kind(first>>4) == wire.Disconnect {
		return nil, errGoodbye
	}
	if err == nil && wire.Kind(first>>4) != wire.Auth {
		err = wire.Break(wire.ProtocolError, "packet type %d before CONNACK: want AUTH", first>>4)
	}
	var pk *wire.Packet
	if err == nil {
		pk, err = wire.Decode(first, body, c.version)
	}
	if err == nil {
		data, err = c.dataOf(pk)
	}
	if err == nil && wire.Reason(pk.ReasonCode) != wire.ContinueAuth {
		err = wire.Break(wire.ProtocolError, "AUTH with reason 0x%02X before CONNACK: want 0x18", pk.ReasonCode)
	}
	var bad *wire.Broken
	if errors.As(err, &bad) {
		return nil, &refusal{bad.Reason, bad.Text}
	}
	return data, err
}

// dataOf wants an AUTH of the method that CONNECT named [MQTT-4.12.0-5].
func (c *conn) dataOf(pk *wire.Packet) ([]byte, error) {
	if name := pk.Properties.AuthenticationMethod; name != c.method.Name() {
		return nil, wire.Break(wire.ProtocolError, "AUTH with method %.40q: want %q", name, c.method.Name())
	}
	return pk.Properties.AuthenticationData, nil
}

func (c *conn) sendAuth(reason wire.Reason, data []byte) {
	c.later.Add(c.out, c.out.Packet(wire.AppendAuth(nil, reason, c.method.Name(), data)))
}

// unproven says that an exchange failed, and why to the log alone.
func (c *conn) unproven(why error) *refusal {
	c.b.noise.warn(c.b.log, "authentication failed", "listener", c.socket.Listener.Name, "remote", c.socket.Remote(), "method", c.method.Name(), "error", why)
	return &refusal{wire.NotAuthorized, "authentication by " + c.method.Name() + " failed"}
}

// reauthenticate takes an AUTH within a session (MQTT 5.0 §4.12.1). Other
// packets go on meanwhile, with the rights that the client had.
func (c *conn) reauthenticate(pk *wire.Packet) error {
	if c.method == nil {
		return wire.Break(wire.ProtocolError, "AUTH in a session without an authentication method") // [MQTT-4.12.0-6]
	}
	data, err := c.dataOf(pk)
	if err != nil {
		return err
	}
	s := c.session.Load()
	switch reason := wire.Reason(pk.ReasonCode); {
	case reason == wire.Reauthenticate && c.exchange == nil:
		c.exchange = c.begin(s.id)
	case reason != wire.ContinueAuth || c.exchange == nil:
		return wire.Break(wire.ProtocolError, "AUTH with reason 0x%02X: want 0x19, and 0x18 when asked for more", pk.ReasonCode)
	}
	reply, who, err := c.exchange.step(data)
	switch {
	case err != nil:
		no := c.unproven(err)
		return wire.Break(no.reason, "%s", no.text)
	case who == nil:
		c.sendAuth(wire.ContinueAuth, reply)
		return nil
	}
	c.exchange = nil
	if err := c.become(s, *who); err != nil {
		return err
	}
	c.sendAuth(wire.Success, reply)
	return nil
}

// become gives a session the identity that its client has proved anew. What it
// published stays what it was; its will, and all that comes, has the new one.
func (c *conn) become(s *session, who auth.Identity) error {
	who.Client, who.Listener = s.id, c.socket.Listener.Name
	if !sameOwner(s.identity.Load(), &who) {
		return wire.Break(wire.NotAuthorized, "a session stays with the identity that began it")
	}
	c.origin = message.OriginOf(&who)
	if err := s.rename(&who, c.origin); err != nil {
		c.b.noise.warn(c.b.log, "identity not stored", "client", s.id, "error", err)
		return wire.Break(wire.QuotaExceeded, "the new identity can't be stored now")
	}
	c.b.rerouted(s, &who)
	c.b.log.Debug("client authenticated again", "client", s.id, "identity", who.Name, "role", who.Role)
	return nil
}

// rename waits until the store has the new identity, where it keeps the session.
func (s *session) rename(who *auth.Identity, origin *Origin) error {
	s.mu.Lock()
	s.identity.Store(who)
	s.trusted = nil
	if s.will != nil {
		s.will.Origin = origin
	}
	if !s.stays && s.will == nil {
		s.mu.Unlock()
		return nil
	}
	tx := s.b.store.Begin()
	s.write(tx, true)
	s.mu.Unlock()
	return s.b.settle(tx)
}
