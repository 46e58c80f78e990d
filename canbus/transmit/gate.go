// Package transmit is the gate between clients and the buses. Nothing is sent
// that no rule allows: a request names a path and a value, the rule decides by
// who asks, what is asked for, how often and in which state the vehicle is, makes
// the frame, and waits for the ECU's answer. Every request and what became of it
// stands in the audit.
package transmit

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/audit"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/vehicle"
)

const (
	// mostWaiting is how many requests may wait for one bus; more are refused.
	mostWaiting = 64
	// mostEnded is how many outcomes may wait for the audit's disk; requests that
	// come while it is full are refused without an answer, and counted.
	mostEnded = 256
)

// Options are what the gate needs beside its plan.
type Options struct {
	// Record appends to the audit and returns when the disk has the entry.
	Record func(audit.Entry) (audit.Entry, error)
	// OpenSink opens a bus for sending. It is called when the first frame is to
	// be sent on it, and again after it failed.
	OpenSink func(bus string) (source.Sink, error)
	Log      *slog.Logger
}

// Gate decides on requests and sends. Its life is New, Start, Stop; all other
// methods are safe for concurrent use between.
type Gate struct {
	options Options
	ended   chan ended
	lost    atomic.Uint64 // requests that were refused without an answer

	life    sync.Mutex // one Start, Stop or Use at a time
	ctx     context.Context
	stop    context.CancelFunc // of the senders
	senders sync.WaitGroup
	clerk   sync.WaitGroup

	mu   sync.RWMutex // guards the field below; held for reading while a request is handed on
	plan *Plan
}

// job is a request on its way through the gate.
type job struct {
	Request
	value   vehicle.Value
	invalid error // the payload is no value
	at      int64 // boot time when it came
	dry     bool
	reply   func(Answer)
}

// ended is a request with its outcome, on its way to the audit and to who asked.
type ended struct {
	job    job
	rule   *rule
	answer Answer
	of     uint64 // audit entry of the request, 0 if it was not let through
}

// New makes a gate. It opens nothing, and refuses all requests until Start.
func New(plan *Plan, options Options) *Gate {
	return &Gate{options: options, ended: make(chan ended, mostEnded), plan: &Plan{closed: "the gateway starts", next: plan}}
}

// Start begins to take requests.
func (g *Gate) Start(ctx context.Context) {
	g.life.Lock()
	defer g.life.Unlock()
	g.ctx = context.WithoutCancel(ctx) // Stop ends it: what was sent gets its outcome
	g.clerk.Go(g.keepBooks)
	g.swap(g.plan.next)
}

// Stop refuses what waits, ends what was sent without its answer, and returns
// when all outcomes are in the audit. Requests that come later are refused.
func (g *Gate) Stop() {
	g.life.Lock()
	defer g.life.Unlock()
	if g.stop == nil {
		return
	}
	g.swap(&Plan{closed: "the gateway stops"})
	g.stop = nil
	close(g.ended)
	g.clerk.Wait()
}

// Use takes other rules into use. Requests under way end first, without their
// answer; the counters of the messages go on.
func (g *Gate) Use(plan *Plan) {
	g.life.Lock()
	defer g.life.Unlock()
	if g.stop == nil {
		g.plan.next = plan // before Start; after Stop nobody asks for it
		return
	}
	g.swap(plan)
}

// swap ends the senders, puts another plan in the place of theirs, and starts
// its own. It is called with life held.
func (g *Gate) swap(plan *Plan) {
	old := g.plan
	if g.stop != nil {
		g.stop()
		g.senders.Wait()
	}
	plan.adopt(old)
	g.mu.Lock()
	g.plan = plan
	g.mu.Unlock()
	// Nobody adds to the old queues any more.
	for _, queue := range old.waiting {
		g.refuseAll(queue)
	}
	ctx, stop := context.WithCancel(g.ctx)
	g.stop = stop
	for bus, queue := range plan.waiting {
		s := &sender{gate: g, bus: bus, queue: queue, wake: plan.wakes[bus], log: g.options.Log.With("bus", bus)}
		g.senders.Go(func() { s.run(ctx) })
	}
}

// refuseAll empties a queue whose sender has ended, or ends.
func (g *Gate) refuseAll(queue chan queued) {
	for {
		select {
		case q := <-queue:
			g.ended <- ended{job: q.job, rule: q.rule, answer: Answer{Status: Refused, Reason: "the gateway stops or takes other rules"}}
		default:
			return
		}
	}
}

// Request takes a request; reply is called once, on any goroutine, and must not
// block. It never blocks itself: what the gate can't take at once is refused, and
// where even that can't be recorded at once, reply is not called.
func (g *Gate) Request(r Request, reply func(Answer)) { g.request(r, false, reply) }

// Try says what would become of a request, and the frame that would be sent.
// Nothing is sent or recorded.
func (g *Gate) Try(r Request, reply func(Answer)) { g.request(r, true, reply) }

func (g *Gate) request(r Request, dry bool, reply func(Answer)) {
	j := job{Request: r, at: vehicle.BootNow(), dry: dry, reply: reply}
	j.value, j.invalid = parsePayload(r.Payload)
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.plan.closed != "" {
		reply(Answer{Status: Refused, Reason: g.plan.closed})
		return
	}
	chosen, reason := g.plan.choose(&r)
	if reason == "" {
		select {
		case g.plan.waiting[chosen.bus] <- queued{j, chosen}:
			return
		default:
			reason = fmt.Sprintf("busy: %d requests wait for bus %s", mostWaiting, chosen.bus)
		}
	}
	select {
	case g.ended <- ended{job: j, rule: chosen, answer: Answer{Status: Refused, Reason: reason}}:
	default:
		g.lost.Add(1)
	}
}

// choose finds the rule for a request, or why there is none that lets it through.
func (p *Plan) choose(r *Request) (*rule, string) {
	rules := p.byTarget[r.Target]
	role := r.Origin.Role
	if r.Origin.Link != "" {
		role = "link:" + r.Origin.Link
	}
	switch {
	case len(rules) == 0:
		return nil, fmt.Sprintf("no rule allows %s", clip(strings.ReplaceAll(r.Target, "/", ".")))
	case r.Stored:
		return rules[0], "a retained request is not carried out: publish it without RETAIN"
	case role == "":
		return rules[0], "it comes from nobody: requests need an origin with a role"
	}
	for _, rule := range rules {
		if rule.allows(role) {
			return rule, ""
		}
	}
	var allowed []string
	for _, rule := range rules {
		allowed = append(allowed, rule.config.Roles...)
	}
	return rules[0], fmt.Sprintf("role %s may not: want %s", clip(role), strings.Join(allowed, ", "))
}

// entry is what the audit gets of a request.
func (j *job) entry(r *rule, outcome, reason string) audit.Entry {
	e := audit.Entry{Kind: "act", Origin: &j.Origin, Path: strings.ReplaceAll(j.Target, "/", "."),
		Value: []byte(valueText(j)), Outcome: outcome, Reason: reason}
	if r != nil {
		e.Rule = r.name
	}
	return e
}

func valueText(j *job) string {
	if j.invalid != nil {
		return string(j.Payload)
	}
	return j.value.String()
}

// clip keeps what a client chose short in a reason.
func clip(text string) string {
	const most = 100
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
