package edgebroker

import (
	"github.com/fascia-edge/fascia/edgebroker/filters"
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
	places     filters.Tree[place]
	generation uint64 // rises with every change
	count      int    // subscriptions of clients
}

// place is who subscribed to one filter.
type place struct {
	sessions map[*session]*subscription
	groups   map[string]*group
	locals   map[*local]struct{}
}

func (x *index) init() { x.generation = 1 } // 0 is what a cache begins with

// addSession adds or replaces a subscription and reports whether the session
// had none with that filter.
func (x *index) addSession(s *session, shared, filter string, sub *subscription) (added bool) {
	x.generation++
	at := x.places.At(filter)
	if shared != "" {
		added = at.join(s.b, sub.Filter, shared, delivery{session: s, qos: sub.QoS, retainAsPublished: sub.RetainAsPublished, ids: sub.ids()})
	} else {
		_, had := at.sessions[s]
		added = !had
		if at.sessions == nil {
			at.sessions = make(map[*session]*subscription)
		}
		at.sessions[s] = sub
	}
	sub.added = x.generation
	if added {
		x.count++
	}
	return added
}

// removeSession takes a subscription out that addSession put in.
func (x *index) removeSession(s *session, shared, filter string) {
	x.count--
	x.remove(filter, func(at *place) {
		if shared != "" {
			at.leave(shared, s)
		} else {
			delete(at.sessions, s)
		}
	})
}

func (x *index) addLocal(l *local) {
	x.generation++
	at := x.places.At(l.filter)
	if at.locals == nil {
		at.locals = make(map[*local]struct{})
	}
	at.locals[l] = struct{}{}
}

func (x *index) removeLocal(l *local) {
	x.remove(l.filter, func(at *place) { delete(at.locals, l) })
}

// remove lets fn take somebody out of the place of a filter.
func (x *index) remove(filter string, fn func(*place)) {
	x.generation++
	at := x.places.Get(filter)
	if at == nil {
		return
	}
	fn(at)
	if len(at.sessions)+len(at.groups)+len(at.locals) == 0 {
		x.places.Remove(filter)
	}
}

// group is the shared subscription of that name and filter, nil if there is none.
func (x *index) group(name, filter string) *group {
	if at := x.places.Get(filter); at != nil {
		return at.groups[name]
	}
	return nil
}

// match appends the receivers of a message on name. A session whose
// subscriptions overlap is in it once, with the highest QoS and all
// identifiers [MQTT-3.3.4-2, 3.3.4-3]. Subscriptions with No Local of the
// session named origin are left out.
func (x *index) match(name, origin string, out []delivery) []delivery {
	x.places.Match(name, func(at *place) { out = at.collect(origin, out) })
	return out
}

func (at *place) collect(origin string, out []delivery) []delivery {
	for s, sub := range at.sessions {
		if !sub.NoLocal || s.id != origin {
			out = s.merge(sub, out)
		}
	}
	for _, g := range at.groups {
		out = append(out, delivery{group: g})
	}
	for l := range at.locals {
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
