package edgebroker

import (
	"errors"
	"strings"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/topic"
)

// handle does what a packet asks. An error ends the connection.
func (c *conn) handle(kind byte, pk *packet) error {
	switch kind {
	case typePublish:
		return c.publish(pk)
	case typePuback, typePubcomp, typePubrec:
		return c.acknowledge(kind, pk)
	case typePubrel:
		return c.release(pk)
	case typeSubscribe:
		return c.subscribe(pk)
	case typeUnsubscribe:
		return c.unsubscribe(pk)
	case typePingreq:
		c.out.packet([]byte{typePingresp << 4, 0})
		return nil
	case typeDisconnect:
		return c.disconnect(pk)
	}
	return broken(reasonProtocolError, "packet type %d in a session", kind)
}

// publish routes a message of the client, if it may, and answers.
func (c *conn) publish(pk *packet) error {
	c.b.counters.received.Add(1)
	name, err := c.aliases.resolve(pk)
	if err != nil {
		return err
	}
	qos, s := pk.FixedHeader.Qos, c.session.Load()
	switch {
	case !topic.ValidName(name) || topic.Levels(name) > c.b.cfg.Limits.TopicLevels:
		return broken(reasonTopicInvalid, "PUBLISH to %.100q: want a name of at most %d levels", name, c.b.cfg.Limits.TopicLevels)
	case qos > 0 && pk.PacketID == 0:
		return broken(reasonProtocolError, "PUBLISH without a packet id") // [MQTT-2.2.1-3]
	case len(pk.Properties.SubscriptionIdentifier) > 0:
		return broken(reasonProtocolError, "PUBLISH with a subscription identifier") // [MQTT-3.3.4-6]
	case strings.ContainsAny(pk.Properties.ResponseTopic, "+#"):
		return broken(reasonProtocolError, "PUBLISH with a wildcard in the response topic") // [MQTT-3.3.2-14]
	}
	if qos == 2 {
		again, err := s.receiving(pk.PacketID, c)
		if err != nil {
			return err
		}
		if again {
			c.out.ack(typePubrec, pk.PacketID, reasonSuccess, c.version)
			return nil
		}
	}
	var reason byte
	if d := c.mayPublish(s, name); !d.Allow {
		c.b.counters.publishesRefused.Add(1)
		c.b.noise.warn(c.b.log, "publish refused", "client", s.id, "role", c.origin.Role, "topic", name, "rule", d.Rule)
		reason = reasonNotAuthorized
	} else if reason, err = c.pass(s, name, pk); err != nil {
		return err
	}
	c.answer(s, pk, reason)
	return nil
}

// pass publishes a message that is allowed. What is refused for want of room
// has a reason in version 5; of older versions, which have no such answer, the
// connection ends rather than that something lost is acknowledged.
func (c *conn) pass(s *session, name string, pk *packet) (reason byte, err error) {
	m := &Message{
		Topic:   name,
		Payload: pk.Payload,
		QoS:     pk.FixedHeader.Qos,
		Retain:  pk.FixedHeader.Retain,
		Origin:  c.origin,
	}
	m.setProperties(&pk.Properties)
	err = c.b.publish(m)
	switch {
	case err == nil:
		return reasonSuccess, nil
	case errors.Is(err, ErrRetainedFull):
		reason = reasonQuotaExceeded
	default:
		reason = reasonPayloadFormatInvalid
	}
	c.b.noise.warn(c.b.log, "publish refused", "client", s.id, "error", err)
	if c.version < 5 && m.QoS > 0 && reason == reasonQuotaExceeded {
		return reason, broken(reason, "PUBLISH: %v", err)
	}
	return reason, nil
}

