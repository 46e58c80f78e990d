package health

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// entry is one message or signal whose state is told. Moments are by
// CLOCK_BOOTTIME; the monitor's lock guards it, but for what frames show.
type entry struct {
	topic Topic
	name  string // bus/message or path
	limit int64  // time without a frame after which it is missing; 0 is never
	seen  []*arrivals
	buses []*bus

	miscounts fault // a message's

	signal   *signalRule // nil for a message
	feeds    []*feed
	messages []*entry // that carry the signal; nil for one whose state is not told

	watched  int64 // since when
	state    State
	cause    cause
	since    int64
	lost     int64 // the last frame's moment when it was found missing
	missedAt int64 // the latest look that found it missing
	stuckAt  int64 // the latest look that found it stuck
	restart  int64 // from when on the time of a signal that keeps its value counts

	older, newer sample // for the rate
	renewAt      int64
	payload      []byte // the last one published
}

type feedKey struct {
	message messageKey
	signal  string
}

// cause is why something is missing where that is not its own fault, and so not
// worth a line of its own in the log.
type cause uint8

const (
	itself cause = iota
	itsBus
	itsMessage
)

// sample is the number of frames at a moment.
type sample struct {
	at    int64
	count uint64
}

// verdict finds the state at now.
func (e *entry) verdict(m *Monitor, now int64) (State, cause) {
	hold := m.plan.hold
	last := e.last()
	if e.missing(m, last, now) {
		if e.state != Missing {
			e.lost = last
		}
		e.missedAt, e.restart = now, now
		return Missing, e.blame(m, now)
	}
	switch {
	case last == 0:
		return Unseen, itself
	case e.missedAt > 0 && now-e.missedAt < hold:
		return Missing, e.cause
	case e.miscounts.holds(now, hold):
		return BadCounter, itself
	case e.outside(now, hold):
		return OutOfRange, itself
	case e.stuck(m, now):
		e.stuckAt = now
		return Stuck, itself
	case e.stuckAt > 0 && now-e.stuckAt < hold:
		return Stuck, itself
	}
	return OK, itself
}

// missing reports whether no frame came for too long. What was missing stays so
// until one comes, though the bus may have been away and its time begin anew.
func (e *entry) missing(m *Monitor, last, now int64) bool {
	if e.limit == 0 {
		return false
	}
	if e.state == Missing && last == e.lost {
		return true
	}
	from := max(last, e.watched, m.resumed)
	if b := e.openBus(); b != nil {
		from = max(from, b.upSince)
	}
	return now-from > e.limit
}

// openBus is a bus on which frames can come, nil if there is none.
func (e *entry) openBus() *bus {
	at := slices.IndexFunc(e.buses, func(b *bus) bool { return b.up })
	if at < 0 {
		return nil
	}
	return e.buses[at]
}

// blame finds what makes it missing.
func (e *entry) blame(m *Monitor, now int64) cause {
	b := e.openBus()
	if b == nil || e.state == Missing && e.cause == itsBus && now-max(b.upSince, m.resumed) <= e.limit {
		return itsBus
	}
	missing := func(of *entry) bool { return of != nil && of.state == Missing }
	if len(e.messages) > 0 && !slices.ContainsFunc(e.messages, func(of *entry) bool { return !missing(of) }) {
		return itsMessage
	}
	return itself
}

func (e *entry) outside(now, hold int64) bool {
	for _, f := range e.feeds {
		if f.outside.holds(now, hold) {
			return true
		}
	}
	return false
}

func (e *entry) stuck(m *Monitor, now int64) bool {
	if e.signal == nil || e.signal.stuckAfter == 0 {
		return false
	}
	if e.signal.while != nil && !e.signal.while.True(now) {
		e.restart = now
	}
	from := max(e.restart, m.resumed)
	for _, f := range e.feeds {
		from = max(from, f.changed.Load())
	}
	return now-from > e.signal.stuckAfter
}

// last is the moment of the latest frame, 0 before the first.
func (e *entry) last() int64 {
	var last int64
	for _, a := range e.seen {
		last = max(last, a.last.Load())
	}
	return last
}

func (e *entry) first() int64 {
	var first int64
	for _, a := range e.seen {
		first = lesser(first, a.first.Load())
	}
	return first
}

func (e *entry) count() (frames, short uint64) {
	for _, a := range e.seen {
		frames, short = frames+a.count.Load(), short+a.short.Load()
	}
	return frames, short
}

// measure keeps two samples, the older of which is at least rateOver old, or
// three times the limit of what comes seldom.
func (e *entry) measure(now int64) {
	frames, _ := e.count()
	if frames == 0 {
		return
	}
	if e.newer.at == 0 { // the first frame is where the measuring begins
		e.older = sample{e.first(), 1}
		e.newer = e.older
	}
	if now-e.newer.at >= max(int64(rateOver), 3*e.limit) {
		e.older, e.newer = e.newer, sample{now, frames}
	}
}

// rate is in frames a second, with two decimals; nil in the first second of
// frames, which is too short to say.
func (e *entry) rate(now int64) *float64 {
	rate := 0.0
	if e.older.at > 0 {
		elapsed := time.Duration(now - e.older.at).Seconds()
		if elapsed < 1 {
			return nil
		}
		frames, _ := e.count()
		rate = math.Round(100*float64(frames-e.older.count)/elapsed) / 100
	}
	return &rate
}

// reason says what is wrong, "" if nothing is.
func (e *entry) reason() string {
	switch {
	case e.state == Missing && e.cause == itsBus:
		return "bus " + e.buses[0].name + ": " + e.buses[0].why
	case e.state == Missing && e.cause == itsMessage:
		return "message " + e.messages[0].name + " is missing"
	case e.state == Missing:
		what := map[bool]string{false: "frame", true: "value"}[e.signal != nil]
		text := fmt.Sprintf("no %s for %v", what, time.Duration(e.limit))
		if _, short := e.count(); short > 0 {
			text += fmt.Sprintf("; %d frames were shorter than the message", short)
		}
		return text
	case e.state == BadCounter:
		return fmt.Sprintf("%d frames so far did not count on by one", e.miscounts.count.Load())
	case e.state == OutOfRange:
		var n uint64
		for _, f := range e.feeds {
			n += f.outside.count.Load()
		}
		return fmt.Sprintf("%d values so far were outside", n)
	case e.state == Stuck:
		return fmt.Sprintf("the same value for more than %v", time.Duration(e.signal.stuckAfter))
	}
	return ""
}

// payload is the form of the topics.
type payload struct {
	State  State    `json:"state"`
	Since  string   `json:"since"`
	First  *string  `json:"first"` // null before the first frame since the start
	Last   *string  `json:"last"`
	Rate   *float64 `json:"rate"`
	Reason string   `json:"reason,omitempty"`
}

// render makes the payload; wallMinus is wall time less boot time.
func (e *entry) render(now, wallMinus int64) []byte {
	stamp := func(boot int64) *string {
		if boot == 0 {
			return nil
		}
		text := time.Unix(0, boot+wallMinus).UTC().Format(stampLayout)
		return &text
	}
	text, err := json.Marshal(payload{e.state, *stamp(e.since), stamp(e.first()), stamp(e.last()), e.rate(now), e.reason()})
	if err != nil {
		panic("health: " + err.Error()) // texts and finite numbers always marshal
	}
	return text
}

// stampLayout is RFC 3339 in UTC with milliseconds.
const stampLayout = "2006-01-02T15:04:05.000Z"
