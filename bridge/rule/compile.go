package rule

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/topic"
)

// version311 is a link's protocol that has no properties.
const version311 = "3.1.1"

const noProperties = "a 3.1.1 link carries no properties: want protocol 5 (or auto) on the link"

// answersName is the rule up that the bridge adds for answers.
const answersName = "answers to the far side"

// compiler makes a Set and collects what is wrong.
type compiler struct {
	set      *Set
	names    map[string]int    // rules by name
	ids      map[uint32]string // names of rules up by id
	prefixes map[string]bool
	problems []Problem
}

func (c *compiler) errorf(path []any, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Text: fmt.Sprintf(format, args...)})
}

func (c *compiler) warnf(path []any, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Text: fmt.Sprintf(format, args...), Warning: true})
}

// rule compiles one rule. It is in the set if nothing is wrong with it.
func (c *compiler) rule(i int, cfg Config) {
	before := c.errors()
	name := cfg.Name
	if name == "" {
		name = cfg.Local + " → " + cfg.Remote
		if cfg.Direction == directionDown {
			name = cfg.Local + " ← " + cfg.Remote // one topic may go both ways
		}
	}
	if other, twice := c.names[name]; twice {
		c.errorf([]any{i}, "rule %q is there twice, as rules[%d] too: want another name", name, other)
	}
	c.names[name] = i
	if c.set.env.Protocol == version311 {
		c.withoutProperties(i, &cfg)
	}
	if cfg.Direction == directionUp {
		if u := c.up(i, name, cfg); c.errors() == before {
			c.set.ups = append(c.set.ups, u)
			c.set.byID[u.id] = u
		}
		return
	}
	if d := c.down(i, name, cfg); c.errors() == before {
		c.set.downs = append(c.set.downs, d)
	}
}

func (c *compiler) errors() int {
	n := 0
	for _, p := range c.problems {
		if !p.Warning {
			n++
		}
	}
	return n
}

// withoutProperties refuses what a link without properties can't do.
func (c *compiler) withoutProperties(i int, cfg *Config) {
	for key, used := range map[string]bool{
		"user_properties": len(cfg.UserProperties) > 0, "message_id": cfg.MessageID, "responses": cfg.Responses != "", "dedupe": cfg.Dedupe,
	} {
		if used {
			c.errorf([]any{i, key}, "%s", noProperties)
		}
	}
	if cfg.Valid != nil && cfg.Valid.Property != "" {
		c.errorf([]any{i, "valid", "property"}, "%s", noProperties)
	}
}

func (c *compiler) up(i int, name string, cfg Config) *Up {
	u := &Up{env: &c.set.env, self: c.set.self, config: cfg, name: name, id: idOf(name), index: i, responses: c.set.vehicle, counts: &counts{}}
	if other, taken := c.ids[u.id]; taken && other != name {
		c.errorf([]any{i}, "in the spool it can't be told from rule %q: want another name", other)
	}
	c.ids[u.id] = name
	u.filter = c.filter(i, "local", cfg.Local)
	u.remote = c.template(i, "remote", cfg.Remote, u.filter)
	u.when = c.condition(i, cfg.When)
	u.user = c.properties(i, &cfg, u.filter)
	u.timed = u.remote.has(moment) || slices.ContainsFunc(u.user, func(p property) bool { return p.value != nil && p.value.has(moment) })
	u.gate = c.gate(&cfg)
	if cfg.Responses != "" {
		u.prefix = c.prefix(i, cfg.Responses)
	}
	if n := len(c.set.env.Classes); cfg.Class == "" && n > 0 {
		u.config.Class = c.set.env.Classes[n-1]
	} else if n > 0 && !slices.Contains(c.set.env.Classes, cfg.Class) {
		c.errorf([]any{i, "class"}, "no class %q: want one of the link's, %s", cfg.Class, strings.Join(c.set.env.Classes, ", "))
	}
	if stream, is := strings.CutPrefix(cfg.Oversize, OversizeStream); is && (c.set.env.Stream == nil || !c.set.env.Stream(stream)) {
		c.errorf([]any{i, "oversize"}, "no stream %q: want dead, drop or a stream of this gateway", stream)
	}
	c.limits(i, u)
	return u
}

func (c *compiler) down(i int, name string, cfg Config) *Down {
	d := &Down{env: &c.set.env, self: c.set.self, config: cfg, name: name, index: i, responses: c.set.far, counts: &counts{}}
	d.filter = c.filter(i, "remote", cfg.Remote)
	_, d.matches, _ = topic.Shared(d.filter)
	d.local = c.template(i, "local", cfg.Local, d.matches)
	d.when = c.condition(i, cfg.When)
	d.user = c.properties(i, &cfg, d.matches)
	if cfg.Valid != nil {
		d.valid = newValidity(cfg.Valid)
		if levels := topic.Levels(d.matches); cfg.Valid.Level > levels && !strings.HasSuffix(d.matches, "#") {
			c.errorf([]any{i, "valid", "level"}, "topics of %q have %s", d.matches, plural(levels, "level"))
		}
	}
	if cfg.Dedupe {
		d.seen = newIdentities()
	}
	if err := c.set.env.Limits.CheckTopic(d.filter); err != nil {
		c.errorf([]any{i, "remote"}, "%v", err)
	}
	return d
}

