package spool

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/vehicle"
)

const (
	// block is how many messages of a class are sent before something else has its turn.
	block = 256
	// What is read of a class at once, and is in memory until it is sent.
	ahead      = 64
	aheadBytes = 256 << 10
	// sweepEvery is how often messages that have become too old are looked for.
	sweepEvery = 10 * clock.Second
	// lookEvery is how old the outcome of a class's condition may be.
	lookEvery = clock.Second / 10
	// storePause is how long a store that fails is left alone.
	storePause = time.Second
)

// Options are what a sender needs.
type Options struct {
	Classes []ClassConfig // in order of priority, each with its queue in Queues
	Queues  []Queue
	Dead    Queue
	Window  int // messages at QoS 1 that may be under way, 1 to 65535
	Memory  int // bytes of messages at QoS 0, of all classes together
	Rate    Rate
	Rules   *rule.Set
	State   *vehicle.State
	// Pay says why a class may not be sent now, or nothing; nil without a budget.
	Pay func(class string) string
	// Stream puts what is too large for the far side into the stream that its rule
	// names, and waits until it is stored, not long.
	Stream func(name string, m message.Message) error
	Clock  *clock.Clock
	Log    *slog.Logger
}

// Sender sends what is in the classes of a link to its far side: those of higher
// priority first, each class in its order. What the link tells comes in by Connected,
// Acknowledged and Lost. One goroutine runs Run; the other methods are safe for
// concurrent use.
//
// Order: a message that the far side refuses for now (0x97, 0x83) holds up its class,
// and with it are sent again, in their order, those that went after it. What waits
// only for its acknowledgement when a connection is lost is sent again before anything
// new.
type Sender struct {
	options Options
	classes []*class
	dead    Queue
	wake    chan struct{} // holds a token when there may be something to do
	alarm   atomic.Bool   // the sender is to look up from the block that it sends
	rules   atomic.Pointer[rule.Set]
	traffic traffic

	// The sender's goroutine alone uses these.
	limiter limiter
	batches []*gathering
	out     link.Publish
	swept   clock.Time
	stuck   clock.Time // the store failed: it is left alone until then
	looked  time.Time  // at the clock
	moment  clock.Time // what it said

	mu        sync.Mutex // guards the fields below
	conn      link.Conn  // nil while there is none
	session   link.Session
	resend    []*flight // in order
	window    *window
	suspicion suspicion
	judged    []judgement
	draining  bool
	change    func()        // of the configuration, for the sender's goroutine
	idle      chan struct{} // holds a token when nothing is under way any more
}

// judgement is what the far side said against a message.
type judgement struct {
	flight *flight
	final  bool // it is never taken; else it is tried again
	why    string
}

// New makes a sender. What is in the queues is what it begins with.
func New(o Options) (*Sender, error) {
	s := &Sender{options: o, dead: o.Dead, wake: make(chan struct{}, 1), window: newWindow(o.Window), idle: make(chan struct{}, 1)}
	s.rules.Store(o.Rules)
	s.limiter.use(o.Rate)
	for i, cfg := range o.Classes {
		c := newClass(cfg.Name, o.Queues[i], o.Memory/len(o.Classes))
		if err := c.use(cfg, o.State); err != nil {
			return nil, err
		}
		s.classes = append(s.classes, c)
	}
	return s, nil
}

// Push takes a message that is to be sent at QoS 0. It never blocks: the oldest goes
// when there is no room.
func (s *Sender) Push(class string, p *message.Publication, meta []byte) {
	m, err := rule.ReadMeta(meta)
	if err != nil {
		return // made by the rule a moment ago: it can't be
	}
	for _, c := range s.classes {
		if c.name == class {
			c.ring.push(loose{p: p.Keep(), meta: meta, accepted: m.Accepted.At})
			s.signal()
			return
		}
	}
}

