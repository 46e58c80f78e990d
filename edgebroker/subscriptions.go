package edgebroker

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/topic"
)

const (
	// routingStep is how many filters are added or removed with one hold of the
	// routing lock, for which all publishers wait.
	routingStep = 64
	// averageCost is what a subscription may cost in bytes on the average of
	// Limits.Subscriptions; a session that has used it up gets no more.
	averageCost = 4 << 10
	// searchSpell is how long a search among what is stored goes on without a pause.
	searchSpell = time.Millisecond
)

// request is one filter of a SUBSCRIBE.
type request struct {
	*subscription
	reason wire.Reason // the granted QoS, or why not
	why    string      // in words
	fresh  bool        // the session had none with that filter
}

// subscribe adds filters and sends what is known of them already.
func (c *conn) subscribe(pk *wire.Packet) error {
	s := c.session.Load()
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return wire.Break(wire.ProtocolError, "SUBSCRIBE without a packet id or a filter") // [MQTT-3.8.3-2]
	}
	id := 0
	if ids := pk.Properties.SubscriptionIdentifier; len(ids) > 0 {
		if id = ids[0]; id == 0 || len(ids) > 1 {
			return wire.Break(wire.ProtocolError, "SUBSCRIBE with a wrong subscription identifier")
		}
	}
	wanted := make([]request, len(pk.Filters))
	for i := range pk.Filters {
		f := &pk.Filters[i]
		if i >= c.b.cfg.Limits.Subscriptions {
			wanted[i].refuse(wire.QuotaExceeded, fmt.Sprintf("want at most %d filters", c.b.cfg.Limits.Subscriptions))
			continue
		}
		wanted[i].subscription = &subscription{Subscription: record.Subscription{
			Filter:            strings.Clone(f.Filter),
			ID:                uint32(id),
			QoS:               f.Qos,
			NoLocal:           f.NoLocal,
			RetainAsPublished: f.RetainAsPublished,
			RetainHandling:    f.RetainHandling,
		}}
		if err := c.maySubscribe(s, &wanted[i]); err != nil {
			return err
		}
	}
	if err := s.keepSubscriptions(wanted); err != nil {
		c.b.noise.warn(c.b.log, "subscription not stored", "client", s.id, "error", err)
		for i := range wanted {
			wanted[i].refuse(wire.QuotaExceeded, ErrStore.Error())
		}
	}
	c.b.addSubscriptions(c, s, pk.PacketID, wanted)
	c.announceSubscribed(wanted)
	return nil
}

// keepSubscriptions stores what is allowed, for a session that outlives the
// process, and waits for it: SUBACK confirms it.
func (s *session) keepSubscriptions(wanted []request) error {
	if !s.stays {
		return nil
	}
	tx := s.b.store.Begin()
	for i := range wanted {
		if r := &wanted[i]; !r.reason.Failed() {
			tx.Put(record.FilterKey(s.id, r.Filter), r.Append(nil))
		}
	}
	return s.b.settle(tx)
}

// refuse notes why there is no subscription.
func (r *request) refuse(reason wire.Reason, why string) {
	r.reason = reason
	if r.subscription != nil {
		why = fmt.Sprintf("%.100q: %s", r.Filter, why)
	}
	r.why = why
}

// maySubscribe settles what SUBACK says: the granted QoS, or why not.
func (c *conn) maySubscribe(s *session, r *request) error {
	sub := r.subscription
	group, filter, ok := topic.Shared(sub.Filter)
	switch {
	case sub.RetainHandling > 2:
		return wire.Break(wire.ProtocolError, "SUBSCRIBE with retain handling 3")
	case group != "" && sub.NoLocal:
		return wire.Break(wire.ProtocolError, "shared subscription with No Local") // [MQTT-3.8.3-4]
	case !ok || !topic.ValidFilter(filter) || topic.Levels(filter) > c.b.cfg.Limits.TopicLevels:
		r.refuse(wire.FilterInvalid, fmt.Sprintf("want a filter of at most %d levels", c.b.cfg.Limits.TopicLevels))
		return nil
	}
	if d := c.b.policy.Load().CanSubscribe(s.identity.Load(), filter); !d.Allow {
		c.b.counters.subscriptionsRefused.Add(1)
		c.b.noise.warn(c.b.log, "subscription refused", "client", s.id, "role", c.origin.Role, "filter", sub.Filter, "rule", d.Rule)
		r.refuse(wire.NotAuthorized, d.Rule)
		return nil
	}
	r.reason = wire.Reason(sub.QoS)
	return nil
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
	c.later.Add(c.out, c.out.Packet(c.suback(id, wanted)))
	s.sendStored(wanted, false, func(int) bool { return true }, &c.later)
	b.routing.Unlock()
	began := time.Now()
	s.sendStored(wanted, true, func(size int) bool {
		c.later.Flush()
		c.out.WaitRoom(max(1, int(c.b.cfg.Limits.QueueBytes)/2-size))
		if size == 0 {
			began = c.rest(began)
		}
		return c.ended.Load() == 0
	}, &c.later)
}

// rest makes room for others between two steps of a search. Who searches takes a
// lock again before those that are woken for it, and while it works the scheduler
// looks at the sockets of all others every 10 ms: so it gives way after each step,
// and pauses as long as it has worked.
func (c *conn) rest(began time.Time) time.Time {
	if time.Since(began) < searchSpell {
		runtime.Gosched()
		return began
	}
	time.Sleep(searchSpell)
	return time.Now()
}

