package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/bridge/link"
)

// subscribeGroup is how many filters go into one SUBSCRIBE where the far side has no
// limit.
const subscribeGroup = 64

// subscribeAgain is how long to wait after a SUBSCRIBE that failed.
const subscribeAgain = 5 * time.Second

// subscriber keeps the subscriptions at the far side as the rules down want them. What
// it has subscribed to it writes down, so that it knows after a restart what to
// unsubscribe from, and does not ask for the retained messages again.
type subscriber struct {
	worker *worker
	wake   chan struct{} // holds a token when there may be something to do

	mu      sync.Mutex // guards the fields below
	conn    link.Conn  // nil while there is none
	session link.Session
	fresh   bool              // on this connection nothing was done yet
	refused map[string]string // filters, and why
}

// subscribed is what the far side has, by filter, as it is written down.
type subscribed map[string]struct {
	QoS     byte `json:"qos"`
	NoLocal bool `json:"no_local,omitempty"`
}

func (s *subscriber) init(w *worker) {
	s.worker, s.wake = w, make(chan struct{}, 1)
}

func (s *subscriber) connected(c link.Conn, session link.Session) {
	s.mu.Lock()
	s.conn, s.session, s.fresh = c, session, true
	s.mu.Unlock()
	s.poke()
}

func (s *subscriber) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = nil
}

// poke has it look at what the rules want.
func (s *subscriber) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (s *subscriber) run(ctx context.Context) {
	for {
		var again <-chan time.Time
		if err := s.update(ctx); err != nil && ctx.Err() == nil {
			s.worker.log.Warn("can't subscribe at the far side, trying again", "error", err)
			again = time.After(subscribeAgain)
		}
		select {
		case <-s.wake:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// update makes the subscriptions what they are to be. It does nothing without a
// connection.
func (s *subscriber) update(ctx context.Context) error {
	s.mu.Lock()
	conn, session, fresh := s.conn, s.session, s.fresh
	s.mu.Unlock()
	if conn == nil {
		return nil
	}
	if fresh {
		c := s.worker.configuration()
		if up, err := c.will(s.worker.options.Vehicle, linkUp); err == nil && up != nil {
			up.QoS = 0 // a connection that loses it leaves the will
			up.Retain = up.Retain && session.RetainAvailable
			if _, err := conn.Publish(&link.Publish{Message: *up}); err != nil {
				return err
			}
		}
	}
	has := subscribed{}
	if !fresh || session.Present {
		has = s.load()
	}
	want := s.wanted(session)
	var add []link.Subscription
	for _, filter := range slices.Sorted(maps.Keys(want)) {
		if has[filter] != want[filter] {
			add = append(add, link.Subscription{Filter: filter, QoS: want[filter].QoS, NoLocal: want[filter].NoLocal})
		}
	}
	var remove []string
	for _, filter := range slices.Sorted(maps.Keys(has)) {
		if _, wanted := want[filter]; !wanted {
			remove = append(remove, filter)
		}
	}
	group := s.worker.limits.FiltersPerSubscribe
	if group == 0 {
		group = subscribeGroup
	}
	for list := range slices.Chunk(remove, group) {
		if err := conn.Unsubscribe(ctx, list); err != nil {
			return err
		}
		for _, filter := range list {
			delete(has, filter)
		}
	}
	no := map[string]string{}
	for list := range slices.Chunk(add, group) {
		codes, err := conn.Subscribe(ctx, list)
		if err != nil {
			return err
		}
		for i, sub := range list {
			if i < len(codes) && codes[i] < 0x80 {
				has[sub.Filter] = want[sub.Filter]
				continue
			}
			delete(has, sub.Filter)
			no[sub.Filter] = "no answer"
			if i < len(codes) {
				no[sub.Filter] = fmt.Sprintf("refused (0x%02X)", codes[i])
			}
			s.worker.log.Warn("the far side refuses a subscription: the rule gets nothing", "filter", sub.Filter, "reason", no[sub.Filter])
		}
	}
	s.mu.Lock()
	s.fresh = s.fresh && s.conn != conn
	s.refused = no
	s.mu.Unlock()
	return s.save(has)
}

// wanted is what the rules down want on a connection.
func (s *subscriber) wanted(session link.Session) subscribed {
	want := subscribed{}
	for _, d := range s.worker.rules.Load().Downs() {
		if why := d.NeedsVersion5(); why != "" && session.Version < 5 {
			s.worker.log.Warn("a rule is not used on this connection", "rule", d.Name(), "reason", why)
			continue
		}
		of := want[d.Filter()]
		of.QoS = max(of.QoS, min(d.QoS(), session.MaximumQoS))
		of.NoLocal = d.NoLocal() && session.Version >= 5
		want[d.Filter()] = of
	}
	return want
}

func (s *subscriber) key() string { return queuePrefix + s.worker.name + "/subscribed" }

func (s *subscriber) load() subscribed {
	has := subscribed{}
	if b := s.worker.options.Keeper.Get(s.key()); b != nil {
		if err := json.Unmarshal(b, &has); err != nil {
			return subscribed{} // then everything is asked for again
		}
	}
	return has
}

func (s *subscriber) save(has subscribed) error {
	b, err := json.Marshal(has)
	if err == nil && string(b) != string(s.worker.options.Keeper.Get(s.key())) {
		err = s.worker.options.Keeper.Put(s.key(), b)
	}
	return err
}

// refusals are the filters that the far side does not let the link subscribe to, with
// the reason.
func (s *subscriber) refusals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, filter := range slices.Sorted(maps.Keys(s.refused)) {
		list = append(list, filter+": "+s.refused[filter])
	}
	return list
}
