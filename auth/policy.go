// Package auth decides who a client is and what it may do. It knows topics and
// certificates, not the broker that asks.
package auth

import (
	"strings"

	"github.com/fascia-edge/fascia/topic"
)

// valuePrefix begins the topics of last known values, which only a provide
// grant opens: a publish grant, even of #, doesn't.
const valuePrefix = "vss/"

// actPrefix begins the topics of requests to set an actuator, which only an act
// grant opens. Those that end with resultSuffix carry the gateway's answers, and
// nobody else may publish to them.
const (
	actPrefix    = "act/"
	resultSuffix = "/result"
)

// Policy is a set of roles and identities. It never changes: a reload makes a
// new one. Safe for concurrent use.
type Policy struct {
	roles map[string]*role
	lines []line
}

// Decision is what a policy says, and the rule that said it.
type Decision struct {
	Allow bool
	Rule  string // "publish #", "deny_publish vss/#", "no grant", …
}

// New is the policy of a configuration that was validated. Built-in roles that
// the configuration doesn't name are added.
func New(cfg Config) *Policy {
	p := &Policy{roles: make(map[string]*role)}
	for name, rc := range builtinRoles {
		p.roles[name] = newRole(rc)
	}
	for name, rc := range cfg.Roles {
		p.roles[name] = newRole(rc)
	}
	for _, ic := range cfg.Identities {
		p.lines = append(p.lines, newLine(ic))
	}
	return p
}

// HasRole reports whether the policy knows the role.
func (p *Policy) HasRole(name string) bool { return p.roles[name] != nil }

// role is the role of that name, nil if there is none. A link has one that nobody
// configured.
func (p *Policy) role(name string) *role {
	r := p.roles[name]
	if link, is := strings.CutPrefix(name, linkPrefix); r == nil && is && link != "" {
		return newRole(linkRole(link))
	}
	return r
}

// CanPublish decides whether id may publish to the topic name.
func (p *Policy) CanPublish(id *Identity, name string) Decision {
	r := p.role(id.Role)
	if r == nil {
		return unknownRole(id)
	}
	if g := r.denyPublish.find(id, name); g != nil {
		return Decision{false, "deny_publish " + g.text}
	}
	if strings.HasPrefix(name, valuePrefix) {
		if g := r.provide.find(id, name); g != nil {
			return Decision{true, "provide " + g.text}
		}
		return Decision{false, "no provide grant"}
	}
	if strings.HasPrefix(name, actPrefix) {
		if strings.HasSuffix(name, resultSuffix) {
			return Decision{false, "act results are the gateway's"}
		}
		if g := r.act.find(id, name); g != nil {
			return Decision{true, "act " + g.text}
		}
		return Decision{false, "no act grant"}
	}
	if g := r.publish.find(id, name); g != nil {
		return Decision{true, "publish " + g.text}
	}
	return Decision{false, "no publish grant"}
}

// CanSubscribe decides whether id may subscribe to the filter, which is not a
// shared subscription (ask for the filter behind it). One grant must cover
// every topic that the filter can match, and no denial may cover the filter as
// a whole; where a denial only overlaps it, CanReceive sorts out the messages.
func (p *Policy) CanSubscribe(id *Identity, filter string) Decision {
	r := p.role(id.Role)
	if r == nil {
		return unknownRole(id)
	}
	if g := r.denySubscribe.find(id, filter); g != nil {
		return Decision{false, "deny_subscribe " + g.text}
	}
	if g := r.subscribe.find(id, filter); g != nil {
		return Decision{true, "subscribe " + g.text}
	}
	return Decision{false, "no subscribe grant"}
}

// CanReceive decides whether a message on the topic name may reach id, by the
// policy of now: a subscription made under an earlier one gives nothing away.
func (p *Policy) CanReceive(id *Identity, name string) Decision {
	return p.CanSubscribe(id, name)
}

func unknownRole(id *Identity) Decision {
	return Decision{false, "no role " + id.Role}
}

// role is a RoleConfig made ready.
type role struct {
	publish, denyPublish, subscribe, denySubscribe, provide, act grants
}

func newRole(rc RoleConfig) *role {
	r := &role{
		publish:       newGrants(rc.Publish),
		denyPublish:   newGrants(rc.DenyPublish),
		subscribe:     newGrants(rc.Subscribe),
		denySubscribe: newGrants(rc.DenySubscribe),
		provide:       newGrants(rc.Provide),
		act:           newGrants(rc.Act),
	}
	for i := range r.provide {
		r.provide[i].filter = vssFilter(valuePrefix, rc.Provide[i])
	}
	for i := range r.act {
		r.act[i].filter = vssFilter(actPrefix, rc.Act[i])
	}
	return r
}

// vssFilter is the topic filter of a VSS pattern.
func vssFilter(prefix, pattern string) string {
	levels := strings.Split(pattern, ".")
	for i, level := range levels {
		switch level {
		case "*":
			levels[i] = "+"
		case "**":
			levels[i] = "#"
		}
	}
	return prefix + strings.Join(levels, "/")
}

// grant is one line of a role's list.
type grant struct {
	text     string // as configured
	filter   string
	template bool // has ${client} or ${zone}
}

type grants []grant

func newGrants(filters []string) grants {
	list := make(grants, len(filters))
	for i, f := range filters {
		list[i] = grant{text: f, filter: f, template: strings.Contains(f, "${")}
	}
	return list
}

// find is the first line that covers the name or filter for id, or nil.
func (list grants) find(id *Identity, nameOrFilter string) *grant {
	for i := range list {
		g := &list[i]
		filter := g.filter
		if g.template {
			var ok bool
			if filter, ok = id.fill(filter); !ok {
				continue
			}
		}
		if topic.Covers(filter, nameOrFilter) {
			return g
		}
	}
	return nil
}
