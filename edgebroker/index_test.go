package edgebroker

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/topic"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// TestIndexAgreesWithMatch adds and removes filters at random and compares what
// the index finds with each filter by itself.
func TestIndexAgreesWithMatch(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(levels ...string) string {
		text := make([]string, 1+random.IntN(3))
		for i := range text {
			text[i] = levels[random.IntN(len(levels))]
		}
		return strings.Join(text, "/")
	}
	b := &Broker{}
	b.policy.Store(auth.New(auth.Config{}))
	var x index
	x.init()
	var sessions []*session
	for i := range 5 {
		s := newSession(b, &auth.Identity{Client: fmt.Sprint(i), Role: auth.Local})
		s.subs = make(map[string]*subscription)
		sessions = append(sessions, s)
	}
	ever := make(map[string]bool)
	for step := range 20000 {
		s := sessions[random.IntN(len(sessions))]
		filter := pick("a", "b", "+", "", "$x")
		if random.IntN(3) == 0 {
			filter += "/#"
		}
		if s.subs[filter] != nil {
			delete(s.subs, filter)
			x.removeSession(s, "", filter)
		} else {
			sub := &subscription{Subscription: record.Subscription{Filter: filter, QoS: byte(random.IntN(3)), ID: uint32(1 + step)}}
			s.subs[filter] = sub
			ever[filter] = true
			x.addSession(s, "", filter, sub)
		}
		name := pick("a", "b", "", "$x")
		found := make(map[*session]delivery)
		for _, d := range x.match(name, "", nil) {
			if _, twice := found[d.session]; twice {
				t.Fatalf("step %d: session %s is in twice for %s", step, d.session.id, name)
			}
			found[d.session] = d
		}
		for _, s := range sessions {
			var qos byte
			matching := 0
			for filter, sub := range s.subs {
				if topic.Match(filter, name) {
					qos = max(qos, sub.QoS)
					matching++
				}
			}
			if d, ok := found[s]; ok != (matching > 0) || d.qos != qos || len(d.ids) != matching {
				t.Fatalf("step %d: session %s for %s: got %+v, want %d subscriptions, QoS %d", step, s.id, name, d, matching, qos)
			}
		}
	}
	for _, s := range sessions {
		for filter := range s.subs {
			x.removeSession(s, "", filter)
		}
	}
	if x.count != 0 {
		t.Fatalf("%d subscriptions are left", x.count)
	}
	for filter := range ever {
		if x.places.Get(filter) != nil {
			t.Fatalf("the place of %q is left", filter)
		}
	}
}

func TestSharedGroupGivesEachMessageToOneConnectedMember(t *testing.T) {
	b := start(t, loopback)
	gone := connect(t, b, 5, "gone", keep)
	gone.subscribe("$share/g/ivi/#", 1)
	gone.goodbye()
	eventually(t, "absence", func() bool { return b.Stats().Clients == 0 })
	first := connect(t, b, 5, "first")
	first.subscribe("$share/g/ivi/#", 1)
	second := connect(t, b, 5, "second")
	second.subscribe("$share/g/ivi/#", 1)
	for i := range 20 {
		publish(t, b, "ivi/n", fmt.Sprint(i), 1)
	}
	eventually(t, "all are handed out", func() bool {
		total := 0
		for _, info := range b.Clients() {
			total += info.Inflight + info.Queued
		}
		return total == 20
	})
	for _, info := range b.Clients() {
		if n := info.Inflight + info.Queued; info.ID == "gone" && n > 0 || info.ID != "gone" && n == 0 {
			t.Fatalf("%s got %d", info.ID, n)
		}
	}
}

func TestNoLocalKeepsAwayOnlyWhatTheClientSent(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c")
	c.send(0x82, 11, 0, 1, 0, 0, 5, 'i', 'v', 'i', '/', '#', 4)
	c.expect(wire.Suback)
	c.publish(0, 0, "ivi/a", "mine")
	c.ping()
	publish(t, b, "ivi/a", "other", 0)
	c.expectPublish("ivi/a", "other")
}

func TestOverlappingIdentifiersCostLittle(t *testing.T) {
	var x index
	x.init()
	s := &session{id: "s", subs: make(map[string]*subscription)}
	for i, f := range wildcards(1000) {
		sub := &subscription{Subscription: record.Subscription{Filter: f.Filter, ID: uint32(i + 1)}}
		x.addSession(s, "", f.Filter, sub)
		s.subs[f.Filter] = sub
	}
	allocs := testing.AllocsPerRun(10, func() {
		if list := x.match("ivi/a/a/a/a/a/a/a/a/a/a", "", nil); len(list) != 1 || len(list[0].ids) != 1000 {
			t.Fatalf("%d deliveries", len(list))
		}
	})
	if allocs > 50 {
		t.Fatalf("%v allocations to find one receiver", allocs)
	}
}
