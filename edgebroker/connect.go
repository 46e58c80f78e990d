package edgebroker

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/topic"
)

// refusal is a CONNECT that is answered with a reason.
type refusal struct {
	reason byte
	text   string
}

func (e *refusal) Error() string { return e.text }

// connect reads the CONNECT and answers it. A nil error means that the session
// is attached and its messages flow.
func (c *conn) connect(deadline time.Time) error {
	if err := c.socket.SetReadDeadline(deadline); err != nil {
		return err
	}
	if c.b.stop.Err() != nil || c.ended.Load() != 0 {
		return errEnded
	}
	first, body, err := readPacket(c.in, int(c.b.cfg.Limits.PacketSize), &c.b.counters.bytesReceived)
	if err == nil && first != typeConnect<<4 {
		err = broken(reasonProtocolError, "first packet has type %d: want CONNECT", first>>4) // [MQTT-3.1.0-1]
	}
	if err == nil {
		err = c.accept(first, body)
	}
	if err != nil {
		c.b.counters.refused.Add(1)
	}
	var no *refusal
	if errors.As(err, &no) {
		c.refuse(no)
	}
	return err
}

func (c *conn) accept(first byte, body []byte) error {
	if err := c.checkProtocol(body); err != nil {
		return err
	}
	pk, err := decodePacket(first, body, c.version)
	if err != nil {
		return &refusal{reasonMalformed, err.Error()}
	}
	if err := checkConnect(pk); err != nil {
		return err
	}
	if c.b.counters.connections.Load() > int64(c.b.cfg.Limits.Connections) {
		return &refusal{reasonServerBusy, "too many connections"}
	}
	who, err := c.identify()
	if err != nil {
		return err
	}
	identity := &who
	assigned := pk.Connect.ClientIdentifier == ""
	identity.Client = strings.Clone(pk.Connect.ClientIdentifier)
	if assigned {
		identity.Client = "auto-" + rand.Text()
	}
	c.origin = originOf(identity)
	if err := c.takeWill(pk, identity); err != nil {
		return err
	}
	expiryAnnounced := c.settle(pk)
	s, present, err := c.b.claim(c, identity, pk.Connect.Clean)
	switch {
	case errors.Is(err, errForeignSession):
		return &refusal{reasonClientID, err.Error()}
	case err != nil:
		return &refusal{reasonQuotaExceeded, err.Error()}
	}
	c.b.counters.clients.Add(1)
	s.attach(c, identity, func() {
		ack := connack{present: present && c.version > 3, version: c.version, limits: &c.b.cfg.Limits}
		if assigned {
			ack.assignedID = identity.Client
		}
		if expiryAnnounced {
			ack.expiry = &c.expiry
		}
		c.out.packet(ack.append(nil))
		c.session.Store(s) // after it, since end sends a DISCONNECT from here on [MQTT-3.14.0-1]
	})
	c.b.log.Debug("client connected", "client", s.id, "identity", identity.Name, "role", identity.Role, "listener", c.listener.cfg.Name, "remote", c.remote)
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
		return broken(reasonProtocolError, "CONNECT of an unknown protocol: want MQTT")
	}
	switch c.version = rest[0]; {
	case c.version == 4 || c.version == 5:
		return nil
	case c.version > 5:
		c.version = 5
	default:
		c.version = 4
	}
	return &refusal{reasonUnsupportedVersion, "unsupported protocol level"}
}

// checkConnect finds what the decoder lets pass.
func checkConnect(pk *packet) error {
	cp := &pk.Connect
	switch {
	case pk.ReservedBit != 0:
		return broken(reasonMalformed, "CONNECT with the reserved flag set") // [MQTT-3.1.2-3]
	case cp.WillQos > 2 || !cp.WillFlag && (cp.WillQos > 0 || cp.WillRetain):
		return broken(reasonMalformed, "CONNECT with a wrong will flag") // [MQTT-3.1.2-11 to 3.1.2-14]
	case pk.ProtocolVersion < 5 && cp.PasswordFlag && !cp.UsernameFlag:
		return broken(reasonMalformed, "CONNECT with a password and no user name") // [MQTT-3.1.2-22] of 3.1.1
	case pk.ProtocolVersion < 5 && cp.ClientIdentifier == "" && !cp.Clean:
		return &refusal{reasonClientID, "a client without an id can't keep a session"} // [MQTT-3.1.3-8] of 3.1.1
	case pk.Properties.AuthenticationMethod != "":
		return &refusal{reasonAuthMethod, "no authentication method " + pk.Properties.AuthenticationMethod}
	}
	return nil
}

