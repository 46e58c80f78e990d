package rule

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/bridge/batch"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/topic"
)

// Up is a rule that sends messages of the vehicle up. It is safe for concurrent use.
type Up struct {
	env    *Env
	self   string // this gateway in the way of a message
	config Config
	name   string
	id     uint32
	index  int // in the configuration

	filter    string
	remote    *template
	user      []property
	when      *condition // nil for always
	gate      *gate      // nil where nothing is thinned out
	responses *responses
	// Either prefix of the topics at the far side on which answers are awaited, or with
	// answers of those in the vehicle on which requests of the far side are answered.
	prefix  string
	answers bool
	timed   bool // ${time} is in the topic or a property

	counts *counts
}

// property is a user property to add.
type property struct {
	name  string
	value *template // nil to leave it out
}

// sequence tells messages of one moment apart, whatever rule takes them.
var sequence atomic.Uint32

// Name is the rule's name, or its topics if it has none.
func (u *Up) Name() string { return u.name }

// ID stands for the name in a Meta: it is the same after a restart.
func (u *Up) ID() uint32 { return u.id }

// Filter is what the rule takes, in the vehicle.
func (u *Up) Filter() string { return u.filter }

// Class is the priority class; empty for the only one of a link without classes.
func (u *Up) Class() string { return u.config.Class }

// QoS is the highest that the rule sends with, 0 or 1.
func (u *Up) QoS() byte { return byte(u.config.QoS) }

// TTL is the age at which a message is too old, 0 for none.
func (u *Up) TTL() time.Duration { return time.Duration(u.config.TTL) }

// Batch says how messages are put together; nil where each goes by itself.
func (u *Up) Batch() *batch.Config { return u.config.Batch }

// Oversize says what becomes of a message for which Convert returns ErrOversize:
// OversizeDead, OversizeDrop, or OversizeStream and the name of the stream.
func (u *Up) Oversize() string {
	if u.config.Oversize == "" {
		return OversizeDead
	}
	return u.config.Oversize
}

// NotTaken counts messages by the reason for which the rule has not taken them:
// loop, condition, sampled, unchanged, replaced (by a newer one, under min_interval)
// and no_request.
func (u *Up) NotTaken() map[string]uint64 { return u.counts.byReason() }

// Unthinned counts messages that went up as they were because their topics, or
// those that were held back, had no room in what the rule remembers.
func (u *Up) Unthinned() uint64 {
	if u.gate == nil {
		return 0
	}
	return u.gate.unthinned.Load()
}

// Take reports whether the rule takes a message that its filter matches, at the time
// now; 0 has it look at the clock if it must, which costs more than all else here. It
// does not block. What min_interval holds back comes out of Set.Release.
func (u *Up) Take(p *message.Publication, now clock.Time) bool {
	if now == 0 && u.clocked() {
		now = clock.Now()
	}
	if p.Origin != nil && p.Origin.Link == u.env.Link || closesEncoded(p.Properties, u.self) {
		u.counts.loop.Add(1)
		return false
	}
	if u.answers {
		if _, known := u.asked(p.Topic, now); !known {
			u.counts.noRequest.Add(1)
			return false
		}
	}
	if !u.when.holds(now) {
		u.counts.condition.Add(1)
		return false
	}
	if u.gate == nil {
		return true
	}
	switch u.gate.pass(p, now) {
	case sampledOut:
		u.counts.sampled.Add(1)
	case unchanged:
		u.counts.unchanged.Add(1)
	case replaced:
		u.counts.replaced.Add(1)
	case passes:
		return true
	}
	return false
}

// clocked reports whether what the rule takes depends on when it comes.
func (u *Up) clocked() bool {
	return u.answers || u.when != nil || u.gate != nil && u.gate.interval > 0
}

// Meta is what is kept beside a message that the rule has taken, accepted at that
// mark.
func (u *Up) Meta(p *message.Publication, accepted clock.Mark) Meta {
	m := Meta{Rule: u.id, Accepted: accepted, Sequence: uint16(sequence.Add(1))}
	if u.answers {
		m.Topic, _ = u.asked(p.Topic, accepted.At)
	}
	return m
}

