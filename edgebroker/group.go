package edgebroker

import (
	"cmp"
	"strings"
	"sync/atomic"
)

// group is a shared subscription: one of its members gets each message.
type group struct {
	members []delivery
	next    atomic.Uint32
}

func (n *node) join(name string, m delivery) (added bool) {
	g := n.groups[name]
	if g == nil {
		if n.groups == nil {
			n.groups = make(map[string]*group)
		}
		g = &group{}
		n.groups[strings.Clone(name)] = g
	}
	for i := range g.members {
		if g.members[i].session == m.session {
			g.members[i] = m
			return false
		}
	}
	g.members = append(g.members, m)
	return true
}

func (n *node) leave(name string, s *session) {
	g := n.groups[name]
	if g == nil {
		return
	}
	for i := range g.members {
		if g.members[i].session == s {
			g.members = append(g.members[:i:i], g.members[i+1:]...)
			break
		}
	}
	if len(g.members) == 0 {
		delete(n.groups, name)
	}
}

// pick is the member whose turn it is among those that may receive the topic:
// one that is connected and keeps up first, then one that is connected, else one
// that keeps a session.
func (g *group) pick(name string) *delivery {
	turn := int(g.next.Add(1))
	var busy, absent *delivery
	for i := range g.members {
		d := &g.members[(turn+i)%len(g.members)]
		switch {
		case !d.session.mayReceive(name):
		case !d.session.online():
			absent = cmp.Or(absent, d)
		case d.session.behind():
			busy = cmp.Or(busy, d)
		default:
			return d
		}
	}
	return cmp.Or(busy, absent)
}
