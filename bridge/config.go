package bridge

import (
	"fmt"
	"strings"

	"github.com/fascia-edge/fascia/bridge/budget"
	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/bridge/spool"
	"github.com/fascia-edge/fascia/config"
)

// Config is the section "bridge".
type Config struct {
	// The far brokers that the vehicle is linked with.
	Links []LinkConfig `yaml:"links"`
}

// LinkConfig is one link.
type LinkConfig struct {
	// Name of the link in topics (link/<name>/state), metrics and commands; what comes by it is published as role link:<name>.
	Name        string `yaml:"name" required:"true"`
	link.Config `yaml:",inline"`
	// Kind of far side, whose limits the rules are held against.
	Profile string `yaml:"profile" default:"none" enum:"none,aws-iot-core"`
	// What it carries costs: Link.<name>.metered in conditions.
	Metered bool `yaml:"metered" default:"false"`
	// Message that the far side publishes when the vehicle drops, and that the vehicle publishes when it is there.
	Will *WillConfig `yaml:"will"`
	// Room for what waits for the far side.
	Spool SpoolConfig `yaml:"spool"`
	// Classes in order of priority: nothing of a class is sent while one above it has something to send. Without them there is one, normal.
	Classes []spool.ClassConfig `yaml:"classes"`
	// Messages at QoS 1 that may be under way without an acknowledgement; the far side's Receive Maximum counts if it is less.
	Window int `yaml:"window" default:"100" min:"1" max:"5000"`
	// What may be sent in a second.
	Rate spool.Rate `yaml:"rate"`
	// What the link may cost in a month; without it, anything.
	Budget *budget.Config `yaml:"budget"`
	// What goes up and what comes down.
	Rules []rule.Config `yaml:"rules"`
}

// WillConfig is the message that tells whether the vehicle is linked.
type WillConfig struct {
	// Topic of {"state":"down"}, left as the will, and of {"state":"up"}, sent at each connect; never one that begins with $.
	Topic string `yaml:"topic" required:"true" template:"vin,thing"`
	// QoS of the will.
	QoS int `yaml:"qos" default:"1" min:"0" max:"1"`
	// Whether the far side keeps the last one for new subscribers.
	Retain bool `yaml:"retain" default:"false"`
}

// SpoolConfig bounds what waits for the far side.
type SpoolConfig struct {
	// Bytes that all classes together may take in the store; classes without a size share what the others leave.
	Size config.Size `yaml:"size" default:"64MiB" min:"64KiB"`
	// Bytes of dead letters: messages that the far side never takes. The oldest go when there is no room.
	Dead config.Size `yaml:"dead" default:"16MiB" min:"64KiB"`
	// Bytes of messages at QoS 0 that may wait in memory; the oldest go when there is no room.
	Memory config.Size `yaml:"memory" default:"1MiB" min:"16KiB" max:"64MiB"`
}

const (
	// defaultClass is the only class of a link that has none.
	defaultClass = "normal"
	// deadQueue is the name of the queue of dead letters, where a class has its own.
	deadQueue = "dead"
)

// Validate reports links that are there twice.
func (c *Config) Validate(r *config.Reporter) {
	seen := map[string]bool{}
	for i := range c.Links {
		name := c.Links[i].Name
		if seen[name] {
			r.At("links", i, "name").Errorf("link %q is there twice", name)
		}
		seen[name] = true
	}
}

// Validate checks names, and that the classes fit into the spool.
func (c *LinkConfig) Validate(r *config.Reporter) {
	if !isName(c.Name) || strings.Contains(c.Name, "-") {
		r.At("name").Errorf("%q: want letters, digits and _: it is part of topics and of conditions, such as Link.cloud.up", c.Name)
	}
	if c.Will != nil && (strings.HasPrefix(c.Will.Topic, "$") || strings.ContainsAny(c.Will.Topic, "+#")) {
		r.At("will", "topic").Errorf("want a topic without wildcards that does not begin with $, such as dt/demo/g1/${vin}/link")
	}
	classes, problem := c.classes()
	if problem != nil {
		r.At("classes", problem.index).Errorf("%s", problem.text)
	} else if c.Budget != nil {
		for _, name := range unknownStops(c.Budget, classes) {
			r.At("budget", "stop", name).Errorf("the link has no class %q", name)
		}
	}
}

type classProblem struct {
	index int
	text  string
}

// classes are the classes of the link with their sizes.
func (c *LinkConfig) classes() ([]spool.ClassConfig, *classProblem) {
	if len(c.Classes) == 0 {
		return []spool.ClassConfig{{Name: defaultClass, Size: c.Spool.Size, WhenFull: spool.DropOldest}}, nil
	}
	list := append([]spool.ClassConfig(nil), c.Classes...)
	left, open := int64(c.Spool.Size), 0
	seen := map[string]bool{}
	sharing := "" // a class that takes room of those below it
	for i, class := range list {
		switch {
		case !isName(class.Name):
			return nil, &classProblem{i, fmt.Sprintf("%q: want a name of letters, digits, _ and -", class.Name)}
		case class.Name == deadQueue:
			return nil, &classProblem{i, "dead is where dead letters are: want another name"}
		case seen[class.Name]:
			return nil, &classProblem{i, fmt.Sprintf("class %q is there twice", class.Name)}
		case class.WhenFull == spool.Reject && sharing != "":
			return nil, &classProblem{i, fmt.Sprintf("class %q can't promise to reject: %q above it takes its room (drop_lowest)", class.Name, sharing)}
		}
		seen[class.Name] = true
		if class.WhenFull == spool.DropLowest {
			sharing = class.Name
		}
		if class.Size == 0 {
			open++
		}
		left -= int64(class.Size)
	}
	if left < 0 || open > 0 && left/int64(open) < spool.LeastSize {
		return nil, &classProblem{0, fmt.Sprintf("the classes do not fit into spool.size, %s: want at most that in all, and %s for a class without a size", c.Spool.Size, config.Size(spool.LeastSize))}
	}
	for i := range list {
		if list[i].Size == 0 {
			list[i].Size = config.Size(left / int64(open))
		}
	}
	return list, nil
}

// Resolve makes the paths of files relative to dir, the folder of the configuration
// file.
func (c *Config) Resolve(dir string) {
	for i := range c.Links {
		c.Links[i].Resolve(dir)
	}
}

// isName reports whether a name can be part of a topic, a path in conditions and
// a command line.
func isName(name string) bool {
	return name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