// Run sends until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	var wakers sync.WaitGroup
	defer wakers.Wait()
	for _, c := range s.classes {
		wakers.Go(func() { s.forward(ctx, c.queue.Wake()) })
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait := s.work()
		if wait == 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// forward makes one wake of many.
func (s *Sender) forward(ctx context.Context, wake <-chan struct{}) {
	for {
		select {
		case <-wake:
			s.signal()
		case <-ctx.Done():
			return
		}
	}
}

func (s *Sender) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// interrupt has the sender look at what was changed under mu.
func (s *Sender) interrupt() {
	s.alarm.Store(true)
	s.signal()
}

// work does what can be done now, and says how long nothing will change by itself; 0
// if there is more to do.
func (s *Sender) work() time.Duration {
	now := s.now()
	s.alarm.Store(false)
	s.changed()
	s.settle(now)
	wait := s.sweep(now)
	s.makeRoom()
	conn, pause := s.connection(now)
	if conn == nil {
		if pause > 0 {
			wait = min(wait, pause)
		}
		return wait
	}
	if !s.sendAgain(conn, now) {
		return wait
	}
	for i := 0; i < len(s.classes); {
		c := s.classes[i]
		c.windUp()
		pause, sent := s.serve(conn, c, s.classes[:i])
		switch {
		case s.alarm.Load():
			return 0
		case sent:
			i = 0 // something above may have come in meanwhile
			continue
		case pause > 0:
			wait = min(wait, pause)
		}
		i++
	}
	if pause, sent := s.sealDue(conn, s.now()); sent || s.alarm.Load() {
		return 0
	} else if pause > 0 {
		wait = min(wait, pause)
	}
	return wait
}

// now is the time, a millisecond old at most: a look at CLOCK_BOOTTIME is a system
// call, and at several a message they were a tenth of all that sending costs.
func (s *Sender) now() clock.Time {
	if t := time.Now(); s.moment == 0 || t.Sub(s.looked) >= time.Millisecond {
		s.looked, s.moment = t, clock.Now()
	}
	return s.moment
}

// connection is the connection to send on, nil if nothing may be sent; pause says for
// how long if that is known.
func (s *Sender) connection(now clock.Time) (conn link.Conn, pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || s.draining {
		return nil, 0
	}
	if pause = s.suspicion.wait(now); pause > 0 {
		return nil, pause
	}
	return s.conn, 0
}

// room reports whether one more message may go at QoS 1.
func (s *Sender) room(c *class) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.window.full() || s.window.sent >= s.quota():
		return false
	case s.suspicion.alone && s.window.inUse > 0:
		return false
	}
	return !c.probing || c.flying == 0
}

// quota is how much may be under way on the connection. mu is held.
func (s *Sender) quota() int {
	if n := s.session.ReceiveMaximum; n > 0 {
		return min(n, len(s.window.free))
	}
	return len(s.window.free)
}

// serve sends up to a block of a class. pause says for how long nothing of it may be
// sent, if that is known.
func (s *Sender) serve(conn link.Conn, c *class, above []*class) (pause time.Duration, sent bool) {
	if !c.unread() {
		c.hold("")
		return 0, false
	}
	if pause = s.held(c); pause > 0 {
		return pause, false
	}
	goOn := func() bool {
		if s.alarm.Load() {
			return false
		}
		for _, a := range above {
			if a.unread() && a.until <= s.now() && s.room(a) {
				return false
			}
		}
		now := s.now()
		pause = s.limiter.wait(now)
		if wait := c.limiter.wait(now); wait > 0 {
			pause, c.until = max(pause, wait), now+clock.Time(wait)
		}
		return pause == 0
	}
	for n := 0; s.room(c) && goOn(); n++ {
		it, err := c.peek()
		if err != nil {
			s.options.Log.Error("the spool can't be read, trying again", "class", c.name, "error", err)
			return storePause, sent
		}
		if it == nil {
			break
		}
		if it.Pos < c.top && s.aboard(c, it.Pos) {
			c.pop()
			continue
		}
		if c.ring.len() > 0 {
			sent = s.sendLoose(conn, c, it.accepted(), goOn) || sent
		}
		if n == block || !goOn() || !s.send(conn, c, *it) {
			return pause, sent
		}
		sent = true
		c.pop()
	}
	sent = s.sendLoose(conn, c, 0, goOn) || sent
	return pause, sent
}

// aboard reports whether a message of a class that is read once more is still under way.
func (s *Sender) aboard(c *class, pos uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.window.flights {
		f := &s.window.flights[i]
		if f.class == c && !f.overtaken && slices.ContainsFunc(f.spans, func(sp span) bool { return sp.first <= pos && pos <= sp.last }) {
			return true
		}
	}
	return false
}

// held says for how long nothing of a class may be sent, and notes why.
func (s *Sender) held(c *class) time.Duration {
	now := s.now()
	if c.until > now {
		return time.Duration(c.until - now)
	}
	s.mu.Lock()
	paused, pause := c.paused, c.pause
	s.mu.Unlock()
	why := ""
	switch {
	case paused > now:
		c.until, why = paused, fmt.Sprintf("the far side refused a message for now: it is tried again every %s", pause)
	case s.stuck > now:
		c.until, why = s.stuck, "the store fails"
	case c.when != nil && !c.when.True(int64(now)):
		c.until, why = now+lookEvery, "send_when does not hold"
	case s.options.Pay != nil:
		if why = s.options.Pay(c.name); why != "" {
			c.until = now + lookEvery
		}
	}
	c.hold(why)
	return max(0, time.Duration(c.until-now))
}

// hold notes for the status why nothing of the class is sent.
func (c *class) hold(why string) {
	if held := c.held.Load(); held == nil || *held != why {
		c.held.Store(&why)
	}
}
