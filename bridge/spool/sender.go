package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// block is how many messages are read at once.
	block = 256
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
	Pay   func(class string) string
	Clock *clock.Clock
	Log   *slog.Logger
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
	now := clock.Now()
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
	if pause, sent := s.sealDue(conn, clock.Now()); sent || s.alarm.Load() {
		return 0
	} else if pause > 0 {
		wait = min(wait, pause)
	}
	return wait
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
			if a.unread() && a.until <= clock.Now() && s.room(a) {
				return false
			}
		}
		now := clock.Now()
		pause = s.limiter.wait(now)
		if wait := c.limiter.wait(now); wait > 0 {
			pause, c.until = max(pause, wait), now+clock.Time(wait)
		}
		return pause == 0
	}
	if c.queue.Tail() > c.next && s.room(c) {
		all := true
		next, err := c.queue.Read(c.next, block, func(it Item) bool {
			sent = s.sendLoose(conn, c, it.accepted(), goOn) || sent
			all = goOn() && s.room(c) && s.send(conn, c, it)
			if all {
				c.next, sent = it.Pos+1, true
			}
			return all
		})
		if err != nil {
			s.options.Log.Error("the spool can't be read, trying again", "class", c.name, "error", err)
			return storePause, sent
		}
		if all {
			c.next = next // what is between is done
		}
		c.windUp()
		if c.next < c.queue.Tail() {
			return pause, sent
		}
	}
	sent = s.sendLoose(conn, c, 0, goOn) || sent
	return pause, sent
}

// held says for how long nothing of a class may be sent, and notes why.
func (s *Sender) held(c *class) time.Duration {
	now := clock.Now()
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

// send sends one message of a queue, or gathers it into a batch, or gives it up. It is
// false when the message is to be read again.
func (s *Sender) send(conn link.Conn, c *class, it Item) bool {
	if it.Err != nil {
		s.options.Log.Error("a message of the spool is damaged", "class", c.name, "position", it.Pos, "error", it.Err)
		c.drop(Unreadable, 1)
		c.queue.Done(it.Pos)
		return true
	}
	meta, up, why := s.ruleOf(it.Meta)
	if up == nil {
		return s.bury(c, it.Pos, Obituary{Rule: ruleName(nil, meta.Rule), Reason: why, Meta: it.Meta})
	}
	end := s.endOf(c, up, meta, it.Expires)
	if end != 0 && clock.Now() >= end {
		s.discard(c, up, []span{{it.Pos, it.Pos}}, Expired)
		return true
	}
	e := entry{meta, it.Message, it.Pos, end}
	if up.Batch() != nil {
		return s.gather(conn, c, up, e, false)
	}
	return s.sendAlone(conn, c, up, e, false)
}

// sendAlone sends a message by itself. It is false when it is to be read again.
func (s *Sender) sendAlone(conn link.Conn, c *class, up *rule.Up, e entry, loose bool) bool {
	m, why, drop := s.convert(up, e.message, e.meta, e.end, clock.Now())
	here := []span{{e.pos, e.pos}}
	switch {
	case loose && drop:
		s.lost(c, up, Oversize, 1)
	case loose && why != "":
		return s.buryLoose(c, up, e, m.Topic, why)
	case loose:
		s.fire(conn, c, up, &m)
	case drop:
		s.discard(c, up, here, Oversize)
	case why != "":
		return s.buryAll(c, here, up.Name(), m.Topic, why)
	default:
		s.launch(conn, s.board(c, up, here), up, &m)
	}
	return true
}

// board takes a flight for the messages at spans; there must be room.
func (s *Sender) board(c *class, up *rule.Up, spans []span) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.window.add(c, up.ID())
	f.spans, f.overtaken = spans, c.behind
	c.flying++
	return f
}

// sendLoose sends what waits at QoS 0 and was accepted up to a moment, 0 for any.
func (s *Sender) sendLoose(conn link.Conn, c *class, until clock.Time, goOn func() bool) (sent bool) {
	s.mu.Lock()
	alone := s.suspicion.alone
	s.mu.Unlock()
	for !alone && c.ring.len() > 0 && goOn() {
		l, ok := c.ring.pop(until)
		if !ok {
			break
		}
		sent = true
		meta, up, _ := s.ruleOf(l.meta)
		if up == nil {
			c.drop(Dead, 1) // nobody asks for one of QoS 0
			continue
		}
		end := s.endOf(c, up, meta, l.p.Expires)
		if end != 0 && clock.Now() >= end {
			s.lost(c, up, Expired, 1)
			continue
		}
		e := entry{meta: meta, message: l.p.Message(), end: end}
		if up.Batch() != nil {
			s.gather(conn, c, up, e, true)
		} else {
			s.sendAlone(conn, c, up, e, true)
		}
	}
	return sent
}

// fire sends a message at QoS 0: what becomes of it nobody knows.
func (s *Sender) fire(conn link.Conn, c *class, up *rule.Up, m *message.Message) {
	s.out = link.Publish{Message: *m}
	s.out.QoS = 0
	wire, err := conn.Publish(&s.out)
	switch {
	case err == nil:
		c.sent.Add(1)
		s.spend(c, up, wire, clock.Now())
	case unfit(err):
		s.lost(c, up, Oversize, 1)
	default:
		s.disconnected(conn)
	}
}

