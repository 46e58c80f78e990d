package bridge

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// Reasons for which a message of the far side is not published, beside those of rules.
const (
	notAllowed = "not_allowed" // the role of the link, or of who asked for an answer, may not publish there
	refused    = "refused"     // by the broker
	noRule     = "no_rule"     // is for its topic
	noRoom     = "no_room"     // at QoS 0, while others waited
)

const (
	// laterPause is how long a broker that takes nothing now is left alone.
	laterPause = time.Second
	// logEvery is how often a refusal of the same rule is logged.
	logEvery = 10 * clock.Second
)

// ErrLater says that the broker can't take a message now, and may take it later; what
// Broker.PublishWait returns wraps it then.
var ErrLater = errors.New("try again later")

// down publishes what the far side sends.
type down struct {
	ctx context.Context // of the link

	mu     sync.Mutex // guards the fields below
	byRule map[string]*fallen
	strays uint64 // no rule is for them
}

// fallen is what came by a rule down.
type fallen struct {
	messages, bytes uint64
	dropped         map[string]uint64
	logged          clock.Time
}

// received publishes m by each rule that is for it and calls done when all that could
// be published is stored. What no rule lets through is acknowledged too: the far side
// would send it for ever.
func (d *down) received(w *worker, m message.Message, done func()) {
	matched := false
	for _, r := range w.rules.Load().Downs() {
		if !r.Matches(m.Topic) {
			continue
		}
		matched = true
		if !d.publish(w, r, m) {
			return // the link ends: the far side sends it again
		}
	}
	if !matched {
		d.mu.Lock()
		d.strays++
		d.mu.Unlock()
	}
	done()
}

// publish brings m into the vehicle by one rule. It is false if the link ended before
// that was done.
func (d *down) publish(w *worker, r *rule.Down, m message.Message) bool {
	var now time.Time
	if w.options.Clock.Synchronised() {
		now = time.Now()
	}
	out, err := r.Accept(m, now)
	if err != nil {
		d.refuse(w, r, m.Topic, "", err)
		return true
	}
	who, asker := "link:"+w.name, out.Origin
	out.Origin = message.Origin{Client: who, Identity: who, Role: who, Link: w.name}
	for _, o := range []*message.Origin{&out.Origin, &asker} {
		if o.Role != "" && !w.options.CanPublish(o, out.Topic) { // who asks in this process has none
			d.refuse(w, r, out.Topic, notAllowed, errors.New("role "+o.Role+" may not publish there: see auth.roles"))
			return true
		}
	}
	for {
		err := w.options.Broker.PublishWait(d.ctx, out)
		switch {
		case err == nil:
			d.mu.Lock()
			of := d.of(r.Name())
			of.messages++
			of.bytes += uint64(m.Size())
			d.mu.Unlock()
			return true
		case d.ctx.Err() != nil:
			r.Failed(m)
			return false
		case !errors.Is(err, ErrLater):
			r.Failed(m)
			d.refuse(w, r, out.Topic, refused, err)
			return true
		}
		select {
		case <-time.After(laterPause):
		case <-d.ctx.Done():
			r.Failed(m)
			return false
		}
	}
}

// refuse counts a message that goes nowhere; the rules count theirs themselves.
func (d *down) refuse(w *worker, r *rule.Down, topic, reason string, err error) {
	d.mu.Lock()
	of := d.of(r.Name())
	if reason != "" {
		of.dropped[reason]++
	}
	now := clock.Now()
	log := of.logged == 0 || now-of.logged >= logEvery
	if log {
		of.logged = now
	}
	d.mu.Unlock()
	if log {
		w.log.Warn("a message of the far side is not published", "rule", r.Name(), "topic", topic, "reason", err)
	}
}

// of is what is counted of a rule. mu is held.
func (d *down) of(name string) *fallen {
	if d.byRule == nil {
		d.byRule = map[string]*fallen{}
	}
	of := d.byRule[name]
	if of == nil {
		of = &fallen{dropped: map[string]uint64{}}
		d.byRule[name] = of
	}
	return of
}

// ignored counts what came and met no rule, by reason; crowded are those at QoS 0 for
// which the link had no room.
func (d *down) ignored(crowded uint64) map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := map[string]uint64{}
	for reason, n := range map[string]uint64{noRule: d.strays, noRoom: crowded} {
		if n > 0 {
			list[reason] = n
		}
	}
	return list
}

// status is what came by a rule.
func (d *down) status(r *rule.Down) RuleStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	of := d.of(r.Name())
	st := RuleStatus{Rule: r.Name(), Direction: "down", Messages: of.messages, Bytes: of.bytes, Dropped: r.Refused()}
	maps.Copy(st.Dropped, of.dropped)
	return st
}
