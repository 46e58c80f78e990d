package edgebroker

import (
	"strings"

	"github.com/fascia-edge/fascia/topic"
)

// subscribe adds filters and sends what is known of them already.
func (c *conn) subscribe(pk *packet) error {
	s := c.session.Load()
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return broken(reasonProtocolError, "SUBSCRIBE without a packet id or a filter") // [MQTT-3.8.3-2]
	}
	id := 0
	if ids := pk.Properties.SubscriptionIdentifier; len(ids) > 0 {
		if id = ids[0]; id == 0 || len(ids) > 1 {
			return broken(reasonProtocolError, "SUBSCRIBE with a wrong subscription identifier")
		}
	}
	reasons := make([]byte, len(pk.Filters))
	wanted := make([]*subscription, len(pk.Filters))
	for i := range pk.Filters {
		f := &pk.Filters[i]
		wanted[i] = &subscription{
			filter:            strings.Clone(f.Filter),
			id:                uint32(id),
			qos:               f.Qos,
			noLocal:           f.NoLocal,
			retainAsPublished: f.RetainAsPublished,
			retainHandling:    f.RetainHandling,
		}
		reason, err := c.maySubscribe(s, wanted[i])
		if err != nil {
			return err
		}
		reasons[i] = reason
	}
	c.b.addSubscriptions(c, s, pk.PacketID, wanted, reasons)
	return nil
}

// maySubscribe is the reason for SUBACK: the granted QoS, or why not.
func (c *conn) maySubscribe(s *session, sub *subscription) (reason byte, err error) {
	group, filter, ok := topic.Shared(sub.filter)
	switch {
	case sub.retainHandling > 2:
		return 0, broken(reasonProtocolError, "SUBSCRIBE with retain handling 3")
	case group != "" && sub.noLocal:
		return 0, broken(reasonProtocolError, "shared subscription with No Local") // [MQTT-3.8.3-4]
	case !ok || !topic.ValidFilter(filter) || topic.Levels(filter) > c.b.cfg.Limits.TopicLevels:
		return reasonFilterInvalid, nil
	}
	if d := c.b.policy.Load().CanSubscribe(s.identity.Load(), filter); !d.Allow {
		c.b.counters.subscriptionsRefused.Add(1)
		c.b.noise.warn(c.b.log, "subscription refused", "client", s.id, "role", c.origin.Role, "filter", sub.filter, "rule", d.Rule)
		return reasonNotAuthorized, nil
	}
	return sub.qos, nil
}

// addSubscriptions puts what is allowed into the index, answers, and sends the
// snapshot, all as one step for every publisher.
func (b *Broker) addSubscriptions(c *conn, s *session, id uint16, wanted []*subscription, reasons []byte) {
	b.routing.Lock()
	defer b.routing.Unlock()
	added := make([]bool, len(wanted))
	for i, sub := range wanted {
		if reasons[i] >= reasonUnspecified {
			continue
		}
		if _, had := s.subs[sub.filter]; !had && len(s.subs) >= b.cfg.Limits.Subscriptions {
			reasons[i] = reasonQuotaExceeded
			continue
		}
		group, filter, _ := topic.Shared(sub.filter)
		added[i] = b.index.addSession(s, group, filter, sub)
		s.subs[sub.filter] = sub
	}
	answers := append([]byte(nil), reasons...)
	if c.version < 5 {
		for i := range answers {
			if answers[i] > reasonUnspecified {
				answers[i] = reasonUnspecified // the one failure that 3.1.1 knows
			}
		}
	}
	c.out.packet(appendReasons(nil, typeSuback, id, answers, c.version))
	for i, sub := range wanted {
		if reasons[i] >= reasonUnspecified || strings.HasPrefix(sub.filter, "$share/") {
			continue // shared subscriptions get none (MQTT 5.0 §4.8.2)
		}
		if sub.retainHandling == 0 || sub.retainHandling == 1 && added[i] {
			b.snapshot(sub.filter, func(m *Message) { s.deliver(m, sub.qos, true, sub.ids()) })
		}
	}
}

func (c *conn) unsubscribe(pk *packet) error {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return broken(reasonProtocolError, "UNSUBSCRIBE without a packet id or a filter") // [MQTT-3.10.3-2]
	}
	s, b := c.session.Load(), c.b
	reasons := make([]byte, len(pk.Filters))
	b.routing.Lock()
	defer b.routing.Unlock()
	for i := range pk.Filters {
		if !s.removeSubscription(pk.Filters[i].Filter) {
			reasons[i] = reasonNoSubscription
		}
	}
	c.out.packet(appendReasons(nil, typeUnsuback, pk.PacketID, reasons, c.version))
	return nil
}

// removeSubscription reports whether there was one. The caller holds
// Broker.routing for writing.
func (s *session) removeSubscription(key string) bool {
	if _, had := s.subs[key]; !had {
		return false
	}
	delete(s.subs, key)
	group, filter, _ := topic.Shared(key)
	s.b.index.removeSession(s, group, filter)
	return true
}
