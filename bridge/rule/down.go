package rule

import (
	"fmt"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/topic"
)

// Down is a rule that brings messages of the far side into the vehicle. It is safe
// for concurrent use.
type Down struct {
	env    *Env
	self   string // this gateway in the way of a message
	config Config
	name   string
	index  int // in the configuration

	filter    string // as it is subscribed to
	matches   string // the same without $share/<group>/
	local     *template
	user      []property
	when      *condition  // nil for always
	valid     *validity   // nil without
	seen      *identities // nil without dedupe
	responses *responses
	answers   string // prefix of the topics that answers to the vehicle's requests come on; empty for any other rule

	// circle tells of a rule up whose messages would come back by this one on a far side
	// that speaks only 3.1.1; empty if none would.
	circle string

	counts *counts
}

// Name is the rule's name, or its topics if it has none.
func (d *Down) Name() string { return d.name }

// Filter is what is subscribed to at the far side.
func (d *Down) Filter() string { return d.filter }

// QoS is the highest to subscribe with, 0 or 1.
func (d *Down) QoS() byte { return byte(d.config.QoS) }

// NoLocal reports whether the far side of version 5 is asked not to send back what
// the link itself has published; of a shared subscription that must not be asked
// [MQTT-3.8.3-4].
func (d *Down) NoLocal() bool { return d.filter == d.matches }

// NeedsVersion5 says why the rule must not be used on a connection that speaks 3.1.1,
// which has nothing that tells a message that goes in a circle; empty if it may.
func (d *Down) NeedsVersion5() string { return d.circle }

// Matches reports whether the rule is for a topic of the far side.
func (d *Down) Matches(name string) bool { return topic.Match(d.matches, name) }

// Refused counts messages by the reason for which they were not let through: loop,
// condition, stale, no_time, clock, duplicate, topic and no_request.
func (d *Down) Refused() map[string]uint64 { return d.counts.byReason() }

// Accept writes a message of the far side as the vehicle is to see it; its origin is
// who asked for it, for an answer, and nobody else. now is the wall time, zero while
// that is not to be trusted. Whoever can't publish what was
// accepted says so with Failed. The error is counted, and wraps ErrLoop, ErrCondition,
// ErrStale, ErrAhead, ErrNoTime, ErrClock, ErrTopic, ErrNoRequest or ErrDuplicate: the
// message is done with.
func (d *Down) Accept(m message.Message, now time.Time) (message.Message, error) {
	out, err := d.convert(&m, now)
	if err == nil && d.seen != nil {
		if id := identity(&m); id != "" && !d.seen.add(id) {
			err = fmt.Errorf("%w: %s %s", ErrDuplicate, idProperty, id)
		}
	}
	if err != nil {
		d.counts.reasonOf(err).Add(1)
		return message.Message{}, fmt.Errorf("topic %q: %w", m.Topic, err)
	}
	return out, nil
}

// Failed takes back that a message was let through: it is not published, and may
// come again.
func (d *Down) Failed(m message.Message) {
	if d.seen != nil {
		d.seen.remove(identity(&m))
	}
}

func identity(m *message.Message) string {
	for _, u := range m.UserProperties {
		if u.Name == idProperty {
			return u.Value
		}
	}
	return ""
}

func (d *Down) convert(m *message.Message, now time.Time) (message.Message, error) {
	boot := clock.Now()
	if way := wayFrom(m.UserProperties); closes(way, d.self) {
		return message.Message{}, fmt.Errorf("%w: %s", ErrLoop, way)
	}
	if !d.when.holds(boot) {
		return message.Message{}, ErrCondition
	}
	if d.valid != nil {
		if err := d.valid.check(m, now); err != nil {
			return message.Message{}, err
		}
	}
	out := *m
	var err error
	if out.Topic, out.Origin, err = d.topic(m.Topic, now, boot); err != nil {
		return message.Message{}, err
	}
	out.QoS = min(m.QoS, d.QoS())
	out.Retain = d.config.Retain == retainAlways || d.config.Retain == retainKeep && m.Retain
	out.UserProperties = addProperties(m.UserProperties, d.user, 0, m.Topic, now)
	if m.ResponseTopic != "" {
		out.ResponseTopic = ""
		if d.answers == "" && len(m.ResponseTopic) <= longestAsked {
			out.ResponseTopic = ResponsePrefix + d.env.Link + "/" + d.responses.token(asked{topic: m.ResponseTopic}, boot)
		}
	}
	return out, nil
}

// topic is where a message goes in the vehicle, and for an answer who asked.
func (d *Down) topic(name string, now time.Time, boot clock.Time) (string, message.Origin, error) {
	if d.answers != "" {
		token, _ := strings.CutPrefix(name, d.answers)
		of, known := d.responses.asked(token, boot)
		if !known {
			return "", of.by, ErrNoRequest
		}
		return of.topic, of.by, nil
	}
	local := d.local.fill(name, now)
	if !topic.ValidName(local) {
		return "", message.Origin{}, fmt.Errorf("%w: %.100q", ErrTopic, local)
	}
	return local, message.Origin{}, nil
}
