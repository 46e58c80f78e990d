package edgebroker

import (
	"strings"

	"github.com/fascia-edge/fascia/edgebroker/record"
)

// subscription is one filter of one session.
type subscription struct {
	record.Subscription
	added uint64 // generation of the index with it
}

// delivery is one receiver of a message: a session, a shared group that will
// name one, or a receiver in this process.
type delivery struct {
	session           *session
	group             *group
	local             *local
	ids               []uint32 // of every matching subscription
	qos               byte
	retainAsPublished bool
}

// index finds the receivers of a topic. Broker.routing guards it.
type index struct {
	root       node
	generation uint64 // rises with every change
	count      int    // subscriptions of clients
}

// node is one level of the filters below it.
type node struct {
	children map[string]*node
	sessions map[*session]*subscription
	groups   map[string]*group
	locals   map[*local]struct{}
}

func (x *index) init() { x.generation = 1 } // 0 is what a cache begins with

// addSession adds or replaces a subscription and reports whether the session
// had none with that filter.
func (x *index) addSession(s *session, shared, filter string, sub *subscription) (added bool) {
	x.generation++
	n := x.root.descend(filter)
	if shared != "" {
		added = n.join(s.b, sub.Filter, shared, delivery{session: s, qos: sub.QoS, retainAsPublished: sub.RetainAsPublished, ids: sub.ids()})
	} else {
		_, had := n.sessions[s]
		added = !had
		if n.sessions == nil {
			n.sessions = make(map[*session]*subscription)
		}
		n.sessions[s] = sub
	}
	sub.added = x.generation
	if added {
		x.count++
	}
	return added
}

// removeSession takes a subscription out that addSession put in.
func (x *index) removeSession(s *session, shared, filter string) {
	x.generation++
	x.count--
	x.root.prune(filter, func(n *node) {
		if shared != "" {
			n.leave(shared, s)
		} else {
			delete(n.sessions, s)
		}
	})
}

func (x *index) addLocal(l *local) {
	x.generation++
	n := x.root.descend(l.filter)
	if n.locals == nil {
		n.locals = make(map[*local]struct{})
	}
	n.locals[l] = struct{}{}
}

func (x *index) removeLocal(l *local) {
	x.generation++
	x.root.prune(l.filter, func(n *node) { delete(n.locals, l) })
}

// group is the shared subscription of that name and filter, nil if there is none.
func (x *index) group(name, filter string) *group {
	n := &x.root
	for more := true; more && n != nil; {
		var level string
		level, filter, more = strings.Cut(filter, "/")
		n = n.children[level]
	}
	if n == nil {
		return nil
	}
	return n.groups[name]
}

// match appends the receivers of a message on name. A session whose
// subscriptions overlap is in it once, with the highest QoS and all
// identifiers [MQTT-3.3.4-2, 3.3.4-3]. Subscriptions with No Local of the
// session named origin are left out.
func (x *index) match(name, origin string, out []delivery) []delivery {
	return x.root.match(name, origin, strings.HasPrefix(name, "$"), out)
}

// match walks the levels of rest; dollar tells that wildcards don't count on
// this one [MQTT-4.7.2-1].
func (n *node) match(rest, origin string, dollar bool, out []delivery) []delivery {
	level, below, more := strings.Cut(rest, "/")
	out = n.children[level].matchBelow(below, origin, more, out)
	if dollar {
		return out
	}
	out = n.children["+"].matchBelow(below, origin, more, out)
	return n.children["#"].collect(origin, out)
}

func (n *node) matchBelow(rest, origin string, more bool, out []delivery) []delivery {
	switch {
	case n == nil:
		return out
	case more:
		return n.match(rest, origin, false, out)
	}
	out = n.collect(origin, out)
	return n.children["#"].collect(origin, out) // a/# matches a too [MQTT-4.7.1-2]
}

func (n *node) collect(origin string, out []delivery) []delivery {
	if n == nil {
		return out
	}
	for s, sub := range n.sessions {
		if !sub.NoLocal || s.id != origin {
			out = s.merge(sub, out)
		}
	}
	for _, g := range n.groups {
		out = append(out, delivery{group: g})
	}
	for l := range n.locals {
		out = append(out, delivery{local: l, qos: 2})
	}
	return out
}

// merge appends a delivery to s or widens the one that is there.
func (s *session) merge(sub *subscription, out []delivery) []delivery {
	if len(s.subs) > 1 {
		for i := range out {
			if d := &out[i]; d.session == s {
				d.qos = max(d.qos, sub.QoS)
				d.retainAsPublished = d.retainAsPublished || sub.RetainAsPublished
				if sub.ID != 0 {
					d.ids = append(d.ids, sub.ID)
				}
				return out
			}
		}
	}
	d := delivery{session: s, qos: sub.QoS, retainAsPublished: sub.RetainAsPublished}
	if sub.ID != 0 {
		d.ids = []uint32{sub.ID}
	}
	return append(out, d)
}

// descend is the node of a filter, made where it is missing.
func (n *node) descend(filter string) *node {
	for more := true; more; {
		var level string
		level, filter, more = strings.Cut(filter, "/")
		child := n.children[level]
		if child == nil {
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			// A copy of its own: the level is a part of a whole packet.
			child = &node{}
			n.children[strings.Clone(level)] = child
		}
		n = child
	}
	return n
}

// prune applies remove to the node of a filter and cuts what is empty after.
func (n *node) prune(filter string, remove func(*node)) {
	level, below, more := strings.Cut(filter, "/")
	child := n.children[level]
	if child == nil {
		return
	}
	if more {
		child.prune(below, remove)
	} else {
		remove(child)
	}
	if len(child.children)+len(child.sessions)+len(child.groups)+len(child.locals) == 0 {
		delete(n.children, level)
	}
}
