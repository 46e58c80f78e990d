package edgebroker

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/listen"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/topic"
)

// maxClientID is the longest client id in bytes.
const maxClientID = 4096

// connect reads the CONNECT and answers it. A nil error means that the session
// is attached and its messages flow.
func (c *conn) connect(deadline time.Time) error {
	if err := c.socket.SetReadDeadline(deadline); err != nil {
		return err
	}
	if c.b.stop.Err() != nil || c.ended.Load() != 0 {
		return errEnded
	}
	first, body, err := c.nextPacket()
	if err == nil && first != byte(wire.Connect)<<4 {
		err = wire.Break(wire.ProtocolError, "first packet has type %d: want CONNECT", first>>4) // [MQTT-3.1.0-1]
	}
	if err == nil {
		err = c.accept(first, body)
	}
	if err != nil {
		c.socket.Refused()
	}
	var no *refusal
	if errors.As(err, &no) {
		c.refuse(no)
	}
	return err
}

// nextPacket waits for a packet before the session; nothing behind it is looked at.
func (c *conn) nextPacket() (first byte, body []byte, err error) {
	for {
		first, body, ok, err := c.in.Next()
		if ok || err != nil {
			return first, body, err
		}
		if err := c.fill(); err != nil {
			return 0, nil, err
		}
	}
}

func (c *conn) accept(first byte, body []byte) error {
	if err := c.checkProtocol(body); err != nil {
		return err
	}
	pk, err := wire.Decode(first, bytes.Clone(body), c.version) // authenticate reads over the buffer
	if err != nil {
		return &refusal{wire.Malformed, err.Error()}
	}
	c.heed(pk)
	if err := checkConnect(pk); err != nil {
		return err
	}
	if err := overLimit(c.socket.Over()); err != nil {
		return err
	}
	who, last, err := c.identify(pk)
	if err != nil {
		return err
	}
	identity := &who
	assigned := pk.Connect.ClientIdentifier == ""
	identity.Client = strings.Clone(pk.Connect.ClientIdentifier)
	if assigned {
		identity.Client = "auto-" + rand.Text()
	}
	if len(identity.Client) > maxClientID {
		return &refusal{wire.ClientIDInvalid, fmt.Sprintf("client id of %d bytes: want at most %d", len(identity.Client), maxClientID)}
	}
	c.origin = message.OriginOf(identity)
	if err := c.takeWill(pk, identity); err != nil {
		return err
	}
	ack := wire.Acceptance{
		Version:           c.version,
		ReceiveMaximum:    uint16(c.b.cfg.Limits.Inflight),
		TopicAliasMaximum: maxAliases,
		MaximumPacketSize: uint32(c.b.cfg.Limits.PacketSize),
	}
	if assigned {
		ack.AssignedClientID = identity.Client
	}
	if c.method != nil {
		ack.AuthMethod, ack.AuthData = c.method.Name(), last // [MQTT-4.12.0-5]
	}
	c.settle(pk, &ack)
	s, present, err := c.b.claim(c, identity, pk.Connect.Clean)
	switch {
	case errors.Is(err, errForeignSession):
		return &refusal{wire.ClientIDInvalid, err.Error()}
	case err != nil:
		return &refusal{wire.QuotaExceeded, err.Error()}
	}
	if err := s.keep(c, identity); err != nil {
		c.b.disclaim(s)
		c.b.noise.warn(c.b.log, "session not stored", "client", s.id, "error", err)
		return &refusal{wire.QuotaExceeded, "the session can't be stored now"}
	}
	c.b.counters.clients.Add(1)
	ack.Present = present && c.version > 3
	s.attach(c, identity, ack.Append(nil))
	c.b.log.Debug("client connected", "client", s.id, "identity", identity.Name, "role", identity.Role, "listener", c.socket.Listener.Name, "remote", c.socket.Remote())
	return nil
}

// checkProtocol reads the name and level, which say how the rest is to be
// read [MQTT-3.1.2-1, 3.1.2-2].
func (c *conn) checkProtocol(body []byte) error {
	old := bytes.HasPrefix(body, []byte("\x00\x06MQIsdp\x03"))
	if old {
		c.version = 3
		return nil
	}
	rest, ok := bytes.CutPrefix(body, []byte("\x00\x04MQTT"))
	if !ok || len(rest) == 0 {
		return wire.Break(wire.ProtocolError, "CONNECT of an unknown protocol: want MQTT")
	}
	switch c.version = rest[0]; {
	case c.version == 4 || c.version == 5:
		return nil
	case c.version > 5:
		c.version = 5
	default:
		c.version = 4
	}
	return &refusal{wire.UnsupportedVersion, "unsupported protocol level"}
}

// checkConnect finds what the decoder lets pass.
func checkConnect(pk *wire.Packet) error {
	cp := &pk.Connect
	switch {
	case pk.ReservedBit != 0:
		return wire.Break(wire.Malformed, "CONNECT with the reserved flag set") // [MQTT-3.1.2-3]
	case cp.WillQos > 2 || !cp.WillFlag && (cp.WillQos > 0 || cp.WillRetain):
		return wire.Break(wire.Malformed, "CONNECT with a wrong will flag") // [MQTT-3.1.2-11 to 3.1.2-14]
	case pk.ProtocolVersion < 5 && cp.PasswordFlag && !cp.UsernameFlag:
		return wire.Break(wire.Malformed, "CONNECT with a password and no user name") // [MQTT-3.1.2-22] of 3.1.1
	case pk.ProtocolVersion < 5 && cp.ClientIdentifier == "" && !cp.Clean:
		return &refusal{wire.ClientIDInvalid, "a client without an id can't keep a session"} // [MQTT-3.1.3-8] of 3.1.1
	}
	return nil
}

