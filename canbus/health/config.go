package health

import (
	"strings"
	"time"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/config"
)

// Config is the section "can.health". Without it, messages are watched that are
// mapped or published and have a cycle time in their DBC, and so is every mapped
// signal.
type Config struct {
	// Watch nothing.
	Off bool `yaml:"off" default:"false"`
	// How many cycles may pass without a frame before its message is missing; at least 100ms do, however short the cycle.
	MissingCycles int `yaml:"missing_cycles" default:"3" min:"1" max:"1000"`
	// How long nothing must be wrong before a message or signal is ok again; what comes and goes changes its state at most twice in this time.
	Hold config.Duration `yaml:"hold" default:"1s" min:"100ms" max:"1h"`
	// How often the topics are renewed while the state stays, for the rate and the moment of the last frame.
	Interval config.Duration `yaml:"interval" default:"10s" min:"1s" max:"24h"`
	// What differs for some messages, and messages to watch beside those that are mapped or published.
	Messages []MessageConfig `yaml:"messages"`
	// What differs for some mapped signals.
	Signals []SignalConfig `yaml:"signals"`
}

// MessageConfig is about one message.
type MessageConfig struct {
	// Name of the message in the DBC.
	Message string `yaml:"message" required:"true"`
	// Bus that carries it; it may be left out where only one bus has it.
	Bus string `yaml:"bus"`
	// Time from one frame to the next; without it the DBC's GenMsgCycleTime.
	Cycle config.Duration `yaml:"cycle" max:"24h"`
	// Time without a frame after which the message is missing; without it missing_cycles cycles.
	MissingAfter config.Duration `yaml:"missing_after" max:"24h"`
	// Signal of the message that rises by one with each frame.
	Counter string `yaml:"counter"`
	// Highest value of the counter, which 0 follows; without it the highest that its bits hold. (AUTOSAR's E2E profile 1 counts to 14.)
	CounterMax int64 `yaml:"counter_max" min:"1"`
	// Leave this message out.
	Off bool `yaml:"off" default:"false"`
}

// SignalConfig is about one mapped signal.
type SignalConfig struct {
	// VSS path that the signal feeds.
	Path string `yaml:"path" required:"true"`
	// Time after which a signal that has kept one value is stuck; without it never.
	StuckAfter config.Duration `yaml:"stuck_after" max:"24h"`
	// Condition over the vehicle's state while which that time counts, such as Vehicle.IsMoving; without it always.
	StuckWhile string `yaml:"stuck_while"`
	// Least value, in the unit of the path; with min or max the range of the DBC does not count.
	Min *float64 `yaml:"min"`
	// Greatest value, in the unit of the path.
	Max *float64 `yaml:"max"`
	// Leave this signal out.
	Off bool `yaml:"off" default:"false"`
}

// Validate reports what contradicts itself.
func (c *Config) Validate(r *config.Reporter) {
	messages, paths := map[[2]string]bool{}, map[string]bool{}
	for i, m := range c.Messages {
		if key := [2]string{m.Bus, m.Message}; messages[key] {
			r.At("messages", i, "message").Errorf("message %q is there twice", m.Message)
		} else {
			messages[key] = true
		}
		if m.CounterMax > 0 && m.Counter == "" {
			r.At("messages", i, "counter_max").Errorf("of which signal? want counter: SIGNAL too")
		}
	}
	for i, s := range c.Signals {
		if paths[s.Path] {
			r.At("signals", i, "path").Errorf("%s is there twice", s.Path)
		}
		paths[s.Path] = true
		switch {
		case s.Min != nil && s.Max != nil && *s.Min > *s.Max:
			r.At("signals", i, "min").Errorf("%v is above the max of %v", *s.Min, *s.Max)
		case s.StuckWhile != "" && s.StuckAfter == 0:
			r.At("signals", i, "stuck_while").Errorf("for how long? want stuck_after: 10s or the like too")
		case !s.Off && s.StuckAfter == 0 && s.Min == nil && s.Max == nil:
			r.At("signals", i).Errorf("says nothing about %s: want stuck_after, min, max or off", s.Path)
		}
	}
}

// leastMissing is the shortest time without a frame that counts unless the
// configuration states its own: shorter ones come from a busy processor as well
// as from an ECU.
const leastMissing = 100 * time.Millisecond

// missingAfter is the time without a frame after which the message is missing, 0
// without a cycle.
func (c *Config) missingAfter(m MessageConfig, of *dbc.Message) time.Duration {
	if m.MissingAfter > 0 {
		return time.Duration(m.MissingAfter)
	}
	cycle := time.Duration(m.Cycle)
	if cycle == 0 && !sporadic(of.SendType) {
		cycle = of.Cycle
	}
	if cycle <= 0 {
		return 0
	}
	return max(leastMissing, time.Duration(c.MissingCycles)*cycle)
}

// sporadic reports whether a GenMsgSendType tells of messages that are sent at
// times only, whose cycle time then says nothing of how often. The names are the
// files' own; these are the common ones: IfActive, cyclicIfActive, Event,
// spontaneous, OnChange, OnWrite, OnRequest, triggered.
func sporadic(sendType string) bool {
	name := strings.ToLower(sendType)
	has := func(part string) bool { return strings.Contains(name, part) }
	switch {
	case has("active"):
		return true
	case has("cyclic"), has("periodic"): // cyclicAndSpontaneous too
		return false
	}
	return has("event") || has("spontan") || has("change") || has("write") || has("request") || has("trigger")
}