// answer acknowledges by QoS. Before version 5 an unauthorised message is
// acknowledged and goes nowhere [MQTT-3.3.5-2].
func (c *conn) answer(s *session, pk *packet, reason byte) {
	switch pk.FixedHeader.Qos {
	case 1:
		c.out.ack(typePuback, pk.PacketID, reason, c.version)
	case 2:
		if reason < reasonUnspecified || c.version < 5 {
			s.mu.Lock()
			s.received[pk.PacketID] = true
			s.mu.Unlock()
		}
		c.out.ack(typePubrec, pk.PacketID, reason, c.version)
	}
}

// mayPublish decides for clients; the $SYS topics are the broker's whatever is
// granted (MQTT 5.0 §4.7.2).
func (b *Broker) mayPublish(id *auth.Identity, name string) auth.Decision {
	if strings.HasPrefix(name, "$SYS/") {
		return auth.Decision{Rule: "$SYS is the broker's"}
	}
	return b.policy.Load().CanPublish(id, name)
}

// mayPublish asks the policy of now, once a topic.
func (c *conn) mayPublish(s *session, name string) auth.Decision {
	policy := c.b.policy.Load()
	if c.policy != policy {
		c.policy = policy
		c.rights.clear()
	}
	d, known := c.rights.get(name)
	if !known {
		d = c.b.mayPublish(s.identity.Load(), name)
		c.rights.put(name, d)
	}
	return d
}

// receiving reports whether a QoS 2 message with that id was taken already and
// awaits its PUBREL [MQTT-4.3.3-10].
func (s *session) receiving(id uint16, c *conn) (again bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.received[id] {
		return true, nil
	}
	if c.version == 5 && len(s.received) >= s.b.cfg.Limits.Inflight {
		return false, broken(reasonReceiveMaximum, "more than %d QoS 2 messages without PUBREL", s.b.cfg.Limits.Inflight)
	}
	return false, nil
}

// release ends the receiving of a QoS 2 message.
func (c *conn) release(pk *packet) error {
	s := c.session.Load()
	s.mu.Lock()
	known := s.received[pk.PacketID]
	delete(s.received, pk.PacketID)
	s.mu.Unlock()
	reason := byte(reasonSuccess)
	if !known {
		reason = reasonPacketIDNotFound
	}
	c.out.ack(typePubcomp, pk.PacketID, reason, c.version)
	return nil
}

// acknowledge takes PUBACK, PUBREC and PUBCOMP for what was sent.
func (c *conn) acknowledge(kind byte, pk *packet) error {
	s := c.session.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(pk.PacketID)
	if kind == typePubrec && (i < 0 || s.inflight[i].qos == 2 && pk.ReasonCode < reasonUnspecified) {
		reason := byte(reasonSuccess)
		if i < 0 {
			reason = reasonPacketIDNotFound
		} else {
			s.inflight[i].released = true
		}
		c.out.ack(typePubrel, pk.PacketID, reason, c.version)
		return nil
	}
	if i < 0 {
		return nil // of an older connection, or twice
	}
	out := &s.inflight[i]
	if kind == typePuback && out.qos != 1 || kind == typePubrec && out.qos != 2 || kind == typePubcomp && !out.released {
		return broken(reasonProtocolError, "packet type %d for a message of QoS %d", kind, out.qos)
	}
	s.acknowledged(pk.PacketID)
	s.pump()
	s.b.room.free()
	return nil
}

// disconnect is the client's goodbye; with any reason but success its will is
// sent [MQTT-3.14.4-3].
func (c *conn) disconnect(pk *packet) error {
	if pk.Properties.SessionExpiryIntervalFlag {
		asked := clock(pk.Properties.SessionExpiryInterval) * second
		if asked > 0 && c.expiry == 0 {
			return broken(reasonProtocolError, "DISCONNECT asks for a session that CONNECT did not")
		}
		c.expiry = min(asked, clock(c.b.cfg.Limits.SessionExpiry))
	}
	if pk.ReasonCode == reasonSuccess {
		return errGoodbye
	}
	return errors.New("client disconnected with its will")
}