// asked is the response topic of the far side that a topic in the vehicle stands for.
func (u *Up) asked(name string, now clock.Time) (string, bool) {
	token, _ := strings.CutPrefix(name, u.prefix)
	of, known := u.responses.asked(token, now)
	return of.topic, known
}

// Convert writes a message as the far side is to see it. Its expiry is left as it is:
// the spool knows what is left of it. The error wraps ErrTopic or ErrOversize; the
// message stands beside it, for the record.
func (u *Up) Convert(m message.Message, meta Meta) (message.Message, error) {
	out := u.carrier(m.Topic, m.UserProperties, meta)
	out.Payload, out.ContentType, out.PayloadUTF8 = m.Payload, m.ContentType, m.PayloadUTF8
	out.CorrelationData, out.Expiry, out.QoS, out.Retain = m.CorrelationData, m.Expiry, min(m.QoS, u.QoS()), u.retain(m.Retain)
	if m.ResponseTopic != "" && len(m.ResponseTopic) <= longestAsked && u.prefix != "" && !u.answers {
		out.ResponseTopic = u.prefix + u.responses.token(asked{m.ResponseTopic, m.Origin}, clock.Now())
	}
	return out, u.check(&out)
}

// ConvertBatch is Convert for a batch of messages, the first of which has that meta.
// What is the messages' own, their topics and times, is in the payload; of their
// properties nothing is left.
func (u *Up) ConvertBatch(payload []byte, contentType string, first Meta) (message.Message, error) {
	out := u.carrier("", nil, first)
	out.Payload, out.ContentType, out.QoS, out.Retain = payload, contentType, u.QoS(), u.retain(false)
	return out, u.check(&out)
}

// carrier is the topic and the user properties of what goes up for a message on a
// topic.
func (u *Up) carrier(name string, user []message.UserProperty, meta Meta) message.Message {
	var accepted time.Time
	if u.timed {
		accepted = Moment(u.env.Clock, meta.Accepted)
	}
	out := message.Message{Topic: meta.Topic}
	if !u.answers {
		out.Topic = u.remote.fill(name, accepted)
	}
	out.UserProperties = addProperties(user, u.user, 2, name, accepted)
	if u.config.MessageID {
		out.UserProperties = setProperty(out.UserProperties, idProperty, meta.messageID(u.self))
	}
	if u.config.Way {
		out.UserProperties = setProperty(out.UserProperties, wayProperty, onWay(wayFrom(user), u.self))
	}
	return out
}

func (u *Up) retain(published bool) bool {
	switch u.config.Retain {
	case retainAlways:
		return true
	case retainNever:
		return false
	}
	return published
}

// check holds a message against what the far side takes.
func (u *Up) check(m *message.Message) error {
	if !topic.ValidName(m.Topic) {
		return fmt.Errorf("%w: %.100q", ErrTopic, m.Topic)
	}
	if err := u.env.Limits.CheckTopic(m.Topic); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrTopic, m.Topic, err)
	}
	if err := u.env.Limits.CheckPayload(len(m.Payload)); err != nil {
		return fmt.Errorf("%w: %w", ErrOversize, err)
	}
	return nil
}

// addProperties is a new list of user properties: those of the message, and then the
// added ones in place of any of that name. It has room for some more.
func addProperties(user []message.UserProperty, add []property, more int, name string, accepted time.Time) []message.UserProperty {
	if len(user)+len(add)+more == 0 {
		return nil
	}
	list := append(make([]message.UserProperty, 0, len(user)+len(add)+more), user...)
	for _, p := range add {
		if p.value == nil {
			list = withoutProperty(list, p.name)
			continue
		}
		list = setProperty(list, p.name, p.value.fill(name, accepted))
	}
	return list
}

// setProperty puts a user property in place of all of its name.
func setProperty(list []message.UserProperty, name, value string) []message.UserProperty {
	return append(withoutProperty(list, name), message.UserProperty{Name: name, Value: value})
}

func withoutProperty(list []message.UserProperty, name string) []message.UserProperty {
	return slices.DeleteFunc(list, func(u message.UserProperty) bool { return u.Name == name })
}
