package transmit

import (
	"fmt"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/config"
)

// queued is a job that waits for its bus, with the rule that it goes by.
type queued struct {
	job  job
	rule *rule
}

// ready makes the queues of the buses that the rules send on. Messages in which
// a proof is looked for wake the sender that awaits it.
func (p *Plan) ready() {
	p.waiting, p.wakes = map[string]chan queued{}, map[string]chan struct{}{}
	for _, r := range p.rules {
		if p.waiting[r.bus] == nil {
			p.waiting[r.bus] = make(chan queued, mostWaiting)
			p.wakes[r.bus] = make(chan struct{}, 1)
		}
		if r.answer != nil && r.answer.message != nil {
			wake := p.wakes[r.bus]
			before := r.answer.message.prove
			r.answer.message.prove = func() {
				before()
				select {
				case wake <- struct{}{}:
				default:
				}
			}
		}
	}
}

// Message is the message as the gate has it, nil unless a rule sends it or awaits
// it. The bus shows it every frame of the message.
func (p *Plan) Message(bus string, m *dbc.Message) *Message { return p.messages[keyOf(bus, m)] }

// adopt takes over what is known of messages that the plan before had too.
func (p *Plan) adopt(before *Plan) {
	for key, m := range p.messages {
		if old := before.messages[key]; old != nil {
			m.adopt(old)
		}
	}
	for _, r := range p.rules {
		for _, old := range before.rules {
			if old.name == r.name && old.bucket.rate == r.bucket.rate {
				r.bucket = old.bucket
			}
		}
	}
}

// RuleStatus describes a rule.
type RuleStatus struct {
	Name    string            `json:"name"`
	Topic   string            `json:"topic"`
	Bus     string            `json:"bus"`
	Signal  string            `json:"signal"`
	Roles   []string          `json:"roles"`
	Allowed string            `json:"allowed"` // values that may be asked for, in words
	Rate    string            `json:"rate"`
	When    string            `json:"when,omitempty"`
	TTL     string            `json:"ttl"`
	Answer  string            `json:"answer,omitempty"` // what proves it, in words
	Within  string            `json:"within,omitempty"`
	Blocked string            `json:"blocked,omitempty"` // why every request is refused
	Counts  map[Status]uint64 `json:"counts"`
	Last    *Last             `json:"last,omitempty"`
}

// Rules describes the rules in the order of the configuration.
func (g *Gate) Rules() []RuleStatus {
	g.mu.RLock()
	plan := g.plan
	g.mu.RUnlock()
	list := []RuleStatus{}
	for _, r := range plan.rules {
		list = append(list, r.status())
	}
	return list
}

// Lost is how many requests were refused without an answer because they came
// faster than the audit could be written.
func (g *Gate) Lost() uint64 { return g.lost.Load() }

func (r *rule) status() RuleStatus {
	s := RuleStatus{
		Name: r.name, Topic: TopicPrefix + r.target, Bus: r.bus, Signal: r.signal.Message.Name + "." + r.signal.Name,
		Roles: r.config.Roles, Allowed: r.allowed(), Rate: r.bucket.rate.String(), When: r.config.When,
		TTL: time.Duration(r.config.TTL).String(), Blocked: r.secOC, Counts: map[Status]uint64{},
	}
	if a := r.config.Answer; a != nil {
		s.Within = time.Duration(a.Within).String()
		switch {
		case a.Path != "":
			s.Answer = a.Path + " takes the value"
		case a.Signal != "":
			s.Answer = a.Signal + " takes the number"
		default:
			s.Answer = a.When
		}
	}
	r.history.mu.Lock()
	defer r.history.mu.Unlock()
	for status, n := range r.history.counts {
		s.Counts[status] = n
	}
	if r.history.last != nil {
		last := *r.history.last
		s.Last = &last
	}
	return s
}

// allowed tells in words what may be asked for.
func (r *rule) allowed() string {
	c := &r.config
	switch {
	case len(c.Values) > 0:
		text := ""
		for i, n := range nameList(c.Values) {
			if i > 0 {
				text += ", "
			}
			text += n.value.String()
		}
		return text
	case c.Min != nil && c.Step > 0:
		return fmt.Sprintf("%s to %s, steps of %s", number(*c.Min), number(*c.Max), number(c.Step))
	case c.Min != nil:
		return number(*c.Min) + " to " + number(*c.Max)
	case r.back == nil:
		return "what the mapping translates"
	}
	return "true, false"
}

// CheckRoles reports roles in the rules that there are not, and those whose
// requests would not even come as far as the gate.
func (c *Config) CheckRoles(r *config.Reporter, known func(role string) bool, mayPublish func(role, topic string) bool) {
	for i := range c.Rules {
		path := c.Rules[i].Path
		for j, role := range c.Rules[i].Roles {
			at := r.At("rules", i, "roles", j)
			switch {
			case role == RoleOperator || isLink(role):
			case !known(role):
				at.Errorf("no role %q: want one of auth.roles, a built-in role, operator or link:<name>", role)
			case path != "" && !mayPublish(role, TopicPrefix+strings.ReplaceAll(path, ".", "/")):
				at.Warnf("the requests of role %s are refused by the broker: it has no act grant for %s", role, path)
			}
		}
	}
}

func isLink(role string) bool { return len(role) > len("link:") && role[:len("link:")] == "link:" }
