package rule

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

const (
	bothUp   = `{name: out, direction: up, local: "chat/#", remote: "chat/${1}"}`
	bothDown = `{name: in, direction: down, remote: "chat/#", local: "chat/${1}"}`
)

// linked makes a link whose far side is at address.
func linked(tb testing.TB, name, protocol, address string, lines ...string) Linked {
	tb.Helper()
	e := env()
	e.Link, e.Protocol = name, protocol
	return Linked{Addresses: []string{address}, Set: compile(tb, e, lines...)}
}

func TestWhatCameByALinkNeverGoesUpIt(t *testing.T) {
	u := compile(t, env(), bothUp).Ups()[0]
	m := message.Message{Topic: "chat/a", Origin: message.Origin{Link: "cloud"}}
	if u.Take(m.Publication(), clock.Now()) {
		t.Error("it goes back where it came from")
	}
	m.Origin.Link = "other"
	if !u.Take(m.Publication(), clock.Now()) {
		t.Error("what came by another link does not go up")
	}
	if n := u.NotTaken()["loop"]; n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

// Two gateways share a topic over one far side that sends everybody everything, their
// own messages too: each message ends where it began.
func TestCircleOverSeveralGatewaysEnds(t *testing.T) {
	var sets []*Set
	for _, vin := range []string{"VIN00000000000001", "VIN00000000000002", "VIN00000000000003"} {
		e := env()
		e.VIN = vin
		sets = append(sets, compile(t, e, bothUp, bothDown))
	}
	type letter struct {
		at int
		m  message.Message
	}
	arrived := make([]int, len(sets))
	ended := 0
	on := []letter{{0, message.Message{Topic: "chat/a", QoS: 1}}}
	for hops := 0; len(on) > 0; hops++ {
		if hops > 100 {
			t.Fatal("the message goes on and on")
		}
		from := on[0]
		on = on[1:]
		from.m.Origin.Link = "" // as if by a client, or a link of another name: the origin breaks nothing here
		u := sets[from.at].Ups()[0]
		if p := from.m.Publication(); !u.Take(p, clock.Now()) {
			continue
		}
		far, err := convert(t, u, from.m)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range sets {
			m, err := s.Downs()[0].Accept(far, time.Now())
			switch {
			case errors.Is(err, ErrLoop):
				ended++
			case err != nil:
				t.Fatal(err)
			default:
				arrived[i]++
				on = append(on, letter{i, m})
			}
		}
	}
	if arrived[0] != 0 || arrived[1] == 0 || arrived[2] == 0 || ended == 0 {
		t.Errorf("arrived %v, %d refused", arrived, ended)
	}
}

func TestWayIsBounded(t *testing.T) {
	s := compile(t, env(), bothUp, bothDown)
	m := message.Message{Topic: "chat/a", UserProperties: []message.UserProperty{{Name: wayProperty, Value: strings.Repeat("x,", maxHops-1) + "x"}}}
	if _, err := s.Downs()[0].Accept(m, time.Now()); !errors.Is(err, ErrLoop) {
		t.Errorf("%d hops: %v", maxHops, err)
	}
	if s.Ups()[0].Take(m.Publication(), clock.Now()) {
		t.Errorf("it goes up after %d hops", maxHops)
	}
	m.UserProperties[0].Value = "x,y"
	far, err := convert(t, s.Ups()[0], m)
	if want := "x,y," + wayOf(testVIN); err != nil || property5(far, wayProperty) != want {
		t.Errorf("way %q, want %q", property5(far, wayProperty), want)
	}
}

func TestEchoIsRefusedWhereNothingBreaksIt(t *testing.T) {
	e := env()
	e.Protocol = "3.1.1"
	check(t, e, []problem{{"3.1.1", []string{bothUp, bothDown}, "1", `"out" sends up comes back by rule "in"`}})
	e.Protocol = "5"
	check(t, e, []problem{{"no way", []string{strings.Replace(bothUp, "}\"}", "}\", way: false}", 1), bothDown}, "0.way", `"in"`}})
	if d := compile(t, e, bothUp, bothDown).Downs()[0]; d.NeedsVersion5() != "" {
		t.Errorf("protocol 5: %s", d.NeedsVersion5())
	}
	e.Protocol = "auto"
	if d := compile(t, e, bothUp, bothDown).Downs()[0]; d.NeedsVersion5() == "" {
		t.Error("a far side that turns out to be 3.1.1 would send everything back")
	}
	e.Protocol = "3.1.1"
	compile(t, e, bothUp, `{direction: down, remote: "news/#", local: "chat/${1}"}`) // nothing comes round
}

func TestCirclesOverTwoLinksAreRefusedWhereNothingBreaksThem(t *testing.T) {
	for _, c := range []struct {
		name       string
		a, b       Linked
		errors     int
		needFive   bool
		onlyIfFive string
	}{
		{name: "version 5", a: linked(t, "a", "5", "cloud:8883", bothUp), b: linked(t, "b", "5", "cloud:8883", bothDown)},
		{name: "a 3.1.1 far side", a: linked(t, "a", "3.1.1", "cloud:1883", bothUp), b: linked(t, "b", "3.1.1", "cloud:1883", bothDown), errors: 1},
		{name: "the way switched off", a: linked(t, "a", "5", "cloud:1883", strings.Replace(bothUp, "}\"}", "}\", way: false}", 1)), b: linked(t, "b", "5", "cloud:1883", bothDown), errors: 1},
		{name: "perhaps 3.1.1", a: linked(t, "a", "auto", "cloud:1883", bothUp), b: linked(t, "b", "auto", "cloud:1883", bothDown), needFive: true},
		{name: "another far side", a: linked(t, "a", "3.1.1", "here:1883", bothUp), b: linked(t, "b", "3.1.1", "there:1883", bothDown)},
		{name: "other topics", a: linked(t, "a", "3.1.1", "cloud:1883", bothUp), b: linked(t, "b", "3.1.1", "cloud:1883", `{direction: down, remote: "cmd/#", local: "cmd/${1}"}`)},
	} {
		problems := CheckLoops([]Linked{c.a, c.b})
		if len(problems) != c.errors {
			t.Errorf("%s: %v, want %d", c.name, problems, c.errors)
			continue
		}
		for _, p := range problems {
			if !strings.Contains(p.Text, `"out" of link a`) || !strings.Contains(p.Text, `"in"`) {
				t.Errorf("%s: %q does not name both rules", c.name, p.Text)
			}
			if len(p.Path) != 3 || p.Path[0] != 1 || p.Path[1] != "rules" || p.Path[2] != 0 {
				t.Errorf("%s: it stands at %v", c.name, p.Path)
			}
		}
		if got := c.b.Set.Downs()[0].NeedsVersion5() != ""; got != c.needFive {
			t.Errorf("%s: %q", c.name, c.b.Set.Downs()[0].NeedsVersion5())
		}
	}
}

// A circle may need more than one turn through the far side.
func TestLongCircleIsFound(t *testing.T) {
	a := linked(t, "a", "3.1.1", "cloud:1883",
		`{name: a-out, direction: up, local: "one/#", remote: "far1/${1}"}`, `{name: a-in, direction: down, remote: "far2/#", local: "one/${1}"}`)
	b := linked(t, "b", "3.1.1", "cloud:1883",
		`{name: b-in, direction: down, remote: "far1/#", local: "two/${1}"}`)
	c := linked(t, "c", "3.1.1", "cloud:1883",
		`{name: c-out, direction: up, local: "two/#", remote: "far2/${1}"}`)
	if problems := CheckLoops([]Linked{a, b}); len(problems) != 0 {
		t.Errorf("two links: %v", problems)
	}
	// From c-out the message comes down by a-in, goes up by a-out on the same link's
	// origin only from elsewhere: the origin of a breaks it there.
	if problems := CheckLoops([]Linked{a, b, c}); len(problems) != 0 {
		t.Errorf("the origin breaks it at link a: %v", problems)
	}
	d := linked(t, "d", "3.1.1", "cloud:1883", `{name: d-in, direction: down, remote: "far2/#", local: "one/${1}"}`)
	if problems := CheckLoops([]Linked{a, b, c, d}); len(problems) == 0 {
		t.Error("one/ goes up by a, down by b, up by c, down by d, and so on")
	}
}

// What a link sends up may come back by itself, once, and go on by another.
func TestCircleThroughAnEchoIsFound(t *testing.T) {
	a := linked(t, "a", "3.1.1", "cloud:1883",
		`{name: a-out, direction: up, local: "one/#", remote: "far1/${1}"}`, `{name: a-in, direction: down, remote: "far1/#", local: "two/${1}"}`)
	b := linked(t, "b", "3.1.1", "cloud:1883", `{name: b-in, direction: down, remote: "far2/#", local: "one/${1}"}`)
	c := linked(t, "c", "3.1.1", "cloud:1883", `{name: c-out, direction: up, local: "two/#", remote: "far2/${1}"}`)
	if problems := CheckLoops([]Linked{a, c}); len(problems) != 0 {
		t.Errorf("without the way back: %v", problems)
	}
	if problems := CheckLoops([]Linked{a, b, c}); len(problems) == 0 {
		t.Error("one/ goes up by a, comes back as two/ by a, goes up by c, and comes down as one/ by b")
	}
}
