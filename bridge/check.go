package bridge

import (
	"fmt"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/bridge/profile"
	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/vehicle"
)

// Vehicle is who the vehicle is: what ${vin} and ${thing} stand for.
type Vehicle struct {
	VIN, Thing string // empty for none
}

func (v Vehicle) variable(name string) (string, bool) {
	switch name {
	case "vin":
		return v.VIN, v.VIN != ""
	case "thing":
		return v.Thing, v.Thing != ""
	}
	return "", false
}

// fill puts the values of ${vin} and ${thing} into text.
func (v Vehicle) fill(text string) (string, error) {
	for _, name := range []string{"vin", "thing"} {
		if !strings.Contains(text, "${"+name+"}") {
			continue
		}
		value, ok := v.variable(name)
		if !ok {
			return "", fmt.Errorf("${%s} is not set: want vehicle.%s in the configuration", name, name)
		}
		text = strings.ReplaceAll(text, "${"+name+"}", value)
	}
	return text, nil
}

// Problem is something wrong with the section "bridge" that its fields alone don't
// show.
type Problem struct {
	Path    []any // of the value, below "bridge"
	Text    string
	Warning bool // doubtful, and no reason to refuse the configuration
}

// Check finds what is wrong with a validated configuration: rules and conditions that
// can't be compiled, and what the far side would refuse. streams are nil where there
// are none.
func Check(cfg Config, who Vehicle, state *vehicle.State, streams Streams) []Problem {
	var problems []Problem
	sets := make([]*rule.Set, len(cfg.Links))
	for i := range cfg.Links {
		c := &cfg.Links[i]
		add := func(warning bool, text string, path ...any) {
			problems = append(problems, Problem{append([]any{"links", i}, path...), text, warning})
		}
		set, found := compileRules(c, who, state, clock.New(clock.TrustKernel), streams)
		sets[i] = set
		for _, p := range found {
			add(p.Warning, p.Text, append([]any{"rules"}, p.Path...)...)
		}
		for k, class := range c.Classes {
			if class.SendWhen == "" {
				continue
			}
			if _, err := state.CompileCondition(class.SendWhen); err != nil {
				add(false, err.Error(), "classes", k, "send_when")
			}
		}
		c.checkLimits(who, add)
	}
	for _, p := range findCircles(cfg.Links, sets) {
		problems = append(problems, Problem{append([]any{"links"}, p.Path...), p.Text, p.Warning})
	}
	return problems
}

// checkLimits holds the link itself against what its far side takes.
func (c *LinkConfig) checkLimits(who Vehicle, add func(warning bool, text string, path ...any)) {
	limits, err := profile.Of(c.Profile)
	if err != nil {
		add(false, err.Error(), "profile")
		return
	}
	check := func(err error, path ...any) {
		if err != nil {
			add(false, err.Error(), path...)
		}
	}
	check(limits.CheckKeepAlive(time.Duration(c.KeepAlive)), "keep_alive")
	check(limits.CheckSessionExpiry(time.Duration(c.SessionExpiry)), "session_expiry")
	check(limits.CheckRate(c.Rate.Messages, float64(c.Rate.Bytes)), "rate")
	id, err := who.fill(c.ClientID)
	check(err, "client_id")
	check(limits.CheckClientID(id), "client_id")
	_, err = who.fill(c.Username)
	check(err, "username")
	if c.Will != nil {
		name, err := who.fill(c.Will.Topic)
		check(err, "will", "topic")
		check(limits.CheckTopic(name), "will", "topic")
	}
}

// compileRules makes the rules of a link.
func compileRules(c *LinkConfig, who Vehicle, state *vehicle.State, clk *clock.Clock, streams Streams) (*rule.Set, []rule.Problem) {
	limits, err := profile.Of(c.Profile)
	if err != nil {
		return nil, []rule.Problem{{Text: err.Error()}}
	}
	var names []string
	classes, _ := c.classes() // Validate has told of the problem
	for _, class := range classes {
		names = append(names, class.Name)
	}
	env := rule.Env{
		Link: c.Name, Protocol: c.Protocol, VIN: who.VIN, Thing: who.Thing,
		State: state, Limits: limits, Classes: names, Clock: clk,
	}
	if streams != nil {
		env.Stream = streams.Has
	}
	return rule.Compile(c.Rules, env)
}
