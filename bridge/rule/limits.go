package rule

import (
	"strings"
	"time"

	"github.com/fascia-edge/fascia/topic"
)

// limits holds a rule up against what the far side takes, as far as that can be
// known before there is a message.
func (c *compiler) limits(i int, u *Up) {
	limits := &c.set.env.Limits
	if u.config.QoS > int(limits.MaximumQoS) {
		c.errorf([]any{i, "qos"}, "%s takes QoS %d at most", limits.Name, limits.MaximumQoS)
	}
	if !limits.Retain && (u.config.Retain == retainAlways || u.config.Retain == retainKeep) {
		c.errorf([]any{i, "retain"}, "%s keeps no retained messages: want never", limits.Name)
	}
	if len(u.remote.parts) == 0 {
		return // it could not be read
	}
	if u.config.Batch != nil {
		c.batched(i, u)
	}
	shortest := u.remote.fill(shortestMatch(u.filter), time.Time{})
	if err := limits.CheckTopic(shortest); err != nil {
		c.errorf([]any{i, "remote"}, "even for %q it comes to %s", shortestMatch(u.filter), err)
		return
	}
	if limits.TopicSlashes > 0 && u.remote.has(vssPath) {
		c.warnf([]any{i, "remote"}, "%s takes at most %d slashes in a topic, and most VSS paths are deeper: those become dead letters; ${path.} is the path in one level, and a batch keeps the topic of each message",
			limits.Name, limits.TopicSlashes)
	}
}

// batched refuses what differs from message to message where many go as one.
func (c *compiler) batched(i int, u *Up) {
	const alike = "messages of many topics go in one batch, which keeps their topics: want neither ${1} nor ${path} here"
	if !u.remote.alike() {
		c.errorf([]any{i, "remote"}, alike)
	}
	for _, p := range u.user {
		if p.value != nil && !p.value.alike() {
			c.errorf([]any{i, "user_properties", p.name}, alike)
		}
	}
	if err := c.set.env.Limits.CheckPayload(int(u.config.Batch.Size)); err != nil {
		c.errorf([]any{i, "batch", "size"}, "%v", err)
	}
}

// shortestMatch is the shortest name that a filter matches.
func shortestMatch(filter string) string {
	filter, _ = strings.CutSuffix(filter, "/#")
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if level == "+" || level == "#" {
			levels[i] = ""
		}
	}
	return strings.Join(levels, "/")
}

// subscriptions holds the rules down, taken together, against what the far side
// takes.
func (c *compiler) subscriptions() {
	limits, downs := &c.set.env.Limits, c.set.downs
	if limits.Subscriptions > 0 && len(downs) > limits.Subscriptions {
		c.errorf(nil, "%d filters at the far side: %s takes at most %d subscriptions on a connection", len(downs), limits.Name, limits.Subscriptions)
	}
	for k, d := range downs {
		for _, other := range downs[:k] {
			if topic.Overlaps(d.matches, other.matches) {
				c.warnf([]any{d.index, "remote"}, "%q and %q of rule %q have topics in common: the far side may send those messages twice, and each comes by both rules",
					d.matches, other.matches, other.name)
				break
			}
		}
	}
}