// filter reads a filter with ${vin} and ${thing} in it.
func (c *compiler) filter(i int, field, text string) string {
	t, err := parseTemplate(text, "", c.variable)
	if err != nil {
		c.errorf([]any{i, field}, "%v", err)
		return ""
	}
	if t.has(moment) {
		c.errorf([]any{i, field}, "${time} can't be in a filter")
		return ""
	}
	text = t.fill("", time.Time{})
	_, plain, shared := topic.Shared(text)
	switch {
	case !shared || !topic.ValidFilter(plain):
		c.errorf([]any{i, field}, "%q is no topic filter: + and # fill a whole level, and # is the last one", text)
	case plain != text && field == "local":
		c.errorf([]any{i, field}, "a rule is the only one to take from its queue: want the filter without $share/<group>/")
	case countWildcards(plain) > maxWildcards:
		c.errorf([]any{i, field}, "%s: want at most %d", plural(countWildcards(plain), "wildcard"), maxWildcards)
	}
	return text
}

// template reads the topic to publish on.
func (c *compiler) template(i int, field, text, filter string) *template {
	if filter == "" {
		return &template{} // it could not be read, which was told
	}
	t, err := parseTemplate(text, filter, c.variable)
	if err == nil {
		err = t.checkTopic()
	}
	if err != nil {
		c.errorf([]any{i, field}, "%v", err)
		return &template{}
	}
	return t
}

func (c *compiler) variable(name string) (string, bool) {
	switch name {
	case "vin":
		return c.set.env.VIN, c.set.env.VIN != ""
	case "thing":
		return c.set.env.Thing, c.set.env.Thing != ""
	}
	return "", false
}

func (c *compiler) condition(i int, text string) *condition {
	if text == "" {
		return nil
	}
	e, err := c.set.env.State.CompileCondition(text)
	if err != nil {
		c.errorf([]any{i, "when"}, "%v", err)
		return nil
	}
	return &condition{expression: e}
}

// properties are the user properties that a rule adds, the VIN among those of a rule
// up.
func (c *compiler) properties(i int, cfg *Config, filter string) (list []property) {
	texts := maps.Clone(cfg.UserProperties)
	if _, given := texts[vinProperty]; !given && cfg.Direction == directionUp && c.set.env.VIN != "" && c.set.env.Protocol != version311 {
		if texts == nil {
			texts = map[string]string{}
		}
		texts[vinProperty] = "${vin}"
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if texts[name] == "" && name == vinProperty {
			list = append(list, property{name: name}) // nor what a client wrote there
			continue
		}
		t, err := parseTemplate(texts[name], filter, c.variable)
		if err != nil {
			c.errorf([]any{i, "user_properties", name}, "%v", err)
			continue
		}
		list = append(list, property{name, t})
	}
	return list
}

func (c *compiler) gate(cfg *Config) *gate {
	t := thinning{cfg.Sample, clock.Time(cfg.MinInterval), cfg.OnChange, cfg.Deadband}
	if t.sample <= 1 && t.interval == 0 && !t.differs() {
		return nil
	}
	return newGate(t, c.set.wake)
}

// prefix reads where answers to a rule's requests are awaited, and adds the rule that
// brings them.
func (c *compiler) prefix(i int, text string) string {
	t, err := parseTemplate(strings.TrimSuffix(text, "/"), "", c.variable)
	if err == nil {
		err = t.checkTopic()
	}
	if err != nil {
		c.errorf([]any{i, "responses"}, "%v", err)
		return ""
	}
	prefix := t.fill("", time.Time{}) + "/"
	if err := c.set.env.Limits.CheckTopic(prefix + strings.Repeat("x", tokenLength)); err != nil {
		c.errorf([]any{i, "responses"}, "with the %d characters that are added: %v", tokenLength, err)
		return ""
	}
	if !c.prefixes[prefix] {
		c.prefixes[prefix] = true
		c.set.downs = append(c.set.downs, &Down{
			env: &c.set.env, self: c.set.self, config: Config{Direction: directionDown, QoS: 1, Remote: prefix + "+"},
			name: "answers on " + prefix + "+", index: i, filter: prefix + "+", matches: prefix + "+", answers: prefix,
			responses: c.set.vehicle, counts: &counts{},
		})
	}
	return prefix
}

// answers adds the rule that carries answers to requests of the far side, in the
// first class: somebody waits for them.
func (c *compiler) answers() {
	if len(c.set.downs) == 0 || c.set.env.Protocol == version311 {
		return
	}
	cfg := Config{Direction: directionUp, QoS: 1, Retain: retainNever, Way: true}
	if len(c.set.env.Classes) > 0 {
		cfg.Class = c.set.env.Classes[0]
	}
	prefix := ResponsePrefix + c.set.env.Link + "/"
	u := &Up{
		env: &c.set.env, self: c.set.self, config: cfg, name: answersName, id: idOf(answersName), index: -1,
		filter: prefix + "+", prefix: prefix, answers: true, responses: c.set.far, counts: &counts{},
	}
	u.user = c.properties(-1, &cfg, u.filter)
	c.set.ups = append(c.set.ups, u)
	c.set.byID[u.id] = u
}

// idOf is the short form of a rule's name.
func idOf(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return h.Sum32()
}