// identify tries the listener's ways of authentication.
func (c *conn) identify() (auth.Identity, error) {
	policy := c.b.policy.Load()
	err := error(&refusal{reasonNotAuthorized, "no way of authentication fits"})
	for _, method := range c.listener.methods {
		cred, role := auth.Credentials{}, c.listener.cfg.Role
		switch method {
		case authMTLS:
			if cred.Chain = c.cred.Chain; cred.Chain == nil {
				continue
			}
		case authPeer:
			if cred.Peer = c.cred.Peer; cred.Peer == nil {
				continue
			}
		case authAnonymous:
			if role == "" {
				role = auth.Local
			}
		}
		identity, no := policy.Identify(cred, role)
		if no == nil {
			identity.Listener = c.listener.cfg.Name
			return identity, nil
		}
		err = &refusal{reasonNotAuthorized, no.Error()}
	}
	return auth.Identity{}, err
}

// takeWill makes the will a message, if the client may publish it.
func (c *conn) takeWill(pk *packet, identity *auth.Identity) error {
	cp := &pk.Connect
	if !cp.WillFlag {
		return nil
	}
	if !topic.ValidName(cp.WillTopic) || topic.Levels(cp.WillTopic) > c.b.cfg.Limits.TopicLevels {
		return &refusal{reasonTopicInvalid, "invalid will topic"}
	}
	if d := c.b.mayPublish(identity, cp.WillTopic); !d.Allow {
		c.b.counters.publishesRefused.Add(1)
		return &refusal{reasonNotAuthorized, "will on " + cp.WillTopic + ": " + d.Rule}
	}
	c.will = &Message{Topic: cp.WillTopic, Payload: cp.WillPayload, QoS: cp.WillQos, Retain: cp.WillRetain}
	c.will.setProperties(&cp.WillProperties)
	c.will.Origin = c.origin
	c.willDelay = clock(cp.WillProperties.WillDelayInterval) * second
	return nil
}

// settle takes what CONNECT says of the connection. It reports whether the
// session expiry differs from what the client asked for.
func (c *conn) settle(pk *packet) (expiryAnnounced bool) {
	limits := &c.b.cfg.Limits
	// One and a half times the keep alive [MQTT-3.1.2-22].
	c.keepAlive = time.Duration(pk.Connect.Keepalive) * time.Second * 3 / 2
	c.window = limits.Inflight
	c.maxPacket = maxMessage
	longest := clock(limits.SessionExpiry)
	if c.version < 5 {
		if !pk.Connect.Clean {
			c.expiry = longest
		}
		return false
	}
	props := &pk.Properties
	if props.ReceiveMaximum > 0 {
		c.window = min(c.window, int(props.ReceiveMaximum))
	}
	if props.MaximumPacketSize > 0 {
		c.maxPacket = min(c.maxPacket, int(props.MaximumPacketSize))
	}
	asked := clock(props.SessionExpiryInterval) * second
	c.expiry = min(asked, longest)
	return c.expiry != asked
}

// refuse answers a CONNECT with CONNACK. 3.1.1 has few return codes, and no
// answer where none fits.
func (c *conn) refuse(no *refusal) {
	reason := no.reason
	if c.version < 5 {
		switch reason {
		case reasonUnsupportedVersion:
			reason = 1
		case reasonClientID:
			reason = 2
		case reasonServerBusy, reasonQuotaExceeded, reasonShuttingDown:
			reason = 3
		case reasonNotAuthorized:
			reason = 5
		default:
			return
		}
	}
	ack := connack{reason: reason, version: c.version}
	c.out.packet(ack.append(nil))
	c.b.noise.warn(c.b.log, "client refused", "listener", c.listener.cfg.Name, "remote", c.remote, "reason", no.text)
}