// reasonsOf are those of SUBACK.
func reasonsOf(wanted []request, version byte) []wire.Reason {
	reasons := make([]wire.Reason, len(wanted))
	for i := range wanted {
		reasons[i] = wanted[i].reason
		if version < 5 && reasons[i].Failed() {
			reasons[i] = wire.Unspecified // the one failure that 3.1.1 knows
		}
	}
	return reasons
}

// sendStored sends what is stored for those filters that have wildcards, or
// for those that have none; wait is as in giveStored.
func (s *session) sendStored(wanted []request, wildcards bool, wait func(size int) bool, later *stream.Burst) {
	for i := range wanted {
		r := &wanted[i]
		if r.reason.Failed() || strings.HasPrefix(r.Filter, "$share/") {
			continue // shared subscriptions get none (MQTT 5.0 §4.8.2)
		}
		if strings.ContainsAny(r.Filter, "+#") == wildcards && (r.RetainHandling == 0 || r.RetainHandling == 1 && r.fresh) {
			s.b.giveStored(r.Filter, r.added, wait, func(p *message.Publication) { s.giveOne(p, r.subscription, later) })
		}
	}
}

// giveOne sends a message that was there before the subscription.
func (s *session) giveOne(p *message.Publication, sub *subscription, later *stream.Burst) {
	left, alive := p.Left()
	if !alive || !s.mayReceive(p.Topic) {
		return
	}
	e := entry{qos: min(sub.QoS, p.QoS), retain: true, ids: sub.ids()}
	if e.qos == 0 {
		s.deliverNow(p, true, e.ids, left, nil, later)
		return
	}
	if q := s.accept(p, e, later); q != nil {
		k := &commitment{b: s.b, targets: []target{{queue: q, session: s, entry: e}}}
		k.message(p)
		k.commit(s.b.syncOf(p.Topic))
	}
}

func (sub *subscription) ids() []uint32 {
	if sub.ID == 0 {
		return nil
	}
	return []uint32{sub.ID}
}

func (s *session) addStep(step []request) {
	for i := range step {
		r := &step[i]
		if r.reason.Failed() {
			continue
		}
		group, filter, _ := topic.Shared(r.Filter)
		s.addSubscription(r, group, filter)
	}
}

// addSubscription carries out a request, if there is room. The caller holds
// Broker.routing for writing.
func (s *session) addSubscription(r *request, group, filter string) {
	limit := s.b.cfg.Limits.Subscriptions
	_, had := s.subs[r.Filter]
	if !had && (len(s.subs) >= limit || s.subsCost >= limit*averageCost) {
		r.refuse(wire.QuotaExceeded, fmt.Sprintf("a session has at most %d subscriptions", limit))
		s.forgetSubscription(r.Filter)
		return
	}
	if !had {
		s.subsCost += subscriptionCost(r.Filter)
	}
	if s.subs == nil {
		s.subs = make(map[string]*subscription)
	}
	r.fresh = s.b.index.addSession(s, group, filter, r.subscription)
	s.subs[r.Filter] = r.subscription
}

// forgetSubscription takes back what was stored before it was refused.
func (s *session) forgetSubscription(filter string) {
	if s.stays {
		tx := s.b.store.Begin()
		tx.Delete(record.FilterKey(s.id, filter))
		tx.Commit(s.b.sync, nil)
	}
}

// subscriptionCost is about what a filter takes in the index, in bytes: it is
// there in two copies, and each level may be a node of its own.
func subscriptionCost(filter string) int { return 2*len(filter) + 256*topic.Levels(filter) }

func (c *conn) unsubscribe(pk *wire.Packet) error {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return wire.Break(wire.ProtocolError, "UNSUBSCRIBE without a packet id or a filter") // [MQTT-3.10.3-2]
	}
	filters := make([]string, len(pk.Filters))
	for i := range pk.Filters {
		filters[i] = pk.Filters[i].Filter
	}
	s := c.session.Load()
	reasons := s.removeSubscriptions(filters)
	if err := s.keepUnsubscribed(filters); err != nil {
		c.b.noise.warn(c.b.log, "end of a subscription not stored", "client", s.id, "error", err)
		return wire.Break(wire.QuotaExceeded, "UNSUBSCRIBE %s", ErrStore)
	}
	ack := wire.AppendReasons(nil, wire.Unsuback, pk.PacketID, reasons, "", c.version)
	c.later.Add(c.out, c.out.Packet(ack))
	c.announceUnsubscribed(filters, reasons)
	return nil
}

// keepUnsubscribed stores that a session has these filters no more, and waits
// for it: UNSUBACK confirms it.
func (s *session) keepUnsubscribed(filters []string) error {
	if !s.stays {
		return nil
	}
	tx := s.b.store.Begin()
	for _, f := range filters {
		tx.Delete(record.FilterKey(s.id, f))
	}
	return s.b.settle(tx)
}

// removeSubscriptions gives the reasons of UNSUBACK.
func (s *session) removeSubscriptions(filters []string) (reasons []wire.Reason) {
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
func (s *session) removeSubscription(key string) (reason wire.Reason) {
	if _, had := s.subs[key]; !had {
		return wire.NoSubscription
	}
	delete(s.subs, key)
	s.subsCost -= subscriptionCost(key)
	group, filter, _ := topic.Shared(key)
	s.b.index.removeSession(s, group, filter)
	return wire.Success
}
