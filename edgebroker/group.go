package edgebroker

import (
	"strings"
	"sync/atomic"
)

// group is a shared subscription: one of its members gets each message.
type group struct {
	members []member
	next    atomic.Uint32
}

type member struct {
	session *session
	sub     *subscription
}

func (n *node) join(name string, m member) (added bool) {
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
// connected ones first, else one that keeps a session.
func (g *group) pick(name string) (member, bool) {
	turn := int(g.next.Add(1))
	var absent member
	for i := range g.members {
		m := g.members[(turn+i)%len(g.members)]
		if !m.session.mayReceive(name) {
			continue
		}
		if m.session.online.Load() {
			return m, true
		}
		if absent.session == nil {
			absent = m
		}
	}
	return absent, absent.session != nil
}
