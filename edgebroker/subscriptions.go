package edgebroker

import (
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/topic"
)

const (
	// routingStep is how many filters are added or removed with one hold of the
	// routing lock, for which all publishers wait.
	routingStep = 64
	// averageCost is what a subscription may cost in bytes on the average of
	// Limits.Subscriptions; a session that has used it up gets no more.
	averageCost = 4 << 10
)

// request is one filter of a SUBSCRIBE.
type request struct {
	*subscription
	reason byte // the granted QoS, or why not
	fresh  bool // the session had none with that filter
}

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
	wanted := make([]request, len(pk.Filters))
	for i := range pk.Filters {
		f := &pk.Filters[i]
		if i >= c.b.cfg.Limits.Subscriptions {
			wanted[i].reason = reasonQuotaExceeded
			continue
		}
		wanted[i].subscription = &subscription{
			filter:            strings.Clone(f.Filter),
			id:                uint32(id),
			qos:               f.Qos,
			noLocal:           f.NoLocal,
			retainAsPublished: f.RetainAsPublished,
			retainHandling:    f.RetainHandling,
		}
		reason, err := c.maySubscribe(s, wanted[i].subscription)
		if err != nil {
			return err
		}
		wanted[i].reason = reason
	}
	c.b.addSubscriptions(c, s, pk.PacketID, wanted)
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

// addSubscriptions puts what is allowed into the index, answers, and sends what
// is stored. The answer and the one message of a filter without wildcards are
// a step with the last filters. What a wildcard matches is looked for after it,
// while publishers go on: of a topic that gets a message meanwhile the client
// has that one alone. It is sent as fast as the client takes it, with half of
// the queue left for what comes live.
func (b *Broker) addSubscriptions(c *conn, s *session, id uint16, wanted []request) {
	rest := wanted
	for ; len(rest) > routingStep; rest = rest[routingStep:] {
		b.routing.Lock()
		s.addStep(rest[:routingStep])
		b.routing.Unlock()
	}
	b.routing.Lock()
	s.addStep(rest)
	c.out.packet(appendReasons(nil, typeSuback, id, reasonsOf(wanted, c.version), c.version))
	s.sendStored(wanted, false, func() {})
	b.routing.Unlock()
	s.sendStored(wanted, true, func() { c.out.waitRoom(c.out.limit / 2) })
}

// reasonsOf are those of SUBACK.
func reasonsOf(wanted []request, version byte) []byte {
	reasons := make([]byte, len(wanted))
	for i := range wanted {
		reasons[i] = wanted[i].reason
		if version < 5 && reasons[i] > reasonUnspecified {
			reasons[i] = reasonUnspecified // the one failure that 3.1.1 knows
		}
	}
	return reasons
}

// sendStored sends what is stored for those filters that have wildcards, or
// for those that have none; before each message comes wait.
func (s *session) sendStored(wanted []request, wildcards bool, wait func()) {
	for i := range wanted {
		r := &wanted[i]
		if r.reason >= reasonUnspecified || strings.HasPrefix(r.filter, "$share/") {
			continue // shared subscriptions get none (MQTT 5.0 §4.8.2)
		}
		if strings.ContainsAny(r.filter, "+#") == wildcards && (r.retainHandling == 0 || r.retainHandling == 1 && r.fresh) {
			s.b.giveStored(r.filter, r.added, wait, func(m *Message) { s.deliver(m, r.qos, true, r.ids()) })
		}
	}
}

func (s *session) addStep(step []request) {
	for i := range step {
		s.addSubscription(&step[i])
	}
}

// addSubscription carries out a request that is allowed, if there is room. The
// caller holds Broker.routing for writing.
func (s *session) addSubscription(r *request) {
	if r.reason >= reasonUnspecified {
		return
	}
	limit := s.b.cfg.Limits.Subscriptions
	_, had := s.subs[r.filter]
	if !had && (len(s.subs) >= limit || s.subsCost >= limit*averageCost) {
		r.reason = reasonQuotaExceeded
		return
	}
	if !had {
		s.subsCost += subscriptionCost(r.filter)
	}
	group, filter, _ := topic.Shared(r.filter)
	r.fresh = s.b.index.addSession(s, group, filter, r.subscription)
	s.subs[r.filter] = r.subscription
}

// subscriptionCost is about what a filter takes in the index, in bytes: it is
// there in two copies, and each level may be a node of its own.
func subscriptionCost(filter string) int { return 2*len(filter) + 256*topic.Levels(filter) }

func (c *conn) unsubscribe(pk *packet) error {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return broken(reasonProtocolError, "UNSUBSCRIBE without a packet id or a filter") // [MQTT-3.10.3-2]
	}
	filters := make([]string, len(pk.Filters))
	for i := range pk.Filters {
		filters[i] = pk.Filters[i].Filter
	}
	reasons := c.session.Load().removeSubscriptions(filters)
	c.out.packet(appendReasons(nil, typeUnsuback, pk.PacketID, reasons, c.version))
	return nil
}

// removeSubscriptions gives the reasons of UNSUBACK.
func (s *session) removeSubscriptions(filters []string) (reasons []byte) {
	for step := range slices.Chunk(filters, routingStep) {
		s.b.routing.Lock()
		for _, filter := range step {
			reasons = append(reasons, s.removeSubscription(filter))
		}
		s.b.routing.Unlock()
	}
	return reasons
}

// removeSubscription gives the reason of UNSUBACK. The caller holds
// Broker.routing for writing.
func (s *session) removeSubscription(key string) (reason byte) {
	if _, had := s.subs[key]; !had {
		return reasonNoSubscription
	}
	delete(s.subs, key)
	s.subsCost -= subscriptionCost(key)
	group, filter, _ := topic.Shared(key)
	s.b.index.removeSession(s, group, filter)
	return reasonSuccess
}
