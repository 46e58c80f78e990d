// Package rule says what crosses a link and in which form: rules up pick messages of
// the vehicle and write them as the far side is to see them, rules down the other way
// round. It breaks circles, and knows from the start what the far side would refuse.
//
// Nothing here sends or stores: the spool asks Up.Take on the publisher's goroutine,
// keeps the message with Up.Meta beside it, and has Up.Convert make the far side's
// form when its turn comes, perhaps after a restart.
package rule

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/fascia-edge/fascia/bridge/profile"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/vehicle"
)

// Why a message does not cross. They are wrapped with the fact at hand.
var (
	ErrTopic     = errors.New("no topic for the message")
	ErrOversize  = errors.New("too large for the far side")
	ErrLoop      = errors.New("it has come round in a circle")
	ErrDuplicate = errors.New("it came before")
	ErrCondition = errors.New("the condition does not hold")
	ErrNoRequest = errors.New("an answer to no request that is remembered")
)

// Env is what rules need of the link that they are of, and of the vehicle.
type Env struct {
	Link       string
	Protocol   string // of the link: auto, 5 or 3.1.1
	VIN, Thing string // empty where the vehicle has none
	Clock      *clock.Clock
	State      *vehicle.State
	Limits     profile.Limits
	Classes    []string // of the link, in order of priority; a rule without one gets the last
	// Stream reports whether a stream of that name takes what is too large; nil where
	// there are no streams.
	Stream func(name string) bool
}

// Problem is something wrong with a rule.
type Problem struct {
	Path    []any // of the value, below the list of rules
	Text    string
	Warning bool // doubtful, and no reason to refuse the configuration
}

// Set is the rules of a link. Its rules are safe for concurrent use.
type Set struct {
	env  Env
	self string // this gateway in the way of a message

	ups   []*Up
	downs []*Down
	byID  map[uint32]*Up

	far     *responses    // response topics of the far side
	vehicle *responses    // response topics in the vehicle
	wake    chan struct{} // holds a token when min_interval holds something back
}

// Compile makes the rules of a link and reports all that is wrong with them. A rule
// with a problem that is no warning is not in the set.
func Compile(cfg []Config, env Env) (*Set, []Problem) {
	s := &Set{env: env, byID: map[uint32]*Up{}, far: newResponses(), vehicle: newResponses(), wake: make(chan struct{}, 1)}
	s.self = wayOf(s.gateway())
	c := compiler{set: s, names: map[string]int{}, ids: map[uint32]string{}, prefixes: map[string]bool{}}
	for i := range cfg {
		c.rule(i, cfg[i])
	}
	c.answers()
	c.subscriptions()
	c.echoes()
	return s, c.problems
}

// gateway is who this gateway is for others.
func (s *Set) gateway() string {
	switch {
	case s.env.VIN != "":
		return s.env.VIN
	case s.env.Thing != "":
		return s.env.Thing
	}
	return nameless
}

// nameless stands for the gateway of a vehicle without a VIN; circles are broken as
// long as it runs.
var nameless = randomGateway()

// Adopt takes over what the rules before a reload remember: the values sent last,
// the message ids, the response topics. A rule that has changed begins anew. It is
// called before the set is used; the old one may still be, until its Release ends.
func (s *Set) Adopt(old *Set) {
	s.far, s.vehicle, s.wake = old.far, old.vehicle, old.wake
	for _, u := range s.ups {
		if u.gate != nil {
			u.gate.wake = s.wake
		}
		u.responses = s.vehicle
		if u.answers {
			u.responses = s.far
		}
		for _, o := range old.ups {
			if o.name == u.name && reflect.DeepEqual(o.config, u.config) {
				u.gate, u.counts = o.gate, o.counts
			}
		}
	}
	for _, d := range s.downs {
		d.responses = s.far
		if d.answers != "" {
			d.responses = s.vehicle
		}
		for _, o := range old.downs {
			if o.name == d.name && reflect.DeepEqual(o.config, d.config) {
				d.seen, d.counts = o.seen, o.counts
			}
		}
	}
}

// Ups are the rules up in the order of the configuration, and the one that carries
// answers to requests of the far side.
func (s *Set) Ups() []*Up { return s.ups }

// Downs are the rules down in the order of the configuration, and those that carry
// answers to requests of the vehicle.
func (s *Set) Downs() []*Down { return s.downs }

// Up is the rule that took a message, by its meta; nil if there is none any more.
func (s *Set) Up(m Meta) *Up { return s.byID[m.Rule] }

// Release hands messages that min_interval held back to emit when their time has
// come, until ctx ends; then it hands over those that are left. emit may block: newer
// messages of that topic wait behind it. One goroutine runs it.
func (s *Set) Release(ctx context.Context, emit func(*Up, *message.Publication)) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := clock.Now()
		next := s.due(now, false, emit)
		wait := time.Hour
		if next > 0 {
			wait = time.Duration(next - now)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
			s.due(clock.Now(), true, emit)
			return
		}
	}
}

// due releases what is due, or all; next is when to look again, 0 for not before
// something is held.
func (s *Set) due(now clock.Time, all bool, emit func(*Up, *message.Publication)) (next clock.Time) {
	for _, u := range s.ups {
		if u.gate == nil {
			continue
		}
		at := u.gate.due(now, all, func(p *message.Publication) { emit(u, p) })
		if at > 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}
