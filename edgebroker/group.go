package edgebroker

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/store"
)

// group is a shared subscription: one of its members gets each message. When a
// member keeps a session, the group has a queue in the store for what no member
// can take now; see shared.go.
type group struct {
	b       *Broker
	key     string     // $share/name/filter
	members []delivery // Broker.routing guards them
	turn    atomic.Uint32

	mu       sync.Mutex // guards what follows; taken with a session's mu held or free
	stored   *store.Queue
	given    int      // to the store, and not told of
	next     uint64   // first position that was never handed to a member
	returned []uint64 // positions that members did not finish
	feeding  bool     // a goroutine hands out
	again    bool     // and is to look once more
}

func (at *place) join(b *Broker, key, name string, m delivery) (added bool) {
	g := at.groups[name]
	if g == nil {
		if at.groups == nil {
			at.groups = make(map[string]*group)
		}
		g = &group{b: b, key: strings.Clone(key)}
		at.groups[strings.Clone(name)] = g
	}
	if m.session.stays {
		g.keep()
	}
	for i := range g.members {
		if g.members[i].session == m.session {
			g.members[i] = m
			return false
		}
	}
	g.members = append(g.members, m)
	m.session.share(g)
	return true
}

func (at *place) leave(name string, s *session) {
	g := at.groups[name]
	if g == nil {
		return
	}
	for i := range g.members {
		if g.members[i].session == s {
			g.members = append(g.members[:i:i], g.members[i+1:]...)
			s.unshare(g)
			break
		}
	}
	if len(g.members) == 0 {
		delete(at.groups, name)
		g.drop()
	}
}

// pick is the member whose turn it is among those that may receive the topic:
// one that is connected and keeps up first, then one that is connected, else one
// that keeps a session. The caller holds Broker.routing.
func (g *group) pick(name string) *delivery {
	turn := int(g.turn.Add(1))
	var busy, absent *delivery
	for i := range g.members {
		d := &g.members[(turn+i)%len(g.members)]
		switch {
		case !d.session.mayReceive(name):
		case !d.session.online():
			absent = cmp.Or(absent, d)
		case !d.session.idle():
			busy = cmp.Or(busy, d)
		default:
			return d
		}
	}
	return cmp.Or(busy, absent)
}

// share and unshare note which groups a session is in. The caller holds
// Broker.routing for writing.
func (s *session) share(g *group) {
	groups := append(slices.Clone(s.groups()), g)
	s.sharing.Store(&groups)
}

func (s *session) unshare(g *group) {
	groups := slices.DeleteFunc(slices.Clone(s.groups()), func(other *group) bool { return other == g })
	s.sharing.Store(&groups)
}

func (s *session) groups() []*group {
	if groups := s.sharing.Load(); groups != nil {
		return *groups
	}
	return nil
}