// unfit reports whether a packet was refused before it was sent: the far side would
// have closed the connection.
func unfit(err error) bool {
	return errors.Is(err, link.ErrTooLarge) || errors.Is(err, link.ErrQoS) || errors.Is(err, link.ErrRetain) || errors.Is(err, link.ErrID)
}

// lost counts messages that are in no queue.
func (s *Sender) lost(c *class, up *rule.Up, reason string, n uint64) {
	c.drop(reason, n)
	s.traffic.drop(up, reason, n)
}

// discard ends the messages at spans, and counts them.
func (s *Sender) discard(c *class, up *rule.Up, spans []span, reason string) {
	for _, sp := range spans {
		for pos := sp.first; pos <= sp.last; pos++ {
			c.queue.Done(pos)
		}
		s.lost(c, up, reason, sp.last-sp.first+1)
	}
}

// endOf is when a message is too old, 0 for never.
func (s *Sender) endOf(c *class, up *rule.Up, meta rule.Meta, expires clock.Time) clock.Time {
	accepted, known := s.options.Clock.Time(meta.Accepted)
	return c.end(up, accepted, expires, known)
}

// accepted is when the message was taken by its rule, 0 if that can't be told.
func (it *Item) accepted() clock.Time {
	m, err := rule.ReadMeta(it.Meta)
	if err != nil {
		return 1
	}
	return max(m.Accepted.At, 1)
}

const noRule = "the rule that took it is not configured any more"

// ruleOf finds the rule that took a message; why says what is wrong when there is
// none.
func (s *Sender) ruleOf(b []byte) (m rule.Meta, up *rule.Up, why string) {
	m, err := rule.ReadMeta(b)
	if err != nil {
		return m, nil, "what is stored beside the message is damaged"
	}
	if up = s.rules.Load().Up(m); up == nil {
		return m, nil, noRule
	}
	return m, up, ""
}

// convert makes the far side's form. why is empty, or says why there is none; drop
// that the rule wants nothing more of the message.
func (s *Sender) convert(up *rule.Up, m message.Message, meta rule.Meta, end, now clock.Time) (out message.Message, why string, drop bool) {
	out, err := up.Convert(m, meta)
	return s.finish(up, out, err, end, now)
}

func (s *Sender) finish(up *rule.Up, m message.Message, err error, end, now clock.Time) (out message.Message, why string, drop bool) {
	if err != nil {
		return m, err.Error(), errors.Is(err, rule.ErrOversize) && up.Oversize() == rule.OversizeDrop
	}
	s.mu.Lock()
	m.Retain = m.Retain && s.session.RetainAvailable
	s.mu.Unlock()
	m.QoS = 1
	m.Expiry = secondsTo(end, now)
	return m, "", false
}

// secondsTo is the expiry to announce, 0 for none: what is less than a second is one,
// for no other number says that there is an end.
func secondsTo(end, now clock.Time) uint32 {
	if end == 0 {
		return 0
	}
	return uint32(min(max((end-now)/clock.Second, 1), 1<<32-1))
}

// launch sends a flight. What the packet did not fit into the far side is given up
// like any message that is too large.
func (s *Sender) launch(conn link.Conn, f *flight, up *rule.Up, m *message.Message) {
	now := clock.Now()
	s.mu.Lock()
	if s.conn != conn {
		s.mu.Unlock()
		return // it is sent again by the next one
	}
	s.out = link.Publish{Message: *m, ID: f.id, Dup: f.again && s.session.Present}
	id, c := f.id, f.class
	s.window.left(f, now)
	s.suspicion.sent(now)
	if f.again {
		c.again.Add(1)
	}
	s.mu.Unlock()
	wire, err := conn.Publish(&s.out)
	if err == nil {
		s.spend(c, up, wire, now)
		return
	}
	if !unfit(err) {
		s.disconnected(conn)
		return
	}
	s.mu.Lock()
	f = s.window.of(id)
	spans := f.spans
	s.release(f)
	s.mu.Unlock()
	s.tooLarge(c, up, spans, m.Topic, err)
}

// spend counts what was written.
func (s *Sender) spend(c *class, up *rule.Up, wire int, now clock.Time) {
	s.limiter.spend(wire, now)
	c.limiter.spend(wire, now)
	s.traffic.sent(up, wire)
}

// tooLarge gives up what fits in no packet.
func (s *Sender) tooLarge(c *class, up *rule.Up, spans []span, remote string, err error) {
	if errors.Is(err, link.ErrTooLarge) && up.Oversize() == rule.OversizeDrop {
		s.discard(c, up, spans, Oversize)
	} else if !s.buryAll(c, spans, up.Name(), remote, err.Error()) {
		c.rewind(spans[0].first) // for another try
	}
}

// release frees a flight. mu is held.
func (s *Sender) release(f *flight) {
	f.class.flying--
	s.window.remove(f)
	s.suspicion.cleared(s.window)
}

// disconnected notes a connection that takes nothing more; Lost comes soon.
func (s *Sender) disconnected(conn link.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == conn {
		s.conn = nil
		s.alarm.Store(true)
	}
}
