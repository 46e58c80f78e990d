package rule

import (
	"fmt"
	"slices"

	"github.com/fascia-edge/fascia/topic"
)

// A message goes in a circle when what one rule sends up comes down by another, on
// the same far side, on topics from which it goes up again. Three things break that
// while the gateway runs:
//   - What came by a link never goes up it again (the origin of a message).
//   - A far side of version 5 does not send a link its own messages (No Local).
//   - The property fascia-way names the gateways that a message was sent up by, and
//     the gateway that finds itself there drops it; version 5 has properties.
//
// What is left is refused when the configuration is checked.

// Linked is a link as CheckLoops needs it.
type Linked struct {
	Addresses []string // host and port of each endpoint
	Set       *Set
}

// echoes looks for messages of the vehicle that come back by the same link: once, for
// then their origin is the link.
func (c *compiler) echoes() {
	for _, u := range c.set.ups {
		for _, d := range c.set.downs {
			if !u.leadsTo(d) || !d.leadsTo(u) {
				continue
			}
			switch {
			case c.set.env.Protocol == version311:
				c.errorf([]any{d.index}, "what rule %q sends up comes back by rule %q: a 3.1.1 far side sends a link its own messages, and nothing in them tells; want topics that do not overlap, or protocol: \"5\"",
					u.name, d.name)
			case !u.config.Way:
				c.errorf([]any{u.index, "way"}, "what rule %q sends up may come back by rule %q, and only the way in it tells: want true, or topics that do not overlap", u.name, d.name)
			case c.set.env.Protocol != "5":
				d.circle = fmt.Sprintf("what rule %q sends up would come back", u.name)
			}
		}
	}
}

// CheckLoops looks for circles over several links to the same far side, which no
// origin breaks: what one sends up comes down by another and goes up again. A circle
// that the way of a message breaks is none. Rules down that close one only on a far
// side without version 5 are marked so (Down.NeedsVersion5). The problem's path begins
// with the link's place in the list, and "rules".
func CheckLoops(links []Linked) (problems []Problem) {
	for from, a := range links {
		for _, u := range a.Set.ups {
			if d, at := closing(links, from, u, false); d != nil {
				problems = append(problems, Problem{
					Path: []any{at, "rules", d.index},
					Text: fmt.Sprintf("what rule %q of link %s sends up comes down by rule %q and goes up again, for ever: nothing in the message tells on a 3.1.1 link or with way: false; want topics that do not overlap, or protocol: \"5\" and way: true",
						u.name, a.Set.env.Link, d.name),
				})
			} else if d, _ := closing(links, from, u, true); d != nil && d.circle == "" {
				d.circle = fmt.Sprintf("what rule %q of link %s sends up would come back for ever", u.name, a.Set.env.Link)
			}
		}
	}
	return problems
}

// closing finds the rule down by which a message that u sent up comes back to where
// u takes it, and the link that it is of; nil if none does. With maybe, links count
// whose far side may turn out to have no version 5.
func closing(links []Linked, from int, start *Up, maybe bool) (*Down, int) {
	type sent struct {
		link int
		up   *Up
	}
	next := []sent{{from, start}}
	seen := map[*Up]bool{start: true}
	for len(next) > 0 {
		at := next[0]
		next = next[1:]
		for i, other := range links {
			if !slices.ContainsFunc(other.Addresses, func(a string) bool { return slices.Contains(links[at.link].Addresses, a) }) {
				continue // another far side
			}
			for _, d := range other.Set.downs {
				if !at.up.leadsTo(d) || told(at.up, d, maybe) {
					continue
				}
				if d.leadsTo(start) && i != from {
					return d, i
				}
				for k, link := range links {
					for _, u := range link.Set.ups {
						if k != i && !seen[u] && d.leadsTo(u) { // its origin is link i
							seen[u] = true
							next = append(next, sent{k, u})
						}
					}
				}
			}
		}
	}
	return nil, 0
}

// told reports whether the way of a message tells, where d receives it, that u sent
// it up.
func told(u *Up, d *Down, maybe bool) bool {
	if !u.config.Way || u.env.Protocol == version311 || d.env.Protocol == version311 {
		return false
	}
	return !maybe || u.env.Protocol == "5" && d.env.Protocol == "5"
}

// leadsTo reports whether what u sends up may match d.
func (u *Up) leadsTo(d *Down) bool {
	return !u.answers && d.answers == "" && topic.Overlaps(u.remote.reach(), d.matches)
}

// leadsTo reports whether what d brings may match u.
func (d *Down) leadsTo(u *Up) bool {
	return !u.answers && d.answers == "" && topic.Overlaps(d.local.reach(), u.filter)
}