// overLimit is the answer to a client that is over a limit of the listeners.
func overLimit(limit listen.Limit) error {
	switch limit {
	case listen.NoLimit:
		return nil
	case listen.ConnectRate:
		return &refusal{wire.ConnectRateExceeded, "connections come too fast"}
	case listen.OneListener:
		return &refusal{wire.QuotaExceeded, "too many connections on this listener"}
	}
	return &refusal{wire.ServerBusy, "too many connections"}
}

// identify tries the listener's ways of authentication, or the one method that
// the client asks for. last is what a method says last.
func (c *conn) identify(pk *wire.Packet) (who auth.Identity, last []byte, err error) {
	if pk.Properties.AuthenticationMethod != "" {
		return c.authenticate(pk)
	}
	who, err = c.recognise()
	return who, nil, err
}

// recognise goes by what the connection proves by itself.
func (c *conn) recognise() (auth.Identity, error) {
	policy, ways := c.b.policy.Load(), c.socket.Listener.Methods()
	err := refuse(wire.NotAuthorized, "listener %s wants authentication by %s", c.socket.Listener.Name, strings.Join(ways, " or "))
	for _, way := range ways {
		cred, role := auth.Credentials{}, c.socket.Listener.Role
		switch way {
		case listen.MTLS:
			if cred.Chain = c.socket.Credentials.Chain; cred.Chain == nil {
				continue
			}
		case listen.PeerCred:
			if cred.Peer = c.socket.Credentials.Peer; cred.Peer == nil {
				continue
			}
		case listen.Anonymous:
			if role == "" {
				role = auth.Local
			}
		default: // an enhanced one, which the client did not ask for
			continue
		}
		identity, no := policy.Identify(cred, role)
		if no == nil {
			identity.Listener = c.socket.Listener.Name
			return identity, nil
		}
		err = &refusal{wire.NotAuthorized, no.Error()}
	}
	return auth.Identity{}, err
}

// takeWill makes the will a message, if the client may publish it.
func (c *conn) takeWill(pk *wire.Packet, identity *auth.Identity) error {
	cp := &pk.Connect
	if !cp.WillFlag {
		return nil
	}
	if !topic.ValidName(cp.WillTopic) || topic.Levels(cp.WillTopic) > c.b.cfg.Limits.TopicLevels {
		return refuse(wire.TopicInvalid, "will to %.100q: want a name of at most %d levels", cp.WillTopic, c.b.cfg.Limits.TopicLevels)
	}
	if d := c.b.mayPublish(identity, cp.WillTopic); !d.Allow {
		c.b.counters.publishesRefused.Add(1)
		return refuse(wire.NotAuthorized, "will to %.100q: %s", cp.WillTopic, d.Rule)
	}
	props := wire.WillProperties(pk)
	c.will = &message.Will{
		Publication: message.Publication{
			Topic:      strings.Clone(cp.WillTopic),
			Properties: props.Append(nil),
			Payload:    bytes.Clone(cp.WillPayload),
			QoS:        cp.WillQos,
			Retain:     cp.WillRetain,
			Origin:     c.origin,
		},
		Delay:  clock.Time(cp.WillProperties.WillDelayInterval) * clock.Second,
		Expiry: cp.WillProperties.MessageExpiryInterval,
	}
	return nil
}

// heed takes what CONNECT says of the answers to it.
func (c *conn) heed(pk *wire.Packet) {
	props := &pk.Properties
	if props.MaximumPacketSize > 0 {
		c.maxPacket = min(c.maxPacket, int(props.MaximumPacketSize))
	}
	c.quiet = props.RequestProblemInfoFlag && props.RequestProblemInfo == 0
}

// settle takes what CONNECT says of the connection, and notes in ack where the
// broker does otherwise than was asked for.
func (c *conn) settle(pk *wire.Packet, ack *wire.Acceptance) {
	limits := &c.b.cfg.Limits
	c.setKeepAlive(time.Duration(pk.Connect.Keepalive)*time.Second, ack)
	c.window = limits.Inflight
	longest := clock.Time(limits.SessionExpiry)
	if c.version < 5 {
		if !pk.Connect.Clean {
			c.expiry = longest
		}
		return
	}
	props := &pk.Properties
	if props.ReceiveMaximum > 0 {
		c.window = min(c.window, int(props.ReceiveMaximum))
	}
	if props.TopicAliasMaximum > 0 {
		c.out.UseAliases(props.TopicAliasMaximum, c.maxPacket)
	}
	asked := clock.Time(props.SessionExpiryInterval) * clock.Second
	if c.expiry = min(asked, longest); c.expiry != asked {
		seconds := uint32(c.expiry / clock.Second)
		ack.SessionExpiry = &seconds
	}
}

// setKeepAlive takes the client's keep alive, or the longest that is allowed,
// which version 5 is told [MQTT-3.1.2-21]. A client may be silent for one and a
// half times of it [MQTT-3.1.2-22].
func (c *conn) setKeepAlive(asked time.Duration, ack *wire.Acceptance) {
	longest := time.Duration(c.b.cfg.Limits.KeepAlive)
	if longest > 0 && (asked == 0 || asked > longest) {
		if c.version == 5 {
			seconds := uint16(longest / time.Second)
			ack.ServerKeepAlive = &seconds
			asked = longest
		} else if asked == 0 {
			asked = longest
		}
	}
	c.keepAlive = asked * 3 / 2
}
